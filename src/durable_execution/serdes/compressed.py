"""A serializer that compresses the text of an inner serializer."""

from __future__ import annotations

import base64
import zlib
from typing import TYPE_CHECKING, Any

from durable_execution.errors import SerializationError
from durable_execution.serdes.tagged import TaggedSerDes
from durable_execution.serdes.wrapping import Wrapping, to_bytes, to_text

if TYPE_CHECKING:
    from durable_execution.serdes.interface import SerDes, SerDesContext

WRAPPING = Wrapping("zlib")
DEFAULT_LEVEL = 6
DEFAULT_ABOVE_BYTES = 1024


class CompressedSerDes:
    """Compresses the text of an inner serializer with zlib.

    Short text, and text that would not become shorter, is stored unchanged. Uncompressed text is read as well, so you can add
    compression while executions are running.

    Args:
        inner: The inner serializer; by default tagged JSON, the SDK's default.
        level: Compression level from 1 (fast) to 9 (small).
        above_bytes: Text is compressed above this size in bytes.

    Attributes:
        is_blocking: Whether the inner serializer blocks.
    """

    def __init__(
        self,
        inner: SerDes[Any] | None = None,
        *,
        level: int = DEFAULT_LEVEL,
        above_bytes: int = DEFAULT_ABOVE_BYTES,
    ) -> None:
        self._inner: SerDes[Any] = inner if inner is not None else TaggedSerDes()
        self.is_blocking = bool(getattr(inner, "is_blocking", False))
        self._level = level
        self._above_bytes = above_bytes

    def serialize(self, value: Any, context: SerDesContext) -> str:
        """The text, compressed if that makes it shorter."""
        text = self._inner.serialize(value, context)
        is_ambiguous = WRAPPING.is_wrapped(text)
        if len(text) <= self._above_bytes and not is_ambiguous:
            return text
        packed = WRAPPING.wrap(base64.b64encode(zlib.compress(to_bytes(text), self._level)).decode())
        return packed if len(packed) < len(text) or is_ambiguous else text

    def deserialize(self, data: str, context: SerDesContext) -> Any:
        """The value of a text that may be compressed.

        Raises:
            SerializationError: The compressed text is damaged.
        """
        if not WRAPPING.is_wrapped(data):
            return self._inner.deserialize(data, context)
        try:
            text = to_text(zlib.decompress(base64.b64decode(WRAPPING.unwrap(data), validate=True)))
        except (ValueError, TypeError, zlib.error) as error:
            raise SerializationError(f"stored text {data[:60]!r} cannot be decompressed: {error}") from None
        return self._inner.deserialize(text, context)

"""A serializer that makes another one's text shorter."""

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
    """Compresses what another serializer writes, with zlib.

    Short text stays as it is, and so does text that would not become shorter. What was stored uncompressed is read as well,
    so it can be put around a serializer while executions are in flight.

    Args:
        inner: The serializer; by default the tagged JSON that is the default without it.
        level: 1 is fast, 9 is small.
        above_bytes: Text up to this size is not worth it.

    Attributes:
        is_blocking: Whether the inner serializer waits for something.
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
        """The text, compressed where that makes it shorter."""
        text = self._inner.serialize(value, context)
        is_ambiguous = WRAPPING.is_wrapped(text)
        if len(text) <= self._above_bytes and not is_ambiguous:
            return text
        packed = WRAPPING.wrap(base64.b64encode(zlib.compress(to_bytes(text), self._level)).decode())
        return packed if len(packed) < len(text) or is_ambiguous else text

    def deserialize(self, data: str, context: SerDesContext) -> Any:
        """The value of a text, compressed or not.

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

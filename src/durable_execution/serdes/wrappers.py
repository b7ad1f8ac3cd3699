"""The format in which a wrapping serializer stores the text of its inner serializer.

The format is a JSON object with one member, `{"durable:zlib":"..."}`. Histories and consoles still show JSON, and text that was
stored before the wrapper was introduced can be recognised and read by the inner serializer alone.

A serializer that compresses the text of an inner serializer.

A serializer that encrypts the text of an inner serializer.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from durable_execution.counts import counted
from durable_execution.errors import SerializationError
from durable_execution.serdes.codec import typed_codec
from durable_execution.serdes.error_texts import UnavailableError, reason, stored
from durable_execution.serdes.tagged import TaggedSerDes

if TYPE_CHECKING:
    from durable_execution.serdes.interface import SerDes, SerDesContext


PREFIX = "durable:"


class Wrapping:
    """The format of one wrapper.

    Args:
        kind: What the wrapper does, for example `zlib`.
    """

    __slots__ = ("_member", "_start")

    def __init__(self, kind: str) -> None:
        self._member = PREFIX + kind
        self._start = f'{{"{self._member}":'

    def wrap(self, content: Any) -> str:
        """Content, which must be JSON-serializable, as wrapped text."""
        return f"{self._start}{json.dumps(content, separators=(',', ':'))}}}"

    def is_wrapped(self, text: str) -> bool:
        """Whether this wrapper wrote the text."""
        return text.startswith(self._start)

    def unwrap(self, text: str) -> Any:
        """The content of a wrapped text.

        Raises:
            SerializationError: The text is damaged.
        """
        try:
            return json.loads(text)[self._member]
        except (ValueError, RecursionError) as error:
            raise SerializationError(f"{stored(text)} is damaged: {reason(error)}") from None


def to_bytes(text: str) -> bytes:
    """A text as UTF-8. A lone surrogate is preserved, as it is in JSON."""
    return text.encode("utf-8", "surrogatepass")


def to_text(data: bytes) -> str:
    """The text of bytes that `to_bytes` returned."""
    return data.decode("utf-8", "surrogatepass")


COMPRESSED_WRAPPING = Wrapping("zlib")
DEFAULT_LEVEL = 6
DEFAULT_ABOVE_BYTES = 1024
DEFAULT_MAX_BYTES = 64 * 1024 * 1024
"""A text of a few kilobytes can expand to gigabytes; a checkpoint's own text is at most a few megabytes."""


class CompressedSerDes:
    """Compresses the text of an inner serializer with zlib.

    Short text, and text that would not become shorter, is stored unchanged. Uncompressed text is read as well, so you can add
    compression while executions are running.

    Args:
        inner: The inner serializer; by default tagged JSON, the SDK's default.
        level: Compression level from 1 (fast) to 9 (small).
        above_bytes: Text is compressed above this size in bytes.
        max_bytes: Text above this size in bytes is refused, when it is written and when it is read.

    Attributes:
        is_blocking: Whether the inner serializer blocks.
    """

    def __init__(
        self,
        inner: SerDes[Any] | None = None,
        *,
        level: int = DEFAULT_LEVEL,
        above_bytes: int = DEFAULT_ABOVE_BYTES,
        max_bytes: int = DEFAULT_MAX_BYTES,
    ) -> None:
        self._inner: SerDes[Any] = inner if inner is not None else TaggedSerDes()
        self.is_blocking = bool(getattr(inner, "is_blocking", False))
        self._max_bytes = max_bytes
        self._level = level
        self._above_bytes = above_bytes

    def serialize(self, value: Any, context: SerDesContext) -> str:
        """The text, compressed if that makes it shorter.

        Raises:
            SerializationError: The text is longer than `max_bytes`.
        """
        text = self._inner.serialize(value, context)
        is_ambiguous = COMPRESSED_WRAPPING.is_wrapped(text)
        if len(text) <= self._above_bytes and not is_ambiguous:
            return text
        data = to_bytes(text)
        if len(data) > self._max_bytes:
            raise SerializationError(
                f"a text of {counted(len(data), 'byte')} is longer than the {counted(self._max_bytes, 'byte')} that CompressedSerDes expands. Store "
                "it with OffloadedSerDes, or raise max_bytes"
            )
        packed = COMPRESSED_WRAPPING.wrap(base64.b64encode(zlib.compress(data, self._level)).decode())
        return packed if len(packed) < len(text) or is_ambiguous else text

    def deserialize(self, data: str, context: SerDesContext) -> Any:
        """The value of a text that may be compressed.

        Raises:
            SerializationError: The compressed text is damaged, or expands to more than `max_bytes`.
        """
        if not COMPRESSED_WRAPPING.is_wrapped(data):
            return self._inner.deserialize(data, context)
        try:
            text = to_text(self._expanded(base64.b64decode(COMPRESSED_WRAPPING.unwrap(data), validate=True)))
        except (ValueError, TypeError, zlib.error) as error:
            raise UnavailableError(f"{stored(data)} cannot be decompressed: {reason(error)}") from None
        return self._inner.deserialize(text, context)

    def _expanded(self, data: bytes) -> bytes:
        reader = zlib.decompressobj()
        found = reader.decompress(data, self._max_bytes + 1)
        if len(found) > self._max_bytes:
            raise ValueError(
                f"it expands to more than {counted(self._max_bytes, 'byte')}; raise max_bytes if that is right"
            )
        if not reader.eof:
            raise ValueError("it is truncated")
        return found


ENCRYPTED_WRAPPING = Wrapping("encrypted")
Transform: TypeAlias = "Callable[[bytes, SerDesContext], bytes]"
"""Encrypts or decrypts bytes. Use the context as additional authenticated data, or as the encryption context of AWS KMS, so
that a text cannot be moved to a different operation."""


class EncryptedSerDes:
    """Encrypts the text of an inner serializer with functions that you provide. This package contains no cryptography.

    The functions receive the bytes and a `SerDesContext`. Raise `InvocationError` in them for a transient error, such as a key
    service that does not respond, and Lambda retries the invocation. Any other exception fails the execution.

    Args:
        inner: The inner serializer; None for tagged JSON, the SDK's default.
        encrypt: Encrypts bytes.
        decrypt: Decrypts what `encrypt` returned.
        reads_plain: Whether unencrypted text is read as well. Set it while executions are running that started before you
            introduced encryption.

    Attributes:
        is_blocking: Always True: the functions may wait for a key service, so they are called in a worker thread.
    """

    is_blocking = True

    def __init__(
        self, inner: SerDes[Any] | None, *, encrypt: Transform, decrypt: Transform, reads_plain: bool = False
    ) -> None:
        self._inner: SerDes[Any] = inner if inner is not None else TaggedSerDes()
        self._encrypt = encrypt
        self._decrypt = decrypt
        self._reads_plain = reads_plain

    def serialize(self, value: Any, context: SerDesContext) -> str:
        """The encrypted text.

        Raises:
            SerializationError: The value cannot be serialized. The message does not show the value.
        """
        try:
            text = self._inner.serialize(value, context)
        except SerializationError:
            raise SerializationError(
                f"a value of type {type(value).__name__} cannot be serialized by {type(self._inner).__name__}. The details are "
                "withheld, because the value is confidential"
            ) from None
        return ENCRYPTED_WRAPPING.wrap(base64.b64encode(self._encrypt(to_bytes(text), context)).decode())

    def deserialize(self, data: str, context: SerDesContext) -> Any:
        """The value of an encrypted text.

        Raises:
            SerializationError: The text is not encrypted, is damaged, or contains a different value. The message does not
                show the value.
        """
        if not ENCRYPTED_WRAPPING.is_wrapped(data):
            if not self._reads_plain:
                raise UnavailableError(
                    f"stored text of {counted(len(data), 'character')} is not encrypted, so EncryptedSerDes cannot read it. If it was "
                    "stored before you introduced encryption, pass reads_plain=True until those executions have ended"
                )
            return self._inner.deserialize(data, context)
        try:
            encrypted = base64.b64decode(ENCRYPTED_WRAPPING.unwrap(data), validate=True)
        except (ValueError, TypeError) as error:
            raise UnavailableError(f"stored text of {counted(len(data), 'character')} is damaged: {error}") from None
        try:
            return self._inner.deserialize(to_text(self._decrypt(encrypted, context)), context)
        except (SerializationError, UnicodeDecodeError):
            raise UnavailableError(
                f"the decrypted text cannot be deserialized by {type(self._inner).__name__}. The details are withheld, because "
                "the value is confidential"
            ) from None


class TypedSerDes:
    """Serializes values of one type, as the SDK does for an annotated function: `TypedSerDes(Order)`.

    Args:
        annotation: A pydantic model, dataclass, TypedDict, enum, `list[Order]` …
    """

    def __init__(self, annotation: Any) -> None:
        self._codec = typed_codec(annotation)

    def serialize(self, value: Any, context: SerDesContext | None = None) -> str:
        """JSON text that `deserialize` restores to a value of the type."""
        return self._codec.encode(value)

    def deserialize(self, data: str, context: SerDesContext | None = None) -> Any:
        """The value."""
        return self._codec.decode(data)

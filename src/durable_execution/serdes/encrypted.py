"""A serializer that encrypts the text of an inner serializer."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from durable_execution.errors import SerializationError
from durable_execution.serdes.tagged import TaggedSerDes
from durable_execution.serdes.wrapping import Wrapping, to_bytes, to_text

if TYPE_CHECKING:
    from durable_execution.serdes.interface import SerDes, SerDesContext

WRAPPING = Wrapping("encrypted")

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
        return WRAPPING.wrap(base64.b64encode(self._encrypt(to_bytes(text), context)).decode())

    def deserialize(self, data: str, context: SerDesContext) -> Any:
        """The value of an encrypted text.

        Raises:
            SerializationError: The text is not encrypted, is damaged, or contains a different value. The message does not
                show the value.
        """
        if not WRAPPING.is_wrapped(data):
            if not self._reads_plain:
                raise SerializationError(
                    f"stored text of {len(data)} characters is not encrypted, so EncryptedSerDes cannot read it. If it was "
                    "stored before you introduced encryption, pass reads_plain=True until those executions have ended"
                )
            return self._inner.deserialize(data, context)
        try:
            encrypted = base64.b64decode(WRAPPING.unwrap(data), validate=True)
        except (ValueError, TypeError) as error:
            raise SerializationError(f"stored text of {len(data)} characters is damaged: {error}") from None
        try:
            return self._inner.deserialize(to_text(self._decrypt(encrypted, context)), context)
        except (SerializationError, UnicodeDecodeError):
            raise SerializationError(
                f"the decrypted text cannot be deserialized by {type(self._inner).__name__}. The details are withheld, because "
                "the value is confidential"
            ) from None

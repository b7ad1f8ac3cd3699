"""A serializer that keeps what another one writes from being read."""

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
"""Encrypts or decrypts. The context is good for what must not be moved elsewhere: additional authenticated data, or the
encryption context of AWS KMS."""


class EncryptedSerDes:
    """Encrypts what another serializer writes, with functions of yours. There is no cryptography in this package.

    The functions are called with the bytes and a `SerDesContext`. Raise `InvocationError` from them for passing trouble, such
    as a key service that does not answer, so that the invocation is retried; anything else they raise fails the execution.

    Args:
        inner: The serializer; None for the tagged JSON that is the default without it.
        encrypt: Makes the bytes unreadable.
        decrypt: Makes them readable again.
        reads_plain: Whether text that is not encrypted is read as well, as long as executions are in flight that were
            started before encryption was.

    Attributes:
        is_blocking: That its functions may wait for a key service, so that it is called in a worker thread.
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
        """The text, encrypted.

        Raises:
            SerializationError: The value cannot be written. The message does not show it.
        """
        try:
            text = self._inner.serialize(value, context)
        except SerializationError:
            raise SerializationError(
                f"a value of type {type(value).__name__} cannot be written by {type(self._inner).__name__}; more is not said, "
                "because it is to be encrypted"
            ) from None
        return WRAPPING.wrap(base64.b64encode(self._encrypt(to_bytes(text), context)).decode())

    def deserialize(self, data: str, context: SerDesContext) -> Any:
        """The value of an encrypted text.

        Raises:
            SerializationError: It is not encrypted, or damaged, or holds something else. The message does not show it.
        """
        if not WRAPPING.is_wrapped(data):
            if not self._reads_plain:
                raise SerializationError(
                    f"stored text of {len(data)} characters is not encrypted, although EncryptedSerDes reads it. If it was "
                    "stored before encryption was introduced, pass reads_plain=True until those executions have ended"
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
                f"what was decrypted cannot be read by {type(self._inner).__name__}; more is not said, because it was encrypted"
            ) from None

"""Signed messages between the process that supervises replays and the processes that run them.

The code under replay shares its process with the code that answers. So an answer counts only if it carries a signature made
with a key that is not in the memory of that process as text, and if the process proves afterwards that it still runs.
"""

import io
import os
import pickle
import random
import socket
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

from durable_execution.errors import DurableError

KEY_BYTES = 32
SIGNATURE_BYTES = 16
HEADER_BYTES = 4 + SIGNATURE_BYTES
MAX_BYTES = 1 << 30
CHUNK = 1 << 18
LOWEST, HIGHEST = 200, 1000
"""Between these a connection's descriptor is chosen at random, below the usual limit of 1024."""

VALUES = frozenset(
    ("builtins", name)
    for name in (
        "set",
        "frozenset",
        "range",
        "str",
        "int",
        "float",
        "bool",
        "bytes",
        "bytearray",
        "list",
        "dict",
        "tuple",
    )
)
PLAIN: tuple[type[Any], ...] = (str, int, float, bytes, bytearray, list, tuple, dict, set, frozenset)


class ForgedMessageError(DurableError):
    """Bytes arrived that the other process did not sign."""


class ClosedChannelError(DurableError):
    """The other process closed the connection, or ended."""


class _ValuePickler(pickle.Pickler):
    """Writes values that users' classes made, such as a name that is an enum's member, as the plain values they are."""

    def reducer_override(self, value: Any) -> Any:
        kind = type(value)
        if kind.__module__.partition(".")[0] in ("durable_execution", "builtins", "datetime") or isinstance(
            value, type
        ):
            return NotImplemented
        for plain in PLAIN:
            if isinstance(value, plain):
                return plain, (plain.__str__(value) if plain is str else plain.__new__(plain, value),)
        return str, (f"<{kind.__qualname__}>",)


class _ValueUnpickler(pickle.Unpickler):
    """Makes values of this package only: what a worker sends must not run code in the supervisor."""

    def find_class(self, module: str, name: str) -> Any:
        if module == "datetime" or (module, name) in VALUES:
            return super().find_class(module, name)
        if module.partition(".")[0] == "durable_execution":
            found = super().find_class(module, name)
            if isinstance(found, type):
                return found
        raise ForgedMessageError(f"a worker sent a {module}.{name}, which is not a part of a report")


class Channel:
    """One end of a connection.

    Args:
        connection: The connection.
        key: The key both ends share.
        is_supervisor: Which end this is: the supervisor's end accepts values of this package only.
    """

    def __init__(self, connection: socket.socket, key: bytes, *, is_supervisor: bool) -> None:
        self._connection = connection
        self._is_supervisor = is_supervisor
        self._signer = blake2b(key=key, digest_size=SIGNATURE_BYTES)
        self._sent = self._received = 0
        self._buffer = bytearray()

    def fileno(self) -> int:
        """Return the connection's descriptor."""
        return self._connection.fileno()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def send(self, message: Any, *, descriptors: tuple[int, ...] = ()) -> None:
        """Send a message, and descriptors with it.

        Raises:
            ClosedChannelError: The other end is closed.
        """
        self._sent += 1
        payload = pickle.dumps(message, protocol=5) if self._is_supervisor else _dumped(message)
        signature = self._sign(self._sent, payload, is_from_supervisor=self._is_supervisor)
        frame = len(payload).to_bytes(4, "big") + signature + payload
        try:
            if descriptors:
                sent = socket.send_fds(self._connection, [frame], list(descriptors))
                frame = frame[sent:]
            self._connection.sendall(frame)
        except OSError as error:
            raise ClosedChannelError(f"the connection is closed: {error}") from error

    def receive(self, *, seconds: float | None = None) -> Any:
        """Wait for a message.

        Raises:
            ClosedChannelError: The other end was closed.
            ForgedMessageError: The message was not signed with the key.
            TimeoutError: No message arrived in time.
        """
        while True:
            for message in self._messages():
                return message
            try:
                self._connection.settimeout(seconds)
                self._take(self._connection.recv(CHUNK))
            except TimeoutError:
                raise
            except OSError as error:
                raise ClosedChannelError(f"the connection is closed: {error}") from error

    def receive_descriptors(self, count: int) -> tuple[Any, list[int]]:
        """Wait for a message that carries descriptors.

        Raises:
            ClosedChannelError: The other end was closed.
            ForgedMessageError: The message was not signed with the key.
        """
        self._connection.settimeout(None)
        descriptors: list[int] = []
        while True:
            for message in self._messages():
                return message, descriptors
            try:
                data, found, _, _ = socket.recv_fds(self._connection, CHUNK, count)
            except OSError as error:
                raise ClosedChannelError(f"the connection is closed: {error}") from error
            descriptors += found
            self._take(data)

    def _take(self, data: bytes) -> None:
        if not data and self._buffer:
            raise ForgedMessageError("the last message breaks off")
        if not data:
            raise ClosedChannelError("the other end is closed")
        self._buffer += data

    def _messages(self) -> Iterator[Any]:
        if len(self._buffer) < HEADER_BYTES:
            return
        size = int.from_bytes(self._buffer[:4], "big")
        if size > MAX_BYTES:
            raise ForgedMessageError("bytes arrived that are not a message")
        end = HEADER_BYTES + size
        if len(self._buffer) < end:
            return
        payload = bytes(self._buffer[HEADER_BYTES:end])
        expected = self._sign(self._received + 1, payload, is_from_supervisor=not self._is_supervisor)
        if self._buffer[4:HEADER_BYTES] != expected:  # pyright: ignore[reportUnnecessaryComparison]
            raise ForgedMessageError("a message arrived with a wrong signature")
        del self._buffer[:end]
        self._received += 1
        yield self._read(payload)

    def _read(self, payload: bytes) -> Any:
        if not self._is_supervisor:
            return pickle.loads(payload)  # noqa: S301  # the supervisor is trusted
        try:
            return _ValueUnpickler(io.BytesIO(payload)).load()
        except ForgedMessageError:
            raise
        except Exception as error:
            raise ForgedMessageError(f"a message arrived that cannot be read: {error}") from error

    def _sign(self, number: int, payload: bytes, *, is_from_supervisor: bool) -> bytes:
        signer = self._signer.copy()
        signer.update(b"s" if is_from_supervisor else b"w")
        signer.update(number.to_bytes(8, "big"))
        signer.update(payload)
        return signer.digest()


def _dumped(message: Any) -> bytes:
    written = io.BytesIO()
    _ValuePickler(written, protocol=5).dump(message)
    return written.getvalue()


def hidden(descriptor: int) -> socket.socket:
    """Move a connection to a descriptor that code cannot guess and that programs do not inherit."""
    import fcntl

    chooser = random.SystemRandom()
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, chooser.randrange(LOWEST, HIGHEST))
    os.close(descriptor)
    return socket.socket(fileno=moved)

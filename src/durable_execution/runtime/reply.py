"""Reads one answer of an HTTP/1.1 server from an open connection.

`http.client` does it with the parser of e-mails, which takes a quarter of the processor time of a checkpoint call. The transport
needs a status, a few headers and a body of known length, and closes the connection after everything else. An answer that arrives
at once is read at once, without a buffered stream.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http.client import BadStatusLine, HTTPException, IncompleteRead, LineTooLong, RemoteDisconnected
from string import digits, hexdigits
from typing import NamedTuple

MAX_HEAD_BYTES = 65_536
MAX_HEADERS = 100
WITHOUT_BODY = frozenset({204, 304})
PROTOCOL = b"HTTP/1."
READ_BYTES = 16_384
"""As much as TLS decrypts at once."""


class Reply(NamedTuple):
    """An answer of the server, whole.

    Attributes:
        status: HTTP status.
        headers: The headers. Their names are found in lower case.
        body: The content, decoded from chunks.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


def read_reply(receive: Callable[[int], bytes]) -> tuple[Reply, bool]:
    """Read an answer, and whether the connection can be used again: the server keeps it open, and has sent nothing more.

    Args:
        receive: Returns bytes of the connection, up to a number, and none after its end: the `recv` of a socket.

    Raises:
        RemoteDisconnected: The connection was closed before the answer began.
        HTTPException: The answer is truncated, or is not HTTP.
    """
    incoming = _Incoming(receive)
    version, status, headers = _head(incoming)
    while status < 200:  # it announces the answer
        version, status, headers = _head(incoming)
    is_kept = "close" not in headers.get("connection", "").lower() and version == "HTTP/1.1"
    coding, length = headers.get("transfer-encoding", "").lower(), headers.get("content-length", "")
    if status in WITHOUT_BODY:
        body = b""
    elif coding == "chunked":
        body = _chunks(incoming)
    elif coding:
        raise HTTPException(f"cannot read the transfer coding {coding:.60}")
    elif length:
        body = incoming.exactly(_number(length, base=10))
    else:
        body, is_kept = incoming.rest(), False
    return Reply(status, headers, body), is_kept and not incoming.data


class _Incoming:
    """What arrives on a connection.

    Attributes:
        data: What has arrived and is not read.
    """

    __slots__ = ("_receive", "data")

    def __init__(self, receive: Callable[[int], bytes]) -> None:
        self._receive = receive
        self.data = b""

    def head(self) -> str:
        """The lines before the next empty line, which may all end without a carriage return.

        Raises:
            RemoteDisconnected: Nothing arrives any more.
            HTTPException: It is not the head of an answer.
        """
        while True:
            data = self.data
            end, other = data.find(b"\r\n\r\n"), data.find(b"\n\n")
            if end < 0 <= other or 0 <= other < end:
                head, self.data = data[:other], data[other + 2 :]
            elif end >= 0:
                head, self.data = data[:end], data[end + 4 :]
            else:
                if not data.startswith(PROTOCOL[: len(data)]):
                    raise BadStatusLine(data[:60].decode("latin-1"))
                self._read_on(RemoteDisconnected("the server closed the connection without an answer"))
                continue
            return head.decode("latin-1")

    def line(self) -> str:
        """The next line."""
        while (end := self.data.find(b"\n")) < 0:
            self._read_on(IncompleteRead(b""))
        line, self.data = self.data[:end], self.data[end + 1 :]
        return line.decode("latin-1").strip()

    def exactly(self, length: int) -> bytes:
        """So many bytes."""
        found = self.data[:length]
        self.data = self.data[length:]
        if len(found) == length:
            return found
        parts, left = [found], length - len(found)
        while left:
            more = self._receive(min(left, MAX_HEAD_BYTES))
            if not more:
                raise IncompleteRead(b"".join(parts), left)
            parts.append(more)
            left -= len(more)
        return b"".join(parts)

    def rest(self) -> bytes:
        """Everything until the end of the connection."""
        parts, self.data = [self.data], b""
        while more := self._receive(READ_BYTES):
            parts.append(more)
        return b"".join(parts)

    def _read_on(self, nothing: Exception) -> None:
        if len(self.data) > MAX_HEAD_BYTES:
            raise LineTooLong("header line")
        more = self._receive(min(READ_BYTES, MAX_HEAD_BYTES + 1 - len(self.data)))
        if not more:
            raise IncompleteRead(self.data) if self.data else nothing
        self.data += more


def _head(incoming: _Incoming) -> tuple[str, int, dict[str, str]]:
    first, *lines = incoming.head().split("\n")
    version, _, rest = first.partition(" ")
    code = rest[:3]
    if not (version.startswith("HTTP/1.") and len(code) == 3 and code.isdecimal() and code >= "100"):
        raise BadStatusLine(first[:60])
    if len(lines) > MAX_HEADERS:
        raise HTTPException(f"got more than {MAX_HEADERS} headers")
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers.setdefault(name.lower(), value.strip())
    return version, int(code), headers


def _chunks(incoming: _Incoming) -> bytes:
    parts: list[bytes] = []
    while size := _number(incoming.line().partition(";")[0].strip(), base=16):
        parts.append(incoming.exactly(size))
        incoming.exactly(2)  # the end of its line
    for _ in range(MAX_HEADERS + 1):  # of the trailer
        if not incoming.line():
            return b"".join(parts)
    raise HTTPException(f"got more than {MAX_HEADERS} headers")


def _number(text: str, *, base: int) -> int:
    if not text or text.strip(hexdigits if base == 16 else digits):
        raise HTTPException(f"{text!r:.60} is not the length of an answer")
    return int(text, base)

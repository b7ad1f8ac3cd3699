"""Reads one answer of an HTTP/1.1 server from an open connection.

`http.client` does it with the parser of e-mails, which takes a quarter of the processor time of a checkpoint call. The transport
needs a status, a few headers and a body of known length, and closes the connection after everything else.
"""

from __future__ import annotations

from collections.abc import Mapping
from http.client import BadStatusLine, HTTPException, IncompleteRead, LineTooLong, RemoteDisconnected
from string import digits, hexdigits
from typing import Any, NamedTuple

MAX_LINE_BYTES = 65_536
MAX_HEADERS = 100
WITHOUT_BODY = frozenset({204, 304})


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


def read_reply(stream: Any) -> tuple[Reply, bool]:
    """Read an answer, and whether the server keeps the connection open after it.

    Args:
        stream: A buffered reader of the connection.

    Raises:
        RemoteDisconnected: The connection was closed before the answer began.
        HTTPException: The answer is truncated, or is not HTTP.
    """
    version, status, headers = _head(stream)
    while status < 200:  # it announces the answer
        version, status, headers = _head(stream)
    is_kept = "close" not in headers.get("connection", "").lower() and version == b"HTTP/1.1"
    coding, length = headers.get("transfer-encoding", "").lower(), headers.get("content-length", "")
    if status in WITHOUT_BODY:
        body = b""
    elif coding == "chunked":
        body = _chunks(stream)
    elif coding:
        raise HTTPException(f"cannot read the transfer coding {coding:.60}")
    elif length:
        body = _exactly(stream, _number(length, base=10))
    else:
        body, is_kept = stream.read(), False
    return Reply(status, headers, body), is_kept


def _line(stream: Any) -> bytes:
    line: bytes = stream.readline(MAX_LINE_BYTES + 1)
    if len(line) > MAX_LINE_BYTES:
        raise LineTooLong("header line")
    return line


def _head(stream: Any) -> tuple[bytes, int, dict[str, str]]:
    version, status = _status(stream)
    return version, status, _headers(stream)


def _status(stream: Any) -> tuple[bytes, int]:
    line = _line(stream)
    if not line:
        raise RemoteDisconnected("the server closed the connection without an answer")
    version, _, rest = line.partition(b" ")
    code = rest[:3]
    if not (version.startswith(b"HTTP/1.") and len(code) == 3 and code.isdigit() and code >= b"100"):
        raise BadStatusLine(line[:60].decode("latin-1"))
    return version, int(code)


def _headers(stream: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    for _ in range(MAX_HEADERS + 1):
        line = _line(stream)
        if line in (b"\r\n", b"\n"):
            return found
        if not line:
            raise IncompleteRead(b"")
        name, _, value = line.decode("latin-1").partition(":")
        found.setdefault(name.lower(), value.strip())
    raise HTTPException(f"got more than {MAX_HEADERS} headers")


def _chunks(stream: Any) -> bytes:
    parts: list[bytes] = []
    while size := _number(_line(stream).decode("latin-1").partition(";")[0].strip(), base=16):
        parts.append(_exactly(stream, size))
        _exactly(stream, 2)  # the end of its line
    _headers(stream)  # of the trailer
    return b"".join(parts)


def _number(text: str, *, base: int) -> int:
    if not text or text.strip(hexdigits if base == 16 else digits):
        raise HTTPException(f"{text!r:.60} is not the length of an answer")
    return int(text, base)


def _exactly(stream: Any, length: int) -> bytes:
    data: bytes = stream.read(length)
    if len(data) < length:
        raise IncompleteRead(data, length - len(data))
    return data

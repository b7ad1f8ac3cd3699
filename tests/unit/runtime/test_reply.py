"""What is read of an answer, compared with `http.client`, and what is refused."""

import io
from collections.abc import Callable
from http.client import BadStatusLine, HTTPException, HTTPResponse, IncompleteRead, LineTooLong, RemoteDisconnected
from typing import Any, cast

import pytest

from durable_execution.runtime.reply import MAX_HEADERS, read_reply


class Connection:
    """What `http.client` reads from."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._data)


def standard(data: bytes) -> tuple[int, bytes, bool]:
    response = HTTPResponse(cast("Any", Connection(data)), method="POST")
    response.begin()
    return response.status, response.read(), not response.will_close


def answer(*lines: str, body: bytes = b"", status: str = "HTTP/1.1 200 OK") -> bytes:
    return "\r\n".join((status, *lines, "", "")).encode("latin-1") + body


def arriving(data: bytes, size: int = 100_000) -> Callable[[int], bytes]:
    """The `recv` of a connection on which so many bytes arrive at a time."""
    stream = io.BytesIO(data)
    return lambda most: stream.read(min(most, size))


ANSWERS = {
    "a length": answer("Content-Length: 2", body=b"{}"),
    "any case": answer("content-LENGTH:2", "CONNECTION: Keep-Alive", body=b"{}"),
    "lines without CR": b"HTTP/1.1 200 OK\nContent-Length: 2\n\n{}",
    "nothing after the status": b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\n{}",
    "an empty body": answer("Content-Length: 0"),
    "the first of two lengths": answer("Content-Length: 2", "Content-Length: 1", body=b"{}"),
    "chunks": answer("Transfer-Encoding: chunked", body=b'2\r\n{"\r\nA;name=x\r\nabcdefghij\r\n2\r\n":\r\n0\r\n\r\n'),
    "no chunk": answer("Transfer-Encoding: Chunked", body=b"0\r\n\r\n"),
    "chunks with a trailer": answer("Transfer-Encoding: chunked", body=b"2\r\n{}\r\n0\r\nChecksum: 1\r\n\r\n"),
    "chunks before a length": answer("Content-Length: 9", "Transfer-Encoding: chunked", body=b"2\r\n{}\r\n0\r\n\r\n"),
    "no length": answer("Date: today", body=b"{}"),
    "a closed connection": answer("Content-Length: 2", "Connection: close", body=b"{}"),
    "HTTP 1.0": answer("Content-Length: 2", body=b"{}", status="HTTP/1.0 200 OK"),
    "no content": answer(status="HTTP/1.1 204 No Content"),
    "not modified": answer("Content-Length: 20", status="HTTP/1.1 304 Not Modified"),
    "an announcement": answer(status="HTTP/1.1 100 Continue") + answer("Content-Length: 2", body=b"{}"),
    "a refusal": answer("Content-Length: 2", body=b"{}", status="HTTP/1.1 503 Slow Down"),
}


@pytest.mark.parametrize("size", [1, 7, 100_000])
@pytest.mark.parametrize("data", ANSWERS.values(), ids=ANSWERS)
def test_an_answer_is_read_as_the_standard_library_reads_it(data: bytes, size: int) -> None:
    reply, is_kept = read_reply(arriving(data, size))

    assert (reply.status, reply.body, is_kept) == standard(data)


def test_hints_before_the_answer_are_skipped() -> None:
    """`http.client` skips only status 100."""
    reply, is_kept = read_reply(arriving(answer(status="HTTP/1.1 103 Early Hints") + ANSWERS["a length"]))

    assert (reply.status, reply.body, is_kept) == (200, b"{}", True)


def test_names_of_headers_are_lower_case_and_values_have_no_space_around_them() -> None:
    reply, _ = read_reply(arriving(answer("X-Amzn-ErrorType:  Slow:http://x ", "Content-Length: 0")))

    assert reply.headers == {"x-amzn-errortype": "Slow:http://x", "content-length": "0"}


def test_a_connection_on_which_more_arrives_is_not_used_again() -> None:
    for data in (ANSWERS["a length"], ANSWERS["chunks with a trailer"]):
        reply, is_kept = read_reply(arriving(data + b"HTTP/1.1"))
        assert (reply.body, is_kept) == (b"{}", False)


def test_a_large_body_is_read_in_parts() -> None:
    body = bytes(range(256)) * 4096
    sizes: list[int] = []
    receive = arriving(answer(f"Content-Length: {len(body)}", body=body))

    def noted(size: int) -> bytes:
        sizes.append(size)
        return receive(size)

    assert read_reply(noted)[0].body == body
    assert max(sizes) < 100_000


@pytest.mark.parametrize(
    ("data", "error"),
    [
        pytest.param(b"", RemoteDisconnected, id="nothing"),
        pytest.param(b"SSH-2.0-OpenSSH\r\n", BadStatusLine, id="another protocol"),
        pytest.param(b"HTTP/2 200\r\n\r\n", BadStatusLine, id="another version"),
        pytest.param(b"HTTP/1.1 2x0 OK\r\n\r\n", BadStatusLine, id="a status with a letter"),
        pytest.param(b"HTTP/1.1 099 OK\r\n\r\n", BadStatusLine, id="a status below 100"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Le", IncompleteRead, id="half a header"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n", IncompleteRead, id="no end of the headers"),
        pytest.param(answer("Content-Length: 3", body=b"{}"), IncompleteRead, id="half a body"),
        pytest.param(answer("Content-Length: -3", body=b"{}"), HTTPException, id="a negative length"),
        pytest.param(answer("Content-Length: 1_0", body=b"0123456789"), HTTPException, id="a length with a line"),
        pytest.param(answer("Content-Length: two", body=b"{}"), HTTPException, id="a length in words"),
        pytest.param(answer("Transfer-Encoding: gzip", body=b"{}"), HTTPException, id="an unknown coding"),
        pytest.param(answer("Transfer-Encoding: chunked", body=b"2\r\n{"), IncompleteRead, id="half a chunk"),
        pytest.param(answer("Transfer-Encoding: chunked", body=b"2\r\n{}"), IncompleteRead, id="no end of a chunk"),
        pytest.param(answer("Transfer-Encoding: chunked", body=b"2\r\n{}\r\n"), IncompleteRead, id="no last chunk"),
        pytest.param(answer("Transfer-Encoding: chunked", body=b"0\r\n"), IncompleteRead, id="no end of the trailer"),
        pytest.param(
            answer("Transfer-Encoding: chunked", body=b"0\r\n" + b"A: b\r\n" * (MAX_HEADERS + 1) + b"\r\n"),
            HTTPException,
            id="a long trailer",
        ),
        pytest.param(
            answer("Transfer-Encoding: chunked", body=b"+2\r\n{}\r\n"), HTTPException, id="a size with a sign"
        ),
        pytest.param(answer("A: " + "x" * 70_000), LineTooLong, id="a long header"),
        pytest.param(b"SSH-2.0-OpenSSH", BadStatusLine, id="another protocol without a line"),
        pytest.param(b"HTT", IncompleteRead, id="half a word"),
        pytest.param(answer(*["A: b"] * (MAX_HEADERS + 1)), HTTPException, id="many headers"),
    ],
)
def test_what_is_truncated_or_not_http_is_refused(data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        read_reply(arriving(data))
    assert type(caught.value) is error


def test_as_many_headers_as_allowed_are_read() -> None:
    lines = [f"A{number}: b" for number in range(MAX_HEADERS - 1)]

    assert len(read_reply(arriving(answer(*lines, "Content-Length: 0")))[0].headers) == MAX_HEADERS

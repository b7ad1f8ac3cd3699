"""Requests on a connection that is open already, and how an answer is read, without a server."""

import ssl
from types import SimpleNamespace
from typing import Any, cast

import pytest
from urllib3.exceptions import ProtocolError, ReadTimeoutError

from durable_execution.errors import ServiceError
from durable_execution.paging import MALFORMED
from durable_execution.runtime import transport as module
from durable_execution.runtime.transport import Timeouts, Transport, exchange

TARGET = "/2015-03-31/functions/f"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class Socket:
    """An open connection that answers once."""

    def __init__(self, answer: bytes | Exception) -> None:
        self.answer = answer
        self.sent = b""
        self.timeout: float | None = None

    def settimeout(self, seconds: float) -> None:
        self.timeout = seconds

    def sendall(self, data: bytes) -> None:
        self.sent += data

    def recv(self, _size: int) -> bytes:
        if isinstance(self.answer, Exception):
            raise self.answer
        answer, self.answer = self.answer, b""
        return answer


class Pool:
    """urllib3's pool with one connection."""

    def __init__(self, sock: Socket | None, *, scheme: str = "https", proxy: str | None = None) -> None:
        self.connection = SimpleNamespace(sock=sock, close=self._close)
        self.is_closed = False
        self.given_back = 0
        self.opened = 0
        self.scheme, self.proxy, self.proxy_headers = scheme, proxy, {"Proxy-Authorization": "Basic eDp5"}

    def _close(self) -> None:
        self.is_closed = True

    def _get_conn(self) -> Any:
        return self.connection

    def _put_conn(self, connection: Any) -> None:
        assert connection is self.connection
        self.given_back += 1

    def urlopen(self, method: str, target: str, **_: Any) -> Any:
        self.opened += 1
        return SimpleNamespace(status=200, headers={}, data=b"new")

    def __str__(self) -> str:
        return "pool"


def sent(pool: Pool, body: bytes | None = b"{}", timeouts: Timeouts | None = None) -> Any:
    return exchange(pool, "POST", TARGET, {"Host": "h"}, body, timeouts or Timeouts(5, 50))


def test_an_open_connection_is_used_and_kept() -> None:
    sock = Socket(ANSWER)
    pool = Pool(sock)
    assert sent(pool).body == b"{}"
    assert (pool.is_closed, pool.given_back, pool.opened) == (False, 1, 0)
    head, body = sock.sent.split(b"\r\n\r\n")
    assert head.split(b"\r\n") == [
        b"POST /2015-03-31/functions/f HTTP/1.1",
        b"Accept-Encoding: identity",
        b"Host: h",
        b"Content-Length: 2",
    ]
    assert body == b"{}"


@pytest.mark.parametrize(("total", "used"), [(None, 50), (60, 50), (3, 3)])
def test_an_answer_is_waited_for_until_the_first_of_both_times(total: float | None, used: float) -> None:
    sock = Socket(ANSWER)
    sent(Pool(sock), timeouts=Timeouts(5, 50, total))
    assert sock.timeout == used


def test_a_connection_that_the_server_wants_to_close_is_closed() -> None:
    pool = Pool(Socket(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"))
    assert sent(pool).body == b"{}"
    assert (pool.is_closed, pool.given_back) == (True, 1)


def test_a_connection_that_was_dropped_is_closed_and_the_request_sent_on_a_new_one() -> None:
    pool = Pool(Socket(ConnectionResetError()))
    assert sent(pool).body == b"new"
    assert (pool.is_closed, pool.given_back, pool.opened) == (True, 1, 1)


def test_without_an_open_connection_a_new_one_is_made() -> None:
    pool = Pool(None)
    assert sent(pool).body == b"new"
    assert (pool.given_back, pool.opened) == (1, 1)


@pytest.mark.parametrize(
    ("error", "raised"), [(TimeoutError("slow"), ReadTimeoutError), (OSError("broken"), ProtocolError)]
)
def test_an_answer_that_does_not_come_is_an_error_of_urllib3_and_not_sent_again(
    error: Exception, raised: type[Exception]
) -> None:
    pool = Pool(Socket(error))
    with pytest.raises(raised) as caught:
        sent(pool)
    assert (pool.is_closed, pool.given_back, pool.opened) == (True, 1, 0)
    if raised is ReadTimeoutError:
        assert cast("Any", caught.value).url == TARGET


@pytest.mark.parametrize(
    ("scheme", "proxy", "is_sent"),
    [("http", "http://proxy", True), ("https", "http://proxy", False), ("http", None, False), ("https", None, False)],
)
def test_a_proxy_that_forwards_is_sent_its_headers(scheme: str, proxy: str | None, is_sent: bool) -> None:
    """One that tunnels got them with the request for the tunnel."""
    sock = Socket(ANSWER)
    sent(Pool(sock, scheme=scheme, proxy=proxy))
    assert (b"Proxy-Authorization" in sock.sent) is is_sent


@pytest.mark.parametrize("data", [b"", b'{"message": "m"}'])
@pytest.mark.parametrize("status", [200, 202, 299, 300, 301, 400])
def test_an_answer_below_300_is_one(status: int, data: bytes) -> None:
    answer, failure = module._read(cast("Any", (status, {}, data)))
    if status < 300 and data:
        assert (answer, failure) == ({"message": "m"}, None)
    else:
        assert answer == {}
        assert failure is not None
        assert failure.status == (status if status >= 300 else None)
        assert failure.code == (f"Http{status}" if status >= 300 else MALFORMED)


@pytest.mark.parametrize("status", range(400, 520))
def test_what_passes_is_tried_again(status: int) -> None:
    is_retried = module._is_retried(ServiceError("Any", "", status=status))
    assert is_retried is (status in {429, 500, 502, 503, 504})


@pytest.mark.parametrize(("spare", "repeats"), [(-0.01, 0), (0, 0), (0.01, 1)])
def test_a_call_is_repeated_only_if_time_is_left_behind_the_pause(
    spare: float, repeats: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MARGIN_SECONDS", 0.5)
    slept: list[float] = []
    transport = Transport(cast("Any", SimpleNamespace(attempts=2)), sleep=slept.append)
    failure = ServiceError("Throttled", "busy", status=429)
    monkeypatch.setattr(transport, "_attempt", lambda *_: ({}, failure))
    monkeypatch.setattr(transport, "_backoff", lambda attempt: 8.0)
    with pytest.raises(ServiceError) as raised:
        transport.checkpoint("arn", "token", [], lambda: 8.5 + spare)
    assert slept == [8.0] * repeats
    assert (raised.value is failure) is bool(repeats)
    if not repeats:
        assert f"{8.5 + spare:.1f} seconds before the time-out" in str(raised.value)


def test_a_time_that_is_over_is_0_seconds() -> None:
    assert ", 0.0 seconds before the time-out" in str(module._too_late("too late", -0.5))


@pytest.mark.parametrize("place", ["cause", "argument"])
@pytest.mark.parametrize("is_certificate", [True, False])
def test_a_certificate_that_is_not_trusted_is_told_apart(place: str, is_certificate: bool) -> None:
    inner = ssl.SSLCertVerificationError() if is_certificate else ssl.SSLError()
    error = Exception(inner) if place == "argument" else Exception()
    error.__cause__ = inner if place == "cause" else None
    assert module._is_unverified(error) is is_certificate

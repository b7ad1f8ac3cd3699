"""The two durable calls over HTTP, without boto3's validation, serialization and parsing.

A step on Lambda costs what its checkpoint call costs, and boto3 takes most of that time for generality that two known calls do
not need. Here the request is built from what the protocol says, signed (see `runtime/signature.py`), and sent by a pooled
urllib3 that botocore has configured (see `runtime/endpoint.py`). Retries follow botocore's `standard` mode.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from http.client import HTTPException
from random import Random
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote
from uuid import uuid4

from durable_execution.errors import ServiceError
from durable_execution.paging import MALFORMED
from durable_execution.protocol import Wire
from durable_execution.runtime.answers import checkpoint_answer, state_page
from durable_execution.runtime.endpoint import Endpoint, made
from durable_execution.runtime.reply import Reply, read_reply
from durable_execution.runtime.service import CheckpointAnswer, StatePage
from durable_execution.runtime.signature import Signer

Headers = Mapping[str, str]
T = TypeVar("T")
API = "/2025-12-01/durable-executions/"
MAX_ITEMS = 1000
SAFE_IN_TRACES = "-=;:+&[]{}\"',"
"""Characters of the incoming trace, besides letters and digits, that botocore does not encode."""

RETRIED_STATUSES = frozenset({429, 500, 502, 503, 504})
RETRIED_CODES = frozenset(
    {
        "PriorRequestNotComplete", "RequestLimitExceeded", "RequestThrottled", "RequestThrottledException", "RequestTimeout",
        "RequestTimeoutException", "SlowDown", "Throttling", "ThrottlingException", "TooManyRequestsException",
    }
)  # fmt: skip
"""Errors after which botocore's `standard` mode tries a call again."""

TOO_LATE = "DeadlineExceeded"
MAX_BACKOFF_SECONDS = 20.0
MARGIN_SECONDS = 0.05
"""Time that is left of an invocation when its last call is given up, so that the error can be reported."""

Remaining = Callable[[], float]
"""Returns the seconds that are left of the invocation."""


class Timeouts(NamedTuple):
    """Seconds to connect, to wait for the server, and for both together; None for no limit of its own."""

    connect: float
    read: float
    total: float | None = None


class DroppedError(Exception):
    """The server closed an idle connection before it read the request."""


def exchange(pool: Any, method: str, target: str, headers: Headers, body: bytes | None, timeouts: Timeouts) -> Reply:
    """Send a request and read its answer.

    Args:
        pool: urllib3's pool.
        method: HTTP method.
        target: Path and query, or the whole URL for a proxy that forwards.
        headers: All headers, with `Host`; not those of the transport, such as `Content-Length`.
        body: The content.
        timeouts: How long to wait.

    Raises:
        urllib3.exceptions.HTTPError: There is no answer.
    """
    connection = pool._get_conn()  # noqa: SLF001  # a new one, or one that is open and was not dropped by the server
    is_reusable = False
    try:
        if connection.sock is not None:
            reply, is_reusable = _exchange_on_open(pool, connection.sock, (method, target, headers, body), timeouts)
            return reply
    except DroppedError:
        pass  # the environment was frozen for longer than the server keeps connections
    finally:
        if not is_reusable:
            connection.close()
        pool._put_conn(connection)  # noqa: SLF001
    return _exchange_on_new(pool, method, target, headers, body, timeouts)


def _exchange_on_new(
    pool: Any, method: str, target: str, headers: Headers, body: bytes | None, timeouts: Timeouts
) -> Reply:
    from urllib3.util.timeout import Timeout

    timeout = Timeout(total=timeouts.total, connect=timeouts.connect, read=timeouts.read)
    response = pool.urlopen(
        method, target, body=body, headers=headers, retries=False, assert_same_host=False, timeout=timeout
    )
    return Reply(response.status, response.headers, response.data)


def _exchange_on_open(
    pool: Any, sock: Any, request: tuple[str, str, Headers, bytes | None], timeouts: Timeouts
) -> tuple[Reply, bool]:
    from urllib3.exceptions import ProtocolError, ReadTimeoutError

    try:
        sock.settimeout(timeouts.read if timeouts.total is None else min(timeouts.read, timeouts.total))
        sock.sendall(_written(pool, *request))
        return read_reply(sock.recv)
    except TimeoutError as error:
        raise ReadTimeoutError(pool, request[1], f"Read timed out. ({error})") from error
    except ConnectionError as error:  # RemoteDisconnected is one
        raise DroppedError from error
    except (OSError, HTTPException) as error:
        raise ProtocolError("Connection aborted.", error) from error


def _written(pool: Any, method: str, target: str, headers: Headers, body: bytes | None) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "Accept-Encoding: identity"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if pool.proxy is not None and pool.scheme == "http":
        lines += [f"{name}: {value}" for name, value in pool.proxy_headers.items()]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join((*lines, "", "")).encode("latin-1") + (body or b"")


class Transport:
    """Sends signed requests to one endpoint. Threads may share it.

    Args:
        endpoint: Where and how to send.
        sleep: Waits between attempts.
    """

    def __init__(self, endpoint: Endpoint, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._endpoint = endpoint
        self._sleep = sleep
        self._signer = Signer(endpoint)
        self._jitter: Random | None = None

    def checkpoint(self, arn: str, token: str, updates: list[Wire], remaining: Remaining | None) -> CheckpointAnswer:
        """Send updates; see `ServiceClient.checkpoint`. The service ignores the second of two equal client tokens."""
        request = {"CheckpointToken": token, "Updates": updates, "ClientToken": str(uuid4())}
        body = json.dumps(request, separators=(",", ":")).encode()
        return self._send("POST", f"{_path_of(arn)}/checkpoint", body, remaining, checkpoint_answer)

    def get_state(self, arn: str, token: str, marker: str, remaining: Remaining | None) -> StatePage:
        """Read a page of operations; see `ServiceClient.get_state`."""
        query = f"CheckpointToken={_quoted(token)}&Marker={_quoted(marker)}&MaxItems={MAX_ITEMS}"
        return self._send("GET", f"{_path_of(arn)}/state?{query}", None, remaining, state_page)

    def _send(
        self, method: str, path: str, body: bytes | None, remaining: Remaining | None, read: Callable[[Wire], T]
    ) -> T:
        attempt = 1
        while True:
            answer, failure = self._attempt(method, path, body, remaining)
            if failure is None:
                try:
                    return read(answer)
                except ServiceError as error:  # a truncated or foreign answer: the service knows the client token
                    failure = error
            if attempt >= self._endpoint.attempts or not _is_retried(failure):
                raise failure
            delay = self._backoff(attempt)
            if remaining is not None and remaining() - delay <= MARGIN_SECONDS:
                raise _too_late(f"it failed and was not repeated ({failure})", remaining()) from failure
            self._sleep(delay)
            attempt += 1

    def _attempt(
        self, method: str, path: str, body: bytes | None, remaining: Remaining | None
    ) -> tuple[Wire, ServiceError | None]:
        from urllib3.exceptions import HTTPError

        endpoint = self._endpoint
        check_time(remaining)
        timeouts = self._timeouts(remaining)
        headers = self._headers(method, endpoint.path + path, body)
        target = endpoint.url + path if endpoint.is_forwarded else endpoint.path + path
        try:
            try:
                reply = exchange(endpoint.pool, method, target, headers, body, timeouts)
            except HTTPError as error:
                if not _is_unverified(error) or not endpoint.trust_more():
                    raise
                reply = exchange(endpoint.pool, method, target, headers, body, self._timeouts(remaining))
        except HTTPError as error:
            return {}, _unanswered(error, endpoint.url, remaining)
        return _read(reply)

    def _timeouts(self, remaining: Remaining | None) -> Timeouts:
        """The configured time-outs, or shorter ones that end an attempt with the invocation."""
        connect, read = self._endpoint.connect_timeout, self._endpoint.read_timeout
        available = None if remaining is None else max(remaining() - MARGIN_SECONDS, MARGIN_SECONDS)
        if available is None or available >= connect + read:
            return Timeouts(connect, read)
        return Timeouts(min(connect, available), min(read, available), available)

    def _headers(self, method: str, target: str, body: bytes | None) -> dict[str, str]:
        headers = made(lambda: self._signer.signed(method, target, body))
        headers["User-Agent"] = self._endpoint.user_agent
        if "AWS_LAMBDA_FUNCTION_NAME" in os.environ and (trace := os.environ.get("_X_AMZN_TRACE_ID")):
            headers["X-Amzn-Trace-Id"] = quote(trace, safe=SAFE_IN_TRACES)
        return headers

    def _backoff(self, attempt: int) -> float:
        """Seconds before the next attempt. The generator is seeded on first use, so restored snapshots do not share it."""
        if self._jitter is None:
            self._jitter = Random()  # jitter, not cryptography
        return self._jitter.random() * min(2.0 ** (attempt - 1), MAX_BACKOFF_SECONDS)


def check_time(remaining: Remaining | None) -> None:
    """Refuse to start a call when the invocation has no time left for it.

    Raises:
        ServiceError: The invocation is about to end.
    """
    if remaining is not None and (seconds := remaining()) <= MARGIN_SECONDS:
        raise _too_late("it was not started", seconds)


@lru_cache(maxsize=64)
def _path_of(arn: str) -> str:
    return API + quote(arn, safe="~")


def _quoted(text: str) -> str:
    return quote(text, safe="~")


def _read(reply: Reply) -> tuple[Wire, ServiceError | None]:
    status, headers, data = reply
    answer: Any = None if status < 300 else {}  # a refusal may come without a body
    if data:
        try:
            answer = json.loads(data)
        except (ValueError, RecursionError):
            answer = None
    if not isinstance(answer, dict):
        shown = data[:120].decode("utf-8", "replace")
        message = f"the answer is not the JSON object of the Lambda API: {shown!r}. Check the endpoint and the proxy"
        return {}, ServiceError(MALFORMED, message, status=status if status >= 300 else None)
    if status < 300:
        return answer, None
    code = headers.get("x-amzn-errortype") or answer.get("__type") or answer.get("code") or f"Http{status}"
    message = answer.get("message") or answer.get("Message") or answer.get("errorMessage") or ""
    return {}, ServiceError(str(code).partition(":")[0].rpartition("#")[2], str(message), status=status)


def _is_retried(failure: ServiceError) -> bool:
    if failure.code == TOO_LATE:
        return False
    return failure.status is None or failure.status in RETRIED_STATUSES or failure.code in RETRIED_CODES


def _is_unverified(error: Exception) -> bool:
    """Whether the server's certificate was not issued by a trusted authority."""
    return any(type(cause).__name__ == "SSLCertVerificationError" for cause in (error.__cause__, *error.args))


def _unanswered(error: Exception, url: str, remaining: Remaining | None) -> ServiceError:
    """The error for a request without an answer, with botocore's name of it."""
    from urllib3 import exceptions

    if remaining is not None and remaining() <= 2 * MARGIN_SECONDS:
        return _too_late("it was not answered in time", remaining())
    names = (
        (exceptions.ProxyError, "ProxyConnectionError"),
        (exceptions.SSLError, "SSLError"),
        (exceptions.NewConnectionError, "EndpointConnectionError"),
        (exceptions.ConnectTimeoutError, "ConnectTimeoutError"),
        (exceptions.ReadTimeoutError, "ReadTimeoutError"),
        (exceptions.ProtocolError, "ConnectionClosedError"),
    )
    code = next((name for kind, name in names if isinstance(error, kind)), "HTTPClientError")
    message = (
        f"{url} did not answer: {error}. Check the function's network access to the Lambda API: its VPC endpoint, security "
        "groups and proxy"
    )
    return ServiceError(code, message)


def _too_late(what: str, seconds: float) -> ServiceError:
    return ServiceError(
        TOO_LATE,
        f"a call to the service needs more time than the invocation has left: {what}, {max(seconds, 0):.1f} seconds before the "
        "time-out. Lambda retries the invocation. If this repeats, raise the function's time-out",
    )

"""The Lambda API as an ASGI application over the engine's client.

Responses and errors as rest-json: timestamps are Unix seconds, and the error code is in the `x-amzn-ErrorType` header.

The output of functions, as lines of JSON that name their execution.
"""

import asyncio
import json
import logging
import sys
import threading
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from durable_execution.clock import Clock, SystemClock
from durable_execution.errors import DurableError, EngineError, ServiceError
from durable_execution.local.http.parsing import ApiRequest, find_route, read_request
from durable_execution.local.id_source import IdSource
from durable_execution.local.lambda_client import LocalLambdaClient
from durable_execution.local.rules.api_errors import CAPITAL_MESSAGE, fault
from durable_execution.private_files import make_private_directory, open_private
from durable_execution.protocol import Wire

LOGGER = logging.getLogger(__name__)
MAX_BODY_BYTES = 16 * 1024 * 1024
"""Maximum size of a request: the largest payload, plus room for JSON escapes."""
BODY_SECONDS = 30.0
"""How long a client may take to send a request's body."""
WAITING_THREADS = 256
"""Maximum number of concurrent synchronous invocations. The next one is throttled, as Lambda does above an account's
concurrency."""
ANSWERED_AT_ONCE = frozenset({"Event", "DryRun"})
LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
SAME_SITE = frozenset({"none", "same-origin"})
"""Values of Sec-Fetch-Site with which a browser says that no other web page made the request."""


@dataclass(frozen=True, slots=True)
class ApiResponse:
    """A response.

    Attributes:
        status: HTTP status.
        body: The body.
        headers: Headers in addition to those of every response.
    """

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class LambdaApi:
    """Answers API requests.

    Args:
        client: The engine's client.
        ids: Source of request ids.
        body_seconds: How long a client may take to send a request's body.
        allowed_hosts: Names by which clients may address the server, besides those of this computer.
    """

    def __init__(
        self,
        client: LocalLambdaClient,
        ids: IdSource,
        *,
        body_seconds: float = BODY_SECONDS,
        allowed_hosts: Collection[str] = (),
    ) -> None:
        self._allowed_hosts = LOCAL_NAMES | {host.lower() for host in allowed_hosts}
        self._client = client
        self._ids = ids
        self._body_seconds = body_seconds
        self._waiting = 0
        # Invoke waits for executions to end, so it has its own threads and does not block other calls.
        self._calls = ThreadPoolExecutor(max_workers=8, thread_name_prefix="durable-api")
        self._waits = ThreadPoolExecutor(max_workers=WAITING_THREADS, thread_name_prefix="durable-invoke")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, as an ASGI application.

        There is no router because a router would decode the path first.
        """
        if scope["type"] == "http":
            response = await self.answer(Request(scope, receive))
            await response(scope, receive, send)

    async def answer(self, request: Request) -> Response:
        """Answer a request."""
        try:
            found = await self._answer(request)
        except ServiceError as error:
            found = refusal(error)
        except ClientDisconnect:
            return Response(status_code=400)
        except Exception as error:
            LOGGER.exception("request %s %s failed", request.method, request.url.path)
            reason = (
                str(error)
                if isinstance(error, DurableError)
                else "The request failed because of an error in the server; see its log."
            )
            found = refusal(fault("ServiceException", reason))
        headers = {"Content-Type": "application/json", "x-amzn-RequestId": self._ids.new(), **found.headers}
        if _has_two_lengths(request):
            headers["Connection"] = "close"
        return Response(found.body, status_code=found.status, headers=headers)

    def close(self) -> None:
        """Release the threads without waiting for their calls."""
        self._calls.shutdown(wait=False, cancel_futures=True)
        self._waits.shutdown(wait=False, cancel_futures=True)

    async def _answer(self, request: Request) -> ApiResponse:
        _require_known_host(request, self._allowed_hosts)
        _require_local_origin(request)
        if _has_two_lengths(request):
            raise fault(
                "InvalidRequestContentException", "A request has either Content-Length or Transfer-Encoding, not both."
            )
        raw_path: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
        operation, parameters = find_route(request.method, raw_path)
        body = await self._body(request)
        query = request.scope.get("query_string", b"").decode("latin-1")
        headers = {name.lower(): value for name, value in request.headers.items()}
        method, arguments = read_request(operation, ApiRequest(parameters, query, headers, body))
        call: Callable[..., Any] = getattr(self._client, method)
        waits = operation == "Invoke" and arguments.get("InvocationType") not in ANSWERED_AT_ONCE
        run = self._wait_for if waits else self._carry_out
        return answer(operation, await run(lambda: call(**arguments)))

    async def _carry_out(self, call: Callable[[], Wire]) -> Wire:
        return await asyncio.get_running_loop().run_in_executor(self._calls, call)

    async def _wait_for(self, call: Callable[[], Wire]) -> Wire:
        if self._waiting >= WAITING_THREADS:
            raise fault(
                "TooManyRequestsException",
                f"{WAITING_THREADS} synchronous invocations are already running: retry later, or use InvocationType=Event.",
            )
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._waits, call)
        finally:
            self._waiting -= 1

    async def _body(self, request: Request) -> bytes:
        try:
            return await asyncio.wait_for(_read(request), self._body_seconds)
        except TimeoutError:
            raise fault(
                "RequestTimeoutException", f"The request's body did not arrive within {self._body_seconds:g} seconds."
            ) from None


async def _read(request: Request) -> bytes:
    announced = request.headers.get("content-length", "0")
    if announced.isdigit() and int(announced) > MAX_BODY_BYTES:
        raise _too_large()
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise _too_large()
        parts.append(part)
    return b"".join(parts)


def _too_large() -> ServiceError:
    return fault("RequestTooLargeException", f"A request must be at most {MAX_BODY_BYTES} bytes.")


def _has_two_lengths(request: Request) -> bool:
    """Whether two servers in a row could take different parts of the connection for the request (request smuggling)."""
    return "content-length" in request.headers and "transfer-encoding" in request.headers


def _require_known_host(request: Request, allowed: Collection[str]) -> None:
    """Refuse requests for other hosts: a web page can have a name of its own resolve to this computer (DNS rebinding)."""
    try:
        host = urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
    except ValueError:
        host = ""
    if host not in allowed and not host.endswith(".localhost"):
        raise fault(
            "AccessDeniedException",
            f"This server does not answer requests for the host {host!r:.200}. Use the URL it printed, or allow the name with "
            "--allow-host (allowed_hosts=).",
        )


def _require_local_origin(request: Request) -> None:
    """Refuse requests that a web page elsewhere makes a browser send. AWS's clients send neither header."""
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
    is_local_page = origin is not None and _is_local(origin)
    if origin is not None and not is_local_page:
        raise fault(
            "AccessDeniedException", f"This server does not answer requests from web pages (Origin: {origin:.200})."
        )
    if site is not None and site not in SAME_SITE and not (is_local_page and site == "same-site"):
        raise fault(
            "AccessDeniedException",
            f"This server does not answer requests from web pages (Sec-Fetch-Site: {site:.200}).",
        )


def _is_local(origin: str) -> bool:
    try:
        return urlsplit(origin).hostname in LOCAL_NAMES
    except ValueError:
        return False


STATUS = {
    "PauseDurableExecution": 202,
    "ResumeDurableExecution": 202,
    "DeleteDurableExecution": 202,
    "PublishVersion": 201,
    "CreateAlias": 201,
    "DeleteAlias": 204,
}
"""Status of a successful answer, if it is not 200."""
_INVOKE_HEADERS = {
    "DurableExecutionArn": "X-Amz-Durable-Execution-Arn",
    "ExecutedVersion": "X-Amz-Executed-Version",
    "FunctionError": "X-Amz-Function-Error",
    "LogResult": "X-Amz-Log-Result",
}


def answer(operation: str, wire: Wire) -> ApiResponse:
    """The response to a successful operation."""
    if operation == "Invoke":
        return _invoked(wire)
    status = STATUS.get(operation, 200)
    return ApiResponse(status, b"" if status == 204 else json.dumps(wire, default=_encode).encode())


def refusal(error: ServiceError) -> ApiResponse:
    """The response to a refused request."""
    status = error.status or 500
    member = "Message" if error.code in CAPITAL_MESSAGE else "message"
    body = {"Type": "User" if status < 500 else "Service", member: error.message}
    return ApiResponse(status, json.dumps(body).encode(), {"x-amzn-ErrorType": error.code})


def _invoked(wire: Wire) -> ApiResponse:
    headers = {header: str(wire[member]) for member, header in _INVOKE_HEADERS.items() if member in wire}
    payload: bytes = wire["Payload"].read()
    return ApiResponse(wire["StatusCode"], payload, headers)


def _encode(value: Any) -> float:
    if isinstance(value, datetime):
        return value.timestamp()
    raise TypeError(f"{type(value).__name__} is not a member of the API")


class JsonLog:
    """Writes one JSON object per line.

    Args:
        path: File to append to; None for standard error.
        clock: Provides the timestamp of records without one.

    Raises:
        EngineError: The file is not writable.
    """

    def __init__(self, path: Path | None = None, *, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._is_own = path is not None
        self._file: IO[str] = sys.stderr if path is None else _opened(path)

    def write(self, record: dict[str, Any]) -> None:
        """Append a record, and add `timestamp` if it is missing."""
        line = json.dumps({"timestamp": self._clock.now().isoformat(), **record}, default=str)
        with self._lock:
            if not self._file.closed:
                self._file.write(line + "\n")
                self._file.flush()

    def write_line(self, text: str, about: dict[str, Any]) -> None:
        """Append a line that a function printed: the members of a JSON object, or other text as `message`.

        Args:
            text: The line.
            about: Members that identify the source. The line's own members take precedence.
        """
        try:
            parsed = json.loads(text)
        except (ValueError, RecursionError):
            parsed = None
        self.write({**about, **(parsed if isinstance(parsed, dict) else {"message": text})})

    def close(self) -> None:
        """Close the file, unless it is standard error."""
        with self._lock:
            if self._is_own:
                self._file.close()


def _opened(path: Path) -> IO[str]:
    try:
        make_private_directory(path.parent)
        opened: IO[str] = open_private(path, "a")
    except OSError as error:
        raise EngineError(
            f"cannot write the log file {path}: {error.strerror}. Name a different file with --log-file."
        ) from error
    return opened

"""Functions behind an HTTP address that speaks the protocol of Lambda's runtime interface emulator."""

import http.client
import json
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from durable_execution.errors import EngineError
from durable_execution.local.hosts import Answer, Failure, Invocation, Missing, Outcome, exit_error
from durable_execution.protocol import ErrorObject

PATH = "/2015-03-31/functions/function/invocations"


class RemoteHost:
    """Invokes a function by HTTP.

    Args:
        url: `http://host:port`, or `https://…`. A path in it becomes a prefix of the emulator's path.
        timeout: Maximum duration of one invocation.

    Raises:
        EngineError: The URL is not valid.
    """

    def __init__(self, url: str, *, timeout: timedelta = timedelta(minutes=15)) -> None:
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError:
            port = -1
        if parts.scheme not in ("http", "https") or not parts.hostname or port == -1:
            raise EngineError(f"{url!r} is not the address of a function: write http://host:port.")
        self._url = url
        self._is_secure = parts.scheme == "https"
        self._host, self._port, self._path = parts.hostname, port, parts.path.rstrip("/") + PATH
        self._timeout = timeout / timedelta(seconds=1)

    def invoke(self, invocation: Invocation) -> Outcome:
        """Run it once."""
        try:
            status, headers, body = self._post(invocation)
        except TimeoutError:
            message = f"{invocation.context.aws_request_id} Task timed out after {self._timeout:.2f} seconds"
            return Failure(ErrorObject(message, "Sandbox.Timedout"))
        except (OSError, http.client.HTTPException) as error:
            return Failure(exit_error(f"the function at {self._url} did not answer: {type(error).__name__} {error}"))
        if status == http.client.NOT_FOUND:
            return Missing(f"there is no function at {self._url}")
        return _outcome(status, headers, body)

    def close(self) -> None:
        """Do nothing: this host holds no resources."""

    def _post(self, invocation: Invocation) -> tuple[int, http.client.HTTPMessage, bytes]:
        kind = http.client.HTTPSConnection if self._is_secure else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=self._timeout)
        try:
            connection.request("POST", self._path, json.dumps(invocation.event).encode(), _headers(invocation))
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()


def _headers(invocation: Invocation) -> dict[str, str]:
    headers = {
        "Content-Type": "application/json",
        # For a host that also starts executions: this request comes from the service and calls the handler.
        "X-Dex-Handler-Invoke": "true",
        "Lambda-Runtime-Aws-Request-Id": invocation.context.aws_request_id,
        "X-Amz-Invoked-Function-Arn": invocation.context.invoked_function_arn,
    }
    if invocation.context.tenant_id is not None:
        headers["X-Amz-Tenant-Id"] = invocation.context.tenant_id
    if invocation.trace_header is not None:
        headers["X-Amzn-Trace-Id"] = invocation.trace_header
    return headers


def _outcome(status: int, headers: http.client.HTTPMessage, body: bytes) -> Outcome:
    try:
        value = json.loads(body) if body.strip() else None
    except (ValueError, RecursionError):
        return Failure(
            ErrorObject(
                f"the function answered with HTTP status {status} and a body that is not JSON", "Runtime.MarshalError"
            )
        )
    if headers.get("X-Amz-Function-Error") or status >= 400 or _is_error(value):
        return Failure(_read_error(status, value))
    return Answer(value)


def _is_error(value: Any) -> bool:
    """Whether the body is an error. Emulators answer with status 200 for a function that raised, too."""
    return isinstance(value, dict) and "Status" not in value and "errorMessage" in value and "errorType" in value


def _read_error(status: int, value: Any) -> ErrorObject:
    if not isinstance(value, dict):
        return ErrorObject(f"the function answered with HTTP status {status}", "Runtime.Unknown")
    trace = value.get("stackTrace")
    return ErrorObject(
        _text(value.get("errorMessage")),
        _text(value.get("errorType")) or "Runtime.Unknown",
        _text(value.get("errorData")),
        tuple(str(line) for line in trace) if isinstance(trace, list) else None,
    )


def _text(value: Any) -> str | None:
    return None if value is None else str(value)

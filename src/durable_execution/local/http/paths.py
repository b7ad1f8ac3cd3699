"""Routing. The path is split before it is decoded because ARNs and callback ids contain `/`."""

import re
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from durable_execution.local.faults import ApiError, fault

_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")


class Route(NamedTuple):
    """The method and path of an operation.

    Attributes:
        operation: Name of the operation.
        method: HTTP method.
        segments: Path segments; `*` is the parameter.
    """

    operation: str
    method: str
    segments: tuple[str, ...]


def _route(operation: str, method: str, path: str) -> Route:
    return Route(operation, method, tuple(path.strip("/").split("/")))


ROUTES = (
    _route("CheckpointDurableExecution", "POST", "/2025-12-01/durable-executions/*/checkpoint"),
    _route("GetDurableExecutionState", "GET", "/2025-12-01/durable-executions/*/state"),
    _route("GetDurableExecution", "GET", "/2025-12-01/durable-executions/*"),
    _route("GetDurableExecutionHistory", "GET", "/2025-12-01/durable-executions/*/history"),
    _route("StopDurableExecution", "POST", "/2025-12-01/durable-executions/*/stop"),
    _route("PauseDurableExecution", "POST", "/2025-12-01/durable-executions/*/pause"),
    _route("ResumeDurableExecution", "POST", "/2025-12-01/durable-executions/*/resume"),
    _route("DeleteDurableExecution", "DELETE", "/2025-12-01/durable-executions/*"),
    _route("ListDurableExecutionsByFunction", "GET", "/2025-12-01/functions/*/durable-executions"),
    _route("SendDurableExecutionCallbackSuccess", "POST", "/2025-12-01/durable-execution-callbacks/*/succeed"),
    _route("SendDurableExecutionCallbackFailure", "POST", "/2025-12-01/durable-execution-callbacks/*/fail"),
    _route("SendDurableExecutionCallbackHeartbeat", "POST", "/2025-12-01/durable-execution-callbacks/*/heartbeat"),
    _route("Invoke", "POST", "/2015-03-31/functions/*/invocations"),
)


def find_route(method: str, raw_path: bytes) -> tuple[str, str]:
    """The operation of a request, and its decoded path parameter.

    Args:
        method: HTTP method.
        raw_path: The raw path, without the query.

    Raises:
        ApiError: The API has no such path, or the path is not properly encoded.
    """
    segments = raw_path.strip(b"/").split(b"/")
    for route in ROUTES:
        if method == route.method and _matches(route, segments):
            return route.operation, _decoded(segments[route.segments.index("*")])
    shown = raw_path.decode("ascii", "replace")
    raise fault(
        "UnknownOperationException",
        f"There is no operation {method} {shown:.300}. This server supports Invoke and the durable execution operations of the "
        "Lambda API. Percent-encode ARNs and callback ids in the path.",
    )


def _matches(route: Route, segments: list[bytes]) -> bool:
    return len(segments) == len(route.segments) and all(
        wanted == "*" or wanted.encode() == found for wanted, found in zip(route.segments, segments, strict=True)
    )


def _decoded(segment: bytes) -> str:
    if _ESCAPE.search(segment):
        raise _misencoded(segment)
    try:
        return unquote_to_bytes(segment).decode()
    except UnicodeDecodeError:
        raise _misencoded(segment) from None


def _misencoded(segment: bytes) -> ApiError:
    shown = segment.decode("ascii", "replace")
    return fault("InvalidParameterValueException", f"The path segment {shown:.300} is not percent-encoded UTF-8.")

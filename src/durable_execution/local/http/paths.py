"""Which operation a request is for. The path is split before anything in it is decoded: ARNs and callback ids hold `/`."""

import re
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from durable_execution.local.faults import ApiError, fault

_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")


class Route(NamedTuple):
    """An operation, and how to recognise a request for it.

    Attributes:
        operation: Name of the operation.
        method: HTTP method.
        segments: Path segments; `*` stands for the one that is a parameter.
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
    """The operation a request is for, and its path parameter, decoded.

    Args:
        method: HTTP method.
        raw_path: The path as sent, without the query.

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
        f"There is no operation {method} {shown:.300}. This server answers the durable execution operations of the Lambda API "
        "and Invoke; ARNs and callback ids in a path must be percent-encoded.",
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

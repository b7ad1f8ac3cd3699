"""HTTP requests, parsed into the keyword arguments of `LocalLambdaClient`.

Routing. The path is split before it is decoded because ARNs and callback ids contain `/`.
"""

import json
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote_to_bytes

from durable_execution.local.rules.api_errors import ApiError, fault, invalid
from durable_execution.protocol.operation import to_datetime


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """The parts of a request that the operations use.

    Attributes:
        parameters: The decoded path parameters.
        query: The raw query, without `?`.
        headers: Headers by lower-case name.
        body: The raw body.
    """

    parameters: tuple[str, ...]
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def parameter(self) -> str:
        """The first path parameter; empty if the path has none."""
        return self.parameters[0] if self.parameters else ""


_INTEGER = re.compile(r"-?[0-9]{1,19}")  # int() also accepts spaces, underscores and non-ASCII digits
Arguments = dict[str, Any]
Reader = Callable[[ApiRequest], tuple[str, Arguments]]


def read_request(operation: str, request: ApiRequest) -> tuple[str, Arguments]:
    """The client method for an operation, and its keyword arguments, without absent members.

    Raises:
        ApiError: The request is malformed.
    """
    return _READERS[operation](request)


def _checkpoint(request: ApiRequest) -> tuple[str, Arguments]:
    body = _members(request, "CheckpointToken", "Updates", "ClientToken")
    return "checkpoint_durable_execution", {"DurableExecutionArn": request.parameter, "CheckpointToken": None, **body}


def _state(request: ApiRequest) -> tuple[str, Arguments]:
    query = _query(request, CheckpointToken=str, Marker=str, MaxItems=_integer)
    return "get_durable_execution_state", {"DurableExecutionArn": request.parameter, "CheckpointToken": None, **query}


def _execution(request: ApiRequest) -> tuple[str, Arguments]:
    query = _query(request, IncludeExecutionData=_boolean)
    return "get_durable_execution", {"DurableExecutionArn": request.parameter, **query}


def _history(request: ApiRequest) -> tuple[str, Arguments]:
    query = _query(request, IncludeExecutionData=_boolean, MaxItems=_integer, Marker=str, ReverseOrder=_boolean)
    return "get_durable_execution_history", {"DurableExecutionArn": request.parameter, **query}


def _list(request: ApiRequest) -> tuple[str, Arguments]:
    query = _query(
        request,
        Qualifier=str,
        DurableExecutionName=str,
        StartedAfter=_timestamp,
        StartedBefore=_timestamp,
        ReverseOrder=_boolean,
        Marker=str,
        MaxItems=_integer,
    )
    statuses = [value for name, value in _pairs(request) if name == "Statuses"]
    if statuses:
        query["Statuses"] = statuses
    return "list_durable_executions_by_function", {"FunctionName": request.parameter, **query}


def _stop(request: ApiRequest) -> tuple[str, Arguments]:
    return "stop_durable_execution", {"DurableExecutionArn": request.parameter, "Error": _error(request)}


def _pause(request: ApiRequest) -> tuple[str, Arguments]:
    body = _members(request, "ClientToken", "Reason", "ExecutionTimeoutPaused")
    return "pause_durable_execution", {"DurableExecutionArn": request.parameter, **body}


def _resume(request: ApiRequest) -> tuple[str, Arguments]:
    body = _members(request, "ClientToken", "Reason")
    return "resume_durable_execution", {"DurableExecutionArn": request.parameter, **body}


def _delete(request: ApiRequest) -> tuple[str, Arguments]:
    return "delete_durable_execution", {"DurableExecutionArn": request.parameter}


def _succeed(request: ApiRequest) -> tuple[str, Arguments]:
    return "send_durable_execution_callback_success", {"CallbackId": request.parameter, "Result": request.body}


def _fail(request: ApiRequest) -> tuple[str, Arguments]:
    return "send_durable_execution_callback_failure", {"CallbackId": request.parameter, "Error": _error(request)}


def _heartbeat(request: ApiRequest) -> tuple[str, Arguments]:
    return "send_durable_execution_callback_heartbeat", {"CallbackId": request.parameter}


_INVOKE_HEADERS = {
    "x-amz-invocation-type": "InvocationType",
    "x-amz-log-type": "LogType",
    "x-amz-client-context": "ClientContext",
    "x-amz-durable-execution-name": "DurableExecutionName",
    "x-amz-tenant-id": "TenantId",
    "x-amzn-trace-id": "TraceHeader",
}


def _invoke(request: ApiRequest) -> tuple[str, Arguments]:
    headers = {argument: request.headers[name] for name, argument in _INVOKE_HEADERS.items() if name in request.headers}
    query = _query(request, Qualifier=str)
    return "invoke", {"FunctionName": request.parameter, "Payload": request.body, **headers, **query}


def _function(method: str) -> Reader:
    """A reader for an operation on a function, or on a version or alias of it."""
    return lambda request: (method, {"FunctionName": request.parameter, **_query(request, Qualifier=str)})


def _functions(request: ApiRequest) -> tuple[str, Arguments]:
    return "list_functions", _query(request, FunctionVersion=str, MasterRegion=str, Marker=str, MaxItems=_integer)


def _versions(request: ApiRequest) -> tuple[str, Arguments]:
    query = _query(request, Marker=str, MaxItems=_integer)
    return "list_versions_by_function", {"FunctionName": request.parameter, **query}


def _publish(request: ApiRequest) -> tuple[str, Arguments]:
    body = _members(request, "CodeSha256", "Description", "RevisionId")
    return "publish_version", {"FunctionName": request.parameter, **body}


def _aliases(request: ApiRequest) -> tuple[str, Arguments]:
    query = _query(request, FunctionVersion=str, Marker=str, MaxItems=_integer)
    return "list_aliases", {"FunctionName": request.parameter, **query}


def _create_alias(request: ApiRequest) -> tuple[str, Arguments]:
    body = _members(request, "Name", "FunctionVersion", "Description")
    return "create_alias", {"FunctionName": request.parameter, "Name": None, "FunctionVersion": None, **body}


def _alias(method: str) -> Reader:
    """A reader for an operation on one alias."""

    def read(request: ApiRequest) -> tuple[str, Arguments]:
        body = _members(request, "FunctionVersion", "Description") if method == "update_alias" else {}
        return method, {"FunctionName": request.parameter, "Name": request.parameters[1], **body}

    return read


def _members(request: ApiRequest, *names: str) -> Arguments:
    """Members of a JSON body; null counts as absent."""
    body = _json(request.body)
    body = {} if body is None else body
    if not isinstance(body, dict):
        raise invalid(f"The body must be a JSON object, not {type(body).__name__}.")
    return {name: body[name] for name in names if body.get(name) is not None}


def _query(request: ApiRequest, **readers: Callable[[str], Any]) -> Arguments:
    """Members of the query, each parsed by its reader; empty ones count as absent."""
    found: Arguments = {}
    for name, value in _pairs(request):
        if name in readers and value:
            try:
                found[name] = readers[name](value)
            except ValueError:
                raise invalid(f"{name} cannot be {value!r:.100}.") from None
    return found


def _timestamp(text: str) -> Any:
    try:
        return to_datetime(float(text))
    except ValueError:
        return to_datetime(text)


def _error(request: ApiRequest) -> Any:
    """The ErrorObject, which is the body itself; None for an empty body."""
    return _json(request.body)


def _integer(text: str) -> int:
    if _INTEGER.fullmatch(text) is None:
        raise ValueError(text)
    return int(text)


def _boolean(text: str) -> bool:
    known = {"true": True, "false": False}
    if text.lower() not in known:
        raise ValueError(text)
    return known[text.lower()]


def _pairs(request: ApiRequest) -> list[tuple[str, str]]:
    try:
        return parse_qsl(request.query, keep_blank_values=True, errors="strict", max_num_fields=100)
    except ValueError:
        raise invalid("The query must be percent-encoded UTF-8 with at most 100 members.") from None


def _json(body: bytes) -> Any:
    if not body.strip():
        return None
    try:
        return json.loads(body.decode())
    except (ValueError, RecursionError) as error:
        raise fault("InvalidRequestContentException", f"Could not parse request body into json: {error}") from None


_READERS: dict[str, Reader] = {
    "CheckpointDurableExecution": _checkpoint,
    "GetDurableExecutionState": _state,
    "GetDurableExecution": _execution,
    "GetDurableExecutionHistory": _history,
    "ListDurableExecutionsByFunction": _list,
    "StopDurableExecution": _stop,
    "PauseDurableExecution": _pause,
    "ResumeDurableExecution": _resume,
    "DeleteDurableExecution": _delete,
    "SendDurableExecutionCallbackSuccess": _succeed,
    "SendDurableExecutionCallbackFailure": _fail,
    "SendDurableExecutionCallbackHeartbeat": _heartbeat,
    "Invoke": _invoke,
    "GetFunction": _function("get_function"),
    "GetFunctionConfiguration": _function("get_function_configuration"),
    "ListFunctions": _functions,
    "ListVersionsByFunction": _versions,
    "PublishVersion": _publish,
    "ListAliases": _aliases,
    "CreateAlias": _create_alias,
    "GetAlias": _alias("get_alias"),
    "UpdateAlias": _alias("update_alias"),
    "DeleteAlias": _alias("delete_alias"),
}
LOGGER = logging.getLogger(__name__)
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
    _route("ListFunctions", "GET", "/2015-03-31/functions"),
    _route("GetFunction", "GET", "/2015-03-31/functions/*"),
    _route("GetFunctionConfiguration", "GET", "/2015-03-31/functions/*/configuration"),
    _route("ListVersionsByFunction", "GET", "/2015-03-31/functions/*/versions"),
    _route("PublishVersion", "POST", "/2015-03-31/functions/*/versions"),
    _route("ListAliases", "GET", "/2015-03-31/functions/*/aliases"),
    _route("CreateAlias", "POST", "/2015-03-31/functions/*/aliases"),
    _route("GetAlias", "GET", "/2015-03-31/functions/*/aliases/*"),
    _route("UpdateAlias", "PUT", "/2015-03-31/functions/*/aliases/*"),
    _route("DeleteAlias", "DELETE", "/2015-03-31/functions/*/aliases/*"),
)
UNKNOWN_PATH = "Unable to determine service/operation name to be authorized"
"""What Lambda answers to a path that it does not have."""


def find_route(method: str, raw_path: bytes) -> tuple[str, tuple[str, ...]]:
    """The operation of a request, and its decoded path parameters.

    Args:
        method: HTTP method.
        raw_path: The raw path, without the query.

    Raises:
        ApiError: The API has no such path, or the path is not properly encoded.
    """
    segments = raw_path.strip(b"/").split(b"/")
    for route in ROUTES:
        if method == route.method and _matches(route, segments):
            found = zip(route.segments, segments, strict=True)
            return route.operation, tuple(_decoded(segment) for wanted, segment in found if wanted == "*")
    LOGGER.warning(
        "%s %.300s is not an operation that this server has: it has Invoke, the operations on durable executions, and those "
        "that read functions and publish versions and aliases. Percent-encode ARNs and callback IDs in the path.",
        method,
        raw_path.decode("ascii", "backslashreplace"),
    )
    raise fault("AccessDeniedException", UNKNOWN_PATH)


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

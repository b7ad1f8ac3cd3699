"""Operation updates of a checkpoint, parsed and validated against the service model."""

import re
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

from durable_execution.local.rules.api_errors import invalid
from durable_execution.local.store.rows import compact
from durable_execution.protocol import OperationAction, OperationType
from durable_execution.protocol.enums import MAX_CALLBACK_TIMEOUT_SECONDS, MAX_DELAY_SECONDS, MIN_DELAY_SECONDS

_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_NAME = re.compile(r"[\x20-\x7E]{1,256}")
_SUBTYPE = re.compile(r"[a-zA-Z0-9_-]{1,32}")
_TENANT = re.compile(r"[a-zA-Z0-9._:/=+\-@ ]{1,256}")
_TYPES = frozenset(kind.value for kind in OperationType)
_ACTIONS = frozenset(action.value for action in OperationAction)
_ERROR_TEXTS = ("ErrorMessage", "ErrorType", "ErrorData")
MAX_TRACE_ID = 8192


class Update(NamedTuple):
    """One update with validated members.

    Attributes:
        id: Operation id.
        type: An `OperationType`.
        action: An `OperationAction`.
        parent_id: Id of the enclosing CONTEXT.
        name: Name.
        subtype: Subtype.
        payload: Serialized result, input or state.
        error: Error object, as JSON.
        delay_seconds: STEP RETRY.
        wait_seconds: WAIT START.
        timeout_seconds: CALLBACK START.
        heartbeat_seconds: CALLBACK START.
        replay_children: CONTEXT SUCCEED.
        function: CHAINED_INVOKE START.
        tenant_id: CHAINED_INVOKE START.
        trace_header: CHAINED_INVOKE START.
    """

    id: str
    type: str
    action: str
    parent_id: str | None
    name: str | None
    subtype: str | None
    payload: str | None
    error: str | None
    delay_seconds: int | None = None
    wait_seconds: int | None = None
    timeout_seconds: int | None = None
    heartbeat_seconds: int | None = None
    replay_children: bool | None = None
    function: str | None = None
    tenant_id: str | None = None
    trace_header: str | None = None


def read_updates(wires: Any, max_payload: int) -> list[Update]:
    """Parse the `Updates` member of a checkpoint.

    Args:
        wires: The received member; None counts as an empty list.
        max_payload: Maximum size of a payload, in bytes.

    Raises:
        ServiceError: A member is missing, has the wrong type, or is out of range.
    """
    if wires is None:
        return []
    if not isinstance(wires, (list, tuple)):
        raise invalid(f"Updates must be a list of operation updates, not {type(wires).__name__}.")
    return [_read_update(wire, max_payload) for wire in wires]


def read_error(wire: Any, member: str = "Error") -> str | None:
    """Read an ErrorObject as JSON, with its known members only; None if there is none."""
    if wire is None:
        return None
    if not isinstance(wire, Mapping):
        raise invalid(f"{member} must be an ErrorObject, not {type(wire).__name__}.")
    error: dict[str, Any] = {}
    for name in _ERROR_TEXTS:
        if (text := wire.get(name)) is not None:
            error[name] = _text(text, f"{member}.{name}")
    trace = wire.get("StackTrace")
    if trace is not None:
        if not isinstance(trace, (list, tuple)) or not all(isinstance(line, str) for line in trace):
            raise invalid(f"{member}.StackTrace must be a list of strings.")
        error["StackTrace"] = list(trace)
    return compact(error)


def _read_update(wire: Any, max_payload: int) -> Update:
    if not isinstance(wire, Mapping):
        raise invalid(f"Each update must be an object, not {type(wire).__name__}.")
    get = wire.get
    kind, action = get("Type"), get("Action")
    if not isinstance(kind, str) or kind not in _TYPES:
        raise invalid(f"Type must be one of {', '.join(sorted(_TYPES))}, not {kind!r:.80}.")
    if not isinstance(action, str) or action not in _ACTIONS:
        raise invalid(f"Action must be one of {', '.join(sorted(_ACTIONS))}, not {action!r:.80}.")
    payload = get("Payload")
    # SDKs checkpoint the execution's own result when it is too large to return, and inputs have a limit of their own.
    limit = max_payload if kind not in (OperationType.EXECUTION, OperationType.CHAINED_INVOKE) else sys.maxsize
    if payload is not None and (not isinstance(payload, str) or _is_larger(payload, limit)):
        raise invalid(f"Payload must be a string of at most {max_payload} bytes.")
    update = Update(
        id=_match(_ID, get("Id"), "Id"),
        type=str(kind),
        action=str(action),
        parent_id=_optional(_ID, get("ParentId"), "ParentId"),
        name=_optional(_NAME, get("Name"), "Name"),
        subtype=_optional(_SUBTYPE, get("SubType"), "SubType"),
        payload=payload,
        error=read_error(get("Error")),
    )
    return _with_options(update, wire)


def _is_larger(text: str, limit: int) -> bool:
    """Whether text has more bytes than allowed. Most texts are too short to need counting."""
    return len(text) > limit // 4 and len(text.encode("utf-8", "surrogatepass")) > limit


def _with_options(update: Update, wire: Mapping[str, Any]) -> Update:
    for member, read in _OPTIONS.items():
        options = wire.get(member)
        if options is None:
            continue
        if not isinstance(options, Mapping):
            raise invalid(f"{member} must be an object, not {type(options).__name__}.")
        update = update._replace(**read(options))
    return update


def _step_options(options: Mapping[str, Any]) -> dict[str, Any]:
    delay = _seconds(
        options, "StepOptions.NextAttemptDelaySeconds", "NextAttemptDelaySeconds", MIN_DELAY_SECONDS, MAX_DELAY_SECONDS
    )
    return {"delay_seconds": delay}


def _wait_options(options: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "wait_seconds": _seconds(
            options, "WaitOptions.WaitSeconds", "WaitSeconds", MIN_DELAY_SECONDS, MAX_DELAY_SECONDS
        )
    }


def _callback_options(options: Mapping[str, Any]) -> dict[str, Any]:
    return {
        field: _seconds(options, f"CallbackOptions.{member}", member, 0, MAX_CALLBACK_TIMEOUT_SECONDS)
        for field, member in (("timeout_seconds", "TimeoutSeconds"), ("heartbeat_seconds", "HeartbeatTimeoutSeconds"))
    }


def _context_options(options: Mapping[str, Any]) -> dict[str, Any]:
    replay = options.get("ReplayChildren")
    if replay is not None and not isinstance(replay, bool):
        raise invalid("ContextOptions.ReplayChildren must be a boolean.")
    return {"replay_children": replay}


def _chained_invoke_options(options: Mapping[str, Any]) -> dict[str, Any]:
    trace = options.get("XAmznTraceId")
    if trace is not None and len(_text(trace, "ChainedInvokeOptions.XAmznTraceId")) > MAX_TRACE_ID:
        raise invalid(f"ChainedInvokeOptions.XAmznTraceId must have at most {MAX_TRACE_ID} characters.")
    return {
        "function": _text(options.get("FunctionName"), "ChainedInvokeOptions.FunctionName"),
        "tenant_id": _optional(_TENANT, options.get("TenantId"), "ChainedInvokeOptions.TenantId"),
        "trace_header": trace,
    }


_OPTIONS = {
    "StepOptions": _step_options,
    "WaitOptions": _wait_options,
    "CallbackOptions": _callback_options,
    "ContextOptions": _context_options,
    "ChainedInvokeOptions": _chained_invoke_options,
}


def _seconds(options: Mapping[str, Any], path: str, member: str, low: int, high: int) -> int | None:
    value = options.get(member)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise invalid(f"{path} must be a whole number from {low} to {high}, not {value!r:.80}.")
    return value


def _text(value: Any, path: str) -> str:
    if not isinstance(value, str):
        raise invalid(f"{path} must be a string, not {type(value).__name__}.")
    return value


def _match(pattern: re.Pattern[str], value: Any, path: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise invalid(f"{path} must match {pattern.pattern}, but is {value!r:.80}.")
    return value


def _optional(pattern: re.Pattern[str], value: Any, path: str) -> str | None:
    return None if value is None else _match(pattern, value, path)

"""Reads recorded executions: `GetDurableExecutionHistory` events of any SDK, with replay traces where available."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from durable_execution.errors import DurableError
from durable_execution.protocol import ExecutionArn, Wire
from durable_execution.protocol.timestamps import to_datetime
from durable_execution.replay.event_fold import Fold, error_of, fold_events, text
from durable_execution.replay.recorded import (
    RecordedAttempt,
    RecordedExecution,
    RecordedInvocation,
    RecordedOperation,
)
from durable_execution.replay.trace import InvocationTrace
from durable_execution.replay.tree import build_operations

__all__ = [
    "RecordedAttempt",
    "RecordedExecution",
    "RecordedInvocation",
    "RecordedOperation",
    "UnreadableHistoryError",
    "read_history",
]

EXPECTED = (
    'Expected the events of GetDurableExecutionHistory: a JSON list of events, or the AWS CLI\'s {"Events": [...]}. '
    "Get them with: aws lambda get-durable-execution-history --include-execution-data --durable-execution-arn ARN"
)


class UnreadableHistoryError(DurableError, ValueError):
    """The given document is not the history of an execution."""


def read_history(
    events: Any,
    *,
    arn: str | None = None,
    traces: Sequence[InvocationTrace] = (),
    execution: Mapping[str, Any] | None = None,
) -> RecordedExecution:
    """Read a recorded execution from its history events.

    Malformed events do not fail the read: the unreadable parts are ignored, with a line in `notes`. Time and memory
    grow linearly with the number of events, at any depth of nesting.

    Args:
        events: A list of events, a response `{"Events": [...]}`, or a list of such responses (pages). The response may
            also contain the `DurableExecutionArn`.
        arn: The execution's ARN, where known.
        traces: Replay traces of its invocations (`durable_execution.replay.trace.InvocationTrace`).
        execution: A response of GetDurableExecution, for facts that the history does not contain.

    Raises:
        UnreadableHistoryError: The document is not a history.
    """
    execution = execution or {}
    numbered = _numbered(_event_list(events))
    fold = fold_events(numbered)
    if numbered and len(fold.notes) >= len(numbered) and not (fold.drafts or fold.invocations or fold.id):
        raise UnreadableHistoryError(f"None of the {len(numbered)} entries is a history event. {EXPECTED}")
    traces = _matched(traces, fold)
    arn = arn or _arn_in(events) or text(execution.get("DurableExecutionArn")) or _arn_of(traces)
    parts = _parse(arn)
    name = fold.name or (parts.name if parts else text(execution.get("DurableExecutionName")))
    function = parts.function if parts else None
    handler = next((trace.handler for trace in traces if trace.handler), None)
    root = handler or function or name or "execution"
    return RecordedExecution(
        arn=arn,
        name=name,
        id=parts.id if parts else fold.id,
        function_name=function,
        operations=build_operations(fold, root=root, arn=arn, traces=traces),
        invocations=tuple(fold.invocations),
        events=tuple(event for _, event in numbered),
        traces=tuple(traces),
        notes=tuple(fold.notes),
        handler=handler,
        **_ends(fold, execution),
    )


def _ends(fold: Fold, execution: Mapping[str, Any]) -> dict[str, Any]:
    """How the execution started and ended: from the events, else from the response of GetDurableExecution."""
    is_running = fold.status == "RUNNING"
    return {
        "status": (text(execution.get("Status")) if is_running else None) or fold.status,
        "started_at": fold.started_at or _moment(execution.get("StartTimestamp")),
        "ended_at": fold.ended_at or _moment(execution.get("EndTimestamp")),
        "input": fold.input if fold.input is not None else text(execution.get("InputPayload")),
        "result": fold.result if fold.result is not None else text(execution.get("Result")),
        "error": fold.error or error_of({"Payload": execution.get("Error")}),
    }


def _event_list(events: Any) -> list[Wire]:
    if isinstance(events, Mapping):
        if "Events" not in events:
            keys = ", ".join(sorted(map(str, events))[:6])
            raise UnreadableHistoryError(f"This object with the keys {keys or '(none)'} is not a history. {EXPECTED}")
        events = events["Events"]
    if isinstance(events, (str, bytes)) or not isinstance(events, Iterable):
        raise UnreadableHistoryError(f"This is {type(events).__name__} {events!r:.60}, not a history. {EXPECTED}")
    flat: list[Wire] = []
    for index, entry in enumerate(events):
        if not isinstance(entry, Mapping):
            raise UnreadableHistoryError(
                f"Entry {index} of the history is {type(entry).__name__} {entry!r:.60}, not an event. {EXPECTED}"
            )
        page = entry.get("Events")
        flat.extend(_event_list(entry) if isinstance(page, list) and "EventType" not in entry else [dict(entry)])
    return flat


def _numbered(events: list[Wire]) -> list[tuple[int, Wire]]:
    """The events in order of EventId, without duplicates. A history may be in reverse order, and pages may overlap."""
    numbers = [event.get("EventId") for event in events]
    if not all(isinstance(number, int) and not isinstance(number, bool) for number in numbers):
        return list(enumerate(events, start=1))
    unique: dict[int, Wire] = {}
    for number, event in zip(numbers, events, strict=True):
        unique.setdefault(number, event)  # type: ignore[arg-type]
    return sorted(unique.items())


def _matched(traces: Sequence[InvocationTrace], fold: Fold) -> tuple[InvocationTrace, ...]:
    """The traces, numbered like the invocations with the same request id. An invocation may have no trace."""
    numbers = {invocation.request_id: invocation.number for invocation in fold.invocations}
    numbers.pop(None, None)
    return tuple(replace(trace, invocation=numbers.get(trace.request_id, trace.invocation)) for trace in traces)


def _arn_in(document: Any) -> str | None:
    return text(document.get("DurableExecutionArn")) if isinstance(document, Mapping) else None


def _arn_of(traces: Sequence[InvocationTrace]) -> str | None:
    return next((trace.execution_arn for trace in traces if trace.execution_arn), None)


def _parse(arn: str | None) -> ExecutionArn | None:
    try:
        return ExecutionArn.parse(arn) if arn else None
    except ValueError:
        return None


def _moment(value: Any) -> Any:
    try:
        return to_datetime(value)
    except (ValueError, OverflowError):
        return None

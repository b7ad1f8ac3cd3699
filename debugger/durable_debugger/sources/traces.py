"""A replay trace without its history, as the history it implies: what was called, when, and how it ended."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from durable_execution.replay.trace import InvocationTrace, TraceEntry

FAMILIES = {
    "STEP": "Step",
    "WAIT": "Wait",
    "CALLBACK": "Callback",
    "CONTEXT": "Context",
    "CHAINED_INVOKE": "ChainedInvoke",
}
OUTCOMES = {
    "SUCCEEDED": "Succeeded",
    "FAILED": "Failed",
    "CANCELLED": "Cancelled",
    "TIMED_OUT": "TimedOut",
    "STOPPED": "Stopped",
}


def events_of(traces: Sequence[InvocationTrace]) -> list[dict[str, Any]]:
    """History events that fit the traces, in order of time."""
    first = traces[0]
    events: list[dict[str, Any]] = [{"EventType": "ExecutionStarted", "EventTimestamp": first.started_at}]
    started: set[str] = set()
    ended: set[str] = set()
    for trace in traces:
        happened = sorted(_of_invocation(trace, started, ended), key=lambda pair: pair[0])
        events += [event for _, event in happened]
        events.append(_completed(trace))
    if traces[-1].outcome in ("SUCCEEDED", "FAILED"):
        kind = f"Execution{OUTCOMES[traces[-1].outcome]}"
        events.append({"EventType": kind, "EventTimestamp": traces[-1].ended_at, f"{kind}Details": {}})
    for number, event in enumerate(events, start=1):
        event["EventId"] = number
    return events


def _of_invocation(
    trace: InvocationTrace, started: set[str], ended: set[str]
) -> Iterator[tuple[float, dict[str, Any]]]:
    for entry in trace.entries:
        family = FAMILIES.get(entry.type)
        if family is None or entry.is_virtual:
            continue
        at = max(entry.at or 0.0, 0.0)
        if entry.id not in started:
            started.add(entry.id)
            yield at, _event(f"{family}Started", _moment(trace, at), entry, {})
        outcome = OUTCOMES.get(entry.status or "")
        if outcome is not None and entry.id not in ended:
            ended.add(entry.id)
            over = at if entry.ended is None else max(entry.ended, at)
            yield over, _event(f"{family}{outcome}", _moment(trace, over), entry, _ending(entry))


def _ending(entry: TraceEntry) -> dict[str, Any]:
    details: dict[str, Any] = {"RetryDetails": {"CurrentAttempt": entry.attempt or 1}}
    if entry.error_type is not None:
        return {**details, "Error": {"Payload": {"ErrorType": entry.error_type}}}
    return {**details, "Result": {"Payload": entry.result} if entry.result is not None else {"Truncated": True}}


def _event(kind: str, at: datetime | None, entry: TraceEntry, details: dict[str, Any]) -> dict[str, Any]:
    event = {
        "EventType": kind,
        "EventTimestamp": at,
        "Id": entry.id,
        "ParentId": entry.parent_id,
        "Name": entry.name,
        "SubType": entry.subtype,
        f"{kind}Details": details,
    }
    return {key: value for key, value in event.items() if value is not None}


def _completed(trace: InvocationTrace) -> dict[str, Any]:
    details = {"StartTimestamp": trace.started_at, "EndTimestamp": trace.ended_at, "RequestId": trace.request_id}
    return {
        "EventType": "InvocationCompleted",
        "EventTimestamp": trace.ended_at or trace.started_at,
        "InvocationCompletedDetails": {key: value for key, value in details.items() if value is not None},
    }


def _moment(trace: InvocationTrace, offset: float) -> datetime | None:
    return trace.started_at + timedelta(seconds=offset) if trace.started_at is not None else None

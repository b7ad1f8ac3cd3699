"""Derives a history from replay traces, for executions without a recorded history."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any

from durable_execution.protocol.limits import MAX_CONTEXT_RESULT_BYTES
from durable_execution.replay.event_fold import FAMILIES, OUTCOMES
from durable_execution.replay.history import read_history
from durable_execution.replay.recorded import RecordedExecution
from durable_execution.replay.trace import HIDDEN, InvocationTrace, TraceAttempt, TraceEntry

FAMILY_OF = {type_.value: family for family, type_ in FAMILIES.items()}
WORD_OF = {status.value: word for word, status in OUTCOMES.items()}
CONFIGURATION = {
    "wait_seconds": "Duration",
    "timeout_seconds": "Timeout",
    "heartbeat_timeout_seconds": "HeartbeatTimeout",
    "function_name": "FunctionName",
}
"""Names of a call's arguments, in a trace and in the events of a history."""

WELL_KNOWN = ("null", "{}", "[]", '""', "true", "false")
"""Payloads that can be recognized by their digest where payloads were not recorded."""

Moments = Iterator[tuple[float, dict[str, Any]]]


def execution_of_traces(traces: Sequence[InvocationTrace]) -> RecordedExecution:
    """Build a recorded execution from its replay traces, without a history.

    Traces contain every call, its call site and its end. They contain results and the input if payloads were recorded
    (`DURABLE_REPLAY_TRACE_PAYLOADS=1`) and not redacted. They lack operations that ended while no invocation ran.

    Args:
        traces: The traces of its invocations, in order; at least one.
    """
    events = events_of_traces(traces)
    last = traces[-1]
    execution = {"Status": last.outcome if last.outcome in ("SUCCEEDED", "FAILED") else "RUNNING"}
    read = read_history(events, arn=traces[0].execution_arn or None, traces=traces, execution=execution)
    return replace(read, is_from_trace=True, notes=(*read.notes, *(note for trace in traces for note in trace.notes)))


def events_of_traces(traces: Sequence[InvocationTrace]) -> list[dict[str, Any]]:
    """Return history events that match the traces, in order of time."""
    first, last = traces[0], traces[-1]
    given = _payload(first.input, first.input_digest) or {}
    start = {"Input": given} if given.get("Payload") is not None else {}
    events: list[dict[str, Any]] = [
        {"EventType": "ExecutionStarted", "EventTimestamp": first.started_at, "ExecutionStartedDetails": start}
    ]
    started_ids: set[str] = set()
    over: set[str] = set()
    for trace in traces:
        found = [one for entry in trace.entries for one in _of_entry(trace, entry, started_ids, over)]
        events += [event for _, event in sorted(found, key=lambda pair: pair[0])]
        events.append(_completed(trace))
    if last.outcome in ("SUCCEEDED", "FAILED"):
        kind = f"Execution{WORD_OF[last.outcome]}"
        details: dict[str, Any] = {"Error": {"Payload": {"ErrorType": last.error_type}}} if last.error_type else {}
        result = _payload(last.result, last.result_digest)
        if result is not None and not result.get("Truncated"):
            details["Result"] = result
        events.append({"EventType": kind, "EventTimestamp": last.ended_at, f"{kind}Details": details})
    return [{**event, "EventId": number} for number, event in enumerate(events, start=1)]


def _of_entry(trace: InvocationTrace, entry: TraceEntry, started_ids: set[str], over: set[str]) -> Moments:
    family = FAMILY_OF.get(entry.type)
    if family is None or entry.is_virtual or entry.happened == "diverged" or entry.id in over:
        return
    at = max(entry.at or 0.0, 0.0)
    is_ended = entry.status in WORD_OF and entry.status != "STARTED"
    attempts = list(entry.attempts)
    if entry.id not in started_ids and not attempts:
        yield at, _event(f"{family}Started", trace, at, entry, _asked(entry))
    started_ids.add(entry.id)
    for attempt in attempts:
        yield from _of_attempt(trace, entry, attempt, is_last=is_ended and attempt is attempts[-1])
    if is_ended:
        over.add(entry.id)
        end = max(entry.ended if entry.ended is not None else at, at)
        yield end, _event(f"{family}{WORD_OF[entry.status or '']}", trace, end, entry, _ending(entry))


def _of_attempt(trace: InvocationTrace, entry: TraceEntry, attempt: TraceAttempt, *, is_last: bool) -> Moments:
    started = attempt.started if attempt.started is not None else entry.at or 0.0
    yield started, _event("StepStarted", trace, started, entry, {})
    delay = attempt.next_attempt_delay_seconds
    if is_last or attempt.ended is None or delay is None:
        return
    details: dict[str, Any] = {"RetryDetails": {"CurrentAttempt": attempt.number, "NextAttemptDelaySeconds": delay}}
    if attempt.error_type is not None:
        details["Error"] = {"Payload": {"ErrorType": attempt.error_type}}
    word = "Failed" if attempt.outcome == "FAILED" else "Succeeded"
    yield attempt.ended, _event(f"Step{word}", trace, attempt.ended, entry, details)


def _asked(entry: TraceEntry) -> dict[str, Any]:
    asked = {there: entry.configuration[here] for here, there in CONFIGURATION.items() if here in entry.configuration}
    given = _payload(entry.input, entry.input_digest)
    return {**asked, "Input": given} if given is not None else asked


def _ending(entry: TraceEntry) -> dict[str, Any]:
    details: dict[str, Any] = {"RetryDetails": {"CurrentAttempt": entry.attempt or 1}}
    if entry.type == "CONTEXT" and _is_rebuilt(entry):
        details["ReplayChildren"] = True
        return details
    if entry.error_type is not None:
        return {**details, "Error": {"Payload": {"ErrorType": entry.error_type}}}
    given = _payload(entry.result, entry.result_digest)
    return {**details, "Result": given} if given is not None else details


def _is_rebuilt(entry: TraceEntry) -> bool:
    """Whether a context's result was too large to record, so that its children are replayed."""
    size = entry.result_size
    return size is not None and (size == 0 or size > MAX_CONTEXT_RESULT_BYTES)


def _payload(payload: str | None, digest: str | None) -> dict[str, Any] | None:
    """A payload in the form of a history; None where there was none."""
    if payload is not None:
        return {"Payload": payload, "Truncated": HIDDEN in payload}
    if digest is None:
        return None
    known = next((word for word in WELL_KNOWN if blake2b(word.encode(), digest_size=8).hexdigest() == digest), None)
    return {"Payload": known} if known is not None else {"Truncated": True}


def _event(kind: str, trace: InvocationTrace, at: float, entry: TraceEntry, details: dict[str, Any]) -> dict[str, Any]:
    event = {
        "EventType": kind,
        "EventTimestamp": _moment(trace, at),
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

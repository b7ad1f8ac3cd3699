"""Reads recorded executions: `GetDurableExecutionHistory` events of any SDK, with replay traces where available.

Derives a history from replay traces, for executions without a recorded history.
"""

import codecs
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import blake2b
from itertools import islice
from typing import Any

from durable_execution.errors import DurableError
from durable_execution.history.event_fold import FAMILIES, OUTCOMES, Fold, error_of, fold_events, text
from durable_execution.history.event_texts import ENDS_INVOCATION, EventTexts
from durable_execution.history.recorded import (
    ForkOrigin,
    RecordedAttempt,
    RecordedExecution,
    RecordedInvocation,
    RecordedOperation,
)
from durable_execution.history.tree import build_operations
from durable_execution.protocol import ExecutionArn, Wire
from durable_execution.protocol.enums import MAX_CONTEXT_RESULT_BYTES
from durable_execution.protocol.operation import to_datetime
from durable_execution.redaction import HIDDEN
from durable_execution.trace.lazy_calls import TraceCalls, lines_of_calls
from durable_execution.trace.schema import InvocationTrace, TraceAttempt, TraceEntry

MAX_CHANGES = 3
"""Changes of the code that are noted for each invocation."""
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


GZIP_MAGIC = b"\x1f\x8b"
BYTE_ORDER_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


class UnreadableHistoryError(DurableError, ValueError):
    """The given document is not the history of an execution."""


def text_in(data: bytes) -> str:
    """Return the text of a file in UTF-8, or in the encoding of its byte order mark: PowerShell redirects output as UTF-16.

    Raises:
        UnicodeDecodeError: It is not text.
        UnreadableHistoryError: It is compressed.
    """
    if data.startswith(GZIP_MAGIC):
        raise UnreadableHistoryError("it is compressed with gzip; decompress it with `gunzip`")
    encoding = next((name for mark, name in BYTE_ORDER_MARKS.items() if data.startswith(mark)), "utf-8")
    return data.decode(encoding).replace("\r\n", "\n")


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
        events: `EventTexts`, a list of events, a response `{"Events": [...]}`, or a list of such responses (pages). The response may
            also contain the `DurableExecutionArn`.
        arn: The execution's ARN, where known.
        traces: Replay traces of its invocations (`durable_execution.trace.schema.InvocationTrace`).
        execution: A response of GetDurableExecution, for facts that the history does not contain.

    Raises:
        UnreadableHistoryError: The document is not a history.
    """
    execution = execution or {}
    kept, fold = _folded(events)
    if kept and len(fold.notes) >= len(kept) and not (fold.drafts or fold.invocations or fold.id):
        raise UnreadableHistoryError(f"None of the {len(kept)} entries is a history event. {EXPECTED}")
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
        events=kept,
        traces=tuple(traces),
        notes=(*fold.notes, *_origin(fold.forked_from), *_changes(traces)),
        handler=handler,
        forked_from=fold.forked_from,
        **_ends(fold, execution),
    )


def _folded(document: Any) -> tuple[Sequence[Wire], Fold]:
    """Return the events to keep, and what they say."""
    if isinstance(document, EventTexts):
        return document, document.fold
    numbered = _numbered(_event_list(document))
    has_invocation_events = any(event.get("EventType") == ENDS_INVOCATION for _, event in numbered)
    fold = fold_events(numbered, has_invocation_events=has_invocation_events)
    return tuple(event for _, event in numbered), fold


def events_in(document: Any) -> list[Wire]:
    """Return the events of a history in order, without duplicates.

    Args:
        document: As for `read_history`.

    Raises:
        UnreadableHistoryError: The document is not a history.
    """
    return [event for _, event in _numbered(_event_list(document))]


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
        raise UnreadableHistoryError(f"This is {_in_json(events)}, not a history. {EXPECTED}")
    flat: list[Wire] = []
    for index, entry in enumerate(events):
        if not isinstance(entry, Mapping):
            raise UnreadableHistoryError(f"Entry {index} of the history is {_in_json(entry)}, not an event. {EXPECTED}")
        page = entry.get("Events")
        flat.extend(_event_list(entry) if isinstance(page, list) and "EventType" not in entry else [dict(entry)])
    return flat


def _in_json(value: Any) -> str:
    """The beginning of a value as it is in the file."""
    try:
        return json.dumps(value, default=repr)[:60]
    except (ValueError, TypeError, RecursionError):
        return f"{value!r:.60}"


def _numbered(events: list[Wire]) -> list[tuple[int, Wire]]:
    """The events in order of EventId, without duplicates. A history may be in reverse order, and pages may overlap.

    If one of the ids cannot be read, all events are numbered by their place.
    """
    numbers = [event.get("EventId") for event in events]
    if not all(isinstance(number, int) and not isinstance(number, bool) for number in numbers):
        return [
            (place, {**event, "EventId": place} if "EventId" in event else event)
            for place, event in enumerate(events, start=1)
        ]
    unique: dict[int, Wire] = {}
    for number, event in zip(numbers, events, strict=True):
        unique.setdefault(number, event)  # type: ignore[arg-type]
    return sorted(unique.items())


def _matched(traces: Sequence[InvocationTrace], fold: Fold) -> tuple[InvocationTrace, ...]:
    """The traces, numbered like the invocations with the same request id. An invocation may have no trace."""
    numbers = {invocation.request_id: invocation.number for invocation in fold.invocations}
    numbers.pop(None, None)
    return tuple(replace(trace, invocation=numbers.get(trace.request_id, trace.invocation)) for trace in traces)


def _origin(fork: ForkOrigin | None) -> Iterator[str]:
    if fork is not None:
        how = ", which ended differently there" if fork.is_edited else ""
        yield f"forked from {fork.arn or 'a recording'} at {fork.call}{how}"


def _changes(traces: Sequence[InvocationTrace]) -> Iterator[str]:
    for trace in traces:
        if isinstance(trace.entries, TraceCalls):
            for path in islice(trace.entries.changed_paths(), MAX_CHANGES):
                yield (
                    f"invocation {trace.invocation} called {path} differently than earlier invocations: the code "
                    "was changed between them, or is not deterministic"
                )


def _arn_in(document: Any) -> str | None:
    if isinstance(document, EventTexts):
        return document.arn
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
    except ValueError:
        return None


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
        found = [one for entry in lines_of_calls(trace.entries) for one in _of_entry(trace, entry, started_ids, over)]
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
        "EventTimestamp": _moment_at(trace, at),
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


def _moment_at(trace: InvocationTrace, offset: float) -> datetime | None:
    try:
        return trace.started_at + timedelta(seconds=offset) if trace.started_at is not None else None
    except (OverflowError, ValueError):  # after the year 9999, or not a number
        return None

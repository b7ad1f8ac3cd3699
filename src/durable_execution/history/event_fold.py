"""Turns history events into operations and invocations, in one pass and without a tree."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, TypeVar

from durable_execution.history.recorded import ForkOrigin, RecordedAttempt, RecordedInvocation
from durable_execution.protocol import ErrorObject, OperationStatus, OperationType, Wire
from durable_execution.protocol.operation import to_datetime

T = TypeVar("T")
FAMILIES = {
    "Context": OperationType.CONTEXT,
    "Step": OperationType.STEP,
    "Wait": OperationType.WAIT,
    "Callback": OperationType.CALLBACK,
    "ChainedInvoke": OperationType.CHAINED_INVOKE,
}
OUTCOMES = {
    "Started": OperationStatus.STARTED,
    "Succeeded": OperationStatus.SUCCEEDED,
    "Failed": OperationStatus.FAILED,
    "Cancelled": OperationStatus.CANCELLED,
    "TimedOut": OperationStatus.TIMED_OUT,
    "Stopped": OperationStatus.STOPPED,
}
OPERATION_EVENTS = {
    family + outcome: (type_, status) for family, type_ in FAMILIES.items() for outcome, status in OUTCOMES.items()
}
EXECUTION_ENDS = {f"Execution{word}": word for word in ("Succeeded", "Failed", "TimedOut", "Stopped")}
SERVICE_TYPES = frozenset({OperationType.WAIT, OperationType.CALLBACK, OperationType.CHAINED_INVOKE})
"""Types of operations that the service completes, not the code."""

STARTED_DETAILS = {
    "ScheduledEndTimestamp": "scheduled_end_at",
    "CallbackId": "callback_id",
    "Timeout": "timeout_seconds",
    "HeartbeatTimeout": "heartbeat_timeout_seconds",
    "FunctionName": "function_name",
    "DurableExecutionArn": "child_execution_arn",
    "TenantId": "tenant_id",
    "ExecutedVersion": "executed_version",
    "Duration": "duration_seconds",
}
MAX_NOTES = 50
NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(slots=True)
class OperationDraft:
    """An operation while its events are being read. Once it has ended, its lists are tuples, which need half the memory."""

    id: str
    type: OperationType
    parent_id: str | None = None
    subtype: str | None = None
    name: str | None = None
    status: OperationStatus = OperationStatus.STARTED
    started_at: datetime | None = None
    ended_at: datetime | None = None
    input: str | None = None
    result: str | None = None
    error: ErrorObject | None = None
    attempts: list[RecordedAttempt] | tuple[RecordedAttempt, ...] = field(default_factory=list)
    executed_by: tuple[int, ...] | list[int] = ()
    ended_in: int | None = None
    details: dict[str, Any] = field(default_factory=dict)
    events: list[int] | tuple[int, ...] = field(default_factory=list)


@dataclass(slots=True)
class Fold:
    """The state gathered from the events read so far."""

    drafts: dict[str, OperationDraft] = field(default_factory=dict)
    invocations: list[RecordedInvocation] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    id: str | None = None
    name: str | None = None
    status: str = "RUNNING"
    started_at: datetime | None = None
    ended_at: datetime | None = None
    input: str | None = None
    result: str | None = None
    error: ErrorObject | None = None
    is_open: bool = False
    opened_at: datetime | None = None
    last_event: int | None = None
    has_invocation_events: bool = False
    forked_from: ForkOrigin | None = None
    words: dict[str, str] = field(default_factory=dict)
    runs: dict[int, tuple[int]] = field(default_factory=dict)

    def note(self, line: str) -> None:
        """Keep a line about an irregularity, up to a limit."""
        if len(self.notes) < MAX_NOTES:
            self.notes.append(line)

    @property
    def current(self) -> int:
        """Number of the invocation whose events are being read, from 1."""
        return len(self.invocations) + 1


def fold_events(events: Iterable[tuple[int, Wire]], *, has_invocation_events: bool) -> Fold:
    """Read numbered events in order, each once.

    Args:
        events: The events.
        has_invocation_events: Whether one of them is an `InvocationCompleted`.
    """
    fold = Fold(has_invocation_events=has_invocation_events)
    for number, event in events:
        _apply(fold, number, event)
    if fold.is_open:
        _close_invocation(fold, at=None, inferred=True)
    _settle_outcomes(fold)
    return fold


def _apply(fold: Fold, number: int, event: Wire) -> None:
    kind = event.get("EventType")
    at = moment(fold, event.get("EventTimestamp"), f"event {number}")
    if isinstance(kind, str) and kind in OPERATION_EVENTS:
        _apply_operation(fold, number, event, at, *OPERATION_EVENTS[kind])
    elif kind == "InvocationCompleted":
        _apply_invocation(fold, number, event, at)
    elif kind == "ExecutionStarted":
        _apply_start(fold, event, at)
    elif isinstance(kind, str) and kind in EXECUTION_ENDS:
        _apply_end(fold, event, at, EXECUTION_ENDS[kind])
    elif kind == "ExecutionPaused":
        fold.status = "PAUSED"
    elif kind == "ExecutionResumed":
        fold.status = "RUNNING"
    else:
        fold.note(f"event {number} has the unknown type {kind!r:.60}; it is kept but not interpreted")
    fold.last_event = number


def _apply_start(fold: Fold, event: Wire, at: datetime | None) -> None:
    fold.id, fold.name = text(event.get("Id")), text(event.get("Name"))
    fold.started_at = fold.opened_at = at
    fold.is_open = True
    fold.input, _ = payload(details(event).get("Input"))
    fork = mapping(details(event).get("ForkedFrom"))
    if fork:
        origin, call, seed = (text(fork.get(key)) for key in ("DurableExecutionArn", "Call", "SeedArn"))
        fold.forked_from = ForkOrigin(origin, call or "", bool(fork.get("IsEdited")), seed)


def _apply_end(fold: Fold, event: Wire, at: datetime | None, word: str) -> None:
    fold.status = "TIMED_OUT" if word == "TimedOut" else word.upper()
    fold.ended_at = at
    fold.result, _ = payload(details(event).get("Result"))
    fold.error = error_of(details(event).get("Error"))
    if fold.is_open and not fold.has_invocation_events:
        _close_invocation(fold, at=at, inferred=True)


def _apply_invocation(fold: Fold, number: int, event: Wire, at: datetime | None) -> None:
    found = details(event)
    started = moment(fold, found.get("StartTimestamp"), f"event {number}") or fold.opened_at
    ended = moment(fold, found.get("EndTimestamp"), f"event {number}") or at
    error = error_of(found.get("Error"))
    fold.invocations.append(
        RecordedInvocation(
            fold.current, text(found.get("RequestId")), started, ended, error, last_event=number, is_inferred=False
        )
    )
    fold.is_open, fold.opened_at = False, None


def _close_invocation(fold: Fold, *, at: datetime | None, inferred: bool) -> None:
    fold.invocations.append(
        RecordedInvocation(fold.current, None, fold.opened_at, at, is_inferred=inferred, last_event=fold.last_event)
    )
    fold.is_open, fold.opened_at = False, None


def _apply_operation(
    fold: Fold, number: int, event: Wire, at: datetime | None, type_: OperationType, status: OperationStatus
) -> None:
    id_ = text(event.get("Id"))
    if not id_:
        fold.note(f"event {number} ({event['EventType']}) has no operation id and is ignored")
        return
    is_clients = status is OperationStatus.STARTED or type_ not in SERVICE_TYPES
    if is_clients:
        _open_invocation(fold, id_, type_, status, at)
    draft = _draft(fold, number, event, id_, type_, at)
    draft.events = _open(draft.events)
    draft.events.append(number)
    if is_clients:
        _ran(draft, fold)
    if type_ is OperationType.STEP:
        _apply_attempt(fold, draft, event, at, status)
    elif status is OperationStatus.STARTED:
        _apply_started(fold, number, draft, details(event))
    else:
        _finish(fold, draft, details(event), at, status)


def _open(items: list[T] | tuple[T, ...]) -> list[T]:
    """Return a list to append to: an operation that has ended has no more events, except in an irregular history."""
    return items if isinstance(items, list) else list(items)


def _ran(draft: OperationDraft, fold: Fold) -> None:
    """Remember that the current invocation runs an operation. Most run in one, and share the tuple of its number."""
    number, known = fold.current, draft.executed_by
    if not known:
        draft.executed_by = fold.runs.setdefault(number, (number,))
    elif known[-1] != number:
        if isinstance(known, tuple):
            draft.executed_by = [*known, number]
        else:
            known.append(number)


def _open_invocation(fold: Fold, id_: str, type_: OperationType, status: OperationStatus, at: datetime | None) -> None:
    """The handler is running. Without invocation events, a new attempt of a step marks a new invocation."""
    draft = fold.drafts.get(id_)
    is_new_attempt = (
        type_ is OperationType.STEP
        and status is OperationStatus.STARTED
        and draft is not None
        and draft.status is OperationStatus.PENDING
    )
    if fold.is_open and is_new_attempt and not fold.has_invocation_events:
        _close_invocation(fold, at=draft.attempts[-1].ended_at if draft and draft.attempts else at, inferred=True)
    if not fold.is_open:
        fold.is_open, fold.opened_at = True, at


def _draft(fold: Fold, number: int, event: Wire, id_: str, type_: OperationType, at: datetime | None) -> OperationDraft:
    draft = fold.drafts.get(id_)
    if draft is None:
        draft = fold.drafts[id_] = OperationDraft(id_, type_, started_at=at)
    if draft.type is not type_:
        fold.note(f"event {number} gives operation {id_[:12]} the type {type_}; earlier events gave it {draft.type}")
    if draft.parent_id is None:
        draft.parent_id = _shared(fold, text(event.get("ParentId")))
    if draft.subtype is None:
        draft.subtype = _shared(fold, text(event.get("SubType")))
    if draft.name is None:
        draft.name = text(event.get("Name"))
    return draft


def _shared(fold: Fold, word: str | None) -> str | None:
    """Return one object for all equal words."""
    return None if word is None else fold.words.setdefault(word, word)


def _apply_started(fold: Fold, number: int, draft: OperationDraft, found: Mapping[str, Any]) -> None:
    for member, word in STARTED_DETAILS.items():
        if found.get(member) is not None:
            draft.details[word] = found[member]
    if "scheduled_end_at" in draft.details:
        draft.details["scheduled_end_at"] = moment(fold, draft.details["scheduled_end_at"], f"event {number}")
    for word in ("duration_seconds", "timeout_seconds", "heartbeat_timeout_seconds"):
        if word in draft.details:
            draft.details[word] = seconds(draft.details[word])
    if "Input" in found:
        draft.input, is_truncated = payload(found["Input"])
        if is_truncated:
            draft.details["input_truncated"] = True


def _apply_attempt(
    fold: Fold, draft: OperationDraft, event: Wire, at: datetime | None, status: OperationStatus
) -> None:
    attempts = draft.attempts = _open(draft.attempts)
    is_running = bool(attempts) and attempts[-1].outcome is None
    if status is OperationStatus.STARTED:
        if is_running:
            attempts[-1] = _ended(attempts[-1], None, "INCOMPLETE")
        number = attempts[-1].number + (attempts[-1].outcome != "INCOMPLETE") if attempts else 1
        attempts.append(RecordedAttempt(number, at, None, None, invocation=fold.current))
        draft.status = status
        return
    started = attempts.pop() if is_running else None
    number = started.number if started else (attempts[-1].number + 1 if attempts else 1)
    found = details(event)
    delay = seconds(mapping(found.get("RetryDetails")).get("NextAttemptDelaySeconds"))
    result, _ = payload(found.get("Result"))
    attempts.append(
        RecordedAttempt(
            number=number,
            started_at=started.started_at if started else None,
            ended_at=at,
            outcome=status.value,
            error=error_of(found.get("Error")),
            result=result,
            next_attempt_delay_seconds=delay,
            invocation=fold.current,
        )
    )
    if delay is None:
        _finish(fold, draft, found, at, status)
    else:
        draft.status, draft.result, draft.error = OperationStatus.PENDING, result, attempts[-1].error


def _ended(attempt: RecordedAttempt, at: datetime | None, outcome: str) -> RecordedAttempt:
    return RecordedAttempt(attempt.number, attempt.started_at, at, outcome, invocation=attempt.invocation)


def _finish(
    fold: Fold, draft: OperationDraft, found: Mapping[str, Any], at: datetime | None, status: OperationStatus
) -> None:
    if draft.ended_in is None:
        draft.events, draft.attempts = tuple(draft.events), tuple(draft.attempts)
    draft.status, draft.ended_at, draft.ended_in = status, at, fold.current
    draft.result, is_truncated = payload(found.get("Result"))
    draft.error = error_of(found.get("Error"))
    if is_truncated:
        draft.details["result_truncated"] = True
    if mapping(found.get("Error")).get("Truncated"):
        draft.details["error_truncated"] = True
    if "Duration" in found and "duration_seconds" not in draft.details:
        draft.details["duration_seconds"] = seconds(found["Duration"])
    if found.get("ReplayChildren"):
        draft.details["replay_children"] = True


def _settle_outcomes(fold: Fold) -> None:
    last = len(fold.invocations) - 1
    for index, invocation in enumerate(fold.invocations):
        fold.invocations[index] = RecordedInvocation(
            invocation.number,
            invocation.request_id,
            invocation.started_at,
            invocation.ended_at,
            invocation.error,
            _outcome(fold, invocation, is_last=index == last),
            invocation.is_inferred,
            invocation.last_event,
        )


def _outcome(fold: Fold, invocation: RecordedInvocation, *, is_last: bool) -> str | None:
    if is_last and fold.status in ("SUCCEEDED", "FAILED"):
        return fold.status
    if invocation.error is not None:
        return "RETRY"
    if is_last and invocation.is_inferred and invocation.ended_at is None:
        return None
    return "PENDING"


def details(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the details object of an event, `{}` when there is none."""
    return mapping(event.get(f"{event.get('EventType')}Details"))


def mapping(value: Any) -> Mapping[str, Any]:
    """Return the value if it is an object, else an empty one."""
    return value if type(value) is dict or isinstance(value, Mapping) else NOTHING


def text(value: Any) -> str | None:
    """Return the value if it is non-empty text."""
    return value if isinstance(value, str) and value else None


def payload(value: Any) -> tuple[str | None, bool]:
    """Return the text of a `{Payload, Truncated}` object, and whether it was truncated."""
    found = mapping(value)
    inner = found.get("Payload")
    if inner is not None and not isinstance(inner, str):
        inner = json.dumps(inner, default=str)
    return inner, bool(found.get("Truncated"))


def error_of(value: Any) -> ErrorObject | None:
    """Return the error in `{Payload: {ErrorType, …}}`. Some SDKs write the inner object as JSON text."""
    if value is None:
        return None
    inner = mapping(value).get("Payload")
    if isinstance(inner, str):
        try:
            decoded = json.loads(inner)
        except (ValueError, RecursionError):
            decoded = None
        inner = decoded if isinstance(decoded, Mapping) else {"ErrorMessage": inner}
    found = mapping(inner)
    members = {key: text(found.get(key)) for key in ("ErrorMessage", "ErrorType", "ErrorData")}
    return ErrorObject.from_wire({**members, "StackTrace": found.get("StackTrace")}) if found else None


def seconds(value: Any) -> int | None:
    """Return whole seconds from a number, or from an ISO 8601 duration such as `PT1M2S`."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, (int, float)):
        return int(value) if abs(value) < 1e12 else None
    return _iso_seconds(value) if isinstance(value, str) else None


def _iso_seconds(value: str) -> int | None:
    units = {"D": 86_400, "H": 3_600, "M": 60, "S": 1}
    total, number = 0.0, ""
    for letter in value.removeprefix("P").replace("T", ""):
        if letter in units and number:
            total, number = total + float(number) * units[letter], ""
        elif letter.isascii() and (letter.isdigit() or (letter == "." and "." not in number)) and len(number) < 12:
            number += letter
        else:
            return None
    return int(total) if value.startswith("P") and not number else None


def moment(fold: Fold, value: Any, where: str) -> datetime | None:
    """Return a timestamp; None, with a note, when it cannot be read."""
    try:
        return to_datetime(value)
    except ValueError:
        fold.note(f"{where} has an unreadable timestamp {value!r:.60}")
        return None

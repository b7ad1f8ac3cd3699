"""What a fork starts with: the operations that had ended before a call, and the outcomes of the calls after it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from durable_execution.counts import counted, plural
from durable_execution.errors import ForkRefusedError
from durable_execution.history.event_fold import error_of
from durable_execution.history.positions import MAIN, scope_prefix
from durable_execution.history.recorded import (
    OWN_ID_LENGTH,
    RecordedExecution,
    RecordedOperation,
    is_rebuilt,
)
from durable_execution.local.clocks import millis
from durable_execution.local.rules.executions import encode_error
from durable_execution.local.rules.forks import FAMILY, RecordedOutcome
from durable_execution.local.store.rows import EventRow, OperationRow, compact
from durable_execution.local.wire import DATA_MEMBERS
from durable_execution.operations.replay_safe import PATCH_PREFIX, patch_id
from durable_execution.protocol import OperationType, Wire, operation_id
from durable_execution.protocol.enums import BATCHES, COMBINATORS, PATCH
from durable_execution.protocol.operation import to_datetime

KEPT_EVENTS = "InvocationCompleted"


@dataclass(frozen=True, slots=True)
class ForkPlan:
    """Everything a fork starts with.

    Attributes:
        call: The call at which the execution is forked.
        is_edited: Whether that call ends differently than recorded.
        input: The payload.
        started_ms: When the origin started, in Unix milliseconds.
        moment_ms: When the call ended.
        operations: The operations, in start order, without the EXECUTION operation.
        events: The events after ExecutionStarted.
        invocations: Number of completed invocations among them.
        outcomes: Recorded outcomes of later calls, by operation id.
    """

    call: RecordedOperation
    is_edited: bool
    input: str
    started_ms: int
    moment_ms: int
    operations: tuple[OperationRow, ...]
    events: tuple[EventRow, ...]
    invocations: int
    outcomes: dict[str, RecordedOutcome]


def plan_of(execution: RecordedExecution, at: str, edit: Wire | None, payload: str | None) -> ForkPlan:
    """Plan a fork.

    Args:
        execution: The origin.
        at: The call: its path, the end of its path, its name or its id.
        edit: How the call ends: `{"result": text}` or `{"error": error object}`; None as recorded.
        payload: A different payload, serialized; None for the recorded one.

    Raises:
        ForkRefusedError: The execution cannot be forked there.
    """
    call = find_call(execution, at)
    _require_own_record(execution, call)
    if edit is not None and call.id in execution.foreign():
        raise ForkRefusedError(
            f"{call.path} was written by another client, not by a call of the handler, so no code receives its result. Fork at a "
            "call of the handler."
        )
    _require_forkable(call, edit)
    return _Planner(execution, call, edit).plan(payload)


def find_call(execution: RecordedExecution, at: str) -> RecordedOperation:
    """The recorded call that a user means.

    Raises:
        ForkRefusedError: No call, or more than one, is meant.
    """
    calls = execution.operations
    for is_meant in (
        lambda one: at in (one.path, one.id),
        lambda one: one.path.endswith(f"/{at}"),
        lambda one: one.name == at,
    ):
        found = [one for one in calls if is_meant(one)]
        if len(found) == 1:
            return found[0]
        if found:
            shown = ", ".join(one.path for one in found[:4])
            raise ForkRefusedError(
                f"{counted(len(found), 'recorded call')} {plural(len(found), 'matches', 'match')} {at!r}: name one by its path, for example {shown}."
            )
    near = get_close_matches(at, [one.name or one.path for one in calls], n=3)
    hint = f"The nearest are {', '.join(near)}." if near else "`durable-debug show` lists the recorded calls."
    raise ForkRefusedError(f"{at!r} is not a recorded call of this execution, so there is nothing to fork at. {hint}")


def _require_own_record(execution: RecordedExecution, call: RecordedOperation) -> None:
    known, here = execution.by_id(), [call]
    while here[-1].parent_id in known and len(here) <= len(known):
        here.append(known[here[-1].parent_id or ""])
    if any(step.kind == "context" for one in here for step in one.details.get("task_scope", MAIN)):
        raise ForkRefusedError(
            f"{call.path} is inside a virtual context, which has no record of its own, so its state at that call is not known. "
            "Fork at a call before or after the virtual context."
        )


def _require_forkable(call: RecordedOperation, edit: Wire | None) -> None:
    if edit is None and not call.status.is_terminal:
        raise ForkRefusedError(
            f"{call.path} has not ended in the recording ({call.status.value}): say how it ends, with a result or an error."
        )
    if edit is None:
        return
    if call.type is OperationType.WAIT:
        raise ForkRefusedError(
            f"{call.path} is a wait, which has no result. Fork at a call after it, or without a result."
        )
    if call.subtype in BATCHES or call.subtype in COMBINATORS or call.subtype == PATCH:
        raise ForkRefusedError(
            f"the result of {call.path} ({call.subtype}) is made of the calls inside it. Fork at one of those calls instead."
        )


class _Planner:
    def __init__(self, execution: RecordedExecution, call: RecordedOperation, edit: Wire | None) -> None:
        self._execution, self._call, self._edit = execution, call, edit
        self._by_id = execution.by_id()
        self._ids = own_ids(execution)
        self._cut = call.events[-1] if call.status.is_terminal and call.events else _last_event(execution) + 1
        self._kept = self._kept_ids()

    def plan(self, payload: str | None) -> ForkPlan:
        execution, call = self._execution, self._call
        ended_at = call.ended_at or _last_moment(execution) or call.started_at or execution.started_at
        moment_ms = millis(ended_at) if ended_at is not None else 0
        started_ms = millis(execution.started_at) if execution.started_at is not None else moment_ms
        kept = sorted((self._by_id[id_] for id_ in self._kept), key=lambda one: one.events[0] if one.events else 0)
        self._require_data(kept)
        rows = tuple(self._row(number, one, moment_ms) for number, one in enumerate(kept, start=1))
        events = self._events(moment_ms, next(row for row in rows if row.id == self._ids[call.id]))
        return ForkPlan(
            call=call,
            is_edited=self._edit is not None,
            input=payload if payload is not None else execution.input if execution.input is not None else "{}",
            started_ms=min(started_ms, moment_ms),
            moment_ms=moment_ms,
            operations=rows,
            events=tuple(events),
            invocations=sum(event.type == KEPT_EVENTS for event in events),
            outcomes=self._outcomes(),
        )

    def _kept_ids(self) -> set[str]:
        """Operations that had ended before the call, the call itself, and the contexts around them."""
        kept: set[str] = set()
        for one in self._execution.operations:
            if one.id == self._call.id or (one.status.is_terminal and one.events and one.events[-1] < self._cut):
                here: str | None = one.id
                while here is not None and here not in kept and here in self._by_id:
                    kept.add(here)
                    here = self._by_id[here].parent_id
        return kept

    def _has_ended(self, one: RecordedOperation) -> bool:
        return one.status.is_terminal and bool(one.events) and one.events[-1] <= self._cut

    def _require_data(self, kept: Sequence[RecordedOperation]) -> None:
        missing = next(
            (
                one.path
                for one in kept
                if self._has_ended(one) and one.details.get("result_truncated") and one.result is None
            ),
            None,
        )
        if missing is not None and not (self._edit is not None and missing == self._call.path):
            raise ForkRefusedError(
                f"the recording lacks the result of {missing}, so today's code cannot be brought to {self._call.path}. Export the "
                "history with --include-execution-data."
            )

    def _row(self, number: int, one: RecordedOperation, moment_ms: int) -> OperationRow:
        started_ms = millis(one.started_at) if one.started_at else moment_ms
        details = one.details
        scheduled = to_datetime(details.get("scheduled_end_at")) if one.type is OperationType.WAIT else None
        row = OperationRow(
            execution=0,
            sequence=number,
            id=self._ids[one.id],
            parent_id=self._ids.get(one.parent_id or ""),
            name=one.name,
            type=one.type.value,
            subtype=one.subtype,
            status="STARTED",
            started_ms=started_ms,
            scheduled_ms=millis(scheduled) if scheduled else None,
            seconds=details.get("duration_seconds") or details.get("timeout_seconds"),
            heartbeat_seconds=details.get("heartbeat_timeout_seconds"),
            callback_id=details.get("callback_id") or (f"recorded-{one.id[:16]}" if one.type == "CALLBACK" else None),
            function=details.get("function_name"),
            tenant_id=details.get("tenant_id"),
            child_arn=details.get("child_execution_arn"),
            input=one.input,
        )
        if one.id == self._call.id and self._edit is not None:
            return _edited(row, self._edit, moment_ms, one)
        if not self._has_ended(one):
            return row
        ended_ms = millis(one.ended_at) if one.ended_at else moment_ms
        if row.type == "WAIT" and row.scheduled_ms is None:
            row = row._replace(scheduled_ms=ended_ms)
        return row._replace(
            status=one.status.value,
            ended_ms=ended_ms,
            attempt=_attempts(one),
            replay_children=int(is_rebuilt(one)) if row.type == "CONTEXT" else None,
            result=one.result,
            error=encode_error(one.error) if one.error else None,
        )

    def _events(self, moment_ms: int, call: OperationRow) -> list[EventRow]:
        found: list[EventRow] = []
        number = 1
        for id_, event in _numbered(self._execution):
            kind = str(event.get("EventType"))
            is_call = event.get("Id") == self._call.id
            is_kept = kind == KEPT_EVENTS or event.get("Id") in self._kept
            if id_ > self._cut or not is_kept or (id_ == self._cut and is_call and self._edit is not None):
                continue
            if is_call and id_ < self._cut and self._edit is not None and self._is_last_of_open(id_):
                continue
            number += 1
            found.append(self._event(number, kind, event, moment_ms))
        if self._edit is not None:
            found.append(_edited_event(number + 1, call, moment_ms))
        return found

    def _is_last_of_open(self, event: int) -> bool:
        """Whether an event is the failed attempt that an edited call ends in place of."""
        call = self._call
        return not call.status.is_terminal and len(call.events) > 1 and event == call.events[-1] and call.type == "STEP"

    def _event(self, number: int, kind: str, event: Wire, moment_ms: int) -> EventRow:
        id_ = event.get("Id")
        at = to_datetime(event.get("EventTimestamp"))
        more, data = _parts(kind, event)
        own = self._ids.get(str(id_)) if id_ is not None else None
        parent = self._ids.get(str(event.get("ParentId"))) if event.get("ParentId") else None
        return EventRow(
            0, number, kind, millis(at) if at else moment_ms, own, event.get("Name"), parent, event.get("SubType"),
            compact(more) if more else None, data,
        )  # fmt: skip

    def _outcomes(self) -> dict[str, RecordedOutcome]:
        by_operation: dict[str, list[Wire]] = {}
        for _, event in _numbered(self._execution):
            if isinstance(event.get("Id"), str):
                by_operation.setdefault(event["Id"], []).append(event)
        found: dict[str, RecordedOutcome] = {}
        for one in self._execution.operations:
            is_ours = one.type in ("STEP", "WAIT", "CALLBACK", "CHAINED_INVOKE") and one.subtype not in COMBINATORS
            is_known = one.status.is_terminal and not (one.details.get("result_truncated") and one.result is None)
            if one.id in self._kept or not is_ours or not is_known or one.status == "CANCELLED" or one.subtype == PATCH:
                continue
            ended_ms = millis(one.ended_at) if one.ended_at else 0
            found[self._ids[one.id]] = RecordedOutcome(
                order=one.events[-1] if one.events else 0,
                at_ms=ended_ms,
                type=one.type.value,
                subtype=one.subtype,
                name=one.name,
                status=one.status.value,
                attempt=_attempts(one) if one.type == "STEP" else 0,
                result=one.result,
                error=encode_error(one.error) if one.error else None,
                input=one.input,
                function=one.details.get("function_name") or one.details.get("function"),
                seconds=one.details.get("duration_seconds"),
                events=tuple(_later(event, ended_ms) for event in _after_start(by_operation.get(one.id, []))),
            )
        return found


def own_ids(execution: RecordedExecution) -> dict[str, str]:
    """The id that each recorded operation has in this SDK, by recorded id. Ids of its own scheme stay as they are."""
    ids: dict[str, str] = {}
    foreign = execution.foreign()
    numbers: dict[tuple[str | None, Any], int] = {}
    for one in execution.operations:
        parent = ids.get(one.parent_id or "")
        if len(one.id) == OWN_ID_LENGTH or one.id in foreign:
            ids[one.id] = one.id
            if one.subtype == PATCH and parent is not None and parent != one.parent_id:
                ids[one.id] = patch_id(parent, (one.name or "").removeprefix(PATCH_PREFIX))
            continue
        scope = one.details.get("task_scope", MAIN)
        numbers[one.parent_id, scope] = number = numbers.get((one.parent_id, scope), 0) + 1
        prefix = scope_prefix(parent, scope, ids)
        ids[one.id] = operation_id(prefix, one.position if one.position is not None else number)
    return ids


def _edited(row: OperationRow, edit: Wire, moment_ms: int, one: RecordedOperation) -> OperationRow:
    is_error = "error" in edit
    return row._replace(
        status="FAILED" if is_error else "SUCCEEDED",
        ended_ms=moment_ms,
        attempt=_attempts(one) if row.type == "STEP" else 0,
        replay_children=0 if row.type == "CONTEXT" else None,
        result=None if is_error else edit["result"],
        error=compact(edit["error"]) if is_error else None,
    )


def _edited_event(number: int, call: OperationRow, moment_ms: int) -> EventRow:
    is_error = call.status == "FAILED"
    details = {"RetryDetails": {"CurrentAttempt": call.attempt}} if call.type == "STEP" else None
    kind = f"{FAMILY[call.type]}{'Failed' if is_error else 'Succeeded'}"
    return EventRow(
        0, number, kind, moment_ms, call.id, call.name, call.parent_id, call.subtype,
        compact(details) if details else None, call.error if is_error else call.result,
    )  # fmt: skip


def _parts(kind: str, event: Wire) -> tuple[dict[str, Any], str | None]:
    """The details of an event without its payload, and the payload, as the store keeps them."""
    given = event.get(f"{kind}Details")
    details = dict(given) if isinstance(given, Mapping) else {}
    member = DATA_MEMBERS.get(kind, "")
    found = details.pop(member, None)
    data: str | None = None
    if member == "Error":
        error = error_of(found)
        data = encode_error(error) if error is not None else None
    elif isinstance(found, Mapping):
        payload = found.get("Payload")
        data = payload if payload is None or isinstance(payload, str) else json.dumps(payload)
    for name, value in details.items():
        if name.endswith("Timestamp") and (at := to_datetime(value)) is not None:
            details[name] = millis(at)
    return details, data


def _after_start(events: list[Wire]) -> list[Wire]:
    return events[1:] if events and str(events[0].get("EventType")).endswith("Started") else events


def _later(event: Wire, ended_ms: int) -> tuple[str, int, dict[str, Any] | None, str | None]:
    kind = str(event.get("EventType"))
    at = to_datetime(event.get("EventTimestamp"))
    details, data = _parts(kind, event)
    return kind, millis(at) if at else ended_ms, details or None, data


def _numbered(execution: RecordedExecution) -> list[tuple[int, Wire]]:
    return [(int(event.get("EventId") or number), event) for number, event in enumerate(execution.events, start=1)]


def _last_event(execution: RecordedExecution) -> int:
    return max((number for number, _ in _numbered(execution)), default=0)


def _last_moment(execution: RecordedExecution) -> Any:
    moments = (to_datetime(event.get("EventTimestamp")) for event in execution.events)
    return max((one for one in moments if one is not None), default=None)


def _attempts(one: RecordedOperation) -> int:
    return (one.attempts[-1].number if one.attempts else 1) if one.type == "STEP" else 0

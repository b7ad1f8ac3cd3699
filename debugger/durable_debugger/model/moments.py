"""A recording as a sequence of moments: what the code did in each invocation, call by call.

History events say what was checkpointed. An invocation's replay trace says which calls it answered from the record;
without a trace this is inferred: every finished operation whose context was still running.
"""

from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any, NamedTuple, overload

from durable_debugger.model.facts import State, state_of
from durable_debugger.model.outline import ROOT
from durable_execution.history.event_fold import OPERATION_EVENTS, details, mapping, text
from durable_execution.history.recorded import RecordedExecution, RecordedInvocation, RecordedOperation
from durable_execution.protocol import OperationStatus, OperationType
from durable_execution.protocol.operation import to_datetime
from durable_execution.trace.schema import InvocationTrace, TraceEntry

SERVICE_TYPES = frozenset({OperationType.WAIT, OperationType.CALLBACK, OperationType.CHAINED_INVOKE})


class MomentKind(Enum):
    """The kind of a moment. The value is the text shown after the name of the call."""

    INVOCATION_STARTED = "starts"
    CALLED = "called"
    REPLAYED = "replayed from the record"
    REPLAYED_RUN = "calls replayed from the record"
    RESUMED = "called again, still open"
    DIVERGED = "met by a different call"
    ATTEMPT_STARTED = "attempt starts"
    ATTEMPT_ENDED = "attempt ends"
    ANSWERED = "finished"
    SETTLED = "completed outside the function"
    INVOCATION_ENDED = "ends"
    EXECUTION_ENDED = "execution ends"


RUN_ABOVE, KEPT = 60, 20
"""An invocation that replays more calls than this lists the last of them; the others are one moment."""

CALLS = frozenset({MomentKind.CALLED, MomentKind.REPLAYED, MomentKind.RESUMED, MomentKind.DIVERGED})
"""The moments at which the code calls an operation."""

STOPS = CALLS | {MomentKind.INVOCATION_ENDED, MomentKind.EXECUTION_ENDED}
"""The moments at which stepping from call to call stops."""


class Moment(NamedTuple):
    """One moment of the recording.

    Attributes:
        kind: Kind of the moment.
        row: Row of the operation; `ROOT` for the execution and its invocations.
        invocation: Number of the invocation it belongs to, from 1.
        at: Its time; None when unknown.
        state: State of the operation afterwards.
        attempt: Number of the attempt; 0 when there is none.
        calls: Number of calls it stands for: a later invocation replays all earlier calls, and only the last are listed.
    """

    kind: MomentKind
    row: int
    invocation: int
    at: datetime | None
    state: State
    attempt: int = 0
    calls: int = 1


KINDS, STATES = tuple(MomentKind), tuple(State)
KIND_CODES = {kind: code for code, kind in enumerate(KINDS)}
STATE_CODES = {state: code for code, state in enumerate(STATES)}
STATUSES, UNSEEN = tuple(OperationStatus), 255
STATUS_CODES = {status: code for code, status in enumerate(STATUSES)}
CALL_CODES = frozenset(KIND_CODES[kind] for kind in CALLS)
EPOCH, TICK, NO_TIME = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1), -(2**63)


class Moments(Sequence[Moment]):
    """The moments of a recording, in columns: there are two for each call, and an object for each would need 160 bytes.

    Args:
        moments: The moments in order.

    Attributes:
        kinds: The kind of each, as an index of `KINDS`.
        rows: The row of each.
        invocations: The invocation of each.
        states: The state after each, as an index of `STATES`.
    """

    def __init__(self, moments: Iterable[Moment] = ()) -> None:
        self.kinds, self.states = bytearray(), bytearray()
        self.rows, self.invocations = array("i"), array("i")
        self._times = array("q")
        self._attempts = array("i")
        self._calls: dict[int, int] = {}
        for kind, row, invocation, at, state, attempt, calls in moments:
            if calls != 1:
                self._calls[len(self.rows)] = calls
            self.kinds.append(KIND_CODES[kind])
            self.states.append(STATE_CODES[state])
            self.rows.append(row)
            self.invocations.append(invocation)
            self._attempts.append(attempt)
            self._times.append((at - EPOCH) // TICK if at is not None else NO_TIME)

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> Moment: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Moment]: ...
    def __getitem__(self, index: int | slice) -> Moment | Sequence[Moment]:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        time = self._times[index]
        at = index if index >= 0 else index + len(self)
        return Moment(
            KINDS[self.kinds[index]],
            self.rows[index],
            self.invocations[index],
            EPOCH + timedelta(microseconds=time) if time != NO_TIME else None,
            STATES[self.states[index]],
            self._attempts[index],
            self._calls.get(at, 1),
        )

    def of_kind(self, kind: MomentKind) -> Iterator[int]:
        """Yield the number of each moment of a kind, in order."""
        code = bytes([KIND_CODES[kind]])
        at = self.kinds.find(code)
        while at >= 0:
            yield at
            at = self.kinds.find(code, at + 1)


def read_moments(
    execution: RecordedExecution, rows: Mapping[str, int], diverged: tuple[int, int] | None = None
) -> Moments:
    """Return all moments of a recording in order.

    Args:
        execution: The recording.
        rows: Row of each operation by id.
        diverged: The invocation that met a difference, and the row of the recorded call there; None where none did.
    """
    return Moments(_Reader(execution, rows, diverged).read())


class _Reader:
    def __init__(self, execution: RecordedExecution, rows: Mapping[str, int], diverged: tuple[int, int] | None) -> None:
        self.execution, self.rows, self.diverged = execution, rows, diverged
        self.replays = _Replays(execution) if not all_traced(execution) else None
        self.status = bytearray([UNSEEN]) * len(execution.operations)  # a code for each row
        self.open: set[int] = set()
        self.attempts: dict[int, int] = defaultdict(int)
        self.traces = {trace.invocation: trace for trace in execution.traces}

    def read(self) -> Iterator[Moment]:
        segments = list(_segments(self.execution))
        for invocation, inside, after in segments:
            yield Moment(MomentKind.INVOCATION_STARTED, ROOT, invocation.number, invocation.started_at, State.RUNNING)
            yield from self._inside(invocation, inside)
            if invocation.outcome is not None:
                yield self._ended(invocation)
            yield from self._between(invocation.number, after)
        if self.execution.ended_at is not None and segments:
            number = segments[-1][0].number
            end = state_of(self.execution.status)
            yield Moment(MomentKind.EXECUTION_ENDED, ROOT, number, self.execution.ended_at, end)

    def _inside(self, invocation: RecordedInvocation, events: range) -> Iterator[Moment]:
        number = invocation.number
        trace = self.traces.get(number)
        if trace is None:
            yield from self._called_again(number)
            yield from self._between(number, events)
            return
        yield from self._merged(trace, [self.execution.events[index] for index in events])

    def _merged(self, trace: InvocationTrace, events: Sequence[Any]) -> Iterator[Moment]:
        """Merge calls from the trace with results from the history, in order of time."""
        waiting = list(reversed(events))
        called: set[str] = set()
        traced = {entry.id for entry in trace.entries}
        entries, run = _shortened(trace.entries)
        if run:
            called.update(entry.id for entry in trace.entries[:run])
            row = max((self.rows.get(entry.id, ROOT) for entry in trace.entries[:run]), default=ROOT)
            yield self._run(trace.invocation, row, run)
        for entry in entries:
            while waiting and _comes_before(waiting[-1], entry, trace, called, traced):
                yield from self._from_event(trace.invocation, waiting.pop(), called)
            yield from self._from_entry(trace, entry)
            called.add(entry.id)
        for event in reversed(waiting):
            yield from self._from_event(trace.invocation, event, called)

    def _from_entry(self, trace: InvocationTrace, entry: TraceEntry) -> Iterator[Moment]:
        row = self.rows.get(entry.id)
        if row is None:
            return
        operation = self.execution.operations[row]
        at = _called_at(trace, entry)
        was = self._status(row)
        if entry.happened == "diverged":  # the code calls something different here: the record answers nothing
            yield Moment(MomentKind.DIVERGED, row, trace.invocation, at, self._state(row))
        elif entry.happened == "replayed" or (was is not None and was.is_terminal):  # completed between invocations
            yield Moment(MomentKind.REPLAYED, row, trace.invocation, at, state_of(operation.status, operation.type))
        elif was is not None:
            yield Moment(MomentKind.RESUMED, row, trace.invocation, at, self._state(row))
        else:
            self._set(row, OperationStatus.STARTED)
            state = state_of(OperationStatus.STARTED, operation.type)
            yield Moment(MomentKind.CALLED, row, trace.invocation, at, state)

    def _called_again(self, number: int) -> Iterator[Moment]:
        """The calls an invocation repeats before it reaches a new one, in the order of the tree."""
        if number == 1 or self.replays is None:
            return
        replayed = self.replays.before(number)
        met = self.diverged[1] if self.diverged is not None and self.diverged[0] == number else None
        if met is not None:  # where it stopped
            replayed = [row for row in replayed if row < met]
        run = len(replayed) - KEPT if len(replayed) > RUN_ABOVE else 0
        if run:
            yield self._run(number, replayed[run - 1], run)
        again = {*replayed[run:], *self.open}
        again = again if met is None else {row for row in again if row < met}
        for row in sorted(again):
            operation = self.execution.operations[row]
            if (self._status(row) or OperationStatus.STARTED).is_terminal:
                state = state_of(operation.status, operation.type)
                yield Moment(MomentKind.REPLAYED, row, number, None, state)
            else:
                yield Moment(MomentKind.RESUMED, row, number, None, self._state(row))
        if met is not None:
            yield Moment(MomentKind.DIVERGED, met, number, None, self._state(met))

    def _run(self, number: int, row: int, count: int) -> Moment:
        return Moment(MomentKind.REPLAYED_RUN, row, number, None, State.SUCCEEDED, calls=count)

    def _set(self, row: int, status: OperationStatus) -> None:
        self.status[row] = STATUS_CODES[status]
        (self.open.discard if status.is_terminal else self.open.add)(row)

    def _status(self, row: int) -> OperationStatus | None:
        code = self.status[row]
        return STATUSES[code] if code != UNSEEN else None

    def _state(self, row: int) -> State:
        return state_of(self._status(row), self.execution.operations[row].type)

    def _from_event(self, number: int, event: Any, called: set[str] | None = None) -> Iterator[Moment]:
        known = OPERATION_EVENTS.get(str(event.get("EventType")))
        identifier = text(event.get("Id"))
        row = self.rows.get(identifier) if identifier else None
        if known is None or row is None:
            return
        operation, at = self.execution.operations[row], _at(event)
        is_new = self.status[row] == UNSEEN
        if is_new:
            self._set(row, OperationStatus.STARTED)
            yield Moment(MomentKind.CALLED, row, number, at, state_of(OperationStatus.STARTED, operation.type))
        if known[1] is OperationStatus.STARTED:
            yield from self._attempt_started(operation, row, number, at, is_new=is_new)
        else:
            yield self._moved(operation, row, number, at, event, known[1])

    def _attempt_started(
        self, operation: RecordedOperation, row: int, number: int, at: datetime | None, *, is_new: bool
    ) -> Iterator[Moment]:
        is_retry = self._status(row) is OperationStatus.PENDING
        self._set(row, OperationStatus.STARTED)
        if operation.type is OperationType.STEP and (is_retry or not is_new) and self.attempts[row]:
            attempt = self.attempts[row] + 1
            yield Moment(MomentKind.ATTEMPT_STARTED, row, number, at, State.RUNNING, attempt)

    def _moved(
        self,
        operation: RecordedOperation,
        row: int,
        number: int,
        at: datetime | None,
        event: Any,
        status: OperationStatus,
    ) -> Moment:
        if operation.type is OperationType.STEP:
            self.attempts[row] += 1
            if _will_retry(event):
                self._set(row, OperationStatus.PENDING)
                attempt = self.attempts[row]
                return Moment(MomentKind.ATTEMPT_ENDED, row, number, at, State.RETRYING, attempt)
        self._set(row, status)
        is_outside = operation.type in SERVICE_TYPES and status is not OperationStatus.CANCELLED
        kind = MomentKind.SETTLED if is_outside else MomentKind.ANSWERED
        return Moment(kind, row, number, at, state_of(status, operation.type), self.attempts.pop(row, 0))

    def _ended(self, invocation: RecordedInvocation) -> Moment:
        outcome = {"PENDING": State.WAITING, "RETRY": State.RETRYING}.get(invocation.outcome or "")
        state = outcome or state_of(invocation.outcome)
        return Moment(MomentKind.INVOCATION_ENDED, ROOT, invocation.number, invocation.ended_at, state)

    def _between(self, number: int, events: range) -> Iterator[Moment]:
        for index in events:
            yield from self._from_event(number, self.execution.events[index])


def all_traced(execution: RecordedExecution) -> bool:
    """Whether every invocation has a replay trace."""
    return {each.number for each in execution.invocations} <= {trace.invocation for trace in execution.traces}


class _Replays:
    """Which rows each invocation replays, for invocations asked for in order."""

    def __init__(self, execution: RecordedExecution) -> None:
        self._from: dict[int, list[int]] = defaultdict(list)
        self._until: dict[int, list[int]] = defaultdict(list)
        self._rows: list[int] = []
        self._number = 1
        for row, operation in enumerate(execution.operations):
            if operation.replayed_by:
                self._from[operation.replayed_by[0]].append(row)
                self._until[operation.replayed_by[-1] + 1].append(row)

    def before(self, number: int) -> list[int]:
        """Return the rows that an invocation replays, in order."""
        while self._number < number:
            self._number += 1
            gone = set(self._until.pop(self._number, ()))
            self._rows = [row for row in self._rows if row not in gone] if gone else self._rows
            added = self._from.pop(self._number, ())
            if added and self._rows and min(added) > self._rows[-1]:
                self._rows += sorted(added)
            elif added:
                self._rows = sorted([*self._rows, *added])
        return self._rows


def _shortened(entries: Sequence[TraceEntry]) -> tuple[Sequence[TraceEntry], int]:
    """Return the entries to list, and the number of replayed calls before them."""
    replayed = next((at for at, entry in enumerate(entries) if entry.happened != "replayed"), len(entries))
    run = replayed - KEPT if replayed > RUN_ABOVE else 0
    return entries[run:], run


def _segments(execution: RecordedExecution) -> Iterator[tuple[RecordedInvocation, range, range]]:
    """Yield each invocation with the events inside it, and the events between it and the next, as indexes of events."""
    events, at = execution.events, 0
    for place, invocation in enumerate(execution.invocations):
        start, at = at, len(events)
        if invocation.last_event is not None:
            number: Callable[[int], int] = lambda index: events[index].get("EventId", index + 1)  # noqa: E731
            at = min(at, bisect_left(range(at), invocation.last_event, start, key=number) + 1)
        inside, start = range(start, at), at
        is_last = place + 1 == len(execution.invocations)
        while at < len(events) and (is_last or _is_outside(events[at])):
            at += 1
        yield invocation, inside, range(start, at)


def _is_outside(event: Any) -> bool:
    known = OPERATION_EVENTS.get(str(event.get("EventType")))
    if known is None:
        return str(event.get("EventType", "")).startswith("Execution")
    return known[0] in SERVICE_TYPES and known[1] is not OperationStatus.STARTED


def _will_retry(event: Any) -> bool:
    return bool(mapping(details(event).get("RetryDetails")).get("NextAttemptDelaySeconds"))


def _comes_before(event: Any, entry: TraceEntry, trace: InvocationTrace, called: set[str], traced: set[str]) -> bool:
    """Whether a history event was written before the code made a call."""
    identifier = text(event.get("Id"))
    if identifier == entry.id or (identifier in traced and identifier not in called):
        return False
    at, called_at = _at(event), _called_at(trace, entry)
    return at is None or called_at is None or at <= called_at


def _called_at(trace: InvocationTrace, entry: TraceEntry) -> datetime | None:
    if trace.started_at is None or entry.at is None:
        return None
    try:
        return trace.started_at + timedelta(seconds=max(entry.at, 0.0))
    except (OverflowError, ValueError):  # after the year 9999, or not a number
        return None


def _at(event: Any) -> datetime | None:
    try:
        return to_datetime(event.get("EventTimestamp"))
    except ValueError:
        return None

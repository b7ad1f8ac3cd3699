"""Time travel over the moments of a recording: the state of every operation at any moment, forwards and backwards.

Each moment stores the state it replaced, so stepping back costs the same as stepping forward and needs no copies.

Stepping through a recording shows values as they were then. The recording knows how every call ended, so what the code could not
know yet is taken out: results, errors, attempts, durations and invocations of the future.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from datetime import datetime

from durable_debugger.model.facts import State
from durable_debugger.model.moments import (
    CALL_CODES,
    KIND_CODES,
    STATE_CODES,
    STATES,
    STOPS,
    Moment,
    MomentKind,
    Moments,
)
from durable_debugger.model.outline import ROOT, Outline
from durable_execution.history.recorded import RecordedAttempt, RecordedExecution, RecordedOperation
from durable_execution.protocol import OperationStatus

NEVER = STATE_CODES[State.NOT_REACHED]
RUN = KIND_CODES[MomentKind.REPLAYED_RUN]
NO_CALL = -1
STATUS = {
    State.RUNNING: OperationStatus.STARTED,
    State.WAITING: OperationStatus.STARTED,
    State.RETRYING: OperationStatus.PENDING,
    State.NOT_REACHED: OperationStatus.STARTED,
}
LATER = frozenset({"child_execution_arn", "executed_version", "replay_children", "result_truncated", "error_truncated"})
"""Members that are known when a call has ended."""


class Playback:
    """A cursor over the moments of a recording.

    Args:
        moments: The moments in order.
        outline: The tree of calls, for stepping over and out.
        tasks: The task scope of each row within its context, so that stepping over stays in one task.

    Attributes:
        position: Number of the current moment, from 0; -1 before the first.
    """

    def __init__(self, moments: Moments, outline: Outline, tasks: Sequence[Hashable] = ()) -> None:
        self.moments = moments
        self.outline = outline
        self.position = -1
        self._tasks = tasks
        self._codes = bytearray([NEVER]) * len(outline)
        self._called_in = array("i", [0]) * len(outline)
        self._codes_before, self._called_before = _replaced(moments, len(outline))
        self.calls = array("i", (index for index, kind in enumerate(moments.kinds) if kind in CALL_CODES))
        self._first_calls = array("i", [NO_CALL]) * len(outline)
        self._later_calls: dict[int, list[int]] = {}
        for index in self.calls:
            row = moments.rows[index]
            if self._first_calls[row] == NO_CALL:
                self._first_calls[row] = index
            else:
                self._later_calls.setdefault(row, []).append(index)
        self._runs = {moments.invocations[index]: index for index in moments.of_kind(MomentKind.REPLAYED_RUN)}
        self._starts = {moments.invocations[index]: index for index in moments.of_kind(MomentKind.INVOCATION_STARTED)}

    def __len__(self) -> int:
        return len(self.moments)

    @property
    def current(self) -> Moment | None:
        """The moment at the cursor."""
        return self.moments[self.position] if 0 <= self.position < len(self.moments) else None

    @property
    def invocation(self) -> int:
        """Number of the invocation the cursor is in; 0 before the first."""
        return self.current.invocation if self.current else 0

    def state(self, row: int) -> State:
        """The state of an operation at the current moment."""
        return STATES[self._codes[row]]

    def is_called(self, row: int) -> bool:
        """Whether the current invocation has reached the operation."""
        if self._called_in[row] == self.invocation:
            return True
        run = self._runs.get(self.invocation)
        return run is not None and self.position >= run and row <= self.moments[run].row

    def seek(self, position: int) -> None:
        """Move the cursor to a moment."""
        target = max(-1, min(position, len(self.moments) - 1))
        while self.position < target:
            self._forward()
        while self.position > target:
            self._back()

    def over(self, direction: int) -> int | None:
        """The next (1) or previous (-1) call of this function in this task; at its end, where the function returns."""
        row = ROOT if self.current is None else self.current.row
        here = self._scope(row)
        if here == (ROOT, ()):  # the handler's own code
            return self._find(direction, lambda moment: moment.kind in STOPS and self._scope(moment.row) == here)
        boundary = (MomentKind.INVOCATION_ENDED, MomentKind.INVOCATION_STARTED)

        def is_next(moment: Moment) -> bool:
            if moment.row == here[0]:
                return moment.row != ROOT
            return moment.kind in boundary or (moment.kind in STOPS and self._scope(moment.row) == here)

        return self._find(direction, is_next)

    def _scope(self, row: int) -> tuple[int, Hashable]:
        """The context and the task that a call belongs to."""
        if row == ROOT:
            return ROOT, ()
        return self.outline.parent(row), self._tasks[row] if row < len(self._tasks) else ()

    def into(self, direction: int) -> int | None:
        """The next or previous call, however deep."""
        return self._find(direction, lambda moment: moment.kind in STOPS)

    def out(self, direction: int) -> int | None:
        """The moment the enclosing context finishes (1) or is called (-1)."""
        current = self.current
        if current is None or current.row == ROOT or self.outline.parent(current.row) == ROOT:
            ends = (MomentKind.INVOCATION_ENDED,) if direction > 0 else (MomentKind.INVOCATION_STARTED,)
            return self._find(direction, lambda moment: moment.kind in ends)
        parent = self.outline.parent(current.row)
        boundary = (MomentKind.INVOCATION_ENDED, MomentKind.INVOCATION_STARTED)
        return self._find(direction, lambda moment: moment.row == parent or moment.kind in boundary)

    def to_next(self, direction: int, wanted: Callable[[Moment], bool]) -> int | None:
        """The next or previous moment that satisfies a condition."""
        return self._find(direction, wanted)

    def first_call_of(self, row: int, *, invocation: int | None = None) -> int | None:
        """The first call of an operation, or its call in one invocation."""
        first = self._first_calls[row] if 0 <= row < len(self._first_calls) else NO_CALL
        found = () if first == NO_CALL else (first, *self._later_calls.get(row, ()))
        return next((at for at in found if invocation in (None, self.moments[at].invocation)), None)

    def start_of(self, invocation: int) -> int | None:
        """The moment an invocation starts."""
        return self._starts.get(invocation)

    def call_number(self) -> int:
        """Number of calls the current invocation has made up to the cursor."""
        start = self._starts.get(self.invocation, 0)
        return bisect_right(self.calls, self.position) - bisect_left(self.calls, start) + self._skipped(self.invocation)

    def last_called(self) -> int:
        """Row of the current invocation's latest call up to the cursor; `ROOT` before its first call."""
        at = bisect_right(self.calls, self.position) - 1
        is_here = at >= 0 and self.calls[at] >= self._starts.get(self.invocation, 0)
        return self.moments[self.calls[at]].row if is_here else ROOT

    def call_count(self, invocation: int) -> int:
        """Number of calls an invocation makes."""
        start = self._starts.get(invocation, 0)
        end = self._starts.get(invocation + 1, len(self.moments))
        return bisect_left(self.calls, end) - bisect_left(self.calls, start) + self._skipped(invocation)

    def _skipped(self, invocation: int) -> int:
        run = self._runs.get(invocation)
        return self.moments[run].calls if run is not None else 0

    def _find(self, direction: int, wanted: Callable[[Moment], bool]) -> int | None:
        position = self.position + direction
        while 0 <= position < len(self.moments):
            if wanted(self.moments[position]):
                return position
            position += direction
        return None

    def _forward(self) -> None:
        self.position += 1
        row, kind = self.moments.rows[self.position], self.moments.kinds[self.position]
        if row != ROOT:
            if kind != RUN:
                self._codes[row] = self.moments.states[self.position]
            if kind in CALL_CODES:
                self._called_in[row] = self.moments.invocations[self.position]

    def _back(self) -> None:
        row = self.moments.rows[self.position]
        if row != ROOT:
            self._codes[row] = self._codes_before[self.position]
            self._called_in[row] = self._called_before[self.position]
        self.position -= 1


def _replaced(moments: Moments, rows: int) -> "tuple[bytearray, array[int]]":
    """For each moment, the state code and the last calling invocation of its operation before it."""
    codes, called = bytearray([NEVER]) * rows, array("i", [0]) * rows
    codes_before, called_before = bytearray([NEVER]) * len(moments), array("i", [0]) * len(moments)
    for at, (row, kind) in enumerate(zip(moments.rows, moments.kinds, strict=True)):
        if row == ROOT:
            continue
        codes_before[at], called_before[at] = codes[row], called[row]
        if kind != RUN:
            codes[row] = moments.states[at]
        if kind in CALL_CODES:
            called[row] = moments.invocations[at]
    return codes_before, called_before


def operation_then(
    operation: RecordedOperation, state: State, at: datetime | None, invocation: int
) -> RecordedOperation:
    """Return an operation as it was while it was still open.

    Args:
        operation: The operation as recorded.
        state: Its state at the moment.
        at: The time of the moment; None when unknown.
        invocation: The invocation of the moment.
    """
    is_reached = state is not State.NOT_REACHED
    executed = operation.executed_by if is_reached else ()
    details = {key: value for key, value in operation.details.items() if key not in LATER}
    return replace(
        operation,
        status=STATUS.get(state, operation.status),
        started_at=operation.started_at if is_reached else None,
        ended_at=None,
        result=None,
        error=None,
        attempts=tuple(_attempts(operation.attempts, at)) if is_reached else (),
        executed_by=tuple(number for number in executed if number <= invocation),
        replayed_by=(),
        details=details if is_reached else {},
        events=(),
    )


def ended_then(operation: RecordedOperation, invocation: int) -> RecordedOperation:
    """Return an operation that had ended as it was in one of the invocations."""
    replayed = tuple(number for number in operation.replayed_by if number <= invocation)
    return operation if len(replayed) == len(operation.replayed_by) else replace(operation, replayed_by=replayed)


def execution_then(execution: RecordedExecution, invocation: int) -> RecordedExecution:
    """Return an execution as it was in one of its invocations."""
    shown = [each for each in execution.invocations if each.number <= invocation]
    if shown:
        shown[-1] = replace(shown[-1], ended_at=None, outcome=None, error=None)
    return replace(
        execution, status="RUNNING", ended_at=None, result=None, error=None, invocations=tuple(shown), notes=()
    )


def _attempts(attempts: tuple[RecordedAttempt, ...], at: datetime | None) -> list[RecordedAttempt]:
    if at is None:
        return []
    found: list[RecordedAttempt] = []
    for each in attempts:
        if each.ended_at is not None and each.ended_at <= at and each.outcome == "FAILED":
            found.append(each)
        elif each.started_at is not None and each.started_at <= at:
            found.append(
                replace(each, ended_at=None, outcome=None, error=None, result=None, next_attempt_delay_seconds=None)
            )
    return found

"""Time travel over the moments of a recording: the state of every operation at any moment, forwards and backwards.

Each moment stores the state it replaced, so stepping back costs the same as stepping forward and needs no copies.
"""

from array import array
from collections.abc import Callable, Sequence

from durable_debugger.model.facts import State
from durable_debugger.model.moments import CALLS, STOPS, Moment, MomentKind
from durable_debugger.model.outline import ROOT, Outline

STATES = tuple(State)
CODES = {state: code for code, state in enumerate(STATES)}
NEVER = CODES[State.NOT_REACHED]


class Playback:
    """A cursor over the moments of a recording.

    Args:
        moments: The moments in order.
        outline: The tree of calls, for stepping over and out.

    Attributes:
        position: Number of the current moment, from 0; -1 before the first.
    """

    def __init__(self, moments: Sequence[Moment], outline: Outline) -> None:
        self.moments = moments
        self.outline = outline
        self.position = -1
        self._codes = bytearray([NEVER]) * len(outline)
        self._called_in = array("l", [0]) * len(outline)
        self._before = _replaced(moments, len(outline))
        self.calls = array("l", (index for index, moment in enumerate(moments) if moment.kind in CALLS))

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
        return self._called_in[row] == self.invocation

    def seek(self, position: int) -> None:
        """Move the cursor to a moment."""
        target = max(-1, min(position, len(self.moments) - 1))
        while self.position < target:
            self._forward()
        while self.position > target:
            self._back()

    def over(self, direction: int) -> int | None:
        """The next (1) or previous (-1) call that is not deeper than the current one."""
        depth = self._depth(self.current)
        return self._find(direction, lambda moment: moment.kind in STOPS and self._depth(moment) <= depth)

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
        for index in self.calls:
            moment = self.moments[index]
            if moment.row == row and invocation in (None, moment.invocation):
                return index
        return None

    def start_of(self, invocation: int) -> int | None:
        """The moment an invocation starts."""
        for index, moment in enumerate(self.moments):
            if moment.kind is MomentKind.INVOCATION_STARTED and moment.invocation == invocation:
                return index
        return None

    def call_number(self) -> int:
        """Number of calls the current invocation has made up to the cursor."""
        position, count = self.position, 0
        while position >= 0 and self.moments[position].kind is not MomentKind.INVOCATION_STARTED:
            count += self.moments[position].kind in CALLS
            position -= 1
        return count

    def last_called(self) -> int:
        """Row of the current invocation's latest call up to the cursor; `ROOT` before its first call."""
        position = self.position
        while position >= 0 and self.moments[position].kind is not MomentKind.INVOCATION_STARTED:
            if self.moments[position].kind in CALLS:
                return self.moments[position].row
            position -= 1
        return ROOT

    def calls_of(self, invocation: int) -> list[int]:
        """Moments of an invocation's calls."""
        return [index for index in self.calls if self.moments[index].invocation == invocation]

    def _depth(self, moment: Moment | None) -> int:
        return 0 if moment is None or moment.row == ROOT else self.outline.depths[moment.row]

    def _find(self, direction: int, wanted: Callable[[Moment], bool]) -> int | None:
        position = self.position + direction
        while 0 <= position < len(self.moments):
            if wanted(self.moments[position]):
                return position
            position += direction
        return None

    def _forward(self) -> None:
        self.position += 1
        moment = self.moments[self.position]
        if moment.row != ROOT:
            self._codes[moment.row] = CODES[moment.state]
            if moment.kind in CALLS:
                self._called_in[moment.row] = moment.invocation

    def _back(self) -> None:
        moment = self.moments[self.position]
        if moment.row != ROOT:
            self._codes[moment.row], self._called_in[moment.row] = self._before[self.position]
        self.position -= 1


def _replaced(moments: Sequence[Moment], rows: int) -> list[tuple[int, int]]:
    """For each moment, the state code and last calling invocation of its operation before it."""
    codes, called = bytearray([NEVER]) * rows, array("l", [0]) * rows
    before: list[tuple[int, int]] = []
    for moment in moments:
        row = moment.row
        if row == ROOT:
            before.append((NEVER, 0))
            continue
        before.append((codes[row], called[row]))
        codes[row] = CODES[moment.state]
        if moment.kind in CALLS:
            called[row] = moment.invocation
    return before

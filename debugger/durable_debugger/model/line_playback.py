"""Time travel over the lines of the user's code, forwards and backwards, within a task.

A replay records every line that ran. A position is an event of that recording at which the debugger can stop: a line that is
about to run, or an exception. Every move is a search in sorted indexes, so none costs more in a long recording.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from durable_debugger.model.line_settings import LineSettings, Place
from durable_execution.replay.lines.line_recording import EventKind, Frame, LineEvent, LineRecording

STOPS = frozenset({EventKind.LINE, EventKind.EXCEPTION})
"""Events at which stepping stops."""

SUSPENSION = "CancelledError"
"""The replay ends by cancelling the code that waits: it is not an exception of the user's code."""


class LinePlayback:
    """A cursor over the lines of one replay.

    Args:
        recording: The replay, line by line.
        rows: Row of each operation by id.
        divergent: Ids of the operations at which the replay differs from the recording.
        settings: Breakpoints and expressions, which stay when the execution is replayed again.
        names: Name of each operation by id, for breakpoints on calls.

    Attributes:
        position: Index of the current event.
        settings: Breakpoints and expressions.
    """

    def __init__(
        self,
        recording: LineRecording,
        rows: Mapping[str, int],
        *,
        divergent: frozenset[str] = frozenset(),
        settings: LineSettings | None = None,
        names: Mapping[str, str] | None = None,
    ) -> None:
        self.recording = recording
        self._names = names or {}
        self.settings = settings if settings is not None else LineSettings()
        self._rows = rows
        self._divergent = divergent
        self._of_frame: list[list[int]] = [[] for _ in recording.frames]
        self._of_task: dict[str, list[int]] = defaultdict(list)
        self._of_line: dict[Place, list[int]] = defaultdict(list)
        self._of_call: dict[str, list[int]] = defaultdict(list)
        self._branches: dict[str, list[_Branch]] = defaultdict(list)
        self._raised: dict[int, str | None] = {}
        self._branch_of: dict[str, _Branch] = {}
        self._stops: list[int] = []
        self._operations: list[int] = []
        self._alarms: list[int] = []
        for index, event in enumerate(recording.events):
            self._add(index, event)
        self._add_branches()
        self.position = self._stops[0] if self._stops else 0

    def _add(self, index: int, event: LineEvent) -> None:
        if event.kind is EventKind.OPERATION:
            self._operations.append(index)
            self._of_call[self._names.get(event.text or "", "")].append(index)
            if event.text in self._divergent:
                self._alarms.append(index)
        if event.kind not in STOPS or (event.kind is EventKind.EXCEPTION and (event.text or "").startswith(SUSPENSION)):
            return
        frame = self.recording.frames[event.frame]
        self._stops.append(index)
        self._of_frame[event.frame].append(index)
        self._of_task[frame.task].append(index)
        if event.kind is EventKind.LINE:
            self._of_line[frame.file, event.line].append(index)
        elif self._is_first_raise(index, event):
            self._alarms.append(index)

    def _add_branches(self) -> None:
        """Find the line of the parent task at which each task started: the last that ran before it."""
        for task, own in self._of_task.items():
            root = self.recording.frames[self.recording.events[own[0]].frame]
            parent = next((one for one in _outer_tasks(root.task) if one in self._of_task), None)
            if root.parent is not None or parent is None:
                continue
            lines = self._of_task[parent]
            at = bisect_left(lines, own[0]) - 1
            if at >= 0:
                branch = _Branch(own[0], own[-1], lines[at], self.recording.events[lines[at]].frame)
                self._branches[parent].append(branch)
                self._branch_of[task] = branch

    def _is_first_raise(self, index: int, event: LineEvent) -> bool:
        """Whether an exception is raised here, not passed on from a frame inside."""
        before = self.recording.events[index - 1] if index else None
        is_passed_on = before is not None and before.kind is EventKind.UNWIND
        inner = self._raised.get(before.frame) if before is not None and is_passed_on else None
        self._raised[event.frame] = event.text
        return not is_passed_on or inner != event.text

    def __len__(self) -> int:
        return len(self._stops)

    @property
    def event(self) -> LineEvent:
        """The current event."""
        return self.recording.events[self.position]

    @property
    def frame(self) -> Frame:
        """The frame that runs."""
        return self.recording.frames[self.event.frame]

    @property
    def number(self) -> int:
        """Number of the current stop, from 1."""
        return bisect_right(self._stops, self.position)

    @property
    def row(self) -> int | None:
        """Row of the operation that this line calls, or of the last call before it; None before the first call."""
        at = bisect_right(self._operations, self.position)
        events = self.recording.events
        if at < len(self._operations):  # an operation event follows the line that calls it
            following = self._operations[at]
            stop = bisect_right(self._stops, self.position)
            is_next = stop >= len(self._stops) or following < self._stops[stop]
            if is_next and events[following].frame == self.event.frame:
                return self._rows.get(events[following].text or "")
        return self._rows.get(events[self._operations[at - 1]].text or "") if at else None

    def line_index(self) -> int:
        """Index of the line that runs: of the current event, or of the last line before an exception."""
        if self.event.kind is EventKind.LINE:
            return self.position
        lines = self._of_frame[self.event.frame]
        before = range(bisect_right(lines, self.position) - 1, -1, -1)
        return next(
            (lines[at] for at in before if self.recording.events[lines[at]].kind is EventKind.LINE), self.position
        )

    def watched(self) -> list[tuple[str, str | None]]:
        """Return the watched expressions with their values at the current line; None where none is known yet."""
        at = self.line_index()
        return [(each, self.settings.values.get(each, {}).get(at)) for each in self.settings.watches]

    def evaluated(self) -> tuple[str, str] | None:
        """Return the expression that was evaluated at the current line, and its value."""
        once = self.settings.once
        return (once[0], once[2]) if once is not None and once[1] == self.line_index() else None

    def locals(self) -> dict[str, str]:
        """Return the local variables before the current line runs."""
        return self.recording.locals_at(self.position)

    def changed(self) -> frozenset[str]:
        """Return the names of variables that the previous line of this function changed."""
        return frozenset(self.event.changed)

    def stack(self) -> tuple[Frame, ...]:
        """Return the frames of this task from the outermost to the one that runs, across `await`."""
        return self.recording.stack_at(self.position)

    def tasks(self) -> list[str]:
        """Return the tasks in the order in which they started."""
        return list(self._of_task)

    @property
    def branch(self) -> str | None:
        """The task that runs, where a line of a different task started it; None otherwise."""
        return self.frame.task if self.frame.task in self._branch_of else None

    def over(self, direction: int) -> int | None:
        """The next (1) or previous (-1) line of this function in this task; at its end, the caller's.

        A branch of a map, a parallel or a gather is never left.
        """
        found = _neighbour(self._of_frame[self.event.frame], self.position, direction)
        return found if found is not None or self.frame.parent is None else self.out(direction)

    def into(self, direction: int) -> int | None:
        """The next or previous line, however deep: of this task, or of a branch that this line starts."""
        found = _neighbour(self._of_task[self.frame.task], self.position, direction)
        branches = self._branches.get(self.frame.task, ())
        if direction > 0:
            started = [one.first for one in branches if one.started_by == self.position]
        else:
            started = [one.last for one in branches if one.started_by == found]
        if started:
            return min(started) if direction > 0 else max(started)
        return found if found is not None else self._out_of_branch(direction)

    def _out_of_branch(self, direction: int) -> int | None:
        """The next line of the function that started this task, or the line that started it."""
        branch = self._branch_of.get(self.frame.task)
        if branch is None or direction < 0:
            return None if branch is None else branch.started_by
        return _neighbour(self._of_frame[branch.frame], max(branch.last, self.position), 1)

    def out(self, direction: int) -> int | None:
        """The caller's next line after this function returned, or the line that called it."""
        frame = self.frame
        if frame.parent is None:
            return self._out_of_branch(direction)
        lines = self._of_frame[frame.parent]
        if direction < 0:
            at = bisect_right(lines, frame.caller if frame.caller is not None else self.position) - 1
            return lines[at] if at >= 0 else None
        own = self.recording.of_frame(frame.number)
        return _neighbour(lines, own[-1] if own else self.position, 1)

    def to_line(self, file: str, line: int, direction: int) -> int | None:
        """The next or previous time a line runs, in any task."""
        return _neighbour(self._of_line.get((file, line), ()), self.position, direction)

    def to_stop(self, direction: int) -> int | None:
        """The next or previous breakpoint, difference or raised exception, in any task."""
        found = [self._to_breakpoint(each, direction) for each in self.settings.breakpoints]
        found += [self._to_event(self._of_call.get(each, ()), direction) for each in self.settings.calls]
        found.append(self._to_event(self._alarms, direction))
        reached = [each for each in found if each is not None and each != self.position]
        return (min if direction > 0 else max)(reached, default=None)

    def _to_event(self, events: Sequence[int], direction: int) -> int | None:
        """The stop of the next or previous of some events that does not belong to the current line."""
        at = _neighbour(events, self.position, direction)
        while at is not None and self._stop_at(at) == self.position:
            at = _neighbour(events, at, direction)
        return self._stop_at(at)

    def _to_breakpoint(self, place: Place, direction: int) -> int | None:
        lines = self._of_line.get(place, ())
        at = _neighbour(lines, self.position, direction)
        while at is not None and not self.settings.stops_at(place, at):
            at = _neighbour(lines, at, direction)
        return at

    def other_task(self, direction: int) -> int | None:
        """The current or next line of the next or previous task."""
        tasks = self.tasks()
        at = tasks.index(self.frame.task) + direction
        if not 0 <= at < len(tasks):
            return None
        lines = self._of_task[tasks[at]]
        return lines[min(bisect_left(lines, self.position), len(lines) - 1)]

    def first(self) -> int | None:
        """The first line."""
        return self._stops[0] if self._stops else None

    def last(self) -> int | None:
        """The last line."""
        return self._stops[-1] if self._stops else None

    def by_one(self, direction: int) -> int | None:
        """The very next or previous line, in any task."""
        return _neighbour(self._stops, self.position, direction)

    def call_of(self, operation_id: str) -> int | None:
        """The line that calls an operation; None when the replay did not reach it."""
        return self._stop_at(self.recording.operation(operation_id))

    def line_of_task(self, task: str) -> LineEvent:
        """The line at which a task stands now: the last it ran, or its first."""
        lines = self._of_task[task]
        return self.recording.events[lines[max(bisect_right(lines, self.position) - 1, 0)]]

    def _stop_at(self, index: int | None) -> int | None:
        """The stop at or before an event, in its frame: the line that is running then."""
        if index is None:
            return None
        lines = self._of_frame[self.recording.events[index].frame]
        at = bisect_right(lines, index) - 1
        return lines[at] if at >= 0 else None


class _Branch(NamedTuple):
    """A task that a line of a different task started: an item of a map, a branch, a coroutine of `gather`.

    Attributes:
        first: Its first stop.
        last: Its last stop.
        started_by: The stop that started it.
        frame: The frame of that stop.
    """

    first: int
    last: int
    started_by: int
    frame: int


def _outer_tasks(task: str) -> Iterator[str]:
    """Yield the tasks that a task may have been started by, innermost first: `a/b#0~1` by `a/b#0`, and that by `a`."""
    while (at := max(task.rfind("/"), task.rfind("~"))) > 0:
        task = task[:at]
        yield task


def _neighbour(indexes: Sequence[int], position: int, direction: int) -> int | None:
    """The nearest of sorted indexes after (1) or before (-1) a position."""
    at = bisect_right(indexes, position) if direction > 0 else bisect_left(indexes, position) - 1
    return indexes[at] if 0 <= at < len(indexes) else None

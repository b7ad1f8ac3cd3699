"""The frames of a recording: which of their lines ran, in what order, what each called, and how each ended."""

import ast
from collections.abc import Sequence
from functools import cached_property
from itertools import takewhile
from typing import NamedTuple

from durable_execution.replay.lines.line_recording import EventKind, Frame, LineRecording
from durable_execution.replay.source.statements import Statement, source_of, yields

ENDS = (EventKind.RETURN, EventKind.UNWIND)

Place = tuple[int, tuple[int, ...], int]
"""A line, the iterations of the loops around it, and which visit of the line it is in that iteration."""


class Yielded(NamedTuple):
    """A value that a generator gave.

    Attributes:
        at: The LINE event of its `yield`.
        frame: The generator's frame.
        text: The value, as text.
    """

    at: int
    frame: int
    text: str | None


class RecordedFrames:
    """The frames of one recording."""

    def __init__(self, recording: LineRecording) -> None:
        self.recording = recording
        self.events = recording.events
        self.frames = recording.frames
        self._lines: dict[int, list[int]] = {}
        self._statements: dict[tuple[str, int, int], Statement | None] = {}

    @cached_property
    def children(self) -> dict[int, list[Frame]]:
        """Frames by the event of their parent that called them."""
        found: dict[int, list[Frame]] = {}
        for frame in self.frames:
            if frame.caller is not None:
                found.setdefault(frame.caller, []).append(frame)
        return found

    @cached_property
    def files(self) -> tuple[str, ...]:
        """The files that ran."""
        return tuple(dict.fromkeys(one.file for one in self.frames))

    def lines(self, frame: int) -> list[int]:
        """Indexes of a frame's LINE events."""
        found = self._lines.get(frame)
        if found is None:
            found = [at for at in self.recording.of_frame(frame) if self.events[at].kind is EventKind.LINE]
            self._lines[frame] = found
        return found

    def places(self, frame: int) -> dict[Place, int]:
        """A frame's LINE events by line and iteration of the loops around it: the same place is the same work."""
        source = source_of(self.frames[frame].file)
        counts: dict[int, int] = {}
        found: dict[Place, int] = {}
        for at in self.lines(frame):
            line = self.events[at].line
            statement = source.at(line)
            loops = statement.loops if statement is not None else ()
            if statement is not None and loops and loops[-1] == statement.first == line:
                counts[line] = counts.get(line, 0) + 1
                for inner in source.inner_loops(line):
                    counts.pop(inner, None)
            iterations = tuple(counts.get(one, 0) for one in loops)
            number = 0
            while (line, iterations, number) in found:
                number += 1
            found[line, iterations, number] = at
        return found

    def statement(self, at: int) -> Statement | None:
        """The statement at an event."""
        event = self.events[at]
        frame = self.frames[event.frame]
        key = (frame.file, frame.first_line if frame.function.endswith("<lambda>") else 0, event.line)
        try:
            return self._statements[key]
        except KeyError:
            source = source_of(frame.file)
            found = self._statements[key] = source.body_of(key[1]) if key[1] else source.at(event.line)
            return found

    def raises(self, at: int) -> bool:
        """Whether the statement at a LINE event raised an error: the code may go on at the same line as without it."""
        events = self.recording.of_frame(self.events[at].frame)
        later = (self.events[one].kind for one in events[index_of(events, at) + 1 :])
        return any(kind is EventKind.EXCEPTION for kind in takewhile(lambda kind: kind is not EventKind.LINE, later))

    def line_before(self, at: int) -> int | None:
        """The frame's last LINE event at or before an event."""
        lines = self.lines(self.events[at].frame)
        position = index_of(lines, at + 1)
        return lines[position - 1] if position else None

    def previous_line(self, at: int) -> int | None:
        """The LINE event before a LINE event of the same frame."""
        lines = self.lines(self.events[at].frame)
        position = index_of(lines, at)
        return lines[position - 1] if position else None

    def loop_start(self, at: int) -> int:
        """The LINE event at which the loop began whose header is at a LINE event: it called what the loop iterates over."""
        lines = self.lines(self.events[at].frame)
        header = self.events[at].line
        for one in reversed(lines[: index_of(lines, at)]):
            statement = self.statement(one)
            if statement is None or header not in statement.loops:
                break
            at = one if self.events[one].line == header else at
        return at

    def match_before(self, at: int) -> int | None:
        """The LINE event of the `match` that the `case` at a LINE event belongs to."""
        statement = self.statement(at)
        header = statement.parents[-1] if statement is not None and statement.parents else 0
        lines = self.lines(self.events[at].frame)
        return next((one for one in reversed(lines[: index_of(lines, at)]) if self.events[one].line == header), None)

    def end_of_statement(self, at: int) -> int:
        """The event at which the statement at a LINE event has ended."""
        events = self.recording.of_frame(self.events[at].frame)
        later = (one for one in events[index_of(events, at) + 1 :] if self.events[one].kind is not EventKind.OPERATION)
        ends = (EventKind.LINE, *ENDS)
        return next((one for one in later if self.events[one].kind in ends), len(self.events))

    def after(self, at: int) -> int:
        """The event with which the statement at a LINE event ended; -1 if the recording ends before."""
        end = self.end_of_statement(at)
        return end if end < len(self.events) else -1

    def successor(self, at: int) -> tuple[str, int]:
        """What the frame did after a line."""
        events = self.recording.of_frame(self.events[at].frame)
        for one in events[index_of(events, at) + 1 :]:
            kind = self.events[one].kind
            if kind is EventKind.LINE or kind in ENDS:
                return kind.value, self.events[one].line
        return "open", 0

    def end_of(self, frame: int) -> int | None:
        """The event with which a frame ended; None if it has not."""
        events = self.recording.of_frame(frame)
        return events[-1] if events and self.events[events[-1]].kind in ENDS else None

    def decided_end(self, frame: int) -> int | None:
        """The LINE event that decided how a frame ended: its `return` or error, even if a `with` or `finally` ran after it."""
        end = self.end_of(frame)
        last = self.line_before(end) if end is not None else None
        if end is None or last is None:
            return last
        if self.events[end].kind is EventKind.UNWIND:
            raised = [at for at in self.recording.of_frame(frame) if self.events[at].kind is EventKind.EXCEPTION]
            decided = self.line_before(raised[-1]) if raised else None
        else:
            returns = (at for at in reversed(self.lines(frame)) if self._is_return(at))
            decided = next(returns, None)
        return decided if decided is not None and self._only_leaves(decided, frame) else last

    def _is_return(self, at: int) -> bool:
        statement = self.statement(at)
        return statement is not None and isinstance(statement.node, ast.Return)

    def _only_leaves(self, at: int, frame: int) -> bool:
        """Whether after a LINE event its frame only ran what a `with` or `finally` around it does on the way out."""
        source, own = source_of(self.frames[frame].file), self.statement(at)
        around = [source.at(line) for line in own.parents] if own is not None else []
        final = [part for one in around if one is not None for part in getattr(one.node, "finalbody", ())]
        lines = self.lines(frame)
        for later in lines[index_of(lines, at) + 1 :]:
            line, statement = self.events[later].line, self.statement(later)
            is_header = statement is not None and isinstance(statement.node, (ast.With, ast.AsyncWith, ast.Try))
            is_final = any(part.lineno <= line <= (part.end_lineno or line) for part in final)
            if statement is not own and not is_header and not is_final:
                return False
        return True

    def raised_at(self) -> int | None:
        """The LINE event that raised the error with which the replay ended."""
        found = None
        for at in range(len(self.events) - 1, -1, -1):
            kind = self.events[at].kind
            if kind is EventKind.UNWIND:
                found = at
            elif kind is not EventKind.EXCEPTION and found is not None:
                break
        return self.decided_end(self.events[found].frame) if found is not None else None

    def called_at(self, at: int) -> list[Frame]:
        """Frames called while the statement at a LINE event ran: also behind a suspension in it."""
        events = self.recording.of_frame(self.events[at].frame)
        found: list[Frame] = []
        for one in events[index_of(events, at) :]:
            if one != at and self.events[one].kind is EventKind.LINE:
                break
            found += self.children.get(one, [])
        return found

    def yields_at(self, at: int) -> list[Yielded]:
        """The values that generators gave to the statement at a LINE event: one to a loop's header, all of them to `list()`."""
        number = self.events[at].frame
        found: list[Yielded] = []
        for one in range(at + 1, self.end_of_statement(at)):
            event = self.events[one]
            if event.kind is EventKind.SUSPEND and event.frame != number and self.frames[event.frame].parent == number:
                line = self.line_before(one)
                statement = self.statement(line) if line is not None else None
                if line is not None and statement is not None and yields(statement.node):
                    found.append(Yielded(line, event.frame, event.text))
        return found

    def goes_on_after(self, frame: Frame, at: int) -> bool:
        """Whether a frame is a generator that gave a value to the statement at a LINE event, and ends after it."""
        end, until = self.end_of(frame.number), self.end_of_statement(at)
        if end is not None and end < until:
            return False
        given = self.yields_at(at)
        return bool(given) and given[-1].frame == frame.number


def index_of(events: Sequence[int], at: int) -> int:
    """Return the position in a list of event indexes at which `at` is, or would be."""
    low, high = 0, len(events)
    while low < high:
        middle = (low + high) // 2
        if events[middle] < at:
            low = middle + 1
        else:
            high = middle
    return low

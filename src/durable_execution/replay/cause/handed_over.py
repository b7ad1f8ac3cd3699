"""Values that reach a statement without a name: from a generator, a task or a thread, an error, or the subject of a `match`."""

import ast
from collections.abc import Callable
from dataclasses import dataclass

from durable_execution.replay.cause.line_alignment import Alignment, BothSides
from durable_execution.replay.cause.recorded_frames import Yielded, index_of
from durable_execution.replay.lines.line_recording import EventKind, Frame
from durable_execution.replay.source.statements import Statement

EXITS = frozenset({"__exit__", "__aexit__"})


@dataclass(frozen=True)
class HandedOver(BothSides):
    """Follows such values for a slice.

    Attributes:
        alignment: The two replays.
        statement: Follows a statement that ran in both.
        control: Follows what decided that a statement ran.
        children: Follows the functions that a statement called.
        ends: Follows how a function ended.
    """

    alignment: Alignment
    statement: Callable[..., bool]
    control: Callable[[int, int], bool]
    children: Callable[[int, int, int], bool]
    ends: Callable[[Frame, int], bool]

    def to(self, statement: Statement, at: int, other: int, depth: int) -> bool:
        """Follow a value that did not come from a call to the statement at an event. Returns whether something differs."""
        if isinstance(statement.node, ast.ExceptHandler):
            before, there = self._left.previous_line(at), self._right.previous_line(other)
            if before is None or there is None:
                return False
            return self.children(before, there, depth) or (
                self._left.raises(before) and self._right.raises(there) and self.statement(before, there, depth + 1)
            )
        if isinstance(statement.node, ast.match_case):
            before, there = self._left.match_before(at), self._right.match_before(other)
            return before is not None and there is not None and self.statement(before, there, depth + 1)
        ours, theirs = self._left.yields_at(at), self._right.yields_at(other)
        if ours or theirs:
            return self._yielded(ours, theirs, depth + 1)
        return any(self.ends(frame, depth) for frame in self._left.awaited_at(statement, at))

    def _yielded(self, ours: list[Yielded], theirs: list[Yielded], depth: int) -> bool:
        """Follow the first value that generators give differently; one that is asked for a single value gave that one."""
        for one, other in zip(ours, theirs, strict=False):
            if self.alignment.line(one.at) != other.at:
                return self.control(one.at, depth)
            if one.text != other.text or len(ours) == len(theirs) == 1:
                return self.statement(one.at, other.at, depth)
        if len(ours) > len(theirs):
            return self.control(ours[len(theirs)].at, depth)
        wanted = {one.frame for one in theirs[len(ours) :]}
        ended = (one for one in self._left.frames if wanted and self.alignment.frame(one.number) in wanted)
        ends = (self._left.end_of(one.number) for one in ended)
        return any(end is not None and self.control(end, depth) for end in ends)

    def with_error(self, name: str, at: int, depth: int) -> bool:
        """Follow what an error brings along, such as its `__cause__`, to the statements that raised it."""
        written = self._left.write_in(self._left.frames[self._left.events[at].frame], name, at)
        handler = self._left.statement(written) if written is not None else None
        if written is None or handler is None or not isinstance(handler.node, ast.ExceptHandler):
            return False
        before = self._left.previous_line(written)
        return before is not None and self._raised(before, depth + 1)

    def _raised(self, at: int, depth: int) -> bool:
        other = self.alignment.line(at)
        if other is not None and self.statement(at, other, depth, is_terminal=False):
            return True
        left = self._left
        raised = (one for one in left.called_at(at) if left.outcome(one)[0] == EventKind.UNWIND.value)
        ends = (left.decided_end(one.number) for one in raised)
        return any(end is not None and self._raised(end, depth + 1) for end in ends)

    def by_error(self, frame: Frame, depth: int) -> bool:
        """Follow the error that a `with` hands to `__exit__` to the statement in its body that raises it, if one differs there."""
        if frame.function.rpartition(".")[2] not in EXITS or frame.caller is None:
            return False
        left, lines = self._left, self._left.lines(left_frame := self._left.events[frame.caller].frame)
        header = left.line_before(frame.caller)
        block = left.statement(header) if header is not None else None
        if block is None or left.events[frame.caller].kind is EventKind.OPERATION:
            return False
        for before in reversed(lines[: index_of(lines, header or 0)]):
            statement, other = left.statement(before), self.alignment.line(before)
            if statement is None or block.first not in statement.parents or left.events[before].frame != left_frame:
                return False
            if other is None:
                continue
            if left.raises(before) != self._right.raises(other):
                return self.statement(before, other, depth + 1, is_branch=True)
            if left.raises(before):
                return self.statement(before, other, depth + 1, is_terminal=False)
        return False

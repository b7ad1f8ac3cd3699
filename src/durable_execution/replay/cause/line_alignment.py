"""Which frames and lines of the two recordings of a slice correspond, and which statements changed something differently."""

import ast
from collections.abc import Mapping

from durable_execution.replay.cause.object_texts import attributes_in, changes, entries_in
from durable_execution.replay.cause.recorded_side import Side
from durable_execution.replay.cause.shared_values import Asked, only_in_calls, written_attributes
from durable_execution.replay.lines.line_recording import Frame
from durable_execution.replay.source.statements import Statement
from durable_execution.replay.source.text_making import (
    addressed,
    differs_in_address,
    is_rearranged,
    made_into_text,
    shows_order,
)


class Alignment:
    """Which frames and lines of the two sides correspond."""

    def __init__(self, left: Side, right: Side) -> None:
        self.left = left
        self.right = right
        self._frames: dict[int, int | None] = {}
        self._lines: dict[int, dict[int, int]] = {}
        self._roots = self._paired(
            [one for one in left.frames if one.caller is None], [one for one in right.frames if one.caller is None]
        )

    def frame(self, number: int) -> int | None:
        """The right side's frame for one of the left."""
        if number not in self._frames:
            self._frames[number] = None  # against recursion
            self._frames[number] = self._find(self.left.frames[number])
        return self._frames[number]

    def line(self, at: int) -> int | None:
        """The right side's event for a LINE event of the left."""
        number = self.left.events[at].frame
        if number not in self._lines:
            other = self.frame(number)
            self._lines[number] = {} if other is None else self._match(number, other)
        return self._lines[number].get(at)

    def same_place(self, at: int, other: int) -> bool:
        """Whether two events of the sides are at the same line."""
        ours, theirs = self.left.events[at], self.right.events[other]
        return ours.line == theirs.line and self.left.frames[ours.frame].file == self.right.frames[theirs.frame].file

    def differing(self, path: str, at: int, other: int, keys: frozenset[str] | None = None) -> tuple[str, str] | None:
        """The values of a path at two events of the sides; None if they are the same, also if only other keys differ."""
        self.left.needs(at)
        self.right.needs(other)
        ours, theirs = self.left.value(path, at), self.right.value(path, other)
        if keys is not None and ours != theirs:
            known, known_there = entries_in(ours), entries_in(theirs)
            if known and known_there and all(known.get(key) == known_there.get(key) for key in keys):
                return None
        return (ours or "", theirs or "") if ours != theirs else None

    def written_later(self, name: str, at: int, written: int) -> int | None:
        """The event on the right that gives a local name its value after the last write of the left, which gives both the same.

        Args:
            name: The name.
            at: The event on the left that reads it.
            written: The last write before it on the left.
        """
        there, other = self.line(at), self.line(written)
        if there is None or other is None or self.left.events[at].frame != self.left.events[written].frame:
            return None
        ours, theirs = self.left.text_after(name, written), self.right.text_after(name, other)
        if ours != theirs or ours is None or ours.startswith("<"):
            return None
        later = self.right.write_in(self.right.frames[self.right.events[there].frame], name, there)
        return later if later is not None and later > other else None

    def reads_differ(self, at: int, other: int) -> bool:
        """Whether something differs of what a statement reads."""
        statement = self.left.statement(at)
        paths = {*statement.reads, *self.left.events[at].reads} if statement is not None else ()
        return any(self.differing(path, at, other) for path in paths)

    def settled(self, statement: Statement, at: int, asked: Mapping[str, Asked]) -> set[str]:
        """The names that a statement only passes to functions whose results are the same on both sides, or shows the address of.

        Args:
            statement: The statement.
            at: Its event on the left.
            asked: The functions of which some arguments matter nevertheless, by name.
        """
        ends: dict[str, bool] = {}
        for frame in self.left.called_at(at):
            name, outcome, number = (
                frame.function.rpartition(".")[2],
                self.left.outcome(frame),
                self.frame(frame.number),
            )
            is_same = number is not None and outcome == self.right.outcome(self.right.frames[number])
            ends[name] = ends.get(name, True) and is_same and outcome[1] is not None and "<" not in outcome[1]
        same = {name for name, is_same in ends.items() if is_same} - asked.keys()
        found = only_in_calls(statement, same, asked) if same or asked else set[str]()
        return found | addressed(statement, self.left.values(statement, at), self.left.files)

    def shows_other_value(self, statement: Statement, at: int, other: int, values: tuple[str, str]) -> bool:
        """Whether a statement shows only the addresses or the order of what it makes into text, and a value does not.

        Args:
            statement: The statement.
            at: Its event on the left.
            other: Its event on the right.
            values: A value that it reads, of both sides.
        """
        effects = self.left.effect(at), self.right.effect(other)
        if differs_in_address(*effects):
            return not differs_in_address(*values)
        if not is_rearranged(*effects) or is_rearranged(*values):
            return False
        reads = self.left.values(statement, at)
        return any(shows_order(reads.get(ast.unparse(one))) for one in made_into_text(statement.parts))

    def _find(self, frame: Frame) -> int | None:
        if frame.parent is None or frame.caller is None:
            return self._roots.get(frame.number)
        if self.frame(frame.parent) is None:
            return None
        at = self.left.line_before(frame.caller)
        other = self.line(at) if at is not None else None
        if at is None or other is None:
            return None
        return self._paired(self.left.called_at(at), self.right.called_at(other)).get(frame.number)

    def _match(self, left: int, right: int) -> dict[int, int]:
        theirs = self.right.places(right)
        return {at: theirs[place] for place, at in self.left.places(left).items() if place in theirs}

    @staticmethod
    def _paired(left: list[Frame], right: list[Frame]) -> dict[int, int]:
        waiting: dict[tuple[str, str, int, str], list[int]] = {}
        for frame in right:
            waiting.setdefault((frame.file, frame.function, frame.first_line, frame.task), []).append(frame.number)
        found: dict[int, int] = {}
        for frame in left:
            others = waiting.get((frame.file, frame.function, frame.first_line, frame.task))
            if others:
                found[frame.number] = others.pop(0)
        return found

    def gives_different(self, path: str, at: int, other: int) -> bool:
        """Whether an attribute has different values after a statement that writes it, which it had not before."""
        statement = self.left.statement(at)
        written = written_attributes(statement, path) if statement is not None else ()
        owner, _, name = written[0].rpartition(".") if written else ("", "", "")
        sides = ((self.left, at), (self.right, other))
        before, before_there = (attributes_in(side.value(owner, one)).get(name) for side, one in sides)
        after, after_there = (attributes_in(side.text_after(owner, one)).get(name) for side, one in sides)
        return before == before_there and None not in (after, after_there) and after != after_there

    def is_changed_differently(self, name: str, start: tuple[int, int], end: tuple[int, int]) -> bool:
        """Whether between two events an object has different attributes changed, or in a different order.

        Args:
            name: Its name.
            start: The first event of each side.
            end: The last event of each side; -1 where there is none.
        """
        ours, theirs = (
            changes(side.value(name, first), side.value(name, last) if last >= 0 else None)
            for side, first, last in zip((self.left, self.right), start, end, strict=True)
        )
        return ours != theirs and bool(ours) and bool(theirs)


class BothSides:
    """Gives what follows values through two replays their sides.

    Attributes:
        alignment: The two replays.
    """

    alignment: Alignment

    @property
    def _left(self) -> Side:
        return self.alignment.left

    @property
    def _right(self) -> Side:
        return self.alignment.right

"""The functions that a statement calls: those that end differently, and those that leave an object behind differently."""

from collections.abc import Callable
from dataclasses import dataclass

from durable_execution.replay.cause.followed_attributes import FollowedAttributes
from durable_execution.replay.cause.line_alignment import Alignment, BothSides
from durable_execution.replay.cause.statement_parts import called_name
from durable_execution.replay.lines.line_recording import Frame


@dataclass(frozen=True)
class FollowedCalls(BothSides):
    """Follows such functions for a slice.

    Attributes:
        alignment: The two replays.
        attributes: The attributes that the slice follows.
        statement: Follows a statement that ran in both.
        control: Follows what decided that a statement ran.
        decide: Notes the branch next to the parting call.
        value: Follows a value to the statement that wrote it.
    """

    alignment: Alignment
    attributes: FollowedAttributes
    statement: Callable[..., bool]
    control: Callable[[int, int], bool]
    decide: Callable[[int], None]
    value: Callable[[str, int, tuple[str, str], int], bool]

    def of(self, at: int, other: int, depth: int) -> bool:
        """Follow the functions that a statement calls and that end differently.

        One that only makes a name or field beside those that are followed counts last: it can decide the order of objects. It does
        not count beside a field that is followed and that no line makes: `field(default_factory=partial(randint, 1, 6))`.
        """
        beside = self.attributes.only_beside(at)
        first: list[Frame] = []
        last: list[Frame] = []
        for frame in self._left.called_at(at):
            if not self._left.goes_on_after(frame, at):
                is_other = called_name(frame) in beside or self.attributes.makes_other_field(frame, at)
                (last if is_other else first).append(frame)
        if self._any_ends(first, depth):
            return True
        return self._any_ends([one for one in last if not self.attributes.is_made_unseen(one, at)], depth)

    def _any_ends(self, frames: list[Frame], depth: int) -> bool:
        found = False
        for frame in frames:
            found = self.ends_differently(frame, depth) or found
        return found

    def changed_inside(self, at: int, other: int, depth: int) -> bool:
        """Follow the objects that functions called by a statement leave behind differently, such as one that they construct."""
        found = False
        for frame in self._left.called_at(at):
            number = self.alignment.frame(frame.number)
            end = self._left.end_of(frame.number)
            other_end = self._right.end_of(number) if number is not None else None
            if number is None or end is None or other_end is None:
                continue
            start, other_start = (
                self._left.recording.of_frame(frame.number)[0],
                self._right.recording.of_frame(number)[0],
            )
            for name in sorted(self._left.parameters(frame)):
                values = self.alignment.differing(name, end, other_end)
                if values is not None and (
                    self.alignment.differing(name, start, other_start) is None
                    or self.alignment.is_changed_differently(name, (start, other_start), (end, other_end))
                ):
                    found = self.value(name, end, values, depth + 1) or found
        return found

    def ends_differently(self, frame: Frame, depth: int) -> bool:
        """Follow how a function ended, if the two replays differ in it."""
        number = self.alignment.frame(frame.number)
        if number is None or self._left.outcome(frame) == self._right.outcome(self._right.frames[number]):
            return False
        return self.returned(frame, depth + 1)

    def returned(self, frame: Frame, depth: int) -> bool:
        """Follow the statement that decided how a function ended."""
        if (at := self._left.decided_end(frame.number)) is None:
            return False
        other = self.alignment.line(at)
        number = self.alignment.frame(frame.number)
        if other is not None and number is not None and self._right.decided_end(number) == other:
            return self.statement(at, other, depth)
        if other is not None and self._left.successor(at) != self._right.successor(other):
            self.decide(at)  # one ends behind a branch that the other takes
            return self.statement(at, other, depth, is_branch=True)
        return self.control(at, depth)

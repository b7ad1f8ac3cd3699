"""The origins that a slice finds: the statements that make the difference, and what else may make it at such a statement."""

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from durable_execution.replay.followed_attributes import FollowedAttributes
from durable_execution.replay.line_alignment import Alignment
from durable_execution.replay.line_recording import Frame
from durable_execution.replay.object_texts import differing
from durable_execution.replay.recorded_side import Side
from durable_execution.replay.shared_values import default_for
from durable_execution.replay.sliced import Origin
from durable_execution.replay.statements import Statement
from durable_execution.replay.text_making import addressed

_INNER = re.compile(r"[\[({ =]<[A-Za-z_]\w*>")
"""An object in a container whose value is not shown."""

MAX_OPAQUE = 40
"""How many such objects are followed to what made them."""


@dataclass
class FoundOrigins:
    """The origins of one slice.

    Attributes:
        alignment: The two replays.
        attributes: The attributes that the slice follows.
        origins: What was found, in this order.
        is_full: Whether the slice has ended, and follows nothing that a further origin depends on.
    """

    alignment: Alignment
    attributes: FollowedAttributes
    origins: list[Origin]
    is_full: bool = False
    _opaque: set[tuple[int, str]] = field(default_factory=set)

    @property
    def _left(self) -> Side:
        return self.alignment.left

    def note(self, origin: Origin) -> None:
        """Add an origin, once for each line."""
        if not self.is_full and all((one.file, one.line) != (origin.file, origin.line) for one in self.origins):
            self.origins.append(origin)

    def of_statement(
        self,
        statement: Statement,
        at: int,
        depth: int,
        *,
        kept: str | None = None,
        values: tuple[str, str] | None = None,
    ) -> Origin:
        """Return the statement at an event as an origin."""
        file = self._left.frames[self._left.events[at].frame].file
        reads = self._left.values(statement, at)
        is_addressed = bool(addressed(statement, reads, self._left.files))
        return Origin(file, statement.first, statement, kept, False, depth, values, reads, shows_address=is_addressed)

    def add(self, statement: Statement, at: int, depth: int) -> None:
        """Add a statement that differs although nothing that it reads does, and what keeps the values that it uses."""
        other = self.alignment.line(at)
        values = (self._left.effect(at), self.alignment.right.effect(other)) if other is not None else None
        for path, file, keeper in self.attributes.kept():
            if (is_kept := default_for(file, keeper, statement.calls)) is not None:
                self.note(Origin(file, keeper.first, keeper, path if is_kept else None, False, depth, values))
        frame = self._left.frames[self._left.events[at].frame]
        for owner, name in self._used(list(differing(*values)) if values is not None else []):
            made = self._left.field(owner, name, frame)
            if made is not None and default_for(*made, statement.calls) is False:
                self.note(Origin(made[0], made[1].first, made[1], None, False, depth, values))
        self.note(self.of_statement(statement, at, depth, values=values))
        for path, text in self._left.values(statement, at).items():
            is_unshown = (text or "").startswith("<") or (_INNER.search(text or "") and _uses_items(statement))
            if is_unshown and len(self._opaque) < MAX_OPAQUE:
                self._add_opaque(path, at, frame, depth + 1)

    def _used(self, fields: Sequence[tuple[str, str]]) -> Sequence[tuple[str, str]]:
        """Of the fields that differ in an object, those that the slice follows; all of them if it follows none."""
        followed = {(self._left.class_of(path, at), path.rpartition(".")[2]) for path, at, _ in self.attributes.uses}
        return [one for one in fields if one in followed] or fields

    def _add_opaque(self, path: str, at: int, frame: Frame, depth: int) -> None:
        """Add the statements that made an object which looks the same in both replays."""
        base = path.partition(".")[0]
        written = self._left.write_in(frame, base, at) if base == path else None
        if written is None and "." in path:
            written = self._left.write_anywhere(path, at)
        if written is None:
            if (kept := self._left.kept(path, at, frame)) is not None:
                self.note(Origin(kept[0], kept[1].first, kept[1], path, False, depth, is_opaque=True))
            return
        if (written, path) in self._opaque:
            return
        self._opaque.add((written, path))
        for one in (written, *self._makers(written)):
            made = self._left.statement(one)
            if made is not None:
                self.add(made, one, depth)

    def _makers(self, at: int) -> Iterator[int]:
        """Yield the lines that give an object which is not shown to the statement at an event."""
        for frame in self._left.called_at(at):
            end = self._left.decided_end(frame.number)
            if end is not None and (self._left.outcome(frame)[1] or "").startswith("<"):
                yield end
                yield from self._makers(end)


def _uses_items(statement: Statement) -> bool:
    """Whether a statement uses an attribute of an item: `records[0].created`."""
    nodes = (node for part in statement.parts for node in ast.walk(part))
    return any(isinstance(one, ast.Attribute) and isinstance(one.value, ast.Subscript) for one in nodes)

"""The origins that a slice finds: the statements that make the difference, and what else may make it at such a statement."""

import ast
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from durable_execution.replay.cause.followed_attributes import FollowedAttributes
from durable_execution.replay.cause.import_sources import source_at_import
from durable_execution.replay.cause.line_alignment import Alignment, BothSides
from durable_execution.replay.cause.object_texts import differing
from durable_execution.replay.cause.shared_values import class_around, default_for
from durable_execution.replay.cause.sliced import Origin
from durable_execution.replay.cause.statement_parts import leaves_out
from durable_execution.replay.cause.value_sources import Source, dependence_of
from durable_execution.replay.lines.line_recording import Frame
from durable_execution.replay.source.statements import Statement
from durable_execution.replay.source.text_making import addressed

_INNER = re.compile(r"[\[({ =]<[A-Za-z_]\w*>")
"""An object in a container whose value is not shown."""

MAX_OPAQUE = 40
"""How many such objects are followed to what made them."""


@dataclass
class FoundOrigins(BothSides):
    """The origins of one slice.

    Attributes:
        alignment: The two replays.
        attributes: The attributes that the slice follows.
        origins: What was found, in this order.
        follow: Follows what a statement reads, from its event and that of the other side; returns whether something differs.
        is_full: Whether the slice has ended, and follows nothing that a further origin depends on.
    """

    alignment: Alignment
    attributes: FollowedAttributes
    origins: list[Origin]
    follow: Callable[[int, int, int], bool]
    is_full: bool = False
    _opaque: set[tuple[int, str]] = field(default_factory=set)
    _traced: set[tuple[int, str]] = field(default_factory=set)

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

    def of_kept(
        self,
        path: str,
        at: int,
        frame: Frame,
        keeper: tuple[str, Statement],
        *,
        depth: int,
        values: tuple[str, str],
    ) -> Origin:
        """Return as an origin what keeps a value that is older than the replay, or what made it at import."""
        never_ran = self._never_ran(*keeper)
        file, statement = self._filled_at_import(path, frame) or keeper if never_ran else keeper
        reads = self._left.values(statement, at)
        return Origin(file, statement.first, statement, path, False, depth, values, reads, never_ran=never_ran)

    def _never_ran(self, file: str, statement: Statement) -> bool:
        """Whether a statement is in a function that did not run: what it changes differs since the import at the latest."""
        own = statement.function
        lines = {own.lineno, *(one.lineno for one in getattr(own, "decorator_list", []))} if own is not None else set()
        return bool(lines) and not any(one.file == file and one.first_line in lines for one in self._left.frames)

    def _filled_at_import(self, path: str, frame: Frame) -> tuple[str, Statement] | None:
        """The statement that made an object which functions fill when modules are imported, if their source is known."""
        made = self._left.made(path, frame)
        return made if made is not None and source_at_import(*made, path.rpartition(".")[2]) is not None else None

    def add(self, statement: Statement, at: int, depth: int) -> None:
        """Add a statement that differs although nothing that it reads does, and what keeps the values that it uses.

        If it is not known why it differs, an object that it uses and that looks the same in both replays may have been made from
        something that differs: then that counts.
        """
        if not self.is_known(statement, at) and self._made_differently(statement, at, depth):
            return
        other = self.alignment.line(at)
        values = (self._left.effect(at), self.alignment.right.effect(other)) if other is not None else None
        for path, file, keeper in self.attributes.kept():
            is_kept = default_for(file, keeper, statement.calls)
            if is_kept is not None and self._leaves_out(statement, at, path, class_around(file, keeper)):
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

    def _leaves_out(self, statement: Statement, at: int, path: str, owner: str | None) -> bool:
        file = self._left.frames[self._left.events[at].frame].file
        return owner is None or leaves_out(statement, owner, path.rpartition(".")[2], file)

    def is_known(self, statement: Statement, at: int) -> bool:
        """Whether it is known why the statement at an event gives a different value each time."""
        file = self._left.frames[self._left.events[at].frame].file
        found = dependence_of(statement, self._left.values(statement, at), file)
        return found is not None and found.source is not Source.GENERATOR

    def _made_differently(self, statement: Statement, at: int, depth: int) -> bool:
        """Follow the statements that made the objects which a statement uses and whose values are not shown, such as iterators."""
        frame = self._left.frames[self._left.events[at].frame]
        found = False
        for path, text in self._left.values(statement, at).items():
            if (text or "").startswith("<"):
                found = any(self._differs(one, path, depth) for one in self._writes(path, at, frame)) or found
        return found

    def _writes(self, path: str, at: int, frame: Frame) -> Iterator[int]:
        """Yield the statements that made or changed an object, the latest first."""
        for _ in range(MAX_OPAQUE):
            is_local = "." not in path
            written = self._left.write_in(frame, path, at) if is_local else self._left.write_anywhere(path, at)
            if written is None or written >= at:
                return
            yield written
            at = written

    def _differs(self, written: int, path: str, depth: int) -> bool:
        if (written, path) in self._traced:
            return False
        self._traced.add((written, path))
        found = False
        for one in (written, *self._makers(written)):
            other = self.alignment.line(one)
            found = (other is not None and self.follow(one, other, depth + 1)) or found
        return found

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

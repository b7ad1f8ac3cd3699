"""The attributes that a slice follows: which statement changes each, and which origins they lead to."""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from durable_execution.replay.cause.recorded_side import Side
from durable_execution.replay.cause.shared_values import default_for, field_made_by, makes_or_changes
from durable_execution.replay.cause.sliced import Origin
from durable_execution.replay.cause.statement_parts import beside, only_in
from durable_execution.replay.lines.line_recording import Frame
from durable_execution.replay.source.statement_names import keys_of
from durable_execution.replay.source.statements import Statement

Use = tuple[str, int, Frame]
"""An access path, the event that reads it, and its frame."""


@dataclass
class FollowedAttributes:
    """The attributes that a slice follows on one side.

    Attributes:
        side: The side.
        uses: Where they are read, in the order in which they are followed.
        mentioned: The names in the statements that are followed.
        names: The local names that are followed to a statement that gives them their values, by its event.
        keys: The keys of the dictionary that such a name holds that are followed; None if others may be, too.
    """

    side: Side
    uses: list[Use] = field(default_factory=list)
    mentioned: set[str] = field(default_factory=set)
    names: dict[int, set[str]] = field(default_factory=dict)
    keys: dict[int, frozenset[str] | None] = field(default_factory=dict)
    _led_to: dict[tuple[str, int], range] = field(default_factory=dict)

    def lead_to(self, path: str, at: int, origins: range) -> None:
        """Note the origins, by number, that were found while a path was followed."""
        if origins:
            self._led_to[path, at] = origins

    def note_keys(self, written: int, reader: Statement | None, name: str) -> None:
        """Note the keys by which a statement reads a name that another one, at an event, gives its value."""
        used = keys_of(reader.parts, name) if reader is not None else None
        known = self.keys.get(written, frozenset())
        self.keys[written] = known | used if known is not None and used is not None else None

    def changes_mentioned(self, statement: Statement, name: str) -> bool:
        """Whether a statement changes an attribute of an object that one of the statements that are followed names."""
        changed = {path.rpartition(".")[2] for path in statement.writes if path.startswith(f"{name}.")}
        return not changed.isdisjoint(self.mentioned)

    def kept(self) -> Iterator[tuple[str, str, Statement]]:
        """Yield each path with the file and the statement that keeps or makes its value."""
        for use in self.uses:
            found = self.side.kept(*use)
            if found is not None:
                yield use[0], *found

    def only_beside(self, at: int) -> frozenset[str]:
        """The names in the statement at an event that are only in parts of it that give other names and fields than those followed."""
        statement = self.side.statement(at)
        if statement is None:
            return frozenset()
        file = self.side.frames[self.side.events[at].frame].file
        return only_in(statement, beside(statement, self.names.get(at, ()), self._fields, file, self.keys.get(at)))

    def _fields(self, owner: str) -> set[str]:
        return {path.rpartition(".")[2] for path, at, _ in self.uses if self.side.class_of(path, at) == owner}

    def makes_other_field(self, frame: Frame, at: int) -> bool:
        """Whether a frame only makes the value of a field of an object of which another field is followed."""
        statement = self.side.statement(at)
        file = self.side.frames[self.side.events[at].frame].file
        made = field_made_by(frame, file, statement) if statement is not None else None
        if made is None:
            return False
        wanted = self._fields(made[0])
        return bool(wanted) and made[1] not in wanted

    def is_made_unseen(self, frame: Frame, at: int) -> bool:
        """Whether a field that is followed is made by a factory outside the code of the user, beside one that is in it: `frame`."""
        statement = self.side.statement(at)
        file = self.side.frames[self.side.events[at].frame].file
        made = field_made_by(frame, file, statement) if statement is not None else None
        if made is None or statement is None:
            return False
        seen = {field_made_by(one, file, statement) for one in self.side.called_at(at)}
        fields = (
            (name, self.side.field(made[0], name, frame))
            for name in self._fields(made[0])
            if (made[0], name) not in seen
        )
        return any(found is not None and default_for(*found, statement.calls) is False for _, found in fields)

    def pointed(self, origins: Sequence[Origin]) -> list[Origin]:
        """Sort the origins; point at the statement that changes an attribute, not at one that makes its object or calls the method."""
        return sorted(map(self._pointed, origins, range(len(origins))), key=lambda one: one.depth)

    def _pointed(self, origin: Origin, number: int) -> Origin:
        change = self._change(number) if origin.kept is not None else None
        if change is None:
            return origin
        path, file, statement = change
        own = origin.statement
        calls_it = getattr(statement.function, "name", "") in own.calls
        makes_object = own.function is None or isinstance(getattr(own.node, "value", None), ast.Call)
        if not (calls_it or makes_object):
            return origin
        return replace(origin, file=file, line=statement.first, statement=statement, kept=path, is_default=False)

    def _change(self, number: int) -> tuple[str, str, Statement] | None:
        """The first statement that changes an attribute, of those that lead to an origin."""
        for path, at, frame in self.uses:
            found = self.side.kept(path, at, frame) if number in self._led_to.get((path, at), (number,)) else None
            if found is not None and makes_or_changes(found[1]):
                return path, *found
        return None

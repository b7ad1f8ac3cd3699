"""Finds the line that makes two replays of the same code differ: a backward slice over two line recordings.

The slice starts at the call where the two part. It asks of a statement that differs: which of the values it reads differ, and
which of the functions it calls return something different? It follows those to the statements that wrote them, out to the
callers of parameters and into the functions called. Where a statement ran in one replay only, it asks the branch that decided
so. It ends at statements that differ although nothing they read does: those make the difference.

The first line that differs is not the answer: it is usually a harmless timer or log line. A slice visits only what the parting
call depends on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from durable_execution.replay.cause.followed_attributes import FollowedAttributes
from durable_execution.replay.cause.followed_calls import FollowedCalls
from durable_execution.replay.cause.found_origins import FoundOrigins
from durable_execution.replay.cause.handed_over import HandedOver
from durable_execution.replay.cause.line_alignment import Alignment, BothSides
from durable_execution.replay.cause.recorded_frames import index_of
from durable_execution.replay.cause.recorded_side import Side
from durable_execution.replay.cause.shared_values import (
    DESCRIPTORS,
    Asked,
    defaults_of,
    is_initial,
    may_show,
    parameters_of,
    passes,
)
from durable_execution.replay.cause.sliced import MAX_STEPS, Decision, Origin, deep_recursion
from durable_execution.replay.lines.line_recording import Frame, LineRecording
from durable_execution.replay.source.statement_names import keys_of
from durable_execution.replay.source.statements import Statement, source_of


@dataclass
class Slice(BothSides):
    """A backward slice from a call where two replays part.

    Attributes:
        alignment: The two replays.
        origins: The statements that make the difference, nearest first.
        decision: The branch or call next to the parting call.
        steps: How many values, branches and statements were followed.
    """

    alignment: Alignment
    origins: list[Origin] = field(default_factory=list)
    decision: Decision | None = None
    _visited: set[tuple[str, int, str]] = field(default_factory=set)
    _followed: dict[int, bool] = field(default_factory=dict)
    _values: dict[tuple[int, str], bool] = field(default_factory=dict)
    _decided: dict[int, bool] = field(default_factory=dict)
    _open: set[int] = field(default_factory=set)
    _asked: set[int] = field(default_factory=set)
    _arguments: dict[int, dict[str, Asked]] = field(default_factory=dict)
    _attributes: FollowedAttributes = field(init=False)
    _found: FoundOrigins = field(init=False)
    _calls: FollowedCalls = field(init=False)
    _handed_over: HandedOver = field(init=False)
    steps: int = 0
    _mirror: "Slice | None" = None

    @classmethod
    @deep_recursion()
    def from_call(cls, left: LineRecording, right: LineRecording, operation_id: str) -> "Slice":
        """Slice back from an operation whose call differs between two replays, or is made in one only."""
        ours, theirs = Side(left), Side(right)
        here, there = left.operation(operation_id), right.operation(operation_id)
        best = cls(Alignment(ours, theirs))
        for one, other, at, elsewhere in ((ours, theirs, here, there), (theirs, ours, there, here)):
            if at is None:
                continue
            found = cls(Alignment(one, other))
            found._call(at, elsewhere)  # of this class
            if found.origins:
                best = found
                break
        return best._finished()  # noqa: SLF001  # of this class

    @classmethod
    @deep_recursion()
    def from_result(cls, left: LineRecording, right: LineRecording) -> "Slice":
        """Slice back from the value that the handler returns."""
        ours, theirs = Side(left), Side(right)
        found = cls(Alignment(ours, theirs))
        for one, other in ((ours, theirs), (theirs, ours)):  # a loop may have a further round in either
            found = cls(Alignment(one, other))
            roots = [frame for frame in one.frames if frame.caller is None]
            if roots and found.alignment.frame(roots[0].number) is not None:
                found._calls.returned(roots[0], 0)
            if found.origins:
                break
        return found._finished()  # of this class

    @classmethod
    @deep_recursion()
    def from_error(cls, left: LineRecording, right: LineRecording) -> "Slice":
        """Slice back from the error that ends the first replay, and not the second."""
        found = cls(Alignment(Side(left), Side(right)))
        if (at := found._left.raised_at()) is not None:  # of this class
            found._differs_or_control(at, 0)
        return found._finished()  # of this class

    def __post_init__(self) -> None:
        self._attributes = FollowedAttributes(self._left)
        follow = partial(self._statement, is_terminal=False)
        self._found = FoundOrigins(self.alignment, self._attributes, self.origins, follow)
        self._calls = FollowedCalls(
            self.alignment, self._attributes, self._statement, self._control, self._decide, self._value
        )
        self._handed_over = HandedOver(
            self.alignment, self._statement, self._control, self._calls.of, self._calls.ends_differently
        )

    def _finished(self) -> "Slice":
        self.origins = self._attributes.pointed(self.origins)
        return self

    @property
    def is_short(self) -> bool:
        """Whether the slice came to values that a recording leaves out, so that it may be wrong."""
        return self._left.is_short or self._right.is_short

    def _call(self, here: int, there: int | None) -> None:
        if (at := self._left.line_before(here)) is None:
            return
        other = self._right.line_before(there) if there is not None else None
        if other is not None and self.alignment.same_place(at, other):
            if self._statement(at, other, 0):
                self._decide(at)
                return
        elif self.alignment.line(at) is not None:
            return  # both make this call, one of them after a call that the other does not make: that one decides
        self._control(at, 0)

    def _decide(self, at: int) -> None:
        statement = self._left.statement(at)
        if self.decision is None and statement is not None:
            self.decision = Decision(self._left.frames[self._left.events[at].frame].file, statement.first, statement)

    def _is_new(self, what: str, at: int, name: str = "") -> bool:
        key = (what, at, name)
        self.steps += 1
        self._found.is_full = self.steps > MAX_STEPS
        if key in self._visited or self._found.is_full:
            return False
        self._visited.add(key)
        return True

    # Control: why did a statement run in one replay only?

    def _control(self, at: int, depth: int) -> bool:
        """Follow the branch that decided that the statement at `at` runs, once. Returns whether one was found."""
        if self._is_new("control", at):
            self._decided[at] = self._branch(at, depth)
        return self._decided.get(at, False)

    def _branch(self, at: int, depth: int) -> bool:
        lines = self._left.lines(self._left.events[at].frame)
        for before in reversed(lines[: index_of(lines, at)]):
            other = self.alignment.line(before)
            if other is None:
                continue
            if self._left.successor(before) == self._right.successor(other) and self._left.raises(
                before
            ) == self._right.raises(other):
                continue
            self._decide(before)
            return self._statement(before, other, depth + 1, is_branch=True)
        frame = self._left.frames[self._left.events[at].frame]
        if frame.caller is None:
            mentioned = self._left.mention(frame)
            return mentioned is not None and self._differs_or_control(mentioned, depth + 1)
        caller = self._left.line_before(frame.caller)
        return caller is not None and self._differs_or_control(caller, depth + 1)

    def _differs_or_control(self, at: int, depth: int) -> bool:
        other = self.alignment.line(at)
        if other is not None and self._statement(at, other, depth, is_terminal=False):
            return True
        return self._control(at, depth)

    # Values: why does a statement differ?

    def _statement(self, at: int, other: int, depth: int, *, is_branch: bool = False, is_terminal: bool = True) -> bool:
        """Follow what differs in a statement that ran in both replays. Returns whether something does."""
        statement = self._left.statement(at)
        if statement is None:
            return False
        if self._is_new("statement", at):
            self._followed[at] = self._follow(statement, at, other, depth)
        if (found := self._followed.get(at)) is None:
            return False  # it is being followed
        if not found and (is_branch or is_terminal) and self._can_originate(statement, is_branch=is_branch):
            self._found.add(statement, at, depth)
            return True
        return found

    def _follow(self, statement: Statement, at: int, other: int, depth: int) -> bool:
        """Follow the functions that a statement calls and the values that it reads, once. Returns whether something differs."""
        self._left.needs(at)
        self._right.needs(other)
        self._attributes.mentioned |= statement.mentions
        self._open.add(at)
        found = self._calls.of(at, other, depth) or self._handed_over.to(statement, at, other, depth)
        if not found and statement.is_loop:
            found = self._calls.of(self._left.loop_start(at), other, depth)
        self._open.discard(at)
        if at in self._asked:
            return self._passes(statement, at, other, depth)
        if found or self._reads(statement, at, other, depth):
            return True
        known = len(self.origins)
        self._open.add(at)
        found = self._calls.changed_inside(at, other, depth)
        self._open.discard(at)
        is_passed = at in self._asked and len(self.origins) == known
        return self._passes(statement, at, other, depth) if is_passed else found

    def _passes(self, statement: Statement, at: int, other: int, depth: int) -> bool:
        """Follow what a statement passes to a function that it calls: a value that it reads, or one that it makes."""
        if not self._reads(statement, at, other, depth):
            self._found.add(statement, at, depth)
        return True

    def _reads(self, statement: Statement, at: int, other: int, depth: int) -> bool:
        """Follow the values that a statement reads and that differ; those that it needs for something else count last."""
        settled = self.alignment.settled(statement, at, self._arguments.get(at, {}))
        beside = self._attributes.only_beside(at)
        first: list[tuple[str, tuple[str, str]]] = []
        last: list[tuple[str, tuple[str, str]]] = []
        for path in sorted(self._left.reads_at(statement, at)):
            base = path.partition(".")[0]
            keys = keys_of(statement.parts, path)
            values = self.alignment.differing(path, at, other, keys) if base not in settled else None
            if values is not None and not self.alignment.shows_other_value(statement, at, other, values):
                (last if base in beside else first).append((path, values))
        return self._any_value(first, at, depth) or self._any_value(last, at, depth)

    def _any_value(self, differing: Sequence[tuple[str, tuple[str, str]]], at: int, depth: int) -> bool:
        found = False
        for path, values in differing:
            found = self._value(path, at, values, depth + 1) or found
        return found

    @staticmethod
    def _can_originate(statement: Statement, *, is_branch: bool) -> bool:
        return is_branch or statement.is_loop or bool(statement.calls) or bool(statement.reads)

    def _value(self, path: str, at: int, values: tuple[str, str], depth: int) -> bool:
        """Follow a value to the statement that wrote it, once. Returns whether one was found."""
        if self._is_new("value", at, path):
            known = len(self.origins)
            self._values[at, path] = self._source_of(path, at, values, depth)
            self._attributes.lead_to(path, at, range(known, len(self.origins)))
        return self._values.get((at, path), False)

    def _source_of(self, path: str, at: int, values: tuple[str, str], depth: int) -> bool:
        frame = self._left.frames[self._left.events[at].frame]
        base = path.partition(".")[0]
        is_local = base in self._left.recording.locals_at(at)
        if "." not in path:
            if is_local:
                return self._local(path, at, frame, values, depth)
            return self._shared(path, at, frame, values, depth)
        other = self.alignment.line(at)
        outer = self.alignment.differing(base, at, other) if other is not None else None
        parts = path.split(".")
        self._attributes.uses.append((path, at, frame))
        if any(self._attribute(".".join(parts[:length]), at, values, depth) for length in range(len(parts), 1, -1)):
            return True
        is_own = outer is not None and may_show(outer[0], parts[1])
        if is_local and self._passed(base, path.removeprefix(base), frame, values, depth):
            return True
        if is_local and outer is not None and is_own and self._value(base, at, outer, depth):
            return True
        if self._shared(path, at, frame, values, depth):
            return True
        if is_local and outer is not None and self._value(base, at, outer, depth):
            return True
        return is_local and self._handed_over.with_error(base, at, depth)

    def _passed(self, name: str, rest: str, frame: Frame, values: tuple[str, str], depth: int) -> bool:
        """Follow an attribute of a parameter to the same attribute of the module's object that the caller passed."""
        caller = self._left.line_before(frame.caller) if frame.caller is not None else None
        passed = self._left.passed(name, frame, caller) if caller is not None else None
        if caller is None or passed is None or passed.partition(".")[0] in self._left.recording.locals_at(caller):
            return False
        outer = self._left.frames[self._left.events[caller].frame]
        kept = self._left.kept(f"{passed}{rest}", caller, outer)
        if kept is not None and is_initial(kept[1]):
            return False  # made with its object, which is followed as a whole
        return self._value(f"{passed}{rest}", caller, values, depth)

    def _attribute(self, path: str, at: int, values: tuple[str, str], depth: int) -> bool:
        """Follow the last write of an attribute, if that statement differs itself or gives a different value."""
        written = self._left.write_anywhere(path, at)
        if written is None:
            return False
        other = self.alignment.line(written)
        if other is None:
            return self._control(written, depth)
        if self._statement(written, other, depth, is_terminal=False):
            return True
        return self.alignment.gives_different(path, written, other) and self._terminal(written, depth, values)

    def _local(self, name: str, at: int, frame: Frame, values: tuple[str, str], depth: int) -> bool:
        written = self._left.write_in(frame, name, at)
        if written is not None and (later := self.alignment.written_later(name, at, written)) is not None:
            return self._in_the_other(later, depth)
        if written is not None:
            self._attributes.note_keys(written, self._left.statement(at), name)
            return self._written(self._left.write_inside(written, name, at), name, values, depth)
        function = source_of(frame.file).function_at(frame.first_line, frame.function)
        if function is not None and name in parameters_of(function):
            return self._parameter(name, frame, function, values, depth)
        outer = self._left.enclosing(frame)
        if (
            outer is not None
            and self._left.write_anywhere(name, at) is None
            and self._is_new("closure", outer.number, name)
        ):
            return self._local(name, at, outer, values, depth)
        return self._shared(name, at, frame, values, depth)

    def _in_the_other(self, at: int, depth: int) -> bool:
        """Follow the branch that decided that a statement runs, which ran in the other replay only."""
        if self._mirror is None:
            self._mirror = Slice(Alignment(self._right, self._left), self.origins, _mirror=self)
        return self._mirror._asked_by(self, at, depth)  # noqa: SLF001  # of this class

    def _asked_by(self, asker: "Slice", at: int, depth: int) -> bool:
        self.steps = asker.steps  # together they go no deeper than one would
        found = self._control(at, depth)
        asker.steps, asker.decision = self.steps, asker.decision or self.decision
        return found

    def _written(self, written: int, name: str, values: tuple[str, str], depth: int) -> bool:
        other = self.alignment.line(written)
        if other is None:
            return self._control(written, depth) or self._terminal(written, depth, values)
        statement = self._left.statement(written)
        self._attributes.names.setdefault(written, set()).add(name)
        if statement is not None and name not in statement.binds:
            before, end = (
                self.alignment.differing(name, written, other, self._attributes.keys.get(written)),
                (self._left.after(written), self._right.after(other)),
            )
            if (
                before is not None
                and self.alignment.is_changed_differently(name, (written, other), end)
                and self._statement(
                    written,
                    other,
                    depth,
                    is_terminal=self._attributes.changes_mentioned(statement, name),
                )
            ):
                return True
            if before is not None and self._value(name, written, before, depth):
                return True  # changed in place: it differed already
        return self._statement(written, other, depth)

    def _parameter(self, name: str, frame: Frame, function: object, values: tuple[str, str], depth: int) -> bool:
        if frame.function.rpartition(".")[2] in DESCRIPTORS:
            return False  # called with an attribute of a class, which no statement names
        if self._handed_over.by_error(frame, depth):
            return True
        caller = self._left.maker_of(frame)
        if caller is not None and not self._uses_default(name, caller, frame, function):
            other = self.alignment.line(caller)
            if other is None:
                return self._control(caller, depth + 1)
            asked = self._arguments.setdefault(caller, {})
            asked.setdefault(frame.function.rpartition(".")[2], (function, set()))[1].add(name)
            is_passed = name != "self" or self._left.names(caller, frame)
            is_default = name in defaults_of(function) and not self.alignment.reads_differ(caller, other)
            if caller in self._open and is_passed and not is_default:
                self._asked.add(caller)
                return True  # the statement is being followed: it goes on with what it reads
            if caller not in self._open and self._statement(caller, other, depth + 1, is_terminal=is_passed):
                return True
        statement = source_of(frame.file).at(getattr(function, "lineno", frame.first_line))
        if statement is not None and name in defaults_of(function):
            self._found.note(Origin(frame.file, statement.first, statement, name, True, depth, values))
            return True
        return False

    def _uses_default(self, name: str, caller: int, frame: Frame, function: object) -> bool:
        if name not in defaults_of(function):
            return False
        statement = self._left.statement(caller)
        return statement is None or not passes(statement, frame.function.rpartition(".")[2], name, function)

    def _shared(self, path: str, at: int, frame: Frame, values: tuple[str, str], depth: int) -> bool:
        """Follow a value that is not the frame's own: a closure's, a module's, an attribute."""
        written = self._left.write_anywhere(path, at)
        if written is None:
            return self._kept(path, at, frame, values, depth)
        other = self.alignment.line(written)
        if other is None:
            return self._control(written, depth)
        statement = self._left.statement(written)
        if statement is not None and not self._statement(written, other, depth, is_terminal=False):
            made = self._left.made(path, frame) if "set" in statement.calls else None
            if made is not None and not self._found.is_known(statement, written):
                self._found.note(Origin(made[0], made[1].first, made[1], path, False, depth, values))
            else:
                self._found.note(self._found.of_statement(statement, written, depth, kept=path, values=values))
        return True

    def _kept(self, path: str, at: int, frame: Frame, values: tuple[str, str], depth: int) -> bool:
        """The value is older than the replay: point at the statement that keeps it, or that made it at import."""
        path = self._left.shared_path(path, at)
        found = self._left.kept(path, at, frame)
        owner = path.rpartition(".")[0]
        if found is None and owner and owner.partition(".")[0] not in self._left.recording.locals_at(at):
            return self._kept(owner, at, frame, values, depth)
        if found is None:
            return False
        origin = self._found.of_kept(path, at, frame, found, depth=depth, values=values)
        is_of_object = is_initial(origin.statement) and origin.statement.function is not None
        if is_of_object and ("value", at, owner) in self._visited:
            return True  # set by the constructor of an object that is followed itself
        self._found.note(origin)
        return True

    def _terminal(self, at: int, depth: int, values: tuple[str, str] | None) -> bool:
        if (statement := self._left.statement(at)) is None:
            return False
        self._left.needs(at)
        self._found.note(self._found.of_statement(statement, at, depth, values=values))
        return True

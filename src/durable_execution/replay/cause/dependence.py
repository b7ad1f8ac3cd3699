"""Finds every statement that one call of a replay depends on: a backward slice over a single line recording.

With one replay there is nothing to compare, so the slice follows every value that is read and every branch that decides
whether the call is made. A source such as the clock that is read on the way may have made the difference; one that is read
elsewhere, for a log line, has not.
"""

import ast
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from operator import itemgetter

from durable_execution.replay.cause.import_sources import source_at_import
from durable_execution.replay.cause.recorded_frames import Yielded
from durable_execution.replay.cause.recorded_side import Side
from durable_execution.replay.cause.shared_values import (
    CONSTRUCTORS,
    is_of_the_class,
    is_own,
    makes_iterator,
    writes_shared,
)
from durable_execution.replay.cause.skipped_writes import (
    changes,
    is_of_an_outer_function,
    nested_functions,
    shared_changes,
)
from durable_execution.replay.cause.sliced import Decision, Origin
from durable_execution.replay.cause.value_sources import Source, dependence_of
from durable_execution.replay.lines.line_recording import EventKind, Frame, LineRecording
from durable_execution.replay.source.statements import Statement, source_of, yields

MAX_STEPS = 4_000
MAX_VISITS = 25
"""How many runs of one line are followed, the latest first: a loop's other rounds depend on the same lines."""
CONTEXTS = ("<DurableContext>", "<BlockingContext>")
ADDING = frozenset({"append", "appendleft", "extend", "insert", "put", "put_nowait"})
"""Methods of containers that keep the order in which things are added."""

BRANCHES = (ast.If, ast.While, ast.For, ast.AsyncFor, ast.Match, ast.ExceptHandler)


@dataclass
class Dependences:
    """The statements that a call depends on.

    Attributes:
        origins: The statements, the nearest first, each with the branch through which the call depends on it; `kept` names a
            value that is older than the replay.
    """

    side: Side
    origins: list[tuple[Origin, Decision | None]] = field(default_factory=list)
    _decision: Decision | None = None
    _pending: deque[tuple[int, int, Decision | None]] = field(default_factory=deque)
    _seen: set[int] = field(default_factory=set)
    _names: set[tuple[int, str]] = field(default_factory=set)
    _visits: Counter[tuple[str, int]] = field(default_factory=Counter)
    _branched: dict[int, list[tuple[int, Statement]]] = field(default_factory=dict)
    _looked: set[tuple[str, int, str]] = field(default_factory=set)

    @cached_property
    def _ran(self) -> set[tuple[str, int]]:
        """The functions that ran, by file and first line."""
        return {(one.file, one.first_line) for one in self.side.frames}

    @cached_property
    def _given(self) -> list[tuple[int, frozenset[str]]]:
        """The names in the statements that make durable calls: functions among them are the bodies of steps and contexts."""
        calls = (at for at, event in enumerate(self.side.events) if event.kind is EventKind.OPERATION)
        lines = ((at, self.side.line_before(at)) for at in calls)
        found = ((at, self.side.statement(line)) for at, line in lines if line is not None)
        return [(at, one.mentions) for at, one in found if one is not None]

    def _given_between(self, since: int, at: int) -> frozenset[str]:
        return frozenset().union(*(names for call, names in self._given if since < call < at))

    @classmethod
    def of_call(cls, recording: LineRecording, operation_id: str) -> "Dependences":
        """Follow an operation that the replay calls; where it is not called, follow the last line that ran."""
        side = Side(recording)
        found = cls(side)
        at = recording.operation(operation_id)
        if at is None:
            calls = [n for n, event in enumerate(recording.events) if event.kind is EventKind.OPERATION]
            at = calls[-1] if calls else None
        if at is not None:
            found._run(at)
        return found

    @classmethod
    def of_error(cls, recording: LineRecording) -> "Dependences":
        """Follow the line that raised the error with which the replay ended."""
        side = Side(recording)
        found = cls(side)
        at = side.raised_at()
        if at is not None:
            found._run(at)
        return found

    def _run(self, at: int) -> None:
        self._add(self.side.line_before(at), 0)
        for branch in self._branches_before(at):
            self._add(branch, 1)
        for _ in range(MAX_STEPS):
            if not self._pending:
                return
            self._follow(*self._pending.popleft())

    def _branches_before(self, at: int) -> Iterator[int]:
        """Branches since the call before: the way that was not taken may have made the recorded call.

        Only code that has a durable context can make one.
        """
        side = self.side
        task = side.frames[side.events[at].frame].task
        for one in range(at - 1, -1, -1):
            event = side.events[one]
            if side.frames[event.frame].task != task:
                continue
            if event.kind is EventKind.OPERATION:
                return
            statement = side.statement(one) if event.kind is EventKind.LINE else None
            if statement is None or not isinstance(statement.node, BRANCHES):
                continue
            if any((text or "") in CONTEXTS for text in side.recording.locals_at(one).values()):
                yield one

    def _add(self, at: int | None, depth: int) -> None:
        if at is None or at in self._seen:
            return
        self._seen.add(at)
        event = self.side.events[at]
        place = (self.side.frames[event.frame].file, event.line)
        self._visits[place] += 1
        if self._visits[place] <= MAX_VISITS:
            self._pending.append((at, depth, self._decision))

    def _follow(self, at: int, depth: int, decision: Decision | None) -> None:
        side = self.side
        statement = side.statement(at)
        if statement is None:
            return
        side.needs(at)
        frame = side.frames[side.events[at].frame]
        if decision is None and isinstance(statement.node, BRANCHES):
            decision = Decision(frame.file, statement.first, statement)
        self._decision = decision
        reads, is_concurrent = side.values(statement, at), self._is_concurrent(at, statement, frame)
        self._note(
            Origin(frame.file, statement.first, statement, depth=depth, reads=reads, is_concurrent=is_concurrent)
        )
        for child in side.called_at(at):
            self._returned(child, depth + 1)
        for one in side.yields_at(at):
            self._yielded(one, depth + 1)
        for path in sorted(statement.reads):
            self._value(path, at, frame, depth + 1)
        self._control(at, statement, frame, depth + 1)

    def _yielded(self, given: Yielded, depth: int) -> None:
        """Follow the value that a generator gave, and the branches before it that might have given a different one."""
        self._add(given.at, depth)
        for at, branch in reversed(self._branches(given.frame)):
            if at < given.at and yields(branch.node):
                self._add(at, depth)

    def _returned(self, frame: Frame, depth: int) -> None:
        """Follow what a function returned or raised. One that runs to its end without a value decides nothing."""
        end = self.side.end_of(frame.number)
        at = self.side.decided_end(frame.number)
        if end is None or at is None:
            return
        statement = self.side.statement(at)
        is_value = statement is not None and isinstance(statement.node, ast.Return) and statement.node.value is not None
        if (
            is_value
            or (self.side.events[end].kind is EventKind.UNWIND and not self._is_cancelled(frame))
            or frame.function.endswith("<lambda>")
        ):
            self._add(at, depth)

    def _is_cancelled(self, frame: Frame) -> bool:
        texts = [self.side.events[at].text or "" for at in self.side.recording.of_frame(frame.number)]
        return any(text.startswith(("CancelledError", "GeneratorExit")) for text in texts)

    def _branches(self, frame: int) -> list[tuple[int, Statement]]:
        """The lines of a frame that branch or may leave a loop or the function."""
        found = self._branched.get(frame)
        if found is None:
            statements = ((at, self.side.statement(at)) for at in self.side.lines(frame))
            found = self._branched[frame] = [
                (at, one) for at, one in statements if one is not None and (one.exits or isinstance(one.node, BRANCHES))
            ]
        return found

    def _control(self, at: int, statement: Statement, frame: Frame, depth: int) -> None:
        """Follow the branches around a statement, those before it that could have left, and the call of its function."""
        around = set(statement.parents)
        branches = self._branches(frame.number)
        for one, before in reversed(branches[: bisect_left(branches, at, key=itemgetter(0))]):
            if before is not statement and (before.exits or before.first in around):
                self._add(one, depth)
        if frame.caller is not None:
            self._add(self.side.line_before(frame.caller), depth)
        self._add(self.side.maker_of(frame), depth)

    def _value(self, path: str, at: int, frame: Frame, depth: int) -> None:
        if (at, path) in self._names:
            return
        self._names.add((at, path))
        base, *rest = path.split(".")
        if base in self.side.recording.locals_at(at):
            self._skipped(base, frame, depth)
            self._add(self.side.write_in(frame, base, at), depth)
            self._add(self._nested_write(base, at, frame), depth)
            for branch in self._ways_to_write(base, at, frame):
                self._add(branch, depth)
            if not rest and (not self._is_closed_over(base, frame) or self._enclosed(base, at, frame, depth)):
                return
        parts = [base, *rest]
        for length in range(len(parts), 1 if base in self.side.recording.locals_at(at) and rest else 0, -1):
            self._shared(".".join(parts[:length]), at, frame, depth)

    def _nested_write(self, name: str, at: int, frame: Frame) -> int | None:
        """The last statement of a nested function that changes a local name, also one that runs in a task of its own."""
        source = source_of(frame.file)
        outer = source.function_at(frame.first_line, frame.function)
        inner = list(nested_functions(source, outer)) if outer is not None else []
        for one in self.side.writes_of(name, at) if inner else ():
            statement = self.side.statement(one)
            is_here = self.side.frames[self.side.events[one].frame].file == frame.file
            if is_here and statement is not None and any(statement.function is each for each in inner):
                return one if changes(statement, name, self.side.files) else None
        return None

    def _is_concurrent(self, at: int, statement: Statement, frame: Frame) -> bool:
        """Whether a statement adds to what is not its function's own, after an `await`, in one of several tasks."""
        function = source_of(frame.file).function_at(frame.first_line, frame.function)
        added = (
            {one.partition(".")[0] for one in statement.writes - statement.binds} if ADDING & statement.calls else ()
        )
        if function is None or all(is_own(frame.file, function, name) for name in added):
            return False
        runs = [one for one in self.side.frames if (one.file, one.first_line) == (frame.file, frame.first_line)]
        waits = (one.lineno for one in ast.walk(function) if isinstance(one, ast.Await))
        is_task = frame.parent is None or len({one.task for one in runs}) > 1
        return len(runs) > 1 and is_task and any(line < statement.first for line in waits)

    def _enclosed(self, name: str, at: int, frame: Frame, depth: int) -> bool:
        """Follow a variable of the function around that of a frame, if the replay ran it: it is not older than the replay."""
        outer = self.side.enclosing(frame)
        while outer is not None and self._is_closed_over(name, outer):
            outer = self.side.enclosing(outer)
        if outer is None:
            return False
        self._add(self.side.write_anywhere(name, at), depth)
        self._add(self.side.write_in(outer, name, at), depth)
        return True

    def _skipped(self, name: str, frame: Frame, depth: int) -> None:
        """Note the statements that write a local name in a nested function that the replay did not run again."""
        source = source_of(frame.file)
        outer = source.function_at(frame.first_line, frame.function)
        if outer is None or (frame.file, outer.lineno, name) in self._looked:
            return
        self._looked.add((frame.file, outer.lineno, name))
        for inner in nested_functions(source, outer):
            lines = {inner.lineno, *(one.lineno for one in getattr(inner, "decorator_list", []))}
            if any((frame.file, line) in self._ran for line in lines):
                continue
            statement = next(
                (one for one in source if one.function is inner and changes(one, name, self.side.files)), None
            )
            if statement is not None:
                self._note(Origin(frame.file, statement.first, statement, name, depth=depth, is_skipped=True))

    def _skipped_shared(self, path: str, at: int, frame: Frame, depth: int, *, since: int) -> None:
        """Note the statements that change an attribute or a module's value in the body of a step or of a finished context.

        Only bodies that were given to calls between its last change in the replay and its use matter.
        """
        owner = self.side.class_of(path, at)
        files = self.side.files if owner is not None else (frame.file,)
        is_of_module = any(one.function is None and path in one.binds for one in source_of(frame.file))
        if owner is None and not is_of_module:
            return  # which value it is does not show: others may have the same name
        given = self._given_between(since, at)
        if not given or (frame.file, 0, f"{owner} {path}") in self._looked:
            return
        self._looked.add((frame.file, 0, f"{owner} {path}"))
        for file, statement in shared_changes(path, owner, files, given, self._ran):
            self._note(Origin(file, statement.first, statement, path, depth=depth, is_skipped=True))

    def _ways_to_write(self, name: str, at: int, frame: Frame) -> Iterator[int]:
        """Branches that ran before `at` and in whose body a name is written: it may not have been, this time."""
        source = source_of(frame.file)
        function = source.function_at(frame.first_line, frame.function)
        headers = {
            line
            for statement in source
            if function is not None and statement.function is function and name in statement.writes
            for line in statement.parents
        }
        for one in self.side.lines(frame.number) if headers else ():
            statement = source.at(self.side.events[one].line) if one < at else None
            if statement is not None and statement.first in headers and isinstance(statement.node, BRANCHES):
                yield one

    def _shared(self, path: str, at: int, frame: Frame, depth: int) -> None:
        """Follow a value that is not the frame's own: a closure's, a module's, an attribute."""
        written = self.side.write_anywhere(path, at)
        self._skipped_shared(path, at, frame, depth, since=written or 0)
        if written is not None:
            self._add(written, depth)
            return
        path = self.side.shared_path(path, at)
        kept = self.side.kept(path, at, frame)
        if kept is not None:
            file, statement = kept
            is_plain = "." not in path and statement is not self.side.statement(at)
            if is_plain and is_of_an_outer_function(file, statement.function, path):
                return  # a variable of another function, or of another run of it
            reads = self.side.values(statement, at)
            self._note(Origin(file, statement.first, statement, path, depth=depth, reads=reads))

    def _note(self, origin: Origin) -> None:
        self.origins.append((origin, self._decision))

    def _is_closed_over(self, name: str, frame: Frame) -> bool:
        """Whether a name belongs to a function around that of a frame."""
        function = source_of(frame.file).function_at(frame.first_line, frame.function)
        return function is not None and not is_own(frame.file, function, name)


def depends_on_kept_state(recording: LineRecording, operation_ids: Iterable[str]) -> bool:
    """Whether one of the calls depends on what code keeps between executions, so it may differ only in a later replay."""
    made = [one for one in operation_ids if recording.operation(one) is not None]
    found = (origin for one in made for origin, _ in Dependences.of_call(recording, one).origins)
    return any(map(outlives_the_execution, found))


def depends_on_order(recording: LineRecording, operation_ids: Iterable[str]) -> bool:
    """Whether one of the calls depends on the order of a set, or on a hash, also by way of a value that was made at import."""
    made = [one for one in operation_ids if recording.operation(one) is not None]
    return any(map(_uses_order, (origin for one in made for origin, _ in Dependences.of_call(recording, one).origins)))


def _uses_order(origin: Origin) -> bool:
    found = dependence_of(origin.statement, origin.reads, origin.file)
    if found is None and origin.kept is not None and origin.statement.function is None:
        source = source_at_import(origin.file, origin.statement, origin.kept.rpartition(".")[2])
        found = source[1].dependence if source is not None else None
    return found is not None and found.source in (Source.ORDER, Source.HASH)


def outlives_the_execution(origin: Origin) -> bool:
    """Whether a statement changes a value that was made before the replay: at import, or by an object that is older."""
    if origin.kept is None:
        return False
    owner, _, name = origin.kept.rpartition(".")
    if origin.statement.function is None:
        is_of_class = owner not in ("", "self") and is_of_the_class(origin.file, origin.statement, origin.kept)
        writers = (one for one in source_of(origin.file) if one.function is not None)
        is_replaced = is_of_class and any(writes_shared(one, origin.kept) for one in writers)
        return is_replaced or makes_iterator(origin.statement)
    if owner:
        made = [one for one in source_of(origin.file) if name in {path.rpartition(".")[2] for path in one.writes}]
        return any(
            getattr(one.function, "name", "") in CONSTRUCTORS or is_of_the_class(origin.file, one, origin.kept)
            for one in made
        )
    return not is_own(origin.file, origin.statement.function, name)

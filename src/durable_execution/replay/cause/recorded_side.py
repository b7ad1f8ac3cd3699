"""One of the two recordings of a slice: its frames, and the values that its statements read and wrote."""

import ast
import re
from collections.abc import Iterator
from functools import cached_property

from durable_execution.replay.cause.object_texts import enum_of
from durable_execution.replay.cause.recorded_frames import RecordedFrames, index_of
from durable_execution.replay.cause.shared_values import (
    bound_attributes,
    hierarchy,
    is_closed_over,
    kept_in,
    makes,
    parameters_of,
    passed_path,
    writes_shared,
    written_attributes,
)
from durable_execution.replay.lines.line_recording import EventKind, Frame, LineRecording, Values
from durable_execution.replay.source.statement_names import keys_of
from durable_execution.replay.source.statements import Statement, calls_of, imported, source_of, yields

RESULTS = frozenset({"result", "exception", "get"})
"""Methods that give what a thread has computed."""

_INSTANCE = re.compile(r"<?([A-Za-z_]\w*)[(>]")
"""The text of an object, whether its attributes are shown or not."""


CLASS = "<class "
"""Begins the text of a class."""


class Side(RecordedFrames):
    """One of the two recordings: what its frames did, and the values that they used and wrote."""

    def __init__(self, recording: LineRecording) -> None:
        super().__init__(recording)
        self.is_short = False
        """Whether something was asked that depends on values that the recording leaves out."""

    def needs(self, at: int) -> None:
        """Note that the values at an event are needed."""
        self.is_short = self.is_short or self.recording.is_blank(at)

    @cached_property
    def _writes(self) -> dict[str, list[int]]:
        """LINE events by the last part of each name that they write."""
        found: dict[str, list[int]] = {}
        for at, event in enumerate(self.events):
            statement = self.statement(at) if event.kind is EventKind.LINE else None
            for name in {path.rpartition(".")[2] for path in statement.writes} if statement is not None else ():
                found.setdefault(name, []).append(at)
        return found

    def writes_of(self, name: str, before: int) -> list[int]:
        """LINE events before an event that write a name, or an attribute of this name, latest first."""
        return [one for one in reversed(self._writes.get(name, [])) if one < before]

    def reads_at(self, statement: Statement, at: int) -> set[str]:
        """The paths whose values the statement at an event uses, also a local name that it calls: it may be a `partial`."""
        called = {call.func.id for call in calls_of(statement) if isinstance(call.func, ast.Name)}
        return {*statement.reads, *self.events[at].reads, *(called & self.recording.locals_at(at).keys())}

    def values(self, statement: Statement, at: int) -> Values:
        """The values that the statement at an event reads, as far as they are recorded; those of properties too."""
        known: dict[str, str | None] = {**self.recording.locals_at(at), **self.events[at].reads}
        found = {path: known[path] for path in statement.reads if path in known}
        returned = {one.function.rpartition(".")[2]: self.outcome(one)[1] for one in self.called_at(at)}
        computed = {path for path in statement.reads - found.keys() if "." in path} if returned else ()
        found.update((path, returned[last]) for path in computed if (last := path.rpartition(".")[2]) in returned)
        for call in calls_of(statement) if returned else ():
            name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
            if name in returned:
                found[ast.unparse(call)] = returned[name]
        return found

    def value(self, path: str, at: int) -> str | None:
        """The value of a path at an event, or of the object that has it; None if neither is recorded."""
        values = self.recording.locals_at(at)
        while path:
            found = self.events[at].reads.get(path, values.get(path))
            if found is not None:
                return found
            path = path.rpartition(".")[0]
        return None

    def text_after(self, name: str, at: int) -> str | None:
        """The text of a local name when the statement at a LINE event had ended."""
        end = self.after(at)
        return self.recording.locals_at(end).get(name) if end >= 0 else None

    def awaited_at(self, statement: Statement, at: int) -> Iterator[Frame]:
        """First frames of tasks or threads that a statement waits for: it reads what was made with their function."""
        if RESULTS & statement.calls:
            for path in sorted(statement.reads):
                given = self.write_in(self.frames[self.events[at].frame], path, at)
                yield from self.called_at(given) if given is not None else ()
        if not any(isinstance(node, ast.Await) for part in statement.parts for node in ast.walk(part)):
            return
        frame = self.frames[self.events[at].frame]
        made = [self.write_in(frame, path, at) for path in statement.reads]
        makers = [self.statement(one) for one in made if one is not None]
        end = self.end_of_statement(at)
        for one in self.frames:
            mentioned = one.function.rpartition(".")[2]
            ended = self.end_of(one.number) if one.caller is None else None
            if ended is not None and ended < end and any(maker and mentioned in maker.mentions for maker in makers):
                yield one

    def parameters(self, frame: Frame) -> set[str]:
        """The parameters of a frame's function."""
        function = source_of(frame.file).function_at(frame.first_line, frame.function)
        return parameters_of(function) if function is not None else set()

    def effect(self, at: int) -> str:
        """What the statement at a LINE event gave, as text: the changed locals, or the value or error of its frame."""
        events = self.recording.of_frame(self.events[at].frame)
        found: list[str] = []
        for one in events[index_of(events, at) + 1 :]:
            event = self.events[one]
            found += [text for text in (*event.changed.values(), event.text) if text]
            if event.kind is EventKind.LINE:
                break
        return " ".join(found)

    def passed(self, name: str, frame: Frame, at: int) -> str | None:
        """The access path that the statement at an event passes as a parameter of the function of a frame, if it is one."""
        statement = self.statement(at)
        function = source_of(frame.file).function_at(frame.first_line, frame.function)
        if statement is None or function is None or name not in parameters_of(function):
            return None
        return passed_path(statement, function, name)

    def names(self, at: int, frame: Frame) -> bool:
        """Whether the statement at an event names the function of a frame: it may also be called by a library."""
        statement = self.statement(at)
        name = frame.function.rpartition(".")[2]
        return statement is None or name in statement.mentions or name.startswith("__")

    def outcome(self, frame: Frame) -> tuple[str, str | None]:
        """How a frame ended: kind and value."""
        end = self.end_of(frame.number)
        if end is None:
            return "open", None
        self.needs(end)
        kind, text = self.events[end].kind, self.events[end].text
        if kind is EventKind.UNWIND:
            raised = (self.events[at] for at in reversed(self.recording.of_frame(frame.number)))
            text = next((one.text for one in raised if one.kind is EventKind.EXCEPTION), None)
        return kind.value, text

    def write_in(self, frame: Frame, name: str, before: int) -> int | None:
        """The last statement of a frame before an event that writes a name, or during which its value changed."""
        events = self.recording.of_frame(frame.number)
        keys, changed = self._keys_at(before, name), False
        for index in range(index_of(events, before), -1, -1):
            if index >= len(events):
                continue
            one = events[index]
            event = self.events[one]
            if event.kind is EventKind.LINE and one < before and self._writes_other_keys(one, name, keys):
                changed = False
                continue
            if changed and event.kind is EventKind.LINE and one < before:
                return one
            if event.kind is EventKind.LINE and one < before:
                statement = self.statement(one)
                if statement is not None and name in statement.writes:
                    return one
            if name in event.changed and event.kind is not EventKind.CALL:
                changed = True
        return None

    def write_inside(self, at: int, name: str, before: int) -> int:
        """The write of a function that was called in the statement at an event and changes a name of its caller, or `at`."""
        statement, inside = self.statement(at), self.write_anywhere(name, before)
        if inside is None or inside < at or statement is None or name in statement.writes:
            return at
        writer = self.statement(inside)
        return inside if writer is not None and is_closed_over(writer.function, name) else at

    def enclosing(self, frame: Frame) -> Frame | None:
        """The frame of the function in which a frame's function is defined, whose variables it uses."""
        outer = frame.function.rpartition(".<locals>.")[0]
        if not outer:
            return None
        started = self.recording.of_frame(frame.number)[0]
        earlier = (one for one in reversed(self.frames) if one.file == frame.file and one.function == outer)
        return next((one for one in earlier if self.recording.of_frame(one.number)[0] < started), None)

    def write_anywhere(self, path: str, before: int) -> int | None:
        """The last statement before an event that writes a shared name, or an attribute of this name of such an object."""
        wanted, keys = self.class_of(path, before), self._keys_at(before, path)
        owner_class = self._class_named(path, before)
        writes = self._writes.get(path.rpartition(".")[2], [])
        for one in reversed(writes[: index_of(writes, before)]):
            statement = self.statement(one)
            if statement is None or not writes_shared(statement, path) or self._writes_other_keys(one, path, keys):
                continue
            if owner_class is not None and self._is_of_others(statement, path, one, owner_class):
                continue
            owners = {self.class_of(written, one) for written in written_attributes(statement, path)}
            if wanted is None or not owners or owners & {wanted, None}:
                return one
        return None

    def _class_named(self, path: str, at: int) -> str | None:
        """The name of the class whose own attribute a path names: its object is a class, or a name of one in the module."""
        base = path.rpartition(".")[0]
        text = self._owner(path, at)
        if text is not None or not base or base.partition(".")[0] in self.recording.locals_at(at):
            return text[len(CLASS) : -1].rpartition(".")[2] if text is not None and text.startswith(CLASS) else None
        origin, name = imported(self.frames[self.events[at].frame].file, base)
        is_class = any(isinstance(one.node, ast.ClassDef) and name in one.binds for one in source_of(origin))
        return name if is_class else None

    def _is_of_others(self, statement: Statement, path: str, at: int, kind: str) -> bool:
        """Whether a statement only writes attributes of objects that do not have theirs from a class."""
        written = written_attributes(statement, path)
        owners = [_INSTANCE.match(self._owner(one, at) or "") for one in written]
        is_new = isinstance(statement.node, (ast.Assign, ast.AnnAssign)) and bound_attributes(statement).issuperset(
            written
        )
        return all(one is not None and (is_new or kind not in hierarchy(self.files, one[1])) for one in owners)

    def _keys_at(self, at: int, path: str) -> frozenset[str] | None:
        """The keys of a dictionary that the statement at an event uses; None if it may use others, too."""
        statement = self.statement(at) if self.events[at].kind is EventKind.LINE else None
        return keys_of(statement.parts, path) if statement is not None else None

    def _writes_other_keys(self, at: int, path: str, keys: frozenset[str] | None) -> bool:
        """Whether the statement at an event writes to a dictionary under other keys only."""
        written = self._keys_at(at, path) if keys is not None else None
        return keys is not None and written is not None and keys.isdisjoint(written)

    def shared_path(self, path: str, at: int) -> str:
        """The path of the value that outlives the function: the enum, for an attribute of one of its members."""
        return enum_of(self._owner(path, at)) or path

    def class_of(self, path: str, at: int) -> str | None:
        """The class of the object whose attribute a path names, as far as its text tells."""
        text = self._owner(path, at)
        found = _INSTANCE.match(text) if text is not None else None
        return found[1] if found is not None else None

    def _owner(self, path: str, at: int) -> str | None:
        """The text of the object whose attribute a path names, as far as it is recorded."""
        base = path.rpartition(".")[0]
        return self.recording.locals_at(at).get(base) or self.events[at].reads.get(base) if base else None

    def maker_of(self, frame: Frame) -> int | None:
        """The statement that called the function of a frame; that made it, for a generator that is advanced elsewhere."""
        caller = self.line_before(frame.caller) if frame.caller is not None else None
        if caller is not None and (self.names(caller, frame) or not self._is_generator(frame)):
            return caller
        made = self.mention(frame)
        return made if made is not None else caller

    def _is_generator(self, frame: Frame) -> bool:
        function = source_of(frame.file).function_at(frame.first_line, frame.function)
        return function is not None and yields(function)

    def mention(self, frame: Frame) -> int | None:
        """The last statement before a task's first frame that names its function: it created the task or passed the function."""
        name = frame.function.rpartition(".")[2]
        start = self.recording.of_frame(frame.number)[0]
        for one in range(start - 1, -1, -1):
            if self.events[one].kind is not EventKind.LINE:
                continue
            statement = self.statement(one)
            if statement is None:
                continue
            file = self.frames[self.events[one].frame].file
            if name in statement.mentions and name not in statement.writes:
                return one
            if name == "<lambda>" and file == frame.file and statement.first <= frame.first_line <= statement.last:
                return one
        return None

    def kept(self, path: str, at: int, frame: Frame) -> tuple[str, Statement] | None:
        """The statement that keeps a value older than the replay, or that made it at import, with its file."""
        own = self.statement(at)
        if own is not None and writes_shared(own, path):
            return frame.file, own
        return kept_in(self._files(frame), path, self.class_of(path, at), self._class_named(path, at))

    def field(self, owner: str, name: str, frame: Frame) -> tuple[str, Statement] | None:
        """The statement in the body of a class that makes an attribute of its objects, with its file."""
        return kept_in(self._files(frame), f"{owner}.{name}", owner)

    def _files(self, frame: Frame) -> list[str]:
        """The files that ran, that of a frame first."""
        return list(dict.fromkeys([frame.file, *self.files]))

    def made(self, path: str, frame: Frame) -> tuple[str, Statement] | None:
        """The statement that made a value when its module was imported, with its file."""
        origin, path = imported(frame.file, path)
        return next(((origin, one) for one in source_of(origin) if one.function is None and makes(one, path)), None)

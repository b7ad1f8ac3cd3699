"""Records a replay line by line, on `sys.monitoring` (Python 3.12 and later) or `sys.settrace` (3.11).

Only user code is recorded. Both backends report the same events: they distinguish a suspended coroutine from a returned one,
the `StopIteration` that ends every `await` is left out, and frames of list, dict and set comprehensions and of generator
expressions do not appear (from 3.12 on, most of them are no frames).

`sys.settrace` has one slot for each thread. A tracer that is active (a debugger, coverage) is put aside while the recorder
runs and restored afterwards. The recorder is active in the threads that enter `here()`: pool threads are reused, so the
replay enters it where user code starts on a thread and leaves it there.
"""

import enum
import sys
import threading
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any, TypeVar

from durable_execution.protocol.ids import task_path
from durable_execution.replay.lines.line_recording import NOTHING, EventKind, Frame, LineEvent, LineRecording, Values
from durable_execution.replay.lines.probes import Probe, Probes
from durable_execution.replay.lines.stored_values import OPAQUE, attribute
from durable_execution.replay.lines.tracers import (
    BLOCKING_START,
    Monitoring,
    RecordedCode,
    RunningFrame,
    Tracer,
    Tracing,
)
from durable_execution.replay.lines.value_text import ATOMS, PLAIN_TYPES, Secrets, ValueText
from durable_execution.replay.source.statements import names_at
from durable_execution.replay.suspects import Owner, owner_of
from durable_execution.runtime.loop import scope as running_scope
from durable_execution.runtime.scope import ContextScope, TaskScope

T = TypeVar("T")

MAX_EVENTS = 400_000
"""Events of one recording: 3,000 operations, the service's limit, make about 20,000."""

Paths = Callable[[str, int], Sequence[str]]
"""The access paths that the statement at a file and line reads besides local names: `RATES.eur`, `self.count`."""

SKIPPED_FUNCTIONS = frozenset({"<listcomp>", "<dictcomp>", "<setcomp>", "<genexpr>"})

STABLE = frozenset({types.FunctionType, types.BuiltinFunctionType, types.ModuleType, type})


class LineRecorder:
    """Records one replay.

    Args:
        is_recorded: Whether code of a file is recorded; by default, user code is.
        secrets: Rules for values that must not be recorded.
        known: Secrets of the recording, which are hidden under every name.
        paths: Further values to record with each line; see `LineEvent.reads`.
        probes: Expressions to evaluate; their values are among the reads of a line, by expression.
        limit: Most events; the recording is cut there.
        longest: Longest text of a value; see `ValueText`.
        blank: The first call after which no values are recorded, and the call after which they are again, counted from 0.
    """

    def __init__(
        self,
        *,
        is_recorded: Callable[[str], bool] | None = None,
        secrets: Secrets | None = None,
        known: Iterable[str] = (),
        paths: Paths | None = None,
        probes: Sequence[Probe] = (),
        limit: int = MAX_EVENTS,
        longest: int | None = None,
        blank: tuple[int, int] | None = None,
    ) -> None:
        self._is_recorded = is_recorded or is_user_code
        self._text = ValueText(secrets, known, longest=longest)
        self._paths = paths
        self._probes = Probes(probes, self._text.of) if probes else None
        self._limit = limit
        self._is_cut = False
        self._blank = blank or (0, 0)
        self._calls = 0
        self._is_blank = False
        self._left_out = (0, 0)
        self._lock = threading.Lock()
        self._frames: list[Frame] = []
        self._events: list[LineEvent] = []
        self._codes: dict[int, RecordedCode | None] = {}
        self._kept: list[CodeType] = []
        self._running: dict[int, RunningFrame] = {}
        self._latest: RunningFrame | None = None
        self._blocked: dict[int, tuple[RunningFrame, int]] = {}
        self._tasks: dict[int, tuple[Any, str]] = {}
        self._started: dict[int, tuple[int, int] | None] = {}
        self._backend: Tracer = Monitoring(self) if hasattr(sys, "monitoring") else Tracing(self)

    def run(self, function: Callable[[], T]) -> T:
        """Call a function in this thread, and record what it runs."""
        with self.here():
            return function()

    @contextmanager
    def here(self, started: tuple[int, int] | None = None) -> Iterator[None]:
        """Record what this thread runs until the block ends. May be nested and used by several threads at once.

        Args:
            started: Where the thread was started, or the work was given to it; see `place_of`.
        """
        thread = threading.get_ident()
        before = self._started.get(thread)
        self._started[thread] = started
        leave = self._backend.enter()
        try:
            yield
        finally:
            leave()
            self._started[thread] = before

    def place_of(self, frame: FrameType) -> tuple[int, int] | None:
        """Return the recorded frame that runs, and its last event."""
        running = self._nearest(frame)
        return (running.number, running.last) if running is not None else None

    def recording(self) -> LineRecording:
        """Return what was recorded, and release the frames."""
        self._backend.close()
        self._running.clear()
        self._blocked.clear()
        first, end = self._left_out
        return LineRecording(
            self._frames, self._events, self._is_cut, (first, len(self._events) if self._is_blank else end)
        )

    # What the backends report.

    def code_of(self, code: CodeType) -> RecordedCode | None:
        """Return what is known of a function; None if it is not recorded."""
        key = id(code)
        try:
            return self._codes[key]
        except KeyError:
            self._kept.append(code)
            is_wanted = code.co_name not in SKIPPED_FUNCTIONS and not code.co_filename.startswith("<")
            found = RecordedCode(code) if is_wanted and self._is_recorded(code.co_filename) else None
            self._codes[key] = found
            return found

    def entered(self, frame: FrameType, code: RecordedCode) -> RunningFrame:
        """A frame starts or resumes."""
        running = self._running.get(id(frame))
        if running is not None:
            running.is_stale = running.is_stale or self._latest is not running
            self._add(running, EventKind.RESUME, frame.f_lineno)
            return running
        place = self.place_of(frame.f_back) if frame.f_back is not None else None
        place = place or self._started.get(threading.get_ident())
        with self._lock:
            running = RunningFrame(len(self._frames), code, frame)
            self._frames.append(
                Frame(
                    running.number,
                    code.file,
                    code.code.co_qualname,
                    code.code.co_firstlineno,
                    place[0] if place is not None else None,
                    place[1] if place is not None else None,
                    self._task(),
                )
            )
        self._running[id(frame)] = running
        self._add(running, EventKind.CALL, code.code.co_firstlineno, self._changes(running))
        return running

    def running(self, frame: FrameType) -> RunningFrame | None:
        """Return what is known of a frame that has started."""
        return self._running.get(id(frame))

    def line(self, running: RunningFrame, line: int) -> None:
        """A line is about to run."""
        reads = self._reads(running, line) if self._paths is not None else NOTHING
        if self._probes is not None and not self._is_cut:
            found = self._probes.values(running.frame, running.code.file, line, len(self._events))
            reads = {**reads, **found} if found else reads
        self._add(running, EventKind.LINE, line, self._changes(running), None, reads)
        running.line = line

    def suspended(self, running: RunningFrame, value: Any) -> None:
        """A coroutine gives up control, or a generator gives a value."""
        text = self._text.value(value) if running.code.yields and not self._is_blank else None
        self._add(running, EventKind.SUSPEND, running.frame.f_lineno, self._changes(running), text)

    def raised(self, running: RunningFrame, error: BaseException) -> None:
        """An exception is raised in a frame, or passes through it."""
        self._add(running, EventKind.EXCEPTION, running.frame.f_lineno, self._changes(running), self._text.value(error))

    def returned(self, running: RunningFrame, value: Any) -> None:
        """A frame returns."""
        text = self._text.value(value) if not self._is_blank else None
        self._add(running, EventKind.RETURN, running.frame.f_lineno, self._changes(running), text)
        self._running.pop(id(running.frame), None)

    def unwound(self, running: RunningFrame) -> None:
        """A frame ends with an exception."""
        self._add(running, EventKind.UNWIND, running.frame.f_lineno, self._changes(running))
        self._running.pop(id(running.frame), None)

    def blocked(self, frame: FrameType) -> None:
        """Blocking code passes an operation to the event loop."""
        running = self._nearest(frame.f_back)
        if running is not None:
            self._blocked[id(frame.f_locals["self"])] = running, running.frame.f_lineno

    def reserved(self, frame: FrameType, call: Any) -> None:
        """The runtime reserved the id of an operation that user code calls."""
        self._count_call()
        outer = frame.f_back
        while outer is not None:
            running = self._running.get(id(outer))
            if running is not None:
                self._add(running, EventKind.OPERATION, outer.f_lineno, NOTHING, call.id)
                return
            if outer.f_code is BLOCKING_START:
                running, line = self._blocked.get(id(outer.f_locals["self"]), (None, 0))
                if running is not None:
                    self._add(running, EventKind.OPERATION, line, NOTHING, call.id)
                return
            outer = outer.f_back

    def _count_call(self) -> None:
        with self._lock:
            first, end = self._blank
            is_blank = first <= self._calls < end
            self._calls += 1
            if is_blank and not self._is_blank:
                self._left_out = (len(self._events), 0)
            elif self._is_blank and not is_blank:
                self._left_out = (self._left_out[0], len(self._events))
            self._is_blank = is_blank

    def _nearest(self, frame: FrameType | None) -> RunningFrame | None:
        while frame is not None:
            running = self._running.get(id(frame))
            if running is not None:
                return running
            frame = frame.f_back
        return None

    def _add(
        self,
        running: RunningFrame,
        kind: EventKind,
        line: int,
        changed: Values = NOTHING,
        text: str | None = None,
        reads: Values = NOTHING,
    ) -> None:
        if self._is_cut:
            return
        with self._lock:
            self._latest = running
            if kind is not EventKind.OPERATION:
                running.last = len(self._events)
            self._events.append(LineEvent(kind, running.number, line, changed, text, reads))
            if len(self._events) >= self._limit:
                self._is_cut = True
        if self._is_cut:
            self._backend.close()

    def _changes(self, running: RunningFrame) -> Values:
        if not running.code.has_locals or self._is_cut or self._is_blank:
            return NOTHING
        values: Mapping[str, Any] = running.frame.f_locals
        if type(values) is not dict:
            values = dict(values)  # from Python 3.13 on, each look at a local takes longer
        known = running.known
        names: Iterable[str] | None = self._touched(running, values)
        if names is None:
            names = list(values)
        found: dict[str, str | None] = {}
        for name in names:
            value = values[name]
            before = known.get(name)
            if before is not None and _is_unchanged(before[0], value):
                continue
            is_fixed = _is_fixed(value)
            shape = None if is_fixed else self._text.shape(value)
            if before is not None and shape is not None and shape == before[2]:
                continue
            text = self._text.of_shape(name, value, shape)
            known[name] = value if is_fixed else _CHANGING, text, shape
            if before is None or before[1] != text:
                found[name] = text
        if len(known) > len(values):
            for name in [name for name in known if name not in values]:
                del known[name]
                found[name] = None
        return found or NOTHING

    def _touched(self, running: RunningFrame, values: Mapping[str, Any]) -> set[str] | None:
        """Return the locals that may have changed since the frame's previous event; None if all of them may have.

        A line changes what it names, and what is linked with that: values that one line named together, and, once other code
        had one of them, every value that other code had.
        """
        names = names_at(running.code.file, running.line)
        if running.blanks != self._left_out[1]:
            running.blanks, names = self._left_out[1], None  # lines that were not looked at may have changed anything
        is_alone = self._latest is running and not running.is_stale
        running.is_stale = False
        if names is None or not names.isdisjoint(SHARING):
            running.shared.update(name for name, value in values.items() if not _is_plain(value))
            return None
        found = {name for name in names if name in values}
        carriers = {name for name in found if not _is_plain(values[name])}
        if is_alone:
            outer = running.frame.f_globals
            is_alone = all(_is_plain(outer[name]) for name in names if name not in found and name in outer)
        if not is_alone:
            running.shared |= carriers
        elif len(carriers) > 1 and _are_linked([values[name] for name in carriers]):
            if running.shared.isdisjoint(found):
                group = carriers.union(*(running.linked.get(name, ()) for name in carriers))
                running.linked.update(dict.fromkeys(group, group))
            else:
                running.shared |= carriers
        for name in found & running.linked.keys():
            found |= running.linked[name]
        if not is_alone or not running.shared.isdisjoint(found):
            found |= running.shared
        if len(running.known) < len(values):
            found.update(name for name in values if name not in running.known)
        return {name for name in found if name in values}

    def _reads(self, running: RunningFrame, line: int) -> Values:
        if self._paths is None or self._is_cut or self._is_blank:
            return NOTHING
        paths = [path for path in self._paths(running.code.file, line) if path not in running.known]
        if not paths:
            return NOTHING  # locals: their changes are recorded
        found: dict[str, str | None] = {}
        values: Mapping[str, Any] = running.frame.f_locals
        for path in paths:
            try:
                value = _read(path, values, running.frame.f_globals)
            except (AttributeError, KeyError):
                continue
            if type(value) not in STABLE:
                shape = None if _is_fixed(value) else self._text.shape(value)
                found[path] = self._text.of_shape(path.rpartition(".")[2], value, shape)
        return found or NOTHING

    def _task(self) -> str:
        owner = running_scope.get()
        known = self._tasks.get(id(owner))
        if known is None:
            known = self._tasks[id(owner)] = owner, _task_of(owner)
        return known[1]


_CHANGING = object()
"""Stands for a value that can change in place, so that it is rendered again at every event."""


def _is_unchanged(before: Any, value: Any) -> bool:
    return before is value or (type(value) in ATOMS and type(before) is type(value) and before == value)


def _is_fixed(value: Any) -> bool:
    kind = type(value)
    return kind in ATOMS or kind in STABLE or kind.__module__.startswith("durable_execution.")


SHARING = frozenset({"locals", "vars", "eval", "exec"})
"""Names of functions that reach locals without naming them."""

MAX_FLAT = 5_000


def _are_linked(values: Sequence[Any]) -> bool:
    """Whether one of several values may be reached from another: not if each holds numbers and texts only."""
    return len(set(map(id, values))) < len(values) or not all(map(_is_flat, values))


def _is_flat(value: Any) -> bool:
    kind = type(value)
    if kind not in CONTAINERS or len(value) > MAX_FLAT or not PLAIN_TYPES.issuperset(map(type, value)):
        return False
    return kind is not dict or PLAIN_TYPES.issuperset(map(type, value.values()))


CONTAINERS = frozenset({list, tuple, dict, set, frozenset})


def _is_plain(value: Any) -> bool:
    """Whether no value that may change can be reached through a value. A line that names only such values changes nothing else."""
    kind = type(value)
    if kind in PLAIN_TYPES or kind.__module__.startswith("durable_execution.") or isinstance(value, enum.EnumMeta):
        return True
    if kind is types.FunctionType:
        return value.__closure__ is None
    if kind is types.BuiltinFunctionType:
        return value.__self__ is None or type(value.__self__) is types.ModuleType
    if kind is types.ModuleType:
        return value.__name__.partition(".")[0] in OPAQUE
    return kind is type and value.__module__.partition(".")[0] in OPAQUE


def read_path(path: str, frame: FrameType) -> Any:
    """Read `name.attribute.attribute` in a frame, without running user code.

    Raises:
        AttributeError, KeyError: There is no such value, or reading it would run code.
    """
    return _read(path, frame.f_locals, frame.f_globals)


def _read(path: str, values: Mapping[str, Any], outer: Mapping[str, Any]) -> Any:
    name, *attributes = path.split(".")
    value = values[name] if name in values else outer[name]
    for one in attributes:
        value = attribute(value, one)
    return value


def is_user_code(file: str) -> bool:
    """Whether a file is the user's own: neither the SDK, nor the standard library, nor an installed package."""
    return owner_of(file) is Owner.USER


def _task_of(owner: Any) -> str:
    if isinstance(owner, ContextScope):
        return owner.path
    if isinstance(owner, TaskScope):
        numbering = owner._scope  # noqa: SLF001  # of this package
        return numbering.path if numbering is not None else task_path(_task_of(owner._outer), owner._number)  # noqa: SLF001
    return ""

"""What one replay did, line by line: the frames that ran, the lines they executed, and the locals that changed.

A recording is made by `LineRecorder` while one replay runs, and read afterwards. It covers user code only: the SDK, the
standard library and installed packages are left out, and bodies of steps do not run in a replay.

    recorder = LineRecorder()
    run = run_once(handler, state, seconds=30, recorder=recorder)
    recording = recorder.recording()
    for index, event in enumerate(recording.events):
        frame = recording.frames[event.frame]
        print(frame.file, event.line, frame.function, recording.locals_at(index))

* `recording.events` is in the order of execution, over all tasks and threads. `recording.of_task(task)` and
  `recording.of_frame(number)` give the indexes of one task or one frame.
* A `LINE` event stands *before* its line runs, like a debugger's arrow. Its `changed` are the locals that changed since the
  previous event of the same frame: the effect of the line before. `CALL` has the arguments, `RETURN` the last changes.
* `locals_at(index)` folds the changes of the frame; `stack_at(index)` gives the frames from the outermost to the one that
  runs, across `await`.
* An `OPERATION` event stands where user code calls a durable operation; `event.text` is the operation's id.
  `recording.operation(id)` finds it.
* `is_cut` is set when the recording reached its limit of events; the rest of the replay ran unrecorded.
* `is_blank(index)` says that the values of an event were left out, because a search for a cause hardly needs them.
* Values are short texts (`durable_execution.replay.lines.value_text`), bounded and redacted, never the user's `__repr__`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from types import MappingProxyType
from typing import Any, NamedTuple

Values = Mapping[str, str | None]
NOTHING: Values = MappingProxyType({})
"""No values. None as a value says that the name was deleted."""


class EventKind(StrEnum):
    """What a frame did."""

    CALL = "call"
    LINE = "line"
    OPERATION = "operation"
    SUSPEND = "suspend"
    RESUME = "resume"
    EXCEPTION = "exception"
    RETURN = "return"
    UNWIND = "unwind"


class LineEvent(NamedTuple):
    """One event of one frame.

    Attributes:
        kind: What the frame did.
        frame: Number of the frame in `LineRecording.frames`.
        line: The line, 1-based.
        changed: Locals and closure variables that changed since the frame's previous event.
        text: RETURN, and SUSPEND of a generator: the value; EXCEPTION: the exception; OPERATION: the operation's id.
        reads: Further values that the statement reads, by access path (`RATES.eur`); only if the recorder was asked.
    """

    kind: EventKind
    frame: int
    line: int
    changed: Values = NOTHING
    text: str | None = None
    reads: Values = NOTHING


@dataclass(frozen=True, slots=True)
class Frame:
    """One run of a function.

    Attributes:
        number: Index in `LineRecording.frames`.
        file: The source file.
        function: Qualified name.
        first_line: First line of the function.
        parent: Number of the user frame that called or awaits it; None for the first frame of a task or thread.
        caller: Index of the parent's latest event at the time of the call: the statement that called.
        task: The task: the path of the context whose calls its code numbers (`process_order`, `process_order~1`).
    """

    number: int
    file: str
    function: str
    first_line: int
    parent: int | None
    caller: int | None
    task: str


@dataclass(frozen=True)
class LineRecording:
    """One replay, line by line.

    Attributes:
        frames: The frames in the order in which they started.
        events: The events in the order of execution.
        is_cut: Whether the limit of events was reached.
        blank: The first event whose values were left out, and the first after those.
    """

    frames: Sequence[Frame] = ()
    events: Sequence[LineEvent] = ()
    is_cut: bool = False
    blank: tuple[int, int] = (0, 0)
    _locals: dict[int, tuple[int, dict[str, str]]] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def _by_frame(self) -> list[list[int]]:
        found: list[list[int]] = [[] for _ in self.frames]
        for index, event in enumerate(self.events):
            found[event.frame].append(index)
        return found

    @cached_property
    def _operations(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for index, event in enumerate(self.events):
            if event.kind is EventKind.OPERATION and event.text is not None:
                found.setdefault(event.text, index)
        return found

    def of_frame(self, number: int) -> Sequence[int]:
        """Return the indexes of a frame's events."""
        return self._by_frame[number]

    def of_task(self, task: str) -> Iterator[int]:
        """Yield the indexes of a task's events."""
        frames = {frame.number for frame in self.frames if frame.task == task}
        return (index for index, event in enumerate(self.events) if event.frame in frames)

    def tasks(self) -> list[str]:
        """Return the tasks in the order in which they started."""
        return list(dict.fromkeys(frame.task for frame in self.frames))

    def operation(self, operation_id: str) -> int | None:
        """Return the index of the event where user code calls an operation; None if it was not recorded."""
        return self._operations.get(operation_id)

    def is_blank(self, index: int) -> bool:
        """Whether the values of an event were left out."""
        return self.blank[0] <= index < self.blank[1]

    def locals_at(self, index: int) -> dict[str, str]:
        """Return the locals of the frame that runs at an event, as they are before its line runs.

        Steps in either direction are cheap: the latest answer of each frame is kept, and forward steps start from it.
        """
        frame = self.events[index].frame
        start, values = self._locals.get(frame, (-1, {}))
        if start > index:
            start, values = -1, {}
        values = dict(values)
        for at in self._by_frame[frame]:
            if start < at <= index:
                _apply(values, self.events[at].changed)
        self._locals[frame] = (index, values)
        return dict(values)

    def stack_at(self, index: int) -> tuple[Frame, ...]:
        """Return the frames at an event, the outermost first. Frames that await the running one are included."""
        found: list[Frame] = []
        number: int | None = self.events[index].frame
        while number is not None:
            found.append(self.frames[number])
            number = self.frames[number].parent
        return tuple(reversed(found))

    def caller_line(self, frame: Frame) -> int | None:
        """Return the line of the parent that called a frame."""
        return self.events[frame.caller].line if frame.caller is not None else None

    def to_wire(self) -> dict[str, Any]:
        """Return the recording as JSON values, compact: texts are written once."""
        texts: dict[str | None, int] = {}

        def number(text: str | None) -> int:
            return texts.setdefault(text, len(texts))

        def values(found: Values) -> list[int]:
            return [number(part) for item in found.items() for part in item]

        frames = [
            [number(one.file), number(one.function), one.first_line, one.parent, one.caller, number(one.task)]
            for one in self.frames
        ]
        events = [
            [_KINDS.index(one.kind), one.frame, one.line, number(one.text), values(one.changed), values(one.reads)]
            for one in self.events
        ]
        return {"frames": frames, "events": events, "texts": list(texts), "is_cut": self.is_cut, "blank": self.blank}

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> "LineRecording":
        """Read what `to_wire` wrote."""
        texts: list[Any] = wire["texts"]

        def values(found: list[int]) -> Values:
            return {texts[found[n]]: texts[found[n + 1]] for n in range(0, len(found), 2)} if found else NOTHING

        frames = [
            Frame(n, texts[file], texts[function], line, parent, caller, texts[task])
            for n, (file, function, line, parent, caller, task) in enumerate(wire["frames"])
        ]
        events = [
            LineEvent(_KINDS[kind], frame, line, values(changed), texts[text], values(reads))
            for kind, frame, line, text, changed, reads in wire["events"]
        ]
        return cls(frames, events, bool(wire["is_cut"]), (wire["blank"][0], wire["blank"][1]))


_KINDS = tuple(EventKind)


def _apply(values: dict[str, str], changed: Values) -> None:
    for name, text in changed.items():
        if text is None:
            values.pop(name, None)
        else:
            values[name] = text

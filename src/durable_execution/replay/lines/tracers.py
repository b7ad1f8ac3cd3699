"""The interpreter's events, for the line recorder: from `sys.settrace` (Python 3.11) or `sys.monitoring` (3.12 and later).

Both report the same. They distinguish a suspended coroutine from a returned one by their instruction; the `StopIteration` that
ends every `await` is left out.
"""

import dis
import inspect
import sys
import threading
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any, Protocol

from durable_execution.runtime.blocking import BlockingThread
from durable_execution.runtime.scope import ContextScope

RETURNS = frozenset(dis.opmap[name] for name in ("RETURN_VALUE", "RETURN_CONST") if name in dis.opmap)
SUSPENDS = dis.opmap["YIELD_VALUE"]
ENDS_AN_AWAIT = frozenset(
    dis.opmap[name] for name in ("SEND", "FOR_ITER", "YIELD_VALUE", "END_ASYNC_FOR", "GET_ANEXT") if name in dis.opmap
)
"""Instructions at which a StopIteration is not an error of the user's code."""

RESERVE = ContextScope.reserve_here.__code__
BLOCKING_CALL = BlockingThread.call.__code__
BLOCKING_START = BlockingThread._start.__code__  # noqa: SLF001  # of this package


class RecordedCode:
    """One function of the user's: decided once, and kept alive so that its id stays its own."""

    __slots__ = ("code", "file", "has_locals", "instructions", "resumes", "yields")

    def __init__(self, code: CodeType) -> None:
        self.code = code
        self.file = code.co_filename
        self.has_locals = code.co_name != "<module>"
        self.instructions = code.co_code
        self.yields = bool(code.co_flags & inspect.CO_GENERATOR)
        self.resumes = bool(code.co_flags & (inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR))


class RunningFrame:
    """A frame that has not ended."""

    __slots__ = (
        "blanks",
        "code",
        "frame",
        "is_raising",
        "is_stale",
        "known",
        "last",
        "line",
        "linked",
        "number",
        "shared",
    )

    def __init__(self, number: int, code: RecordedCode, frame: FrameType) -> None:
        self.number = number
        self.code = code
        self.frame = frame
        self.last = -1
        self.line = 0
        self.blanks = 0
        self.is_stale = True
        self.is_raising = False
        self.known: dict[str, tuple[Any, str, bytes | None]] = {}
        self.shared = {*code.code.co_cellvars, *code.code.co_freevars}
        self.linked: dict[str, set[str]] = {}


class LineSink(Protocol):
    """What a tracer reports to: the line recorder."""

    def code_of(self, code: CodeType) -> RecordedCode | None:
        """Return what is known of a function; None if it is not recorded."""
        ...

    def running(self, frame: FrameType) -> RunningFrame | None:
        """Return what is known of a frame that has started."""
        ...

    def entered(self, frame: FrameType, code: RecordedCode) -> RunningFrame:
        """A frame starts or resumes."""
        ...

    def line(self, running: RunningFrame, line: int) -> None:
        """A line is about to run."""
        ...

    def suspended(self, running: RunningFrame, value: Any) -> None:
        """A coroutine or generator gives up control, and a value."""
        ...

    def raised(self, running: RunningFrame, error: BaseException) -> None:
        """An exception is raised in a frame, or passes through it."""
        ...

    def returned(self, running: RunningFrame, value: Any) -> None:
        """A frame returns."""
        ...

    def unwound(self, running: RunningFrame) -> None:
        """A frame ends with an exception."""
        ...

    def blocked(self, frame: FrameType) -> None:
        """Blocking code passes an operation to the event loop."""
        ...

    def reserved(self, frame: FrameType, call: Any) -> None:
        """The runtime reserved the id of an operation that user code calls."""
        ...


class Tracer:
    """How the interpreter reports events."""

    def __init__(self, recorder: LineSink) -> None:
        self._recorder = recorder

    def enter(self) -> Callable[[], None]:
        """Report events of this thread until the returned function is called."""
        raise NotImplementedError

    def close(self) -> None:
        """Report no more."""


class Tracing(Tracer):
    """`sys.settrace`."""

    def __init__(self, recorder: LineSink) -> None:
        super().__init__(recorder)
        self._is_closed = False
        self._ignored: set[int] = set()

    def enter(self) -> Callable[[], None]:
        """Set this thread's trace function; the one that was set is restored."""
        before = sys.gettrace()
        sys.settrace(self._on_call)
        return lambda: sys.settrace(before)

    def close(self) -> None:
        """Report no more."""
        self._is_closed = True

    def _on_call(self, frame: FrameType, _event: str, _argument: Any) -> Any:
        code = frame.f_code
        if id(code) in self._ignored:
            return None
        if code is RESERVE:
            frame.f_trace_lines = False
            return self._on_reserve
        if code is BLOCKING_CALL:
            self._recorder.blocked(frame)
            return None
        known = self._recorder.code_of(code)
        if known is None:
            self._ignored.add(id(code))  # the recorder keeps it alive
            return None
        if self._is_closed:
            return None
        if known.resumes and known.instructions[frame.f_lasti + 1] and self._recorder.running(frame) is None:
            return None  # a generator that started before the recording
        self._recorder.entered(frame, known)
        return self._on_event

    def _on_reserve(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "return" and argument is not None and not self._is_closed:
            self._recorder.reserved(frame, argument)
        return self._on_reserve

    def _on_event(self, frame: FrameType, event: str, argument: Any) -> Any:
        recorder = self._recorder
        running = recorder.running(frame)
        if running is None or self._is_closed:
            return None
        is_raising, running.is_raising = running.is_raising, event == "exception"
        if event == "line":
            recorder.line(running, frame.f_lineno)
        elif event == "return":
            instruction = running.code.instructions[frame.f_lasti]
            if instruction in RETURNS:
                recorder.returned(running, argument)
            elif instruction == SUSPENDS and not is_raising:
                recorder.suspended(running, argument)
            else:
                recorder.unwound(running)
        elif event == "exception":
            error = argument[1] if isinstance(argument[1], BaseException) else argument[0]()
            is_end = isinstance(error, (StopIteration, StopAsyncIteration))
            if not (is_end and running.code.instructions[frame.f_lasti] in ENDS_AN_AWAIT):
                recorder.raised(running, error)
        return self._on_event


class Monitoring(Tracer):
    """`sys.monitoring`: events of user code only; other code is switched off where it is first met."""

    def __init__(self, recorder: LineSink) -> None:
        super().__init__(recorder)
        self._monitoring: Any = getattr(sys, "monitoring")  # noqa: B009  # mypy checks for 3.11
        self._tool: int | None = None
        self._threads: dict[int, int] = {}
        self._codes: list[CodeType] = []
        self._lock = threading.Lock()

    def enter(self) -> Callable[[], None]:
        """Report events of this thread."""
        thread = threading.get_ident()
        with self._lock:
            if self._tool is None:
                self._open()
            self._threads[thread] = self._threads.get(thread, 0) + 1

        def leave() -> None:
            with self._lock:
                self._threads[thread] -= 1
                if not self._threads[thread]:
                    del self._threads[thread]

        return leave

    def _open(self) -> None:
        monitoring = self._monitoring
        tool = next((one for one in (4, 3, 5, 1, 2, 0) if monitoring.get_tool(one) is None), None)
        if tool is None:
            raise RuntimeError(
                "sys.monitoring has no free tool id: six debuggers, profilers or recorders are active; stop one of them"
            )
        self._tool = tool
        monitoring.use_tool_id(tool, "durable-execution")
        events = monitoring.events
        callbacks = {
            events.PY_START: self._on_start,
            events.PY_RESUME: self._on_resume,
            events.PY_THROW: self._on_resume,
            events.LINE: self._on_line,
            events.PY_YIELD: self._on_yield,
            events.PY_RETURN: self._on_return,
            events.RAISE: self._on_raise,
            events.PY_UNWIND: self._on_unwind,
        }
        for event, callback in callbacks.items():
            monitoring.register_callback(tool, event, callback)
        self._callbacks = tuple(callbacks)
        monitoring.set_events(tool, events.PY_START | events.PY_THROW | events.RAISE | events.PY_UNWIND)
        monitoring.restart_events()

    def close(self) -> None:
        """Give the tool id back."""
        with self._lock:
            tool, self._tool = self._tool, None
            if tool is None:
                return
            monitoring = self._monitoring
            monitoring.set_events(tool, 0)
            for code in self._codes:
                monitoring.set_local_events(tool, code, 0)
            for event in self._callbacks:
                monitoring.register_callback(tool, event, None)
            monitoring.free_tool_id(tool)

    def _watch(self, code: CodeType, events: int) -> None:
        if self._tool is not None and not self._monitoring.get_local_events(self._tool, code):
            self._codes.append(code)
            self._monitoring.set_local_events(self._tool, code, events)

    def _on_start(self, code: CodeType, _offset: int) -> Any:
        recorder = self._recorder
        if code is RESERVE:
            self._watch(code, self._monitoring.events.PY_RETURN)
            return None
        if code is BLOCKING_CALL:
            if threading.get_ident() in self._threads:
                recorder.blocked(sys._getframe(1))  # noqa: SLF001  # the frame that starts
            return None
        known = recorder.code_of(code)
        if known is None:
            return self._monitoring.DISABLE
        if threading.get_ident() not in self._threads:
            return None
        events = self._monitoring.events
        self._watch(code, events.LINE | events.PY_RESUME | events.PY_YIELD | events.PY_RETURN)
        recorder.entered(sys._getframe(1), known)  # noqa: SLF001
        return None

    def _found(self) -> RunningFrame | None:
        if threading.get_ident() not in self._threads:
            return None
        return self._recorder.running(sys._getframe(2))  # noqa: SLF001  # the frame that reports

    def _on_resume(self, code: CodeType, _offset: int, _error: Any = None) -> None:
        running = self._found()
        if running is not None:
            self._recorder.entered(running.frame, running.code)

    def _on_line(self, _code: CodeType, line: int) -> None:
        running = self._found()
        if running is not None:
            self._recorder.line(running, line)

    def _on_yield(self, _code: CodeType, _offset: int, value: Any) -> None:
        running = self._found()
        if running is not None:
            self._recorder.suspended(running, value)

    def _on_return(self, code: CodeType, _offset: int, value: Any) -> None:
        if code is RESERVE:
            if threading.get_ident() in self._threads and value is not None:
                self._recorder.reserved(sys._getframe(1), value)  # noqa: SLF001
            return
        running = self._found()
        if running is not None:
            self._recorder.returned(running, value)

    def _on_raise(self, code: CodeType, _offset: int, error: BaseException) -> None:
        running = self._found()
        if running is not None and not isinstance(error, (StopIteration, StopAsyncIteration)):
            self._recorder.raised(running, error)

    def _on_unwind(self, _code: CodeType, _offset: int, _error: BaseException) -> None:
        running = self._found()
        if running is not None:
            self._recorder.unwound(running)

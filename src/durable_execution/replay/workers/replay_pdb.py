"""pdb for replays: it steps through the user's code only, in one task at a time."""

import pdb  # noqa: T100  # this is what the command is for
import sys
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

from durable_execution.errors import SuspendExecution
from durable_execution.replay.lines.tracers import ENDS_AN_AWAIT, RETURNS
from durable_execution.replay.suspects import is_user_frame

HELP = (
    "n: next line of this function, s: into a call, r: out, c: to the next breakpoint or divergence, b FILE:LINE: breakpoint, "
    "w: stack, p EXPRESSION: evaluate, q: quit"
)


class ReplayPdb(pdb.Pdb):
    """Steps over the SDK's frames, over the ends of awaits, and never from one task into another.

    Args:
        leave: Ends the process, when the user quits.
    """

    def __init__(self, leave: Callable[[], None]) -> None:
        super().__init__(nosigint=True)
        self.prompt = "(durable-pdb) "
        self._leave = leave
        self._turn = threading.RLock()
        self._has_begun = False
        self._leaving: FrameType | None = None
        self._left: FrameType | None = None
        self._started: dict[int, int] = {}
        self.reset()

    def trace(self) -> None:
        """Trace this thread; the first one stops at the first line of the user's code."""
        if not self._has_begun:
            self._has_begun = True
            self.message(HELP)
            self.set_step()
        self.botframe = sys._getframe(1)  # noqa: SLF001  # where stacks end
        sys.settrace(self.trace_dispatch)

    def stop(self, error: BaseException) -> None:
        """Show an error and a prompt where it was raised."""
        with self._turn:
            self.message(f"--- {type(error).__name__} ---\n{error}")
            self.interaction(None, error.__traceback__)

    def stop_here(self, frame: FrameType) -> bool:
        """Whether to stop: in user code only, and after a branch not in another one."""
        if not is_user_frame(frame) or not super().stop_here(frame):
            return False
        left = self._left
        if left is not None and (frame.f_code is left.f_code or self._number(frame) > self._number(left)):
            return False
        self._left = None
        return True

    def _number(self, frame: FrameType) -> int:
        return self._started.get(id(frame), 0)

    def dispatch_call(self, frame: FrameType, arg: Any) -> Any:
        """Number the user's frames in the order in which they start."""
        if is_user_frame(frame) and not frame.f_code.co_code[frame.f_lasti + 1]:
            self._started[id(frame)] = len(self._started) + 1
        return super().dispatch_call(frame, arg)

    def user_call(self, frame: FrameType, argument_list: Any) -> None:
        """Go on to the first line of the function."""

    def dispatch_line(self, frame: FrameType) -> Any:
        """Stop at a line, one thread at a time."""
        with self._turn:
            return super().dispatch_line(frame)

    def dispatch_return(self, frame: FrameType, arg: Any) -> Any:
        """Handle a return; a coroutine that gives up control has not returned."""
        if frame.f_code.co_code[frame.f_lasti] not in RETURNS:
            return self.trace_dispatch
        if frame is self._leaving:
            self._left, self._leaving = frame, None
            self.set_step()
            return self.trace_dispatch
        with self._turn:
            return super().dispatch_return(frame, arg)

    def dispatch_exception(self, frame: FrameType, arg: Any) -> Any:
        """Handle an exception. The end of an await and the end of the recording are not exceptions of the code."""
        is_end_of_await = (
            issubclass(arg[0], (StopIteration, StopAsyncIteration))
            and frame.f_code.co_code[frame.f_lasti] in ENDS_AN_AWAIT
        )
        if is_end_of_await or issubclass(arg[0], (GeneratorExit, SuspendExecution)):
            return self.trace_dispatch
        with self._turn:
            return super().dispatch_exception(frame, arg)

    def set_return(self, frame: FrameType) -> None:
        """Go on until a function has returned, and stop in the one that called it."""
        outer = frame.f_back
        while outer is not None and not is_user_frame(outer):
            outer = outer.f_back
        self._leaving = None if outer is not None else frame
        self._stop_at(outer or frame, 0 if outer is not None else -1)

    def set_continue(self) -> None:
        """Go on, traced: breakpoints can still be set when Ctrl-C stops the code."""
        self._stop_at(self.botframe, -1)

    def _stop_at(self, frame: FrameType | None, line: int) -> None:
        set_stop: Any = getattr(self, "_set_stopinfo")  # noqa: B009  # of bdb, which has no public name for it
        set_stop(frame, None, line)

    def set_quit(self) -> None:
        """End the process: an exception would run the `finally` blocks of the user's code."""
        self._leave()

    def get_stack(self, f: FrameType | None, t: TracebackType | None) -> tuple[list[tuple[FrameType, int]], int]:
        """Return the user's frames."""
        stack, _ = super().get_stack(f, t)
        found = [one for one in stack if is_user_frame(one[0])] or stack
        return found, len(found) - 1

"""The thread that runs a replay, and how it is stopped when the handler does not finish."""

import asyncio
import ctypes
import gc
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from durable_execution.replay.suspects import Owner, owner_of_frame, user_stack
from durable_execution.runtime.module_context import context_of_modules

_raise_in_thread = ctypes.pythonapi.PyThreadState_SetAsyncExc
"""Looked up when this module is imported: later, an isolated process refuses to look up C functions."""

GRACE_SECONDS = 1.0
INTERRUPTS = 10
ROUNDS = 5


class ReplayTimeoutError(SystemExit):
    """Raised inside a handler that does not finish.

    It is a SystemExit because `except Exception` does not catch that, and an event loop re-raises it.
    """


class ReplayThread:
    """Runs a replay in its own thread, with the context of the import, and stops it at the time limit.

    Args:
        work: The function to run.
        loop: Returns the replay's event loop, once it exists.
    """

    def __init__(
        self, work: Callable[[], None], loop: Callable[[], asyncio.AbstractEventLoop | None] = lambda: None
    ) -> None:
        self._work = work
        self._loop = loop
        self._error: BaseException | None = None
        self._before = frozenset(
            thread.ident for thread in threading.enumerate()
        )  # threads that do not belong to this replay
        self._thread = threading.Thread(
            target=context_of_modules().run, args=(self._run,), name="durable-replay", daemon=True
        )

    def run(self, seconds: float) -> tuple[bool, str | None]:
        """Run the replay.

        Returns:
            Whether it was stopped at the time limit, and the line the user's code was at.
        """
        self._thread.start()
        self._thread.join(seconds)
        if not self._thread.is_alive():
            if self._error is not None and not isinstance(self._error, ReplayTimeoutError):
                raise self._error
            return False, None
        where = self._where()
        for _ in range(INTERRUPTS):
            self._interrupt()
            self._thread.join(GRACE_SECONDS / INTERRUPTS)
            if not self._thread.is_alive():
                break
        return True, where

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001  # raised again in the waiting thread
            self._error = error

    def _where(self) -> str | None:
        """Find the user's current line: in this thread, in a thread it started, or in a suspended coroutine."""
        for frame in self._frames():
            current: FrameType | None = frame
            while current is not None and owner_of_frame(current) is not Owner.USER:
                current = current.f_back
            stack = user_stack(current)
            if stack:
                return str(stack[0])
        return next(self._awaiting(), None)

    def _frames(self) -> Iterator[FrameType]:
        for ident, frame in frames_by_thread().items():
            if ident == self._thread.ident or ident not in self._before:
                yield frame

    def _awaiting(self) -> Iterator[str]:
        """Yield the innermost user frame of each suspended coroutine."""
        loop = self._loop()
        if loop is None:
            return
        for task in asyncio.all_tasks(loop):
            found = None
            coroutine: Any = task.get_coro()
            while (frame := getattr(coroutine, "cr_frame", None)) is not None:
                if owner_of_frame(frame) is Owner.USER:
                    found = f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_qualname}"
                coroutine = coroutine.cr_await
            if found is not None:
                yield found

    def _interrupt(self) -> None:
        """Raise in the thread, and in the event loop in case it is idle."""
        ident = self._thread.ident
        loop = self._loop()
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(_stop)
        if ident is not None:
            _raise_in_thread(ctypes.c_ulong(ident), ctypes.py_object(ReplayTimeoutError))


def frames_by_thread() -> dict[int, FrameType]:
    """Return the current frame of every thread.

    The garbage collector is disabled meanwhile: in Python 3.11 a collection that starts while the frames are listed
    deadlocks the process (CPython issue 106883).
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return sys._current_frames()  # noqa: SLF001  # the only access to another thread's frames
    finally:
        if was_enabled:
            gc.enable()


def abandon(loop: asyncio.AbstractEventLoop | None) -> None:
    """Cancel the tasks that a stopped replay leaves on its loop, without logging them."""
    if loop is None or loop.is_closed():
        return
    loop.set_exception_handler(lambda _loop, _context: None)
    for _ in range(ROUNDS):
        tasks = asyncio.all_tasks(loop)
        if not tasks:
            return
        for task in tasks:
            task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001  # as gather() does
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))


def _stop() -> None:
    raise ReplayTimeoutError

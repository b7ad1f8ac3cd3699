"""The thread a replay runs in, and how it is stopped when the handler does not come to an end."""

import asyncio
import contextvars
import ctypes
import gc
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from durable_execution.replayer.frames import Owner, owner_of, user_stack

GRACE_SECONDS = 1.0
INTERRUPTS = 10
ROUNDS = 5


class ReplayTimeoutError(SystemExit):
    """Thrown into a handler that does not come to an end.

    A SystemExit, because that is what `except Exception` lets pass and what an event loop lets through.
    """


class ReplayThread:
    """Runs a replay in a thread of its own, with an empty context, and stops it when it takes too long.

    Args:
        work: What to run.
        loop: The event loop it runs, once there is one.
    """

    def __init__(
        self, work: Callable[[], None], loop: Callable[[], asyncio.AbstractEventLoop | None] = lambda: None
    ) -> None:
        self._work = work
        self._loop = loop
        self._error: BaseException | None = None
        self._before = frozenset(thread.ident for thread in threading.enumerate())  # threads that are somebody else's
        context = contextvars.Context()
        self._thread = threading.Thread(target=context.run, args=(self._run,), name="durable-replay", daemon=True)

    def run(self, seconds: float) -> tuple[bool, str | None]:
        """Run it.

        Returns:
            Whether it had to be stopped, and where the user's code was then.
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
        except BaseException as error:  # noqa: BLE001  # handed to whoever waits
            self._error = error

    def _where(self) -> str | None:
        """Where the user's code stands: in this thread, in one it has started, or awaiting something."""
        for frame in self._frames():
            current: FrameType | None = frame
            while current is not None and owner_of(current.f_code.co_filename) is not Owner.USER:
                current = current.f_back
            stack = user_stack(current)
            if stack:
                return str(stack[0])
        return next(self._awaiting(), None)

    def _frames(self) -> Iterator[FrameType]:
        for ident, frame in _frames_by_thread().items():
            if ident == self._thread.ident or ident not in self._before:
                yield frame

    def _awaiting(self) -> Iterator[str]:
        """The innermost user frames of suspended coroutines."""
        loop = self._loop()
        if loop is None:
            return
        for task in asyncio.all_tasks(loop):
            found = None
            coroutine: Any = task.get_coro()
            while (frame := getattr(coroutine, "cr_frame", None)) is not None:
                if owner_of(frame.f_code.co_filename) is Owner.USER:
                    found = f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_qualname}"
                coroutine = coroutine.cr_await
            if found is not None:
                yield found

    def _interrupt(self) -> None:
        """Throw into the thread, and into the loop in case it sleeps."""
        ident = self._thread.ident
        loop = self._loop()
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(_stop)
        if ident is not None:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), ctypes.py_object(ReplayTimeoutError))


def _frames_by_thread() -> dict[int, FrameType]:
    """What every thread is at.

    The garbage collector is kept out meanwhile: in Python 3.11 a collection that begins while the frames are
    listed stops the process for good (CPython issue 106883).
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return sys._current_frames()  # noqa: SLF001  # the only way to look into a thread
    finally:
        if was_enabled:
            gc.enable()


def abandon(loop: asyncio.AbstractEventLoop | None) -> None:
    """Cancel what a stopped replay leaves behind on its loop, without a word about it."""
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

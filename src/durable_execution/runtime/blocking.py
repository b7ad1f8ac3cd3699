"""Threads that run blocking orchestration code, and how they call operations on the event loop.

Each blocking handler, child context or branch has its own thread. While its code runs, the invocation is busy. While it waits
for an operation, the invocation is not busy, so the same rule decides suspension as for coroutines. When the invocation ends,
`SuspendExecution` unwinds its threads.
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

from durable_execution.call_site import caller
from durable_execution.errors import ExecutionError, NestedOperationError, SuspendExecution
from durable_execution.runtime.body_threads import Workers
from durable_execution.runtime.call import user_frame
from durable_execution.runtime.loop import IN_STEP
from durable_execution.runtime.loop import scope as running_scope
from durable_execution.runtime.scope import misplaced
from durable_execution.runtime.state import ExecutionState

if TYPE_CHECKING:
    from types import CodeType

T = TypeVar("T")

MAX_THREADS = 10_000
_threads = Workers(MAX_THREADS)


class BlockingThread:
    """One thread of blocking orchestration code."""

    def __init__(self, state: ExecutionState) -> None:
        self._state = state
        self._context = contextvars.copy_context()
        self._scope = running_scope.get()
        self._lock = threading.Lock()
        self._waiting: set[Future[Any]] = set()
        self._is_over = False
        self._has_returned = False
        self._is_busy = False
        self._operations: set[asyncio.Task[Any]] = set()
        self._thread: threading.Thread | None = None

    async def run(self, function: Callable[[], T]) -> T:
        """Run the code to its end.

        Raises:
            Exception: The code raised it.
        """
        state = self._state
        self._set_busy(True)
        ended = _threads.run(lambda: self._run(function))
        state.threads.add(ended)
        ended.add_done_callback(state.threads.discard)
        try:
            result, error = await asyncio.shield(ended)
        finally:
            self._unwind()
        if error is not None:
            raise error
        return result  # type: ignore[no-any-return]

    def call(self, operation: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run an operation on the event loop and wait for its result. Call this from the thread.

        Raises:
            SuspendExecution: The invocation is over.
            ExecutionError: The invocation has ended, and so has this thread's function; or a different thread is in a call.
            NestedOperationError: Called from a step's body.
            ConfigurationError: Called by the code of a different context.
        """
        running = running_scope.get()
        if running is IN_STEP:
            raise NestedOperationError(
                "a durable operation was called inside a step. A step's body runs once and is replayed as a single result, "
                "so it cannot contain durable operations. Call the operation from the handler, or turn the step into a "
                "child context"
            )
        if running is not None and running is not self._scope:
            raise misplaced("operation", None, self._scope, running)
        is_own = threading.current_thread() is self._thread
        if self._state.is_over and (self._has_returned or not is_own or self._state.is_forked):
            self._state.check_usable("an operation")
        answer: Future[T] = Future()
        with self._lock:
            if self._is_over:
                raise SuspendExecution
            if self._waiting:
                raise ExecutionError(
                    "two threads called operations of the same context at the same time. Calls are numbered in their order, "
                    "and the order of threads differs from run to run. Run the calls in ctx.parallel or ctx.map, whose "
                    "branches have contexts of their own"
                )
            self._waiting.add(answer)
        context = self._context.copy()
        context.run(caller.set, self._caller())
        self._state.loop.call_soon_threadsafe(self._start, operation, answer, is_own, context=context)
        return answer.result()

    def _run(self, function: Callable[[], T]) -> tuple[Any, BaseException | None]:
        self._thread = threading.current_thread()
        watch = self._state.watch
        try:
            return function() if watch is None else watch(function), None
        except SuspendExecution:
            return None, None
        except Exception as error:  # noqa: BLE001  # carried to the event loop or back
            return None, error
        finally:
            self._has_returned = True

    def _caller(self) -> tuple[CodeType, int, int] | None:
        """Code, line and thread of the call: of the calling thread, or of this one if only a pool is on that stack."""
        frame, thread = user_frame(sys._getframe(2)), threading.get_ident()  # noqa: SLF001  # the only way to see a caller
        if frame is None and self._thread is not None and self._thread.ident is not None:
            thread = self._thread.ident
            frame = user_frame(sys._current_frames().get(thread))  # noqa: SLF001  # likewise, of another thread
        return (frame.f_code, frame.f_lineno, thread) if frame is not None else None

    def _start(self, operation: Callable[[], Coroutine[Any, Any, Any]], answer: Future[Any], is_own: bool) -> None:
        if self._is_over:
            self._settle(answer, None, SuspendExecution())
            return
        try:
            # The task gets its own context: it belongs to the SDK, and its calls are numbered as the thread's.
            task = self._state.loop.create_task(operation(), context=contextvars.copy_context())
        except Exception as error:  # noqa: BLE001  # carried to the event loop or back
            self._settle(answer, None, error)
            return
        self._operations.add(task)
        if is_own:
            self._set_busy(False)
        task.add_done_callback(lambda done: self._finish(done, answer, is_own))

    def _finish(self, task: asyncio.Task[Any], answer: Future[Any], is_own: bool) -> None:
        self._operations.discard(task)
        if is_own and not self._is_over:
            self._set_busy(True)
        if task.cancelled():
            self._settle(answer, None, SuspendExecution())
        else:
            error = task.exception()
            self._settle(answer, None if error is not None else task.result(), error)

    def _settle(self, answer: Future[Any], result: Any, error: BaseException | None) -> None:
        with self._lock:
            self._waiting.discard(answer)
            if answer.done():
                return
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(result)

    def _set_busy(self, is_busy: bool) -> None:
        """Set whether the thread keeps the invocation from being suspended."""
        if is_busy is not self._is_busy:
            self._is_busy = is_busy
            self._state.busy += 1 if is_busy else -1

    def _unwind(self) -> None:
        """Detach the thread: it has ended, or its invocation no longer waits for it."""
        self._set_busy(False)
        for operation in self._operations:
            operation.cancel()
        with self._lock:
            self._is_over = True
            for answer in self._waiting:
                if not answer.done():
                    answer.set_exception(SuspendExecution())
            self._waiting.clear()

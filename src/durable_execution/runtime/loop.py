"""The event loop of one environment, and how it detects that nothing is left to do.

When every task waits, the loop asks its selector to block. Suspension is decided at that moment, so the selector is wrapped:
before it blocks, a hook may report that something has been scheduled and that the loop should look again.
"""

from __future__ import annotations

import asyncio
import os
import selectors
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import ContextVar, copy_context
from typing import Any, Final, Protocol, TypeVar, cast
from weakref import WeakSet, finalize

T = TypeVar("T")

ABANDON_AFTER_ROUNDS = 5
"""How often a task that survives its cancellation is cancelled before it is abandoned."""


class TaskOwner(Protocol):
    """The owner of the code that creates a task: a context of an invocation."""

    def adopt(self, task: asyncio.Task[Any]) -> None:
        """Register a task that the context's code has created."""
        ...

    def for_task(self) -> TaskOwner:
        """The owner of the code of a new task."""
        ...

    def belongs_to(self, task: asyncio.Task[Any]) -> None:
        """Say that a new task's code has this owner."""
        ...


class StepScope:
    """Marks the code of a step's body, where durable operations cannot be called. Its tasks have no owner."""

    def adopt(self, task: asyncio.Task[Any]) -> None:
        """Ignore the task: a client that a step starts may live on in a warm environment."""

    def for_task(self) -> StepScope:
        """The same scope: tasks of a step belong to the step."""
        return self

    def belongs_to(self, task: asyncio.Task[Any]) -> None:
        """Ignore the task."""


IN_STEP: Final = StepScope()

scope: ContextVar[TaskOwner | None] = ContextVar("durable_execution_scope", default=None)
"""The owner of the running code: a context, IN_STEP in a step's body, None elsewhere."""

MAX_ABANDONED = 100


class _Kept:
    """What must not be collected: the collector would warn about a task that did not end, and close a loop that is shared.

    Attributes:
        tasks: The last tasks that did not end when they were cancelled.
        loops: Loops of the process that this one was forked from. Closing one here would change the parent's selector.
    """

    def __init__(self) -> None:
        self.tasks: deque[asyncio.Task[Any]] = deque(maxlen=MAX_ABANDONED)
        self.loops: list[EnvironmentLoop | asyncio.AbstractEventLoop] = []


_kept = _Kept()
_thread_state = threading.local()


class IdleSelector(selectors.DefaultSelector):
    """A selector that calls `on_idle(timeout)` before it would block, and does not block if that returns True.

    Attributes:
        on_idle: Called before it would block.
        turns: How many turns the loop has made.
    """

    on_idle: Callable[[float | None], bool] | None = None
    turns = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait for files to be ready; see `selectors.BaseSelector.select`."""
        self.turns += 1
        if self.on_idle is None or (timeout is not None and timeout <= 0):
            return super().select(timeout)
        ready = super().select(0)
        if ready or self.on_idle(timeout):
            return ready
        return super().select(timeout)


class CountingLoop(asyncio.SelectorEventLoop):
    """An event loop that counts its turns and its tasks.

    Attributes:
        selector: Counts the turns, and tells when the loop is about to sleep.
    """

    _unfinished: int

    def __init__(self) -> None:
        self.selector = IdleSelector()
        super().__init__(self.selector)
        self._counted_at: int | None = None
        self.set_task_factory(cast("Any", _owning_task_factory))  # typeshed also wants generators

    def unfinished_tasks(self) -> int:
        """How many tasks have not ended, counted again in each turn and when the loop has created a task.

        asyncio goes through all tasks of all loops to tell, and every step of a sequential workflow asks, all in one turn.
        """
        if self._counted_at != self.selector.turns:
            self._counted_at = self.selector.turns
            self._unfinished = len(asyncio.all_tasks(self))
        return self._unfinished

    def count_again(self) -> None:
        """Count the tasks anew at the next question: there is a new one."""
        self._counted_at = None


class EnvironmentLoop:
    """The event loop of one thread of an environment, kept across its invocations.

    The loop is kept so that clients which user code creates at module level live on in a warm environment. Tasks that an
    invocation leaves behind when it is suspended are cancelled.
    """

    def __init__(self) -> None:
        self.process = os.getpid()
        self.loop = CountingLoop()
        self.selector = self.loop.selector
        self.loop.set_exception_handler(_report)
        finalize(self, _close_quietly, self.loop, self.process)

    def run(self, main: Coroutine[Any, Any, T], on_idle: Callable[[float | None], bool]) -> T:
        """Run a coroutine to its end, calling `on_idle` whenever the loop is about to sleep."""
        self.selector.on_idle = on_idle
        task = self.loop.create_task(main)
        try:
            return self.loop.run_until_complete(task)
        except BaseException as error:
            if isinstance(error, (KeyboardInterrupt, SystemExit)) or not task.done():
                self._abandon()
            raise
        finally:
            self.selector.on_idle = None

    def _abandon(self) -> None:
        """Discard a loop that was interrupted, so that the next invocation does not continue its work."""
        self.selector.on_idle = None
        self.loop.run_until_complete(cancel_all(WeakSet(asyncio.all_tasks(self.loop))))
        self.close()

    def close(self) -> None:
        """Close the loop."""
        self.loop.close()


def _report(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Report an unhandled error as asyncio does, except an exit of the process, which the handler's caller has already seen."""
    if not isinstance(context.get("exception"), (KeyboardInterrupt, SystemExit)):
        loop.default_exception_handler(context)


def _close_quietly(loop: asyncio.AbstractEventLoop, process: int) -> None:
    """Close the loop of a thread that has ended. A running loop belongs to a daemon thread at the end of the process.

    In a fork, all other threads of the parent have ended, but their loops go on in the parent.
    """
    if process != os.getpid():
        _kept.loops.append(loop)
    elif not loop.is_running():
        loop.close()


def turns_of(loop: asyncio.AbstractEventLoop) -> int | None:
    """How many turns a loop has made; None if it is not the SDK's."""
    return loop.selector.turns if isinstance(loop, CountingLoop) else None


def unfinished_tasks(loop: asyncio.AbstractEventLoop) -> int:
    """How many tasks of a loop have not ended."""
    return loop.unfinished_tasks() if isinstance(loop, CountingLoop) else len(asyncio.all_tasks(loop))


def environment_loop() -> EnvironmentLoop:
    """The loop of this thread, created on first use."""
    found: EnvironmentLoop | None = getattr(_thread_state, "loop", None)
    if found is not None and found.process != os.getpid():
        _kept.loops.append(found)
        found = None
    if found is None or found.loop.is_closed():
        found = _thread_state.loop = EnvironmentLoop()
    return found


def run_in_environment(run: Callable[[EnvironmentLoop], T]) -> T:
    """Call `run` with an idle loop: this thread's, or that of a new thread when a loop is already running in this one."""
    return _run_in_thread(run) if _is_loop_running() else run(environment_loop())


def _is_loop_running() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _run_in_thread(run: Callable[[EnvironmentLoop], T]) -> T:
    from concurrent.futures import ThreadPoolExecutor

    def in_thread() -> T:
        environment = EnvironmentLoop()
        try:
            return run(environment)
        finally:
            environment.close()

    with ThreadPoolExecutor(1, thread_name_prefix="durable-execution") as pool:
        return pool.submit(in_thread).result()


def _owning_task_factory(loop: CountingLoop, coroutine: Coroutine[Any, Any, T], **options: Any) -> asyncio.Task[T]:
    loop.count_again()
    owner = scope.get()
    if owner is None or owner is IN_STEP:
        return asyncio.Task(coroutine, loop=loop, **options)
    if options.get("context") is None:
        options["context"] = context = copy_context()
        context.run(scope.set, owner.for_task())
    task: asyncio.Task[T] = asyncio.Task(coroutine, loop=loop, **options)
    owner.adopt(task)
    inner = options["context"].get(scope)
    if inner is not None and inner is not owner:
        inner.belongs_to(task)
    return task


async def cancel_all(tasks: WeakSet[asyncio.Task[Any]]) -> int:
    """Cancel the tasks that are still running.

    Returns:
        How many tasks did not end, because they catch the cancellation or are still cleaning up.
    """
    alive: list[asyncio.Task[Any]] = []
    for _ in range(ABANDON_AFTER_ROUNDS):
        alive = [task for task in tasks if not task.done()]
        if not alive:
            return 0
        for task in alive:
            task.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    for task in alive:
        cast("Any", task)._log_destroy_pending = False  # noqa: SLF001  # abandoned on purpose, as gather() does
    _kept.tasks.extend(alive)
    return len(alive)

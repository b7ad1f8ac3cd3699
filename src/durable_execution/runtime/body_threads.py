"""Threads for synchronous step bodies, so that a blocking body does not stop the event loop."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")

MAX_WORKERS = 32
"""How many synchronous step bodies run at the same time."""

Job = tuple[contextvars.Context, Callable[[], Any], "asyncio.Future[Any]", asyncio.AbstractEventLoop]


class Workers:
    """A small pool of daemon threads. They are started on demand and kept across invocations.

    Args:
        limit: Largest number of threads.
        name: Prefix of their names.
    """

    def __init__(self, limit: int = MAX_WORKERS, *, name: str = "durable-step") -> None:
        self._limit = limit
        self._name = name
        self._start()

    def _start(self) -> None:
        self._process = os.getpid()
        self._jobs: SimpleQueue[Job] = SimpleQueue()
        self._threads = 0
        self._idle = threading.Semaphore(0)

    def run(self, function: Callable[[], T]) -> asyncio.Future[T]:
        """Call a function in a worker thread, in a copy of the current context."""
        if self._process != os.getpid():
            self._start()  # a fork has none of the threads of its parent
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._jobs.put((contextvars.copy_context(), function, future, loop))
        if not self._idle.acquire(blocking=False) and self._threads < self._limit:
            self._threads += 1
            threading.Thread(target=self._work, name=f"{self._name}-{self._threads}", daemon=True).start()
        return future

    def _work(self) -> None:
        while True:
            context, function, future, loop = self._jobs.get()
            result: Any = None
            error: BaseException | None = None
            try:
                result = context.run(function)
            except BaseException as raised:  # noqa: BLE001  # re-raised where the future is awaited
                error = raised
            del context, function
            self._idle.release()
            with suppress(RuntimeError):  # the loop was closed, so nothing waits for the future
                loop.call_soon_threadsafe(_settle, future, result, error)
            del future, result, error


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    elif isinstance(error, StopIteration):
        future.set_exception(RuntimeError(f"a step raised StopIteration: {error}"))
    else:
        future.set_exception(error)


_shared: Workers | None = None


def shared_workers() -> Workers:
    """The pool of the environment."""
    global _shared  # noqa: PLW0603  # one pool per environment, created on first use
    if _shared is None:
        _shared = Workers()
    return _shared

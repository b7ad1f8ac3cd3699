"""Threads for synchronous step bodies, so that a blocking body does not stop the event loop."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from queue import SimpleQueue
from types import CodeType
from typing import Any, TypeVar

T = TypeVar("T")

MAX_WORKERS = 32
"""How many synchronous step bodies run at the same time."""

SHORT_SECONDS = 0.001
LONG_SECONDS = 0.25
LONG = -1
RUNS_TO_TRUST = 3
MAX_KNOWN = 4096

Job = tuple[contextvars.Context, Callable[[], Any], "asyncio.Future[Any]", asyncio.AbstractEventLoop, "CodeType | None"]


class BodyTimes:
    """Remembers which bodies usually end at once, so that a checkpoint call can wait for them, and which take long.

    A body is short after three runs of its code below a millisecond each, until a run takes longer. It is long after a run of
    a quarter of a second.
    """

    def __init__(self) -> None:
        self._short_runs: dict[CodeType, int] = {}

    def note(self, code: CodeType, seconds: float) -> None:
        """Add a run."""
        if len(self._short_runs) >= MAX_KNOWN:
            self._short_runs.clear()
        if seconds >= LONG_SECONDS:
            self._short_runs[code] = LONG
        else:
            self._short_runs[code] = max(self._short_runs.get(code, 0), 0) + 1 if seconds < SHORT_SECONDS else 0

    def is_long(self, code: CodeType | None) -> bool:
        """Whether the next run is expected to take so long that its start should be sent before it."""
        return code is not None and self._short_runs.get(code, 0) == LONG

    def is_short(self, code: CodeType | None) -> bool:
        """Whether the next run is expected to end at once."""
        return code is not None and self._short_runs.get(code, 0) >= RUNS_TO_TRUST


class Workers:
    """A small pool of daemon threads. They are started on demand and kept across invocations.

    Args:
        limit: Largest number of threads.
        name: Prefix of their names.

    Attributes:
        times: How long functions took whose code was given.
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
        self.times = BodyTimes()

    def run(self, function: Callable[[], T], code: CodeType | None = None) -> asyncio.Future[T]:
        """Call a function in a worker thread, in a copy of the current context. `code` identifies it in `times`."""
        if self._process != os.getpid():
            self._start()  # a fork has none of the threads of its parent
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._jobs.put((contextvars.copy_context(), function, future, loop, code))
        if not self._idle.acquire(blocking=False) and self._threads < self._limit:
            self._threads += 1
            threading.Thread(target=self._work, name=f"{self._name}-{self._threads}", daemon=True).start()
        return future

    def _work(self) -> None:
        while True:
            context, function, future, loop, code = self._jobs.get()
            result: Any = None
            error: BaseException | None = None
            began = time.perf_counter()
            try:
                result = context.run(function)
            except BaseException as raised:  # noqa: BLE001  # re-raised where the future is awaited
                error = raised
            if code is not None:
                self.times.note(code, time.perf_counter() - began)
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


@cache
def shared_workers() -> Workers:
    """The pool of the environment, created on first use."""
    return Workers()

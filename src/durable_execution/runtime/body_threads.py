"""Threads for synchronous step bodies, so that a blocking body does not stop the event loop."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from heapq import heappop, heappush
from types import CodeType
from typing import Any, TypeVar

T = TypeVar("T")

MAX_WORKERS = 32
"""How many synchronous step bodies run at the same time."""

SHORT_SECONDS = 0.001
BRIEF_SECONDS = 0.002
"""How long the event loop's thread waits for a body while nothing else can run."""

LONG_SECONDS = 0.25
LONG = -1
RUNS_TO_TRUST = 3
MAX_KNOWN = 4096


class BodyTimes:
    """Remembers which bodies usually end at once, so that a checkpoint call can wait for them, and which take long.

    A body is short after three runs of its code below a millisecond each, until a run takes longer. It is long after a run of
    a quarter of a second.
    """

    def __init__(self) -> None:
        self._short_runs: dict[CodeType | None, int] = {}

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
        return self._short_runs.get(code) == LONG

    def may_be_short(self, code: CodeType | None) -> bool:
        """Whether the next run may end at once: the last run did, or the body is not known."""
        return self._short_runs.get(code, 1) > 0

    def is_short(self, code: CodeType | None) -> bool:
        """Whether the next run is expected to end at once."""
        return self._short_runs.get(code, 0) >= RUNS_TO_TRUST


class Job:
    """A function that a worker thread is to call.

    Args:
        function: The function.
        code: Identifies it in the times.
        loop: The running loop.
        is_awaited: Whether the loop's thread calls `wait` as soon as a worker has the job.

    Attributes:
        future: Done when the function has ended.
    """

    __slots__ = (
        "_code",
        "_context",
        "_ended",
        "_error",
        "_function",
        "_is_awaited",
        "_loop",
        "_result",
        "_settler",
        "future",
    )

    def __init__(
        self,
        function: Callable[[], Any],
        code: CodeType | None,
        loop: asyncio.AbstractEventLoop,
        *,
        is_awaited: bool,
    ) -> None:
        self._context = contextvars.copy_context()
        self._function = function
        self._code = code
        self._loop = loop
        self._is_awaited = is_awaited
        self._result: Any = None
        self._error: BaseException | None = None
        self._settler = threading.Lock()  # whoever acquires it first decides which thread settles the future
        self._ended = threading.Lock()
        self._ended.acquire()
        self.future: asyncio.Future[Any] = loop.create_future()

    def wait(self, seconds: float) -> None:
        """Wait on the loop's thread. If the function ends in time, the future is done without a turn of the event loop."""
        if not self._ended.acquire(timeout=seconds):
            if self._settler.acquire(blocking=False):
                return
            self._ended.acquire()
        self._settle()

    def run(self, times: BodyTimes, when_ended: Callable[[], None]) -> None:
        """Call the function, then `when_ended`, and settle the future. Call this from the worker."""
        began = time.perf_counter()
        try:
            self._result = self._context.run(self._function)
        except BaseException as error:  # noqa: BLE001  # re-raised where the future is awaited
            self._error = error
        if self._code is not None:
            times.note(self._code, time.perf_counter() - began)
        del self._context, self._function
        when_ended()
        if self._is_awaited and self._settler.acquire(blocking=False):
            self._ended.release()
            return
        with suppress(RuntimeError):  # the loop was closed, so nothing waits for the future
            self._loop.call_soon_threadsafe(self._settle)

    def _settle(self) -> None:
        future, result, error = self.future, self._result, self._error
        del self._result, self._error
        if future.done():
            return
        if error is None:
            future.set_result(result)
        elif isinstance(error, StopIteration):
            future.set_exception(
                RuntimeError(
                    f"a step raised {error!r}. Python reserves this exception for iterators: give next() a default, or catch it "
                    "in the step's body"
                )
            )
        else:
            future.set_exception(error)


class Worker:
    """A thread that runs one job after the other.

    Args:
        number: Orders the workers of a pool.
        job: Its first job.

    Attributes:
        job: The job to run next, while `has_job` is released.
        has_job: Released to wake the thread.
    """

    __slots__ = ("has_job", "job", "number")

    def __init__(self, number: int, job: Job) -> None:
        self.number = number
        self.job = job
        self.has_job = threading.Lock()

    def __lt__(self, other: Worker) -> bool:
        return self.number < other.number

    def give(self, job: Job) -> None:
        """Give the idle thread a job."""
        self.job = job
        self.has_job.release()


class Workers:
    """A small pool of daemon threads. They are started on demand and kept across invocations.

    Of the idle threads, the oldest gets the next job. So functions that follow each other share one thread, and with it the
    objects that are bound to a thread, also after many threads were needed.

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
        self._lock = threading.Lock()  # guards the following three
        self._threads = 0
        self._idle: list[Worker] = []  # a heap
        self._waiting: deque[Job] = deque()
        self.times = BodyTimes()

    def run(
        self, function: Callable[[], T], code: CodeType | None = None, *, is_alone: bool = False
    ) -> asyncio.Future[T]:
        """Call a function in a worker thread, in a copy of the current context.

        Args:
            function: The function.
            code: Identifies the function in `times`.
            is_alone: Whether nothing else can run meanwhile. Then the calling thread waits for a function that may end at
                once: two threads that hand over a lock cost half of what a turn of the event loop does.
        """
        if self._process != os.getpid():
            self._start()  # a fork has none of the threads of its parent
        is_brief = is_alone and self.times.may_be_short(code)
        job = Job(function, code, asyncio.get_running_loop(), is_awaited=is_brief)
        self._assign(job)
        if is_brief:
            job.wait(BRIEF_SECONDS)
        return job.future

    def _assign(self, job: Job) -> None:
        """Give a job to an idle thread or a new one, or let it wait for the next that ends its own."""
        with self._lock:
            if self._idle:
                worker = heappop(self._idle)
            elif self._threads == self._limit:
                self._waiting.append(job)
                return
            else:
                self._threads += 1
                worker = Worker(self._threads, job)
                name = f"{self._name}-{worker.number}"
                threading.Thread(target=self._work, args=(worker,), name=name, daemon=True).start()
                return
        worker.give(job)

    def _work(self, worker: Worker) -> None:
        def take_next() -> None:
            """Take a job that waits; without one, the thread is idle before the end of its job is known."""
            with self._lock:
                if self._waiting:
                    worker.give(self._waiting.popleft())
                else:
                    heappush(self._idle, worker)

        while True:
            worker.has_job.acquire()
            job = worker.job
            del worker.job
            job.run(self.times, take_next)
            del job


@cache
def shared_workers() -> Workers:
    """The pool of the environment, created on first use."""
    return Workers()

"""Threads that run invocations."""

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from durable_execution.clock import SystemClock
from durable_execution.local.hosts import Failure, Outcome
from durable_execution.local.invocations import Assignment
from durable_execution.protocol import ErrorObject


@dataclass(frozen=True, slots=True)
class _Running:
    assignment: Assignment
    deadline: float


class Workers:
    """Runs each invocation on its own thread.

    The threads are daemons: a stopping process does not wait for user code, and loses nothing by that.

    Args:
        carry_out: Runs an invocation to its end; never raises.
        finished: Called with each outcome, on the thread that ran the invocation. For an invocation that timed out, it is
            called at the time-out only.
        changed: Called when an invocation no longer counts as running.
        stopwatch: Measures the time-outs.
    """

    def __init__(
        self,
        carry_out: Callable[[Assignment], Outcome],
        finished: Callable[[Assignment, Outcome], None],
        changed: Callable[[], None],
        stopwatch: SystemClock,
    ) -> None:
        self._carry_out = carry_out
        self._finished = finished
        self._changed = changed
        self._stopwatch = stopwatch
        self._lock = threading.Lock()
        self._running: dict[str, _Running] = {}
        self._threads = 0
        self._idle = 0
        self._work: queue.SimpleQueue[Assignment | None] = queue.SimpleQueue()
        self._here = threading.local()

    @property
    def running(self) -> int:
        """Number of running invocations."""
        return len(self._running)

    @property
    def is_here(self) -> bool:
        """Whether the calling thread runs an invocation."""
        return bool(getattr(self._here, "is_worker", False))

    def start(self, assignment: Assignment) -> None:
        """Run an invocation on a worker thread."""
        deadline = self._stopwatch.monotonic() + assignment.function.timeout / timedelta(seconds=1)
        with self._lock:
            self._running[assignment.request_id] = _Running(assignment, deadline)
            needs_thread = self._idle == 0
            if needs_thread:
                self._threads += 1
            else:
                self._idle -= 1
        if needs_thread:
            name = f"durable-invocation-{self._threads}"
            threading.Thread(target=self._work_forever, name=name, daemon=True).start()
        self._work.put(assignment)

    def seconds_left(self) -> float | None:
        """Seconds until the first running invocation times out; None if none is running."""
        with self._lock:
            first = min((running.deadline for running in self._running.values()), default=None)
        return None if first is None else first - self._stopwatch.monotonic()

    def give_up_overdue(self) -> None:
        """Fail invocations that have timed out. Their later results are ignored, and their tokens are stale."""
        now = self._stopwatch.monotonic()
        with self._lock:
            overdue = [running.assignment for running in self._running.values() if running.deadline <= now]
        for assignment in overdue:
            seconds = assignment.function.timeout / timedelta(seconds=1)
            message = f"{assignment.request_id} Task timed out after {seconds:.2f} seconds"
            self._finish(assignment, Failure(ErrorObject(message, "Sandbox.Timedout")))

    def close(self) -> None:
        """End idle threads."""
        for _ in range(self._threads):
            self._work.put(None)

    def _work_forever(self) -> None:
        self._here.is_worker = True
        while (assignment := self._work.get()) is not None:
            outcome = self._carry_out(assignment)
            with self._lock:
                is_awaited = assignment.request_id in self._running
                self._idle += 1
            if is_awaited:
                self._finish(assignment, outcome)

    def _finish(self, assignment: Assignment, outcome: Outcome) -> None:
        try:
            self._finished(assignment, outcome)
        finally:
            with self._lock:
                self._running.pop(assignment.request_id, None)
            self._changed()

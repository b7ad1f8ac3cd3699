"""Threads that run invocations, and the end of what each logged."""

import math
import queue
import threading
from base64 import b64encode
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from durable_execution.clock import SystemClock
from durable_execution.local.hosts import Answer, Failure, Missing, Outcome
from durable_execution.local.invocations import Assignment
from durable_execution.protocol import ErrorObject
from durable_execution.runtime.module_context import context_of_modules

GRACE_SECONDS = 10
"""How much later than at its time-out an invocation is given up whose host ends it at the time-out."""

TIMED_OUT = "Sandbox.Timedout"


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
        self._context = context_of_modules()

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
        function = assignment.function
        grace = GRACE_SECONDS if getattr(function.host, "ends_overdue", False) else 0
        deadline = self._stopwatch.monotonic() + function.timeout / timedelta(seconds=1) + grace
        with self._lock:
            self._running[assignment.request_id] = _Running(assignment, deadline)
            needs_thread = self._idle == 0
            if needs_thread:
                self._threads += 1
            else:
                self._idle -= 1
        if needs_thread:
            name = f"durable-invocation-{self._threads}"
            run = self._context.copy().run
            threading.Thread(target=run, args=(self._work_forever,), name=name, daemon=True).start()
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
            self._finish(assignment, Failure(ErrorObject(message, TIMED_OUT)))

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


TAIL_BYTES = 4096
"""How much of a log Lambda returns."""

MOST = 256
"""Executions whose log is kept: as many as callers can wait for at the same time."""


class LogTails:
    """The last 4 KB of what the invocations of an execution logged, in Lambda's format, in memory."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tails: OrderedDict[int, bytes] = OrderedDict()

    def add(self, assignment: Assignment, outcome: Outcome, seconds: float) -> None:
        """Add what one invocation logged."""
        if isinstance(outcome, Missing):
            return
        request = assignment.request_id
        lines = [
            f"START RequestId: {request} Version: {assignment.context.function_version}",
            *outcome.log,
            f"END RequestId: {request}",
            "\t".join(_report(assignment, outcome, seconds * 1000)),
        ]
        text = "".join(f"{line}\n" for line in lines).encode(errors="replace")
        with self._lock:
            self._tails[assignment.key] = (self._tails.get(assignment.key, b"") + text)[-TAIL_BYTES:]
            self._tails.move_to_end(assignment.key)
            while len(self._tails) > MOST:
                self._tails.popitem(last=False)

    def encoded(self, key: int) -> str:
        """The tail of an execution's log, in Base64."""
        with self._lock:
            return b64encode(self._tails.get(key, b"")).decode()


def _report(assignment: Assignment, outcome: Answer | Failure, milliseconds: float) -> Iterator[str]:
    """The members of Lambda's REPORT line. A host that does not know the used memory counts as using all of it."""
    size = assignment.context.memory_limit_in_mb
    milliseconds = round(milliseconds, 2)  # as it is shown: 1.004 ms are billed as the 1.00 ms that the line says
    yield f"REPORT RequestId: {assignment.request_id}"
    yield f"Duration: {milliseconds:.2f} ms"
    yield f"Billed Duration: {math.ceil(milliseconds)} ms"
    yield f"Memory Size: {size} MB"
    yield f"Max Memory Used: {size if outcome.peak_memory_mb is None else outcome.peak_memory_mb} MB"
    kind = outcome.error.type if isinstance(outcome, Failure) else None
    if kind == TIMED_OUT:
        yield "Status: timeout"
    elif kind is not None and kind.startswith("Runtime."):
        yield "Status: error"
        yield f"Error Type: {kind}"

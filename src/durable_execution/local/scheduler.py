"""The scheduler: picks up executions that are due, fires their timers, and starts their invocations.

One thread at a time drives. With the real clock, that is a thread of the engine. With the skipping clock, it is the thread
that waits for a result; time jumps only when no invocation is running or ready. A server, which has no waiting thread,
drives on a thread of the engine with either clock.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Literal

from durable_execution.clock import SystemClock
from durable_execution.errors import DurableError, EngineError
from durable_execution.local.clocks import moment
from durable_execution.local.hosts import Failure, Invocation, Outcome
from durable_execution.local.invocation_threads import LogTails, Workers
from durable_execution.local.invocations import Assignment, Invocations
from durable_execution.local.rules.executions import encode_error, end_execution, fire_due, keep_outcome
from durable_execution.local.rules.forks import ForkClient
from durable_execution.local.store.journal import Journal
from durable_execution.local.transaction import Backend, Transaction
from durable_execution.observers import Observer
from durable_execution.protocol import ErrorObject
from durable_execution.runtime.service import ServiceClient

LOGGER = logging.getLogger(__name__)
POLL_SECONDS = 0.1
"""How often to check a store in a file for changes by other processes."""

LONG_SECONDS = 1.0
"""How long to sleep when no timer is known."""

BATCH = 100
"""Maximum number of executions to process in one transaction."""

Skips = Literal["everything", "work", "nothing"]
"""How far a skipping clock may jump. `everything`: to the next due time. `work`: only while some execution can continue
without an external event, so not to the time-outs of waiting callbacks and executions. `nothing`: not at all."""

ObserversFor = Callable[[Assignment], Sequence[Observer]]
"""Returns the observers of an invocation of a durable function."""


class Scheduler:
    """Drives the executions of one engine.

    Args:
        backend: The engine's shared objects.
        invocations: Records the start and end of invocations.
        client: The service client, for handlers in this process.
        observers_for: Returns the observers of an invocation.
        max_concurrency: Maximum number of concurrent invocations.
    """

    def __init__(
        self,
        backend: Backend,
        invocations: Invocations,
        client: ServiceClient,
        observers_for: ObserversFor,
        max_concurrency: int,
    ) -> None:
        self._backend = backend
        self._invocations = invocations
        self._client = client
        self._observers_for = observers_for
        self._max_concurrency = max_concurrency
        self._stopwatch = SystemClock()
        self.log_tails = LogTails()
        self._changed = threading.Condition()
        self._workers = Workers(self._carry_out, self._finished, self.wake, self._stopwatch)
        self._version = 0
        self._driver = threading.Lock()
        self._beginning = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self._failure: BaseException | None = None
        backend.on_change = self.wake

    @property
    def is_closed(self) -> bool:
        """Whether the scheduler is closed."""
        return self._is_closed

    @property
    def has_driver(self) -> bool:
        """Whether a thread of the engine drives, so that time passes while every execution waits for external events."""
        return self._thread is not None

    def require_open(self) -> None:
        """Check that the engine is usable.

        Raises:
            EngineError: The engine is closed, or its store has become unusable.
        """
        if self._failure is not None:
            raise self._failure
        if self._is_closed:
            raise EngineError("the engine is closed: create a new engine on the same store to continue.")

    def wake(self) -> None:
        """Wake the threads that wait for a change."""
        with self._changed:
            self._version += 1
            self._changed.notify_all()

    def drive(self) -> None:
        """Drive on a thread of the engine from now on.

        A skipping clock jumps over waits and retries. While every execution waits for an external event, it follows real
        time, so that there is time to complete a callback before it times out.
        """
        with self._changed:
            if self._thread is None and not self._is_closed:
                self._thread = threading.Thread(target=self._drive_forever, name="durable-engine", daemon=True)
                self._thread.start()

    def close(self, *, wait: float) -> None:
        """Start no more invocations, and wait up to `wait` seconds for running ones."""
        self._is_closed = True
        self.wake()
        with self._changed:
            self._changed.wait_for(lambda: not self._workers.running, timeout=wait)
        self._workers.close()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=5)

    def run_until(
        self,
        is_done: Callable[[], bool],
        *,
        timeout: float | None = None,
        skips: Skips = "everything",
        horizon_ms: int | None = None,
    ) -> bool:
        """Drive until a condition is true, or wait while another thread drives.

        Args:
            is_done: Returns whether the condition is true. Called after every change.
            timeout: Real seconds to wait for external events. With the real clock, None waits forever.
            skips: How far a skipping clock may jump.
            horizon_ms: The latest time a skipping clock may jump to; None for no limit.

        Returns:
            Whether the condition is true. False if no work is left that could make it true, or the time-out passed.
        """
        end = None if timeout is None else self._stopwatch.monotonic() + timeout
        if not self._backend.clock.is_skipping:
            self.drive()
        with self._free_slot():
            while True:
                self.require_open()
                version = self._version
                if is_done():
                    return True
                if end is not None and self._stopwatch.monotonic() >= end:
                    return False
                if self._is_driven(horizon_ms):
                    if timeout is None and self._backend.clock.is_skipping and self.is_idle():
                        return is_done()
                    self._sleep(version, end)
                elif not self._driver.acquire(blocking=False):
                    self._sleep(version, end)
                elif not self._advance(is_done, skips, horizon_ms):
                    if timeout is None:
                        return is_done()
                    self._sleep(version, end)

    def is_idle(self) -> bool:
        """Whether no invocation is running and every unfinished execution waits for an external event."""
        with self._beginning:  # so that every recorded invocation has been handed to a worker
            return not self._workers.running and self._next_work() is None

    def _is_driven(self, horizon_ms: int | None) -> bool:
        """Whether a thread of the engine drives. That thread has no horizon, so a caller with one drives as well."""
        return self.has_driver and horizon_ms is None

    @contextmanager
    def _free_slot(self) -> Iterator[None]:
        """While user code in an invocation waits for another execution, free its concurrency slot."""
        here = int(self._workers.is_here)
        with self._changed:
            self._max_concurrency += here
        try:
            yield
        finally:
            with self._changed:
                self._max_concurrency -= here

    def _sleep(self, version: int, end: float | None) -> None:
        """Wait for the next change. Wake up regularly to find changes made by other processes."""
        left = POLL_SECONDS if self._backend.store.path is not None else LONG_SECONDS
        if end is not None:
            left = min(left, max(0.0, end - self._stopwatch.monotonic()))
        self._await_change(version, left)

    def _await_change(self, version: int, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._version != version or self._is_closed, timeout=max(0.0, seconds))

    def _await_worker(self, version: int) -> None:
        """Wait for the next change, or until an invocation times out."""
        left = self._workers.seconds_left()
        self._await_change(version, LONG_SECONDS if left is None else min(left, LONG_SECONDS))

    def _advance(self, is_done: Callable[[], bool], skips: Skips, horizon_ms: int | None) -> bool:
        """As the driving thread with the skipping clock: run what is ready, or jump to the next due time.

        Returns:
            Whether anything was done, so that the caller must look again.
        """
        try:
            version = self._version
            self._start_due()
            if self._workers.running:
                self._await_worker(version)
                return True
            return self._jump(is_done, skips, horizon_ms)
        finally:
            self._driver.release()

    def _jump(self, is_done: Callable[[], bool], skips: Skips, horizon_ms: int | None) -> bool:
        store = self._backend.store
        with store.snapshot():  # read both in one snapshot, or an external change in between would be jumped over
            next_ms, work_ms = store.executions.next_wake(self._backend.owner), None
            if skips == "work":
                work_ms = store.executions.next_work(self._backend.owner)
        if next_ms is None:
            return False
        if next_ms <= self._backend.now_ms() or is_done():
            return True
        if skips == "nothing" or (skips == "work" and work_ms is None):
            return False
        if horizon_ms is not None and next_ms > horizon_ms:
            return False
        self._backend.clock.advance_to(moment(next_ms))
        return True

    def _drive_forever(self) -> None:
        turn = self._drive_skipping if self._backend.clock.is_skipping else self._drive_real
        try:
            while not self._is_closed:
                turn()
        except BaseException as error:
            if not self._is_closed:
                LOGGER.exception("the local engine stops: its scheduler failed")
                self._failure = error
            self.wake()

    def _drive_real(self) -> None:
        """Process what is due, then sleep until the next due time or change."""
        version = self._version
        self._start_due()
        seconds = POLL_SECONDS if self._backend.store.path is not None else LONG_SECONDS * 60
        left = self._workers.seconds_left()
        if left is not None:
            seconds = min(seconds, left)
        next_ms = self._next_wake()
        if next_ms is not None and self._workers.running < self._max_concurrency:
            seconds = min(seconds, (next_ms - self._backend.now_ms()) / 1000)
        self._await_change(version, seconds)

    def _drive_skipping(self) -> None:
        """Process what is ready, jump while executions can continue by themselves, then follow real time."""
        version = self._version
        with self._driver:
            self._start_due()
            has_jumped = not self._workers.running and self._jump(lambda: False, "work", None)
        if self._workers.running:
            self._await_worker(version)
        elif not has_jumped:
            self._pass_time(version)

    def _pass_time(self, version: int) -> None:
        clock, started = self._backend.clock, self._stopwatch.monotonic()
        before, next_ms = clock.now(), self._next_wake()
        seconds = POLL_SECONDS if self._backend.store.path is not None else LONG_SECONDS
        if next_ms is not None:
            seconds = min(seconds, (next_ms - self._backend.now_ms()) / 1000)
        self._await_change(version, seconds)
        clock.advance_to(before + timedelta(seconds=self._stopwatch.monotonic() - started))

    def _start_due(self) -> None:
        """Fire timers, end executions that have timed out, and start invocations while slots are free."""
        self._workers.give_up_overdue()
        if self._is_closed:
            return
        next_ms = self._next_wake()
        if next_ms is None or next_ms > self._backend.now_ms():
            return
        free_slots = self._max_concurrency - self._workers.running
        with self._beginning:
            for assignment in self._begin_due(free_slots):
                self._workers.start(assignment)

    def _begin_due(self, free_slots: int) -> list[Assignment]:
        started: list[Assignment] = []
        executions, owner = self._backend.store.executions, self._backend.owner
        with self._backend.transaction() as transaction:
            for row in executions.awake(owner, transaction.now_ms, BATCH):
                has_slot = len(started) < free_slots
                assignment = self._look_at(transaction, transaction.journal(row), has_slot=has_slot)
                if assignment is not None:
                    started.append(assignment)
        return started

    def _look_at(self, transaction: Transaction, journal: Journal, *, has_slot: bool) -> Assignment | None:
        row = journal.row
        if row.timeout_ms is not None and row.timeout_ms <= journal.now_ms:
            error = ErrorObject(f"Execution timed out after {row.timeout_seconds} seconds.", "Execution.Timeout")
            keep_outcome(journal, error=encode_error(error))
            end_execution(transaction, journal, "TIMED_OUT")
            return None
        fire_due(journal)
        row = journal.row
        is_ready = row.status == "RUNNING" and not row.is_running and row.invoke_ms is not None
        if not is_ready or not has_slot or (row.invoke_ms or 0) > journal.now_ms:
            return None
        return self._invocations.begin(transaction, journal)

    def _carry_out(self, assignment: Assignment) -> Outcome:
        started = self._stopwatch.monotonic()
        outcome = self._invoke(assignment)
        self.log_tails.add(assignment, outcome, self._stopwatch.monotonic() - started)
        return outcome

    def _invoke(self, assignment: Assignment) -> Outcome:
        try:
            observers = self._observers_for(assignment) if assignment.is_durable else ()
            return assignment.function.host_of(assignment.context.function_version).invoke(
                Invocation(
                    event=assignment.event,
                    context=assignment.context,
                    client=self._client if assignment.fork is None else ForkClient(self._client, assignment.fork),
                    observers=observers,
                    clock=self._backend.clock,
                    execution_arn=assignment.arn if assignment.is_durable else None,
                    number=assignment.number,
                    trace_header=assignment.trace_header,
                    timeout=assignment.function.timeout,
                )
            )
        except Exception as error:
            LOGGER.exception("the host of function %s failed", assignment.function.name)
            return Failure(ErrorObject(f"{type(error).__name__}: {error}", "Runtime.HostError"))

    def _finished(self, assignment: Assignment, outcome: Outcome) -> None:
        try:
            self._invocations.end(assignment.key, assignment.request_id, outcome)
        except DurableError as error:
            if not self._is_closed:
                LOGGER.exception("the end of invocation %s could not be recorded", assignment.request_id)
                self._failure = error

    def _next_wake(self) -> int | None:
        store = self._backend.store
        with store.snapshot():
            return store.executions.next_wake(self._backend.owner)

    def _next_work(self) -> int | None:
        store = self._backend.store
        with store.snapshot():
            return store.executions.next_work(self._backend.owner)

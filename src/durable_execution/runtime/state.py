"""The state of one invocation: its operations, the calls that wait for them, and the decision how the invocation ends."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, Protocol
from weakref import WeakSet

from durable_execution.errors import ExecutionError, ServiceError
from durable_execution.protocol import Operation, Wire
from durable_execution.protocol.enums import BATCHES, COMBINATORS, PATCH, TERMINAL_OPERATION_STATUSES
from durable_execution.protocol.ids import operation_id
from durable_execution.runtime.answers import is_stale
from durable_execution.runtime.batcher import CheckpointBatcher, as_service_error
from durable_execution.runtime.loop import unfinished_tasks

if TYPE_CHECKING:
    from durable_execution.clock import Clock
    from durable_execution.history.positions import InnerScope
    from durable_execution.runtime.announcer import Announcer
    from durable_execution.runtime.body_threads import Workers
    from durable_execution.runtime.call import Call
    from durable_execution.runtime.service import ServiceClient

logger = logging.getLogger("durable_execution")

RESUMING_STATUSES = TERMINAL_OPERATION_STATUSES | {"READY"}
"""Statuses in which code that waits for an operation can continue."""

DUE_MARGIN_SECONDS = 0.2
"""How long after a timer is due the service is asked about it. Its clock and the local clock may differ slightly."""

UNRECORDED_CALLS = 64
"""How many numbers in a row have no record where a look for the calls of a context or task ends."""

FOREIGN_WAIT_SECONDS = 10.0
"""How long a handler may wait for something that is not a durable operation before a warning is logged."""

SDK_TASKS = 2
"""Tasks of the SDK in every invocation: the one that answers, and the one that sends batches."""

STATE_TYPES_NOT_REREAD = frozenset({"STEP", "CONTEXT"})


class Ending(Enum):
    """How an invocation ends."""

    RETURNED = "returned"
    RAISED = "raised"
    SUSPENDED = "suspended"
    FAILED = "failed"


class Outcome(NamedTuple):
    """How an invocation ends, with the handler's result or the error."""

    ending: Ending
    value: Any = None
    error: BaseException | None = None


class NondeterminismPolicy(Enum):
    """What the runtime does when the code leaves the recorded path.

    FAIL ends the execution as FAILED. RETRY fails the invocation, so that rolling the code back saves the execution.
    WARN reports the divergence and continues with the recorded results.
    """

    FAIL = "fail"
    RETRY = "retry"
    WARN = "warn"


class EndedOutsideError(BaseException):
    """The operation of a body that does not run has ended: its recorded outcome is that of the call."""


class BodyOrder(Protocol):
    """Decides when the bodies of steps begin and end. A client for tests may have one, as its `body_order`."""

    async def run(self, call: Call, body: Callable[[], Awaitable[Any]]) -> Any:
        """Run a body when it may begin, and return its result when it may end. The state is busy until then."""
        ...

    def release(self, state: ExecutionState) -> bool:
        """Let something happen. The runtime calls this while bodies run and nothing else can go on.

        Returns:
            Whether something was scheduled, so that the loop must look again.
        """
        ...


class ExecutionState:
    """The state of one invocation. Use it only on the invocation's event loop.

    Attributes:
        execution_arn: ARN of the execution.
        operations: The recorded operations by id, in wire form.
        handler: `module:qualname` of the handler.
        updated_ids: Operations that timers, callbacks and other functions changed since the last invocation.
        logs_while_replaying: Whether context loggers write while their context replays.
        user_logger: Logger that context loggers write to; None for the SDK's own logger.
        recorded_count: Number of operations recorded before this invocation, without the EXECUTION operation.
        outcome: Done when it is decided how the invocation ends.
        is_over: Whether the invocation has ended: its threads and tasks are unwound, and nothing can be stored any more.
        is_forked: Whether this process is a fork of the one that runs the invocation.
        busy: Number of running step bodies and running threads of blocking code.
        threads: Futures that are done when a thread of the user's blocking orchestration code has ended.
        tasks: Tasks of the user's orchestration code.
        watch: Called with the function that a thread of blocking orchestration code is about to run; None runs it directly. A
            replay sets it to observe what the code depends on.
        step_stubs: Functions that a test runs in place of step bodies, by the name of the step; None without stubs.
        body_order: Decides when the bodies of steps begin and end, for tests; None lets them run as they come.
        on_unread: Called with a call whose recorded result could not be read, and the error. A replay sets it.
        stand_in: Called with the step's call before the step's body runs. What it returns is awaited in place of the body;
            None runs the body. Replays and forks set it.
        before_suspension: Called when the invocation is about to be suspended. It returns whether the service may have news, so
            that the service is asked first. Forks set it.
        seed_arn: ARN that seeds `ctx.random` and `ctx.uuid`. A fork has its origin's.
    """

    def __init__(
        self,
        *,
        execution_arn: str,
        token: str,
        operations: dict[str, Wire],
        client: ServiceClient,
        clock: Clock,
        announcer: Announcer | None,
        policy: NondeterminismPolicy,
        workers: Workers,
        handler: str = "handler",
        updated_ids: Iterable[str] = (),
        logs_while_replaying: bool = False,
        user_logger: logging.Logger | None = None,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.execution_arn = execution_arn
        self.operations = operations
        self.recorded_count = len(operations) - 1
        self.clock = clock
        self.announcer = announcer
        self.policy = policy
        self.workers = workers
        self.handler = handler
        self.updated_ids = frozenset(updated_ids)
        self.logs_while_replaying = logs_while_replaying
        self.user_logger = user_logger
        self.outcome: asyncio.Future[Outcome] = self.loop.create_future()
        self.is_over = False
        self.thread = threading.get_ident()
        self.is_forked = False
        _live.add(self)
        self.busy = 0
        self.threads: set[asyncio.Future[Any]] = set()
        self.tasks: WeakSet[asyncio.Task[Any]] = WeakSet()
        self.watch: Callable[[Callable[[], Any]], Any] | None = None
        self.on_unread: Callable[[Call, Exception], None] | None = None
        self.step_stubs: Mapping[str | None, Callable[..., Any]] | None = getattr(client, "step_stubs", None)
        self.body_order: BodyOrder | None = getattr(client, "body_order", None)
        self.stand_in: Callable[[Call], Awaitable[Any] | None] | None = getattr(client, "stand_in", None)
        self.before_suspension: Callable[[], bool] | None = getattr(client, "before_suspension", None)
        self.seed_arn: str = getattr(client, "seed_arn", None) or execution_arn
        self.batcher = CheckpointBatcher(
            client=client,
            execution_arn=execution_arn,
            token=token,
            merge=self._merge,
            on_failure=self._on_checkpoint_failure,
            on_revoked=self._on_revoked,
            announcer=announcer,
        )
        if announcer is not None:
            announcer.note_recorded(operations)
        self._touched: set[str] = set()
        self._waiters: dict[str, tuple[Call, list[asyncio.Future[None]]]] = {}
        self._due_timer: asyncio.TimerHandle | None = None
        self._foreign_timer: asyncio.TimerHandle | None = None
        self._children: dict[str | None, list[str]] | None = None
        self._may_have_inner: dict[str | None, bool] = {}
        self._inner: dict[str | None, Mapping[str | None, InnerScope]] = {}

    @property
    def is_decided(self) -> bool:
        """Whether it is decided how the invocation ends. From then on, user code has no effect."""
        return self.outcome.done()

    @property
    def started_at(self) -> datetime | None:
        """When the execution started, as the EXECUTION operation says."""
        first = next(iter(self.operations.values()), None)
        return Operation(first).started_at if first is not None and first["Type"] == "EXECUTION" else None

    @property
    def is_alone(self) -> bool:
        """Whether the user's code that asks is all that runs: one task of the invocation, no body and no call in flight."""
        others = len(self.threads)  # a blocking thread that waits for an operation has one task for it
        return not (self.batcher.is_sending or self.busy or others > 1 or len(self.tasks) > 1 + others)

    @property
    def can_store_at_once(self) -> bool:
        """Whether a checkpoint may be stored without a turn of the event loop.

        True while only one task of user code exists, so that no other update could share the call. A call that blocks the
        loop's thread needs more: no body, no further thread and no background task may be waiting for the loop.
        """
        batcher = self.batcher
        if batcher.is_sending or not (batcher.can_call_now or batcher.is_immediate):
            return False
        others = len(self.threads)  # a blocking thread that waits for an operation has one task for it
        tasks = len(self.tasks)
        if tasks > 1 + others:
            return False
        if batcher.is_immediate:
            return not others
        return not self.busy and others <= 1 and unfinished_tasks(self.loop) <= tasks + SDK_TASKS

    def decide(self, outcome: Outcome) -> None:
        """Decide how the invocation ends. Only the first decision counts."""
        if not self.outcome.done():
            self.outcome.set_result(outcome)

    async def fail(self, error: BaseException) -> NoReturn:
        """End the invocation with an error that user code must not catch. Does not return."""
        self.decide(Outcome(Ending.FAILED, error=error))
        await self.park()

    def check_usable(self, what: str) -> None:
        """Refuse a call that this invocation cannot make: it has ended, or the calling code is elsewhere.

        Args:
            what: The call, for the error.

        Raises:
            ExecutionError: The invocation has ended, or the code runs in a different thread, event loop or process.
        """
        if self.is_forked:
            raise ExecutionError(
                f"{what} was called in a fork of the process that runs the handler. The execution belongs to the process that "
                "Lambda started. Return the fork's result from the step that starts it, and call the operation in the handler"
            )
        if self.is_over:
            raise ExecutionError(
                f"{what} was called on the context of an invocation that has ended, so it cannot be stored. A context is valid "
                "while its handler runs: do not keep it in a global variable, an object or a background task. Await everything "
                "you start before the handler returns"
            )
        if threading.get_ident() != self.thread:
            raise ExecutionError(
                f"{what} was called from thread {threading.current_thread().name!r}, which does not run the handler. Calls are "
                "numbered in the order in which the handler makes them, so a context belongs to the handler's thread and event "
                "loop. Call the operation there, and start it with asyncio.gather or ctx.parallel to run several at once"
            )

    def mark_forked(self) -> None:
        """Note that this process is a fork of the one that runs the invocation. For the fork, the invocation is over."""
        self.is_forked = self.is_over = True

    async def park(self) -> NoReturn:
        """Wait until cancelled. For code that still runs after the end of the invocation was decided."""
        while True:
            await self.loop.create_future()

    async def until_changed(self, call: Call) -> Wire:
        """Wait until the operation has ended, or is ready for its next attempt.

        If nothing else runs, the invocation is suspended here, and the call never returns.
        """
        changed: asyncio.Future[None] = self.loop.create_future()
        entry = self._waiters.get(call.id)
        if entry is None:
            entry = self._waiters[call.id] = (call, [])
        entry[1].append(changed)
        try:
            await changed
        finally:
            self._stop_waiting(call.id, changed)
        return self.operations[call.id]

    def recorded_children(self, parent_id: str | None) -> int:
        """Number of operations with this parent that were recorded before this invocation."""
        return len(self._children_of(parent_id))

    def may_have_inner_scopes(self, parent_id: str | None) -> bool:
        """Whether a context's own code did not make all of its recorded calls, as far as a quick look shows."""
        known = self._may_have_inner.get(parent_id)
        if known is None:
            left, number, last = self.recorded_children(parent_id), 0, UNRECORDED_CALLS
            while left and number < last:
                if operation_id(parent_id, number) in self.operations:
                    left, last = left - 1, number + UNRECORDED_CALLS
                number += 1
            known = self._may_have_inner[parent_id] = left > 0
        return known

    def inner_scopes(self, parent_id: str | None) -> Mapping[str | None, InnerScope]:
        """The tasks and virtual contexts of a context that have recorded calls, by the prefix of their ids."""
        known = self._inner.get(parent_id)
        if known is None and not self.may_have_inner_scopes(parent_id):
            known = self._inner[parent_id] = {}
        if known is None:
            from durable_execution.history.positions import inner_scopes

            left = [key for key in self._children_of(parent_id) if key in self.operations]
            subtypes = {key: self.operations[key].get("SubType") for key in left}
            around = self.operations.get(parent_id or "", {}).get("SubType")
            known = self._inner[parent_id] = inner_scopes(
                subtypes,
                parent=parent_id,
                is_batch=around in BATCHES,
                combinators=[key for key, subtype in subtypes.items() if subtype in COMBINATORS],
            )
        return known

    def _children_of(self, parent_id: str | None) -> list[str]:
        if self._children is None:
            self._children = {}
            for key, wire in self.operations.items():
                if wire["Type"] != "EXECUTION" and wire.get("SubType") != PATCH:
                    self._children.setdefault(wire.get("ParentId"), []).append(key)
        return self._children.get(parent_id, [])

    def on_idle(self, timeout: float | None) -> bool:
        """Send what is left, or suspend. The event loop calls this when it is about to sleep.

        Returns:
            Whether something was scheduled, so that the loop must look again.
        """
        batcher = self.batcher
        if self.outcome.done() or batcher.is_sending:
            return False
        if self.busy:
            if self.body_order is not None and self.body_order.release(self):
                return True
            return batcher.flush_later() or self._ask_when_due()
        if not self._waiters:
            return self._watch_foreign_wait(timeout)
        if batcher.has_unsent or (self.before_suspension is not None and self.before_suspension()):
            batcher.flush()
            return True
        self._suspend()
        return True

    @property
    def next_due(self) -> datetime | None:
        """When the first timer is due that code waits for; None if it waits for none."""
        return min((at for key in self._waiters if (at := _due_at(self.operations.get(key))) is not None), default=None)

    def close(self) -> None:
        """Cancel the timers."""
        self.batcher.close()
        for timer in (self._due_timer, self._foreign_timer):
            if timer is not None:
                timer.cancel()

    def _watch_foreign_wait(self, timeout: float | None) -> bool:
        """Log a warning, once, if the handler waits long for something that is not a durable operation.

        Returns:
            Whether a timer was set.
        """
        if self._foreign_timer is not None or timeout is not None:
            return False
        self._foreign_timer = self.loop.call_later(FOREIGN_WAIT_SECONDS, self._warn_of_foreign_wait)
        return True

    def _warn_of_foreign_wait(self) -> None:
        if self.outcome.done() or self.busy or self._waiters or self.batcher.is_sending:
            return
        logger.warning(
            "the handler has waited %g seconds for something that is not a durable operation. It cannot be suspended, and Lambda "
            "ends it at the function's time-out. Move the call that waits into a step, or wait with ctx.wait or a callback",
            FOREIGN_WAIT_SECONDS,
            extra={"executionArn": self.execution_arn},
        )

    def _ask_when_due(self) -> bool:
        """While a body runs, ask the service again as soon as a timer that code waits for is due.

        Returns:
            Whether a timer was set.
        """
        if self._due_timer is not None or (due := self.next_due) is None:
            return False
        seconds = (due - self.clock.now()).total_seconds()
        self._due_timer = self.loop.call_later(max(seconds, 0) + DUE_MARGIN_SECONDS, self._ask)
        return True

    def _ask(self) -> None:
        self._due_timer = None
        if self.busy and not self.outcome.done():
            self.batcher.flush()

    def _suspend(self) -> None:
        if self.announcer is not None:
            self.announcer.suspended([call for call, _ in self._waiters.values()])
        self.decide(Outcome(Ending.SUSPENDED))

    def _stop_waiting(self, operation_id: str, changed: asyncio.Future[None]) -> None:
        entry = self._waiters.get(operation_id)
        if entry is None:
            return
        entry[1].remove(changed)
        if not entry[1]:
            del self._waiters[operation_id]

    def was_over(self, operation_id: str) -> bool:
        """Whether an operation ended in an earlier invocation that also observed its end."""
        wire = self.operations.get(operation_id)
        return (
            wire is not None
            and wire["Status"] in TERMINAL_OPERATION_STATUSES
            and operation_id not in self.updated_ids
            and operation_id not in self._touched
        )

    def _merge(self, wires: list[Wire]) -> None:
        operations, waiters = self.operations, self._waiters
        is_observed = self.announcer is not None
        for wire in wires:
            operation_id = wire["Id"]
            status = wire["Status"]
            known = operations.get(operation_id)
            if known is not None and is_stale(known, wire):
                continue
            is_kept = is_observed or status != "SUCCEEDED" or wire["Type"] not in STATE_TYPES_NOT_REREAD
            if not is_kept and operation_id not in waiters:
                # This invocation never reads the result of its own step or context again, so it does not keep thousands of them.
                operations.pop(operation_id, None)
                continue
            operations[operation_id] = wire
            self._touched.add(operation_id)
            if operation_id in waiters and status in RESUMING_STATUSES:
                for changed in waiters[operation_id][1]:
                    if not changed.done():
                        changed.set_result(None)
        if self.announcer is not None:
            self.announcer.operations_changed(wires, OperationViews(self.operations))

    def _on_checkpoint_failure(self, error: Exception) -> None:
        failure: ServiceError = as_service_error(error)
        self.decide(Outcome(Ending.FAILED, error=failure))

    def _on_revoked(self) -> None:
        self.decide(Outcome(Ending.SUSPENDED))


def _due_at(wire: Wire | None) -> datetime | None:
    if wire is None:
        return None
    view = Operation(wire)
    return view.next_attempt_at or view.scheduled_end_at


_live: WeakSet[ExecutionState] = WeakSet()


def _mark_all_forked() -> None:
    for state in tuple(_live):
        state.mark_forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_mark_all_forked)


class OperationViews(Mapping[str, Operation]):
    """A live, read-only view of the recorded operations. Creating one costs nothing."""

    __slots__ = ("_operations",)

    def __init__(self, operations: Mapping[str, Wire]) -> None:
        self._operations = operations

    def __getitem__(self, key: str) -> Operation:
        return Operation(self._operations[key])

    def __iter__(self) -> Any:
        return iter(self._operations)

    def __len__(self) -> int:
        return len(self._operations)

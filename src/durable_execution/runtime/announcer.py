"""Notifies observers, and keeps their errors away from the execution.

The module is loaded only when there are observers; without them no notification is created.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from durable_execution.clock import Clock
from durable_execution.observers import (
    AttemptEnded,
    AttemptStarted,
    ChangedOperation,
    CheckpointSent,
    ContextEntered,
    ContextLeft,
    Diverged,
    Observer,
    OperationCall,
    OperationCompleted,
    OperationReplayed,
    OperationsChanged,
    OperationStarted,
    ReplayNotes,
    Suspended,
)
from durable_execution.protocol import ErrorObject, Operation, OperationStatus, Wire

if TYPE_CHECKING:
    from durable_execution.runtime.call import Call

logger = logging.getLogger("durable_execution")

REPLAYED = "on_operation_replayed"
Listeners = tuple[tuple[Observer, Callable[[Any], object]], ...]


class Announcer:
    """Calls every observer in turn. An observer that raises is logged once and still receives later notifications."""

    def __init__(self, observers: Sequence[Observer], *, clock: Clock, execution_arn: str) -> None:
        self._observers = tuple(observers)
        self._clock = clock
        self._arn = execution_arn
        self._recorded: frozenset[str] = frozenset()
        self._logged: set[int] = set()
        self._listening: dict[str, Listeners] = {}
        self._notes = tuple(
            (observer, observer.note_replayed) for observer in self._observers if isinstance(observer, ReplayNotes)
        )

    def announce(self, hook: str, notification: Any) -> None:
        """Call the hook of every observer that has one."""
        for observer, listen in self._listeners(hook):
            try:
                listen(notification)
            except Exception:  # noqa: BLE001  # an observer's error must not affect the execution
                self._log_once(observer, hook)

    def _listeners(self, hook: str) -> Listeners:
        """The observers that override a hook. Calling the empty hooks would slow down every operation."""
        found = self._listening.get(hook)
        if found is None:
            found = self._listening[hook] = tuple(self._overriding(hook))
        return found

    def _overriding(self, hook: str) -> Iterator[tuple[Observer, Callable[[Any], object]]]:
        empty = getattr(Observer, hook)
        for observer in self._observers:
            try:
                listen = getattr(observer, hook)
            except Exception:  # noqa: BLE001  # an observer's error must not affect the execution
                self._log_once(observer, hook)
                continue
            if hook == REPLAYED and isinstance(observer, ReplayNotes):
                continue
            if getattr(listen, "__func__", None) is not empty:
                yield observer, listen

    def trace_header(self, call: OperationCall) -> str | None:
        """The first trace header an observer offers for a chained invoke."""
        for observer in self._observers:
            try:
                header = observer.trace_header(call)
            except Exception:  # noqa: BLE001  # an observer's error must not affect the execution
                self._log_once(observer, "trace_header")
            else:
                if header is not None:
                    return header
        return None

    def started(self, call: Call, recorded: Wire | None = None) -> None:
        """Announce that an operation is running: a new one, or one whose start is recorded."""
        view = Operation(recorded) if recorded is not None else None
        at = (view.started_at if view is not None else None) or self._clock.now()
        status = view.status if view is not None else OperationStatus.STARTED
        self.announce("on_operation_started", OperationStarted(call.info(), at, view is not None, status, view))

    def replayed(self, call: Call, recorded: Wire) -> None:
        """Announce that a call was answered from the recorded state.

        An operation that ended outside the process, between two invocations, has not been announced as completed yet. It is
        announced here.
        """
        if call.id in call.scope.state.updated_ids:
            self.settled(call, recorded, is_replayed=True)
            return
        at = self._clock.now()
        for observer, note in self._notes:
            try:
                note(call, recorded, at)
            except Exception:  # noqa: BLE001  # an observer's error must not affect the execution
                self._log_once(observer, "note_replayed")
        if self._listeners(REPLAYED):
            self.announce(REPLAYED, OperationReplayed(call.info(), at, Operation(recorded)))

    def settled(self, call: Call, recorded: Wire, *, is_replayed: bool) -> None:
        """Announce an operation that ended outside this process: a timer, a callback or a function it invoked."""
        view = Operation(recorded)
        self.announce(
            "on_operation_completed",
            OperationCompleted(
                call.info(),
                view.ended_at or self._clock.now(),
                view.started_at,
                view.status,
                result=view.result,
                error=view.error,
                is_replayed=is_replayed,
            ),
        )

    def completed(
        self,
        call: Call,
        status: OperationStatus,
        *,
        started_at: datetime | None,
        is_replayed: bool,
        result: str | None = None,
        error: ErrorObject | None = None,
        exception: BaseException | None = None,
        attempt: int | None = None,
    ) -> None:
        """Announce an operation that ended in this process."""
        self.announce(
            "on_operation_completed",
            OperationCompleted(
                call.info(), self._clock.now(), started_at, status, result, error, exception, attempt, is_replayed
            ),
        )

    def attempt_started(self, call: Call, attempt: int, *, is_replayed: bool) -> datetime:
        """Announce that a body is about to run. Returns the time, for `attempt_ended`."""
        at = self._clock.now()
        self.announce("on_attempt_started", AttemptStarted(call.info(), attempt, at, is_replayed))
        return at

    def attempt_ended(
        self,
        call: Call,
        attempt: int,
        started_at: datetime | None,
        outcome: str,
        *,
        is_replayed: bool,
        error: ErrorObject | None = None,
        exception: BaseException | None = None,
        delay: int | None = None,
    ) -> None:
        """Announce that a body has ended, if its start was announced."""
        if started_at is None:
            return
        self.announce(
            "on_attempt_ended",
            AttemptEnded(
                call.info(), attempt, self._clock.now(), started_at, outcome, error, exception, delay, is_replayed
            ),
        )

    def entered(self, call: Call, *, is_replaying_children: bool) -> datetime:
        """Announce that a context's body is about to run. Returns the time, for `left`."""
        at = self._clock.now()
        self.announce("on_context_entered", ContextEntered(call.info(), at, is_replaying_children))
        return at

    def left(
        self,
        call: Call,
        entered_at: datetime | None,
        outcome: str,
        *,
        is_replaying_children: bool,
        error: ErrorObject | None = None,
        exception: BaseException | None = None,
    ) -> None:
        """Announce that a context's body has ended, if its start was announced."""
        if entered_at is None:
            return
        self.announce(
            "on_context_left",
            ContextLeft(call.info(), self._clock.now(), entered_at, is_replaying_children, outcome, error, exception),
        )

    def checkpoint_sent(
        self,
        updates: Sequence[Mapping[str, Any]],
        size_bytes: int,
        duration_seconds: float,
        error: BaseException | None = None,
    ) -> None:
        """Announce that a checkpoint call was answered or failed."""
        if self._listeners("on_checkpoint_sent"):
            self.announce(
                "on_checkpoint_sent",
                CheckpointSent(self._arn, self._clock.now(), duration_seconds, updates, size_bytes, error),
            )

    def note_recorded(self, operations: Iterable[str]) -> None:
        """Keep which operations were recorded when the invocation started, if an observer will ask for it."""
        if self._listeners("on_operations_changed"):
            self._recorded = frozenset(operations)

    def operations_changed(self, wires: Sequence[Wire], operations: Mapping[str, Operation]) -> None:
        """Announce the operations that the service reported as changed."""
        if not self._listeners("on_operations_changed"):
            return
        recorded = self._recorded
        updated = {wire["Id"]: ChangedOperation(wire, is_replayed=wire["Id"] in recorded) for wire in wires}
        if updated:
            self.announce("on_operations_changed", OperationsChanged(self._arn, self._clock.now(), updated, operations))

    def suspended(self, pending: Sequence[Call]) -> None:
        """Announce that the invocation has nothing left to do but wait."""
        calls = [call.info() for call in pending]
        self.announce("on_suspended", Suspended(self._arn, self._clock.now(), calls))

    def diverged(self, call: Call | None, divergence: Any) -> None:
        """Announce that the code made a different call than the recorded one."""
        self.announce("on_diverged", Diverged(self._clock.now(), call.info() if call is not None else None, divergence))

    def _log_once(self, observer: Observer, hook: str) -> None:
        if id(observer) in self._logged:
            return
        self._logged.add(id(observer))
        logger.exception(  # noqa: LOG004  # called from the handlers
            "observer %s raised an exception in %s. The execution continues. Further errors of this observer are not logged "
            "in this invocation",
            type(observer).__name__,
            hook,
        )

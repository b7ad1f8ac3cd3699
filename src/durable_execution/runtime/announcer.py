"""Notifies observers, and keeps their errors away from the execution.

The module is loaded only when there are observers; without them no notification is created.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from durable_execution.clock import Clock
from durable_execution.notes import CallNotes, Noting, Replay, ReplayNotes
from durable_execution.observers import (
    AttemptEnded,
    AttemptStarted,
    ChangedOperation,
    CheckpointSent,
    ContextEntered,
    ContextLeft,
    Diverged,
    InvocationEnded,
    InvocationStarted,
    Observer,
    OperationCall,
    OperationCompleted,
    OperationReplayed,
    OperationsChanged,
    OperationStarted,
    Suspended,
)
from durable_execution.protocol import ErrorObject, Operation, OperationStatus, Wire

if TYPE_CHECKING:
    from durable_execution.runtime.call import Call

logger = logging.getLogger("durable_execution")

STARTED = "on_operation_started"
REPLAYED = "on_operation_replayed"
COMPLETED = "on_operation_completed"
ATTEMPT_STARTED = "on_attempt_started"
ATTEMPT_ENDED = "on_attempt_ended"
CHECKPOINT = "on_checkpoint_sent"
ENTERED = "on_context_entered"
LEFT = "on_context_left"
SUSPENDED = "on_suspended"
NOTED = {
    STARTED: CallNotes.note_started.__name__,
    REPLAYED: CallNotes.note_replays.__name__,
    COMPLETED: CallNotes.note_completed.__name__,
    ATTEMPT_ENDED: CallNotes.note_attempt_ended.__name__,
    CHECKPOINT: CallNotes.note_checkpoint.__name__,
}
"""The methods of `CallNotes`, by the hooks that they replace."""

MAX_REPLAYS = 64
"""Replayed calls that are passed on at once."""

NEW = OperationStatus.STARTED

Listeners = tuple[tuple[Observer, Callable[[Any], object]], ...]
Takers = tuple[tuple[Observer, Callable[..., object]], ...]


class Heard(dict[str, Listeners]):
    """The observers that override a hook, by hook. Calling the empty hooks would slow down every operation."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        super().__init__()
        self._observers = observers
        self._logged: set[int] = set()

    def __missing__(self, hook: str) -> Listeners:
        """Find them, on first use."""
        found = self[hook] = tuple(self._overriding(hook))
        return found

    def _overriding(self, hook: str) -> Iterator[tuple[Observer, Callable[[Any], object]]]:
        empty = getattr(Observer, hook)
        for observer in self._observers:
            try:
                listen = getattr(observer, hook)
            except Exception:  # noqa: BLE001  # an observer's error must not affect the execution
                self.log_once(observer, hook)
                continue
            if getattr(listen, "__func__", None) is empty:
                continue
            is_noted = (hook == REPLAYED and isinstance(observer, ReplayNotes)) or (
                hook in NOTED and isinstance(observer, Noting)
            )
            if not is_noted:
                yield observer, listen

    def log_once(self, observer: Observer, hook: str) -> None:
        """Log the first error of an observer."""
        if id(observer) in self._logged:
            return
        self._logged.add(id(observer))
        logger.exception(  # noqa: LOG004  # called from the handlers
            "observer %s raised an exception in %s. The execution continues. Further errors of this observer are not logged "
            "in this invocation",
            type(observer).__name__,
            hook,
        )


class Announcer:
    """Calls every observer in turn. An observer that raises is logged once and still receives later notifications."""

    def __init__(self, observers: Sequence[Observer], *, clock: Clock, execution_arn: str) -> None:
        self._observers = tuple(observers)
        self._now = clock.now
        self._arn = execution_arn
        self._recorded: frozenset[str] = frozenset()
        self._heard = Heard(self._observers)
        self._log_once = self._heard.log_once
        self._noting: dict[str, Takers] = dict.fromkeys(NOTED, ())
        self._replay_noting: Takers = tuple(
            (each, each.note_replayed) for each in self._observers if isinstance(each, ReplayNotes)
        )
        self._replays: list[Replay] = []
        self._hears_replays = bool(self._replay_noting or self._heard[REPLAYED])

    def begin(self, notification: InvocationStarted) -> None:
        """Announce that the invocation has started."""
        self.announce("on_invocation_started", notification)
        for observer in self._observers:
            notes = observer.notes() if isinstance(observer, Noting) else None
            if notes is not None:
                for hook, method in NOTED.items():
                    self._noting[hook] = (*self._noting[hook], (observer, getattr(notes, method)))

    def end(self, notification: InvocationEnded) -> None:
        """Announce that the invocation has ended."""
        if self._replays:
            self._pass_replays()
        self._noting, self._replay_noting = dict.fromkeys(NOTED, ()), ()
        self._hears_replays = bool(self._heard[REPLAYED])
        self.announce("on_invocation_ended", notification)

    def announce(self, hook: str, notification: Any) -> None:
        """Call the hook of every observer that has one."""
        if self._replays:
            self._pass_replays()
        for observer, listen in self._heard[hook]:
            try:
                listen(notification)
            except Exception:  # noqa: BLE001  # an observer's error must not affect the execution
                self._log_once(observer, hook)

    def _pass_replays(self) -> None:
        """Pass the replayed calls since the last notification to the observers that take several at once."""
        replays, self._replays = self._replays, []
        at = self._now()
        for observer, take in self._noting[REPLAYED]:
            try:
                take(replays, at)
            except Exception:  # noqa: BLE001  # an observer's error must not affect the execution
                self._log_once(observer, REPLAYED)

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

    def started(self, call: Call, recorded: Wire | None = None) -> datetime:
        """Announce that an operation is running: a new one, or one whose start is recorded. Returns when it started."""
        if self._replays:
            self._pass_replays()
        view = Operation(recorded) if recorded is not None else None
        at = (view.started_at if view is not None else None) or self._now()
        status = view.status if view is not None else NEW
        for observer, take in self._noting[STARTED]:
            try:
                take(call, at, status, view is not None)
            except Exception:  # noqa: BLE001  # an observer's error must not affect the execution
                self._log_once(observer, STARTED)
        if self._heard[STARTED]:
            self.announce(STARTED, OperationStarted(call.info(), at, view is not None, status, view))
        return at

    def replayed(self, call: Call, recorded: Wire) -> None:
        """Announce that a call was answered from the recorded state.

        An operation that ended outside the process, between two invocations, has not been announced as completed yet. It is
        announced here.
        """
        if call.id in call.scope.state.updated_ids:
            self.settled(call, recorded, is_replayed=True)
            return
        if self._noting[REPLAYED]:
            replays = self._replays
            replays.append((call, recorded))
            if len(replays) >= MAX_REPLAYS:
                self._pass_replays()
        if self._hears_replays:
            self._replayed_at(self._now(), call, recorded)

    def _replayed_at(self, at: datetime, call: Call, recorded: Wire) -> None:
        for observer, take in self._replay_noting:
            try:
                take(call, recorded, at)
            except Exception:  # noqa: BLE001  # an observer's error must not affect the execution
                self._log_once(observer, REPLAYED)
        if self._heard[REPLAYED]:
            self.announce(REPLAYED, OperationReplayed(call.info(), at, Operation(recorded)))

    def settled(self, call: Call, recorded: Wire, *, is_replayed: bool) -> None:
        """Announce an operation that ended outside this process: a timer, a callback or a function it invoked."""
        if self._replays:
            self._pass_replays()
        view = Operation(recorded)
        self._complete(
            call,
            view.ended_at or self._now(),
            view.started_at,
            view.status,
            view.result,
            view.error,
            is_replayed=is_replayed,
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
        if self._replays:
            self._pass_replays()
        at = self._now()
        self._complete(call, at, started_at, status, result, error, exception, attempt, is_replayed=is_replayed)

    def _complete(
        self,
        call: Call,
        at: datetime,
        started_at: datetime | None,
        status: OperationStatus,
        result: str | None,
        error: ErrorObject | None,
        exception: BaseException | None = None,
        attempt: int | None = None,
        *,
        is_replayed: bool,
    ) -> None:
        for observer, take in self._noting[COMPLETED]:
            try:
                take(call, at, status, result, error, attempt, is_replayed)
            except Exception:  # noqa: BLE001  # an observer's error must not affect the execution
                self._log_once(observer, COMPLETED)
        if self._heard[COMPLETED]:
            self.announce(
                COMPLETED,
                OperationCompleted(call.info(), at, started_at, status, result, error, exception, attempt, is_replayed),
            )

    def attempt_started(
        self, call: Call, attempt: int, *, is_replayed: bool, started_at: datetime | None = None
    ) -> datetime:
        """Announce that a body is about to run. Returns the time, for `attempt_ended`: `started_at` if it starts with its call."""
        at = started_at or self._now()
        if self._heard[ATTEMPT_STARTED]:
            self.announce(ATTEMPT_STARTED, AttemptStarted(call.info(), attempt, at, is_replayed))
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
        if self._replays:
            self._pass_replays()
        at = self._now()
        for observer, take in self._noting[ATTEMPT_ENDED]:
            try:
                take(call, attempt, started_at, at, outcome, error, delay)
            except Exception:  # noqa: BLE001  # an observer's error must not affect the execution
                self._log_once(observer, ATTEMPT_ENDED)
        if self._heard[ATTEMPT_ENDED]:
            self.announce(
                ATTEMPT_ENDED,
                AttemptEnded(call.info(), attempt, at, started_at, outcome, error, exception, delay, is_replayed),
            )

    def entered(self, call: Call, *, is_replaying_children: bool) -> datetime:
        """Announce that a context's body is about to run. Returns the time, for `left`."""
        at = self._now()
        if self._heard[ENTERED]:
            self.announce(ENTERED, ContextEntered(call.info(), at, is_replaying_children))
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
        if entered_at is None or not self._heard[LEFT]:
            return
        self.announce(
            LEFT,
            ContextLeft(call.info(), self._now(), entered_at, is_replaying_children, outcome, error, exception),
        )

    def checkpoint_sent(
        self,
        updates: Sequence[Mapping[str, Any]],
        size_bytes: int,
        duration_seconds: float,
        error: BaseException | None = None,
    ) -> None:
        """Announce that a checkpoint call was answered or failed."""
        if self._replays:
            self._pass_replays()
        for observer, take in self._noting[CHECKPOINT]:
            try:
                take()
            except Exception:  # noqa: BLE001  # an observer's error must not affect the execution
                self._log_once(observer, CHECKPOINT)
        if self._heard[CHECKPOINT]:
            sent = CheckpointSent(self._arn, self._now(), duration_seconds, updates, size_bytes, error)
            self.announce(CHECKPOINT, sent)

    def note_recorded(self, operations: Iterable[str]) -> None:
        """Keep which operations were recorded when the invocation started, if an observer will ask for it."""
        if self._heard["on_operations_changed"]:
            self._recorded = frozenset(operations)

    def operations_changed(self, wires: Sequence[Wire], operations: Mapping[str, Operation]) -> None:
        """Announce the operations that the service reported as changed."""
        if not self._heard["on_operations_changed"]:
            return
        recorded = self._recorded
        updated = {wire["Id"]: ChangedOperation(wire, is_replayed=wire["Id"] in recorded) for wire in wires}
        if updated:
            self.announce("on_operations_changed", OperationsChanged(self._arn, self._now(), updated, operations))

    def suspended(self, pending: Sequence[Call]) -> None:
        """Announce that the invocation has nothing left to do but wait."""
        if self._heard[SUSPENDED]:
            calls = [call.info() for call in pending]
            self.announce(SUSPENDED, Suspended(self._arn, self._now(), calls))

    def diverged(self, call: Call | None, divergence: Any) -> None:
        """Announce that the code made a different call than the recorded one."""
        self.announce("on_diverged", Diverged(self._now(), call.info() if call is not None else None, divergence))

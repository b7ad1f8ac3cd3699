"""One execution within one transaction: the rows read, the changes made, and the events that record them."""

import json
from collections.abc import Sequence
from typing import Any

from durable_execution.local.store.database import Store
from durable_execution.local.store.rows import EventRow, ExecutionRow, OperationRow, compact


class Journal:
    """Collects the changes of one execution, and writes them on `save`.

    The journal numbers events when they are recorded. An event's id never changes afterwards.

    Args:
        store: The store, inside a transaction.
        row: The execution.
        now_ms: The timestamp of every change in this transaction.

    Attributes:
        row: The execution, including changes of this transaction, except for the counts below.
        has_new_wake: Whether `save` changed the time at which the scheduler must look at the execution.
        operation_count: Number of operations, without the EXECUTION operation.
        pending_count: Number of operations that wait for a timer, a callback or another function.
        written_bytes: Payload bytes written by the execution.
    """

    def __init__(self, store: Store, row: ExecutionRow, now_ms: int) -> None:
        self.store = store
        self.row = row
        self.now_ms = now_ms
        self.has_new_wake = False
        self.operation_count = row.operation_count
        self.pending_count = row.pending_count
        self.written_bytes = row.written_bytes
        self._recorded = row
        self._event_count = row.event_count
        self._changed: dict[str, OperationRow] = {}
        self._known: dict[str, OperationRow | None] = {}
        self._stored: set[str] = set()
        self._events: list[EventRow] = []
        self._undelivered: list[int] = []

    @property
    def changed(self) -> list[OperationRow]:
        """Operations that changed in this transaction, in start order."""
        return sorted(self._changed.values(), key=lambda operation: operation.sequence)

    def mark_delivered(self) -> None:
        """Note that the running handler receives every change made so far."""
        self._undelivered.clear()
        self.set(invoke_ms=None)

    def set(self, **columns: Any) -> None:
        """Change columns of the execution's row."""
        self.row = self.row._replace(**columns)

    def operation(self, operation_id: str) -> OperationRow | None:
        """An operation, including changes of this transaction."""
        if operation_id in self._known:
            return self._known[operation_id]
        found = self._known[operation_id] = self.store.operations.by_id(self.row.key, operation_id)
        if found is not None:
            self._stored.add(operation_id)
        return found

    def root(self) -> OperationRow:
        """The EXECUTION operation."""
        for operation in self._changed.values():
            if operation.sequence == 0:
                return operation
        found = self.store.operations.root(self.row.key)
        self._known[found.id] = found
        self._stored.add(found.id)
        return found

    def put(self, operation: OperationRow) -> None:
        """Add or change an operation."""
        before = self.operation(operation.id)
        self.pending_count += operation.is_pending - (before.is_pending if before else False)
        self.operation_count = max(self.operation_count, operation.sequence)
        self._known[operation.id] = self._changed[operation.id] = operation

    def settle(self, operation: OperationRow) -> None:
        """Change an operation from outside the handler, and queue the change for delivery to the handler."""
        self.put(operation)
        self._undelivered.append(operation.sequence)
        self.set(is_changed=True)
        if self.row.invoke_ms is None and not self.row.is_held:
            self.set(invoke_ms=self.now_ms)

    def happen(
        self,
        kind: str,
        operation: OperationRow | None,
        *,
        details: dict[str, Any] | None = None,
        data: str | None = None,
        at_ms: int | None = None,
    ) -> None:
        """Record an event.

        Args:
            kind: Event type.
            operation: The operation it describes; None for an event about an invocation.
            details: Details, without the payload.
            data: The payload: text, or an error object as JSON.
            at_ms: When it happened; None for now.
        """
        at_ms = self.now_ms if at_ms is None else at_ms
        number = self._event_count = self._event_count + 1
        self.written_bytes += len(data) if data else 0
        encoded = compact(details) if details else None
        if operation is None:
            event = EventRow(self.row.key, number, kind, at_ms, None, None, None, None, encoded, data)
        else:
            about = (operation.id, operation.name, operation.parent_id, operation.subtype)
            event = EventRow(self.row.key, number, kind, at_ms, *about, encoded, data)
        self._events.append(event)

    def restate(self, details: dict[str, Any], at_ms: int) -> None:
        """Add details to the event that this transaction recorded last, and move it in time."""
        event = self._events[-1]
        known = json.loads(event.details) if event.details else {}
        self._events[-1] = event._replace(details=compact({**known, **details}), at_ms=at_ms)

    def adopt(self, events: Sequence[EventRow]) -> None:
        """Record events of another execution, numbered after those of this one."""
        for event in events:
            self._event_count += 1
            self.written_bytes += len(event.data) if event.data else 0
            self._events.append(event._replace(execution=self.row.key, id=self._event_count))

    def flush(self) -> None:
        """Write operations and events to the store, so that queries in this transaction see them."""
        operations = self.store.operations
        for identity, operation in self._changed.items():
            (operations.replace if identity in self._stored else operations.add)(operation)
        self._stored.update(self._changed)
        if self._events:
            self.store.events.append(self._events)
        if self._undelivered:
            self.store.outbox.add(self.row.key, self._undelivered)
        for written in (self._changed, self._events, self._undelivered):
            written.clear()

    def save(self, turn: int) -> None:
        """Write everything, and compute when the scheduler must look at the execution again.

        Args:
            turn: Position in the queue, used if the execution becomes ready in this transaction.
        """
        self.flush()
        wake_ms = self._wake()
        self.has_new_wake = wake_ms != self.row.wake_ms
        self.set(
            event_count=self._event_count,
            operation_count=self.operation_count,
            pending_count=self.pending_count,
            written_bytes=self.written_bytes,
            wake_ms=wake_ms,
            turn=turn if self.has_new_wake else self.row.turn,
        )
        self.store.executions.update(self._recorded, self.row)

    def _wake(self) -> int | None:
        row = self.row
        if row.ended_ms is not None:
            return None
        moments = [row.timeout_ms]
        if row.status == "RUNNING" and not row.is_running:
            moments.append(row.invoke_ms)
        if self.pending_count:  # every operation with a timer is pending
            moments.append(self.store.operations.next_due(row.key))
        return min((moment for moment in moments if moment is not None), default=None)

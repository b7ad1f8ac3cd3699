"""Checkpoints: apply a batch of updates atomically, and return what changed since the last one.

Chained invokes: operations that run another function.

The engine as the runtime's service client: direct calls on the event loop's thread.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from durable_execution.errors import ServiceError
from durable_execution.local.function_registry import read_target
from durable_execution.local.queries import cut, make_marker, page_size, read_marker, state_page
from durable_execution.local.rules.api_errors import invalid
from durable_execution.local.rules.batches import require_batch, require_update
from durable_execution.local.rules.callbacks import make_callback_id
from durable_execution.local.rules.control import become_paused
from durable_execution.local.rules.executions import (
    Start,
    begin_execution,
    encode_error,
    fire_due,
    keep_outcome,
    largest_result,
)
from durable_execution.local.rules.forks import end_next
from durable_execution.local.rules.tokens import current_token, require_current
from durable_execution.local.rules.transitions import Transition, new_operation, transition
from durable_execution.local.rules.updates import Update, read_updates
from durable_execution.local.store.journal import Journal
from durable_execution.local.store.rows import OperationRow
from durable_execution.local.transaction import Backend, Transaction
from durable_execution.local.versions import Versions
from durable_execution.local.wire import operation_size, operation_wire
from durable_execution.protocol import ErrorObject, Wire
from durable_execution.runtime.service import CheckpointAnswer, StatePage


class Checkpoints:
    """The two API calls a running invocation makes."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @property
    def max_page_items(self) -> int:
        """Maximum number of operations in a page of state."""
        return self._backend.limits.max_page_items

    def checkpoint(self, arn: str, token: str, updates: Any, client_token: str | None = None) -> Wire:
        """Apply a batch of updates.

        Returns:
            `CheckpointToken` (absent when the invocation must stop) and `NewExecutionState`.

        Raises:
            ServiceError: The token is stale, or the batch is invalid; then nothing changes.
        """
        limits = self._backend.limits
        _load_invoked(self._backend, updates)
        with self._backend.transaction() as transaction:
            row = transaction.store.executions.by_arn(arn)
            since_ms = transaction.now_ms - int(limits.client_token_window.total_seconds() * 1000)
            if client_token is not None and row is not None:
                kept = transaction.store.outbox.answer(row.key, client_token, token, since_ms)
                if kept is not None:
                    repeated: Wire = json.loads(kept)
                    return repeated
            journal = transaction.journal(require_current(row, token))
            batch = read_updates(updates, limits.payload_bytes)
            answer = self._apply(transaction, journal, batch)
            if client_token is not None:
                encoded = json.dumps(answer)
                transaction.store.outbox.keep_answer(
                    journal.row.key, client_token, token, encoded, transaction.now_ms, since_ms
                )
        return answer

    def get_state(self, arn: str, token: str, marker: Any = None, max_items: Any = None) -> Wire:
        """Read a page of the operations a replay needs. Does not consume the token.

        Raises:
            ServiceError: The token is stale, or the marker is invalid.
        """
        size = page_size(max_items, self._backend.limits)
        position = read_marker("state", marker, 1) or [0]
        store = self._backend.store
        with store.snapshot():
            row = require_current(store.executions.by_arn(arn), token)
            page, next_marker = state_page(store, row.key, position[0], self._backend.limits, size)
        return _state(page, next_marker)

    def _apply(self, transaction: Transaction, journal: Journal, batch: Sequence[Update]) -> Wire:
        fire_due(journal, "STEP")
        require_batch(batch, journal.operation)
        if (excess := self._excess(journal, batch)) is not None:
            return _refuse(journal, excess)
        for update in batch:
            self._apply_update(transaction, journal, update)
        fire_due(journal)
        if (fork := self._backend.forks.resting(journal.row.key)) is not None:
            end_next(self._backend.forks, self._backend.clock, journal, fork)
        delta = self._delta(journal)
        journal.set(token_sequence=journal.row.token_sequence + 1, is_changed=bool(batch) or journal.row.is_changed)
        if journal.row.ending is not None:
            return _state(delta[0], None, wrap=True)
        if journal.row.status == "PAUSING":
            become_paused(journal)
            journal.set(invoke_ms=journal.now_ms)
            return _state(delta[0], None, wrap=True)
        return {"CheckpointToken": current_token(journal.row), **_state(*delta, wrap=True)}

    def _apply_update(self, transaction: Transaction, journal: Journal, update: Update) -> None:
        current = journal.operation(update.id)
        require_update(update, current, self._backend.limits)
        if update.type == "EXECUTION":
            self._end_execution(journal, update)
            return
        operation = current or self._new_operation(journal, update)
        outcome = transition(update, operation, journal.now_ms)
        if update.type == "CHAINED_INVOKE":
            start_chained_invoke(self._backend, transaction, journal, outcome)
            return
        journal.put(outcome.operation)
        journal.happen(outcome.event, outcome.operation, details=outcome.details, data=outcome.data)

    def _end_execution(self, journal: Journal, update: Update) -> None:
        """Record the outcome; the execution ends when its invocation ends."""
        if update.action == "FAIL":
            keep_outcome(journal, error=update.error or "{}")
            journal.set(ending="FAILED")
            return
        most, kind = largest_result(self._backend.limits, journal.row)
        if update.payload and len(update.payload.encode()) > most:
            raise invalid(f"The result of {kind} execution must be at most {most} bytes.")
        keep_outcome(journal, result=update.payload)
        journal.set(ending="SUCCEEDED")

    def _new_operation(self, journal: Journal, update: Update) -> OperationRow:
        sequence = journal.operation_count + 1
        operation = new_operation(update, journal.row.key, sequence, journal.now_ms)
        if update.type == "CALLBACK":
            operation = operation._replace(
                callback_id=make_callback_id(journal.row.key, sequence, self._backend.ids.new())
            )
        return operation

    def _excess(self, journal: Journal, batch: Sequence[Update]) -> ErrorObject | None:
        """The error for the quota that a batch exceeds; None if it exceeds none."""
        limits = self._backend.limits
        added = {update.id for update in batch if update.type != "EXECUTION" and journal.operation(update.id) is None}
        if journal.operation_count + len(added) > limits.operations:
            return ErrorObject(
                f"The execution exceeded the limit of {limits.operations} operations.",
                "DurableExecution.OperationLimitExceeded",
            )
        written = sum(len(text) for update in batch for text in (update.payload, update.error) if text)
        if journal.written_bytes + written > limits.execution_bytes:
            return ErrorObject(
                f"The execution exceeded the limit of {limits.execution_bytes} bytes written.",
                "DurableExecution.StorageLimitExceeded",
            )
        return None

    def _delta(self, journal: Journal) -> tuple[list[OperationRow], str | None]:
        """The operations to deliver to the handler, and the marker of the next page."""
        delivered = {operation.sequence: operation for operation in journal.changed}
        store, key = journal.store, journal.row.key
        has_news = journal.row.invoke_ms is not None  # set by every change from outside the handler
        undelivered = store.outbox.pending(key) if has_news else []
        for sequence in undelivered:
            if sequence not in delivered and (operation := store.operations.at(key, sequence)) is not None:
                delivered[sequence] = operation
        if undelivered:
            store.outbox.clear(key)
        if has_news:
            journal.mark_delivered()
        limits = self._backend.limits
        page, following = cut(
            [delivered[sequence] for sequence in sorted(delivered)],
            operation_size,
            max_bytes=limits.page_bytes,
            max_items=limits.max_page_items,
        )
        return page, make_marker("state", following.sequence) if following else None


def _refuse(journal: Journal, excess: ErrorObject) -> Wire:
    """Drop the batch, and fail the execution as soon as its invocation ends."""
    keep_outcome(journal, error=encode_error(excess))
    journal.set(ending="FAILED", token_sequence=journal.row.token_sequence + 1)
    return _state([], None, wrap=True)


def _state(page: list[OperationRow], next_marker: str | None, *, wrap: bool = False) -> Wire:
    state: Wire = {"Operations": [operation_wire(operation) for operation in page]}
    if next_marker is not None:
        state["NextMarker"] = next_marker
    return {"NewExecutionState": state} if wrap else state


def _load_invoked(backend: Backend, updates: Any) -> None:
    """Load the functions that a batch invokes, which can take seconds, before the transaction that starts them."""
    for update in updates if isinstance(updates, Sequence) else ():
        if isinstance(update, Mapping) and update.get("Type") == "CHAINED_INVOKE":
            with suppress(ServiceError, AttributeError):  # what is malformed is refused in the transaction
                name = read_target((update.get("ChainedInvokeOptions") or {}).get("FunctionName")).name
                if (function := backend.functions.get(name)) is not None:
                    function.is_durable  # noqa: B018  # loads it


def start_chained_invoke(backend: Backend, transaction: Transaction, journal: Journal, outcome: Transition) -> None:
    """Start the function a CHAINED_INVOKE names, or fail the operation at once if the function is not registered.

    A fork starts no function, unless the call is live.

    Raises:
        ServiceError: The name is malformed, or names a different account or region.
    """
    operation = outcome.operation
    fork = backend.forks.of(journal.row.key)
    if fork is not None and not fork.is_live(operation.name):
        journal.put(operation)
        journal.happen(outcome.event, operation, details=outcome.details, data=outcome.data)
        return
    target = read_target(operation.function)
    function = backend.functions.get(target.name)
    try:
        target = Versions(backend).resolve(target)
    except ServiceError:
        function = None
    if function is None:
        error = encode_error(ErrorObject(f"Function not found: {operation.function}", "ResourceNotFoundException"))
        failed = operation._replace(status="FAILED", ended_ms=journal.now_ms, input=None, error=error)
        journal.put(failed)
        journal.happen("ChainedInvokeStarted", failed, details=outcome.details)
        journal.happen("ChainedInvokeFailed", failed, data=error)
        return
    start = Start(
        function,
        target,
        operation.input if operation.input is not None else "",
        tenant_id=operation.tenant_id,
        trace_header=operation.trace_header,
        parent=(journal.row.key, operation.id),
    )
    child, _ = begin_execution(backend, transaction, start)
    details = {**(outcome.details or {}), "ExecutedVersion": child.version}
    if function.is_durable:
        operation = operation._replace(child_arn=child.arn)
        details["DurableExecutionArn"] = child.arn
    journal.put(operation)
    journal.happen(outcome.event, operation, details=details, data=outcome.data)


class LocalServiceClient:
    """A `ServiceClient` for handlers in this process. Calls commit before they return."""

    answers_immediately = True

    def __init__(self, checkpoints: Checkpoints) -> None:
        self._checkpoints = checkpoints

    async def checkpoint(self, execution_arn: str, token: str, updates: list[Wire]) -> CheckpointAnswer:
        """Apply updates atomically. An empty list only returns what changed."""
        answer = self._checkpoints.checkpoint(execution_arn, token, updates)
        state = answer["NewExecutionState"]
        return CheckpointAnswer(answer.get("CheckpointToken"), state["Operations"], state.get("NextMarker"))

    async def get_state(self, execution_arn: str, token: str, marker: str) -> StatePage:
        """Read the page of operations that starts at `marker`."""
        page = self._checkpoints.get_state(execution_arn, token, marker, self._checkpoints.max_page_items)
        return StatePage(page["Operations"], page.get("NextMarker"))

"""Starting, stopping, pausing, resuming and deleting executions.

Pausing and resuming an execution.
"""

from typing import Any

from durable_execution.local.rules.api_errors import fault, invalid, unknown_execution
from durable_execution.local.rules.executions import (
    Start,
    begin_execution,
    end_execution,
    keep_outcome,
    release_children,
)
from durable_execution.local.rules.updates import read_error
from durable_execution.local.store.journal import Journal
from durable_execution.local.store.rows import ExecutionRow
from durable_execution.local.transaction import Backend, Transaction
from durable_execution.protocol.enums import MAX_DELAY_SECONDS

MAX_REASON = 1024
MAX_ERROR_BYTES = 1024 * 1024
FEW = 10
"""Maximum number of expired executions to remove each time an execution starts."""


class Control:
    """Operations on whole executions."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def start(self, start: Start) -> tuple[ExecutionRow, bool]:
        """Start an execution. If the name is in use with the same payload, return the existing execution.

        Returns:
            The execution, and whether it is new.
        """
        with self._backend.transaction() as transaction:
            if not self._backend.clock.is_skipping:  # skipped days must not expire executions
                self._remove_expired(transaction, FEW)
            return begin_execution(self._backend, transaction, start)

    def stop(self, arn: str, error: Any) -> int:
        """Stop an execution. One that has already ended does not change.

        Returns:
            The time it ended, in Unix milliseconds.
        """
        encoded = read_error(error) if error != {} else None  # clients send {} for no error
        if encoded and len(encoded) > MAX_ERROR_BYTES:
            raise invalid(f"The error of a stop must be at most {MAX_ERROR_BYTES} bytes.")
        with self._backend.transaction() as transaction:
            journal = self._journal(transaction, arn)
            if journal.row.ended_ms is not None:
                return journal.row.ended_ms
            keep_outcome(journal, error=encoded)
            end_execution(transaction, journal, "STOPPED")
            return journal.now_ms

    def pause(self, arn: str, reason: Any, pauses_timeout: Any, client_token: Any) -> None:
        """Pause an execution: at once, or at the next checkpoint of the running invocation."""
        _require_reason(reason)
        if pauses_timeout is not None and not isinstance(pauses_timeout, bool):
            raise invalid("ExecutionTimeoutPaused must be a boolean.")
        with self._backend.transaction() as transaction:
            journal = self._journal(transaction, arn)
            if self._is_repeated(transaction, journal, client_token, f"pause {reason!r} {pauses_timeout}"):
                return
            if journal.row.status != "RUNNING":
                raise fault("ResourceConflictException", f"Cannot pause an execution that is {journal.row.status}.")
            journal.set(
                status="PAUSING",
                pause_request_ms=journal.now_ms,
                pause_reason=reason,
                pauses_timeout=pauses_timeout is not False,
            )
            if not journal.row.is_running:
                become_paused(journal)

    def resume(self, arn: str, reason: Any, client_token: Any) -> None:
        """Continue a paused execution, or cancel a pause that has not taken effect."""
        _require_reason(reason)
        with self._backend.transaction() as transaction:
            journal = self._journal(transaction, arn)
            if self._is_repeated(transaction, journal, client_token, f"resume {reason!r}"):
                return
            status = journal.row.status
            if status not in ("PAUSED", "PAUSING"):
                raise fault("ResourceConflictException", f"Cannot resume an execution that is {status}.")
            become_running(journal)
            if status == "PAUSED":
                details = {"ResumeRequestTimestamp": journal.now_ms}
                journal.happen("ExecutionResumed", journal.root(), details=details, data=reason)

    def delete(self, arn: str) -> int:
        """Remove an ended execution and its history.

        Returns:
            The time of the request, in Unix milliseconds.
        """
        with self._backend.transaction() as transaction:
            row = transaction.store.executions.by_arn(arn)
            if row is None or not row.is_durable:
                raise unknown_execution(arn)
            if row.ended_ms is None:
                raise fault(
                    "ResourceConflictException", f"Cannot delete an execution that is {row.status}: stop it first."
                )
            if row.is_running:
                release_children(transaction, transaction.journal(row))
            transaction.store.executions.delete(row.key)
            return transaction.now_ms

    def remove_expired(self, limit: int = 1000) -> int:
        """Remove executions whose retention period has passed.

        Returns:
            The number of removed executions.
        """
        with self._backend.transaction() as transaction:
            return self._remove_expired(transaction, limit)

    def _remove_expired(self, transaction: Transaction, limit: int) -> int:
        keys = transaction.store.executions.expired(transaction.now_ms, limit)
        for key in keys:
            transaction.store.executions.delete(key)
        return len(keys)

    def _journal(self, transaction: Transaction, arn: str) -> Journal:
        row = transaction.store.executions.by_arn(arn)
        if row is None or not row.is_durable:
            raise unknown_execution(arn)
        return transaction.journal(row)

    def _is_repeated(self, transaction: Transaction, journal: Journal, client_token: Any, request: str) -> bool:
        """Whether this request repeats an earlier one. A new request is remembered if the transaction commits."""
        if client_token is None:
            return False
        window_ms = int(self._backend.limits.client_token_window.total_seconds() * 1000)
        outbox, since_ms = transaction.store.outbox, transaction.now_ms - window_ms
        if outbox.answer(journal.row.key, client_token, request, since_ms) is not None:
            return True
        outbox.keep_answer(journal.row.key, client_token, request, "", transaction.now_ms, since_ms)
        return False


def _require_reason(reason: Any) -> None:
    if reason is not None and (not isinstance(reason, str) or len(reason) > MAX_REASON):
        raise invalid(f"Reason must be a string of at most {MAX_REASON} characters.")


def become_paused(journal: Journal) -> None:
    """Pause an execution whose last invocation has ended."""
    row = journal.row
    details = {"PauseRequestTimestamp": row.pause_request_ms, "ExecutionTimeoutPaused": row.pauses_timeout}
    journal.happen("ExecutionPaused", journal.root(), details=details, data=row.pause_reason)
    journal.set(status="PAUSED", paused_ms=journal.now_ms, frozen_timeout_ms=row.timeout_ms)
    if row.pauses_timeout:
        journal.set(timeout_ms=row.started_ms + MAX_DELAY_SECONDS * 1000)


def become_running(journal: Journal) -> None:
    """Continue after a pause. A paused time-out moves by the length of the pause."""
    row = journal.row
    if row.paused_ms is not None and row.pauses_timeout and row.frozen_timeout_ms is not None:
        moved = row.frozen_timeout_ms + journal.now_ms - row.paused_ms
        journal.set(timeout_ms=min(moved, row.started_ms + MAX_DELAY_SECONDS * 1000))
    journal.set(status="RUNNING", pause_request_ms=None, pause_reason=None, paused_ms=None, frozen_timeout_ms=None)

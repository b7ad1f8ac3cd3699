"""Completing callbacks from outside.

Callback ids: opaque to the caller that completes the callback, and sufficient to find its operation.
"""

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from typing import Any

from durable_execution.local.rules.api_errors import fault, invalid
from durable_execution.local.rules.executions import fire_due
from durable_execution.local.rules.transitions import with_callback_timer
from durable_execution.local.rules.updates import read_error
from durable_execution.local.store.journal import Journal
from durable_execution.local.store.rows import OperationRow
from durable_execution.local.transaction import Backend, Transaction


class Callbacks:
    """The three calls with which an external system completes a callback or extends its heartbeat."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def succeed(self, callback_id: str, result: bytes) -> None:
        """Complete a callback with a result. Empty bytes mean no result.

        Raises:
            ServiceError: The callback is unknown or already completed, or the result is too large or not UTF-8.
        """
        most = self._backend.limits.callback_result_bytes
        if len(result) > most:
            raise invalid(f"The result of a callback must be at most {most} bytes.")
        try:
            text = result.decode() or None
        except UnicodeDecodeError:
            raise invalid("The result of a callback must be UTF-8 text.") from None
        self._settle(callback_id, "SUCCEEDED", "CallbackSucceeded", result=text)

    def fail(self, callback_id: str, error: Any) -> None:
        """Complete a callback with an error.

        Raises:
            ServiceError: The callback is unknown or already completed, or the error is too large or not an ErrorObject.
        """
        encoded = read_error(error) or "{}"
        most = self._backend.limits.callback_result_bytes
        if len(encoded) > most:
            raise invalid(f"The error of a callback must be at most {most} bytes.")
        self._settle(callback_id, "FAILED", "CallbackFailed", error=encoded)

    def heartbeat(self, callback_id: str) -> None:
        """Restart the heartbeat time-out of a callback.

        Raises:
            ServiceError: The callback is unknown or already completed.
        """
        with self._backend.transaction() as transaction:
            journal, operation = self._open(transaction, callback_id)
            if operation.heartbeat_seconds is not None:
                lapse_ms = journal.now_ms + operation.heartbeat_seconds * 1000
                journal.put(with_callback_timer(operation._replace(heartbeat_ms=lapse_ms)))

    def _settle(
        self, callback_id: str, status: str, event: str, *, result: str | None = None, error: str | None = None
    ) -> None:
        with self._backend.transaction() as transaction:
            journal, operation = self._open(transaction, callback_id)
            ended = operation._replace(status=status, ended_ms=journal.now_ms, due_ms=None, result=result, error=error)
            journal.settle(ended)
            journal.happen(event, ended, data=error if error is not None else result)

    def _open(self, transaction: Transaction, callback_id: Any) -> tuple[Journal, OperationRow]:
        """Find a callback that can still be completed."""
        place = locate_callback(callback_id) if isinstance(callback_id, str) else None
        journal = transaction.journal_of(place[0]) if place else None
        recorded = transaction.store.operations.at(*place) if place else None
        if journal is None or recorded is None or recorded.callback_id != callback_id:
            raise fault("ResourceNotFoundException", f"Callback not found: {callback_id!r:.200}")
        if recorded.due_ms is not None and recorded.due_ms <= journal.now_ms:
            raise self._closed("has timed out")
        if journal.row.ended_ms is not None or journal.row.ending is not None:
            raise self._closed("belongs to an execution that has ended")
        if recorded.status != "STARTED":
            raise self._closed("has been completed already")
        fire_due(journal)
        return journal, journal.operation(recorded.id) or recorded

    def _closed(self, why: str) -> Exception:
        return fault("CallbackTimeoutException", f"The callback {why}.")


def make_callback_id(execution: int, sequence: int, nonce: str) -> str:
    """Make the id of a callback.

    Args:
        execution: Key of its execution.
        sequence: Sequence number of its operation.
        nonce: A random text that makes the id hard to guess and unique across stores.
    """
    return b64encode(f"{execution}.{sequence}.{nonce}".encode()).decode()


def locate_callback(callback_id: str) -> tuple[int, int] | None:
    """The execution key and operation sequence in a callback id; None if this engine did not make the id."""
    try:
        execution, sequence, _ = b64decode(callback_id, validate=True).decode("ascii").split(".", 2)
        place = int(execution), int(sequence)
    except (Base64Error, ValueError):
        return None
    return place if all(0 <= number < 2**62 for number in place) else None

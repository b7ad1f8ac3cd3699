"""Timers: the change of an operation when its timer fires."""

from durable_execution.local.journal import Journal
from durable_execution.local.lifecycle import encode_error
from durable_execution.local.rows import OperationRow
from durable_execution.protocol import ErrorObject

CALLBACK_TIMEOUT = ErrorObject("Callback timed out", "Callback.Timeout")
HEARTBEAT_TIMEOUT = ErrorObject("Callback timed out on heartbeat", "Callback.Heartbeat")


def fire_due(journal: Journal, *types: str) -> None:
    """Fire the timers of every operation that is due.

    Args:
        journal: The execution.
        types: Operation types to include; none for all types.
    """
    if not journal.pending_count:
        return
    for recorded in journal.store.operations.due(journal.row.key, journal.now_ms):
        operation = journal.operation(recorded.id)
        if operation is not None and operation.due_ms is not None and (not types or operation.type in types):
            _FIRE[operation.type](journal, operation)


def _step(journal: Journal, operation: OperationRow) -> None:
    journal.settle(operation._replace(status="READY", due_ms=None))


def _wait(journal: Journal, operation: OperationRow) -> None:
    ended = operation._replace(status="SUCCEEDED", ended_ms=journal.now_ms, due_ms=None)
    journal.settle(ended)
    journal.happen("WaitSucceeded", ended, details={"Duration": operation.seconds})


def _callback(journal: Journal, operation: OperationRow) -> None:
    has_lapsed = operation.due_ms == operation.heartbeat_ms and operation.due_ms != operation.scheduled_ms
    error = encode_error(HEARTBEAT_TIMEOUT if has_lapsed else CALLBACK_TIMEOUT)
    ended = operation._replace(status="TIMED_OUT", ended_ms=journal.now_ms, due_ms=None, error=error)
    journal.settle(ended)
    journal.happen("CallbackTimedOut", ended, data=error)


_FIRE = {"STEP": _step, "WAIT": _wait, "CALLBACK": _callback}

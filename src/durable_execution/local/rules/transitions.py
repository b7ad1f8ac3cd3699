"""State transitions: the operation and the event that an update produces. Pure; the batch is already validated."""

from typing import Any, NamedTuple

from durable_execution.local.rules.updates import Update
from durable_execution.local.store.rows import OperationRow

NO_ERROR = "{}"


class Transition(NamedTuple):
    """The outcome of one update.

    Attributes:
        operation: The changed operation.
        event: Event type.
        details: Details of the event, without its payload.
        data: The event's payload.
    """

    operation: OperationRow
    event: str
    details: dict[str, Any] | None = None
    data: str | None = None


def new_operation(update: Update, execution: int, sequence: int, now_ms: int) -> OperationRow:
    """Make the operation for its first update."""
    return OperationRow(
        execution,
        sequence,
        update.id,
        update.parent_id,
        update.name,
        update.type,
        update.subtype,
        "STARTED",
        now_ms,
    )


def transition(update: Update, operation: OperationRow, now_ms: int) -> Transition:
    """Apply an update to its operation.

    Args:
        update: The update.
        operation: The recorded operation, or a new one from `new_operation`. A new CALLBACK has its callback id.
        now_ms: The current time, in Unix milliseconds.
    """
    return _APPLY[update.type, update.action](update, operation, now_ms)


def _start_step(_update: Update, operation: OperationRow, _now_ms: int) -> Transition:
    return Transition(operation._replace(status="STARTED", scheduled_ms=None), "StepStarted")


def _succeed_step(update: Update, operation: OperationRow, now_ms: int) -> Transition:
    ended = operation._replace(
        status="SUCCEEDED",
        ended_ms=now_ms,
        attempt=operation.attempt + 1,
        scheduled_ms=None,
        result=update.payload,
        error=None,
    )
    return Transition(ended, "StepSucceeded", _retry_details(ended), update.payload)


def _fail_step(update: Update, operation: OperationRow, now_ms: int) -> Transition:
    error = update.error or NO_ERROR
    ended = operation._replace(
        status="FAILED", ended_ms=now_ms, attempt=operation.attempt + 1, scheduled_ms=None, result=None, error=error
    )
    return Transition(ended, "StepFailed", _retry_details(ended), error)


def _retry_step(update: Update, operation: OperationRow, now_ms: int) -> Transition:
    delay_seconds = update.delay_seconds or 0
    next_ms = now_ms + delay_seconds * 1000
    waiting = operation._replace(
        status="PENDING",
        attempt=operation.attempt + 1,
        due_ms=next_ms,
        scheduled_ms=next_ms,
        result=update.payload,
        error=update.error,
    )
    event, data = ("StepSucceeded", update.payload) if update.error is None else ("StepFailed", update.error)
    return Transition(waiting, event, _retry_details(waiting, delay_seconds), data)


def _retry_details(operation: OperationRow, delay_seconds: int | None = None) -> dict[str, Any]:
    details = {"CurrentAttempt": operation.attempt}
    if delay_seconds is not None:
        details["NextAttemptDelaySeconds"] = delay_seconds
    return {"RetryDetails": details}


def _start_context(_update: Update, operation: OperationRow, _now_ms: int) -> Transition:
    return Transition(operation, "ContextStarted")


def _succeed_context(update: Update, operation: OperationRow, now_ms: int) -> Transition:
    replays = None if update.replay_children is None else int(update.replay_children)
    ended = operation._replace(status="SUCCEEDED", ended_ms=now_ms, replay_children=replays, result=update.payload)
    return Transition(ended, "ContextSucceeded", None, update.payload)


def _fail_context(update: Update, operation: OperationRow, now_ms: int) -> Transition:
    error = update.error or NO_ERROR
    return Transition(operation._replace(status="FAILED", ended_ms=now_ms, error=error), "ContextFailed", None, error)


def _start_wait(update: Update, operation: OperationRow, now_ms: int) -> Transition:
    seconds = update.wait_seconds or 0
    end_ms = now_ms + seconds * 1000
    started = operation._replace(seconds=seconds, scheduled_ms=end_ms, due_ms=end_ms)
    return Transition(started, "WaitStarted", {"Duration": seconds, "ScheduledEndTimestamp": end_ms})


def _cancel_wait(update: Update, operation: OperationRow, now_ms: int) -> Transition:
    return Transition(
        operation._replace(status="CANCELLED", ended_ms=now_ms, due_ms=None, error=update.error),
        "WaitCancelled",
        None,
        update.error,
    )


def _start_callback(update: Update, operation: OperationRow, now_ms: int) -> Transition:
    timeout, heartbeat = update.timeout_seconds or None, update.heartbeat_seconds or None
    started = operation._replace(
        seconds=timeout,
        heartbeat_seconds=heartbeat,
        scheduled_ms=now_ms + timeout * 1000 if timeout else None,
        heartbeat_ms=now_ms + heartbeat * 1000 if heartbeat else None,
    )
    details: dict[str, Any] = {"CallbackId": operation.callback_id}
    if timeout:
        details["Timeout"] = timeout
    if heartbeat:
        details["HeartbeatTimeout"] = heartbeat
    return Transition(with_callback_timer(started), "CallbackStarted", details)


def with_callback_timer(operation: OperationRow) -> OperationRow:
    """Set a callback's timer to the earlier of its two time-outs."""
    moments = [moment for moment in (operation.scheduled_ms, operation.heartbeat_ms) if moment is not None]
    return operation._replace(due_ms=min(moments, default=None))


def _start_chained_invoke(update: Update, operation: OperationRow, _now_ms: int) -> Transition:
    started = operation._replace(
        function=update.function, tenant_id=update.tenant_id, trace_header=update.trace_header, input=update.payload
    )
    details: dict[str, Any] = {"FunctionName": update.function}
    if update.tenant_id is not None:
        details["TenantId"] = update.tenant_id
    return Transition(started, "ChainedInvokeStarted", details, update.payload)


_APPLY = {
    ("STEP", "START"): _start_step,
    ("STEP", "SUCCEED"): _succeed_step,
    ("STEP", "FAIL"): _fail_step,
    ("STEP", "RETRY"): _retry_step,
    ("CONTEXT", "START"): _start_context,
    ("CONTEXT", "SUCCEED"): _succeed_context,
    ("CONTEXT", "FAIL"): _fail_context,
    ("WAIT", "START"): _start_wait,
    ("WAIT", "CANCEL"): _cancel_wait,
    ("CALLBACK", "START"): _start_callback,
    ("CHAINED_INVOKE", "START"): _start_chained_invoke,
}

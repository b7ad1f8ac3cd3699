"""An execution as it was at a moment: nothing that happened later shows.

Stepping through a recording shows values as they were then. The recording knows how every call ended, so what the code could
not know yet is taken out here: results, errors, attempts, durations and invocations of the future.
"""

from dataclasses import replace
from datetime import datetime

from durable_debugger.model.facts import State
from durable_execution.history.recorded import RecordedAttempt, RecordedExecution, RecordedOperation
from durable_execution.protocol import OperationStatus

STATUS = {
    State.RUNNING: OperationStatus.STARTED,
    State.WAITING: OperationStatus.STARTED,
    State.RETRYING: OperationStatus.PENDING,
    State.NOT_REACHED: OperationStatus.STARTED,
}


def operation_then(
    operation: RecordedOperation, state: State, at: datetime | None, invocation: int
) -> RecordedOperation:
    """Return an operation as it was while it was still open.

    Args:
        operation: The operation as recorded.
        state: Its state at the moment.
        at: The time of the moment; None when unknown.
        invocation: The invocation of the moment.
    """
    is_reached = state is not State.NOT_REACHED
    executed = operation.executed_by if is_reached else ()
    details = {key: value for key, value in operation.details.items() if key not in LATER}
    return replace(
        operation,
        status=STATUS.get(state, operation.status),
        started_at=operation.started_at if is_reached else None,
        ended_at=None,
        result=None,
        error=None,
        attempts=tuple(_attempts(operation.attempts, at)) if is_reached else (),
        executed_by=tuple(number for number in executed if number <= invocation),
        replayed_by=(),
        details=details if is_reached else {},
        events=(),
    )


LATER = frozenset({"child_execution_arn", "executed_version", "replay_children", "result_truncated", "error_truncated"})
"""Members that are known when a call has ended."""


def execution_then(execution: RecordedExecution, invocation: int) -> RecordedExecution:
    """Return an execution as it was in one of its invocations."""
    shown = [each for each in execution.invocations if each.number <= invocation]
    if shown:
        shown[-1] = replace(shown[-1], ended_at=None, outcome=None, error=None)
    return replace(
        execution, status="RUNNING", ended_at=None, result=None, error=None, invocations=tuple(shown), notes=()
    )


def _attempts(attempts: tuple[RecordedAttempt, ...], at: datetime | None) -> list[RecordedAttempt]:
    if at is None:
        return []
    found: list[RecordedAttempt] = []
    for each in attempts:
        if each.ended_at is not None and each.ended_at <= at and each.outcome == "FAILED":
            found.append(each)
        elif each.started_at is not None and each.started_at <= at:
            found.append(
                replace(each, ended_at=None, outcome=None, error=None, result=None, next_attempt_delay_seconds=None)
            )
    return found

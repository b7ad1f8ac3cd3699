"""Notifications made by hand, for what no execution produces on demand."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from durable_execution.observers import (
    AttemptEnded,
    AttemptStarted,
    CallSite,
    InvocationEnded,
    InvocationStarted,
    Observer,
    OperationCall,
    OperationCompleted,
    OperationReplayed,
    OperationStarted,
)
from durable_execution.protocol import ErrorObject, InvocationStatus, Operation, OperationStatus, operation_id

ARN = "arn:aws:lambda:eu-west-1:123456789012:function:orders:$LATEST/durable-execution/order-7/0001"
BEGAN = datetime(2026, 3, 1, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


def started(
    *,
    arn: str = ARN,
    when: datetime = BEGAN,
    request_id: str | None = "request-1",
    is_first: bool = True,
    header: str | None = None,
    updated: Sequence[str] = (),
    operations: Iterable[Operation] = (),
    lambda_context: Any = None,
    began: datetime | None = BEGAN,
) -> InvocationStarted:
    return InvocationStarted(
        execution_arn=arn,
        request_id=request_id,
        is_first=is_first,
        at=when,
        execution_started_at=began,
        handler="shop:process_order",
        operations={operation.id: operation for operation in operations},
        updated_operation_ids=list(updated),
        input={},
        trace_header=header,
        lambda_context=lambda_context,
    )


def ended(
    start: InvocationStarted,
    status: InvocationStatus = InvocationStatus.SUCCEEDED,
    *,
    after: float = 1.0,
    error: BaseException | None = None,
) -> InvocationEnded:
    described = ErrorObject(str(error), type(error).__name__) if error is not None else None
    return InvocationEnded(start, start.at + timedelta(seconds=after), status, "1", described, error, start.operations)


def call(position: int = 1, name: str | None = "charge", **options: Any) -> OperationCall:
    known: dict[str, Any] = {
        "id": operation_id(options.get("context_id"), position),
        "parent_id": options.get("context_id"),
        "context_id": None,
        "position": position,
        "path": f"process_order/{name or position}",
        "type": "STEP",
        "subtype": "Step",
        "name": name,
        "call_site": CallSite("/shop/orders.py", 12, "process_order"),
    }
    return OperationCall(**{**known, **options})


def step(observer: Observer, which: OperationCall, *, begins: float = 0.1, takes: float = 0.2) -> None:
    """A step that succeeds at once."""
    observer.on_operation_started(OperationStarted(which, at(begins), False, OperationStatus.STARTED, None))
    observer.on_attempt_started(AttemptStarted(which, 1, at(begins)))
    observer.on_attempt_ended(AttemptEnded(which, 1, at(begins + takes), at(begins), "SUCCEEDED"))
    observer.on_operation_completed(
        OperationCompleted(
            which, at(begins + takes), at(begins), OperationStatus.SUCCEEDED, "1", None, None, 1, is_replayed=False
        )
    )


def replayed(which: OperationCall, result: str = "1", when: float = 0.1) -> OperationReplayed:
    wire = {"Id": which.id, "Type": "STEP", "Status": "SUCCEEDED", "StepDetails": {"Result": result, "Attempt": 1}}
    return OperationReplayed(which, at(when), Operation(wire))

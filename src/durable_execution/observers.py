"""The notifications that an execution sends, each once, and the interface of the observers that receive them.

Spans, metrics, the replay trace, the replay-aware logger and the debugger's live view are observers. Add your own with
`@durable_execution(observers=[...])`. An observer that raises never changes the result of an execution: the error is
logged once, and the other observers still receive the notification.

Every method is called on the event loop of the invocation, in the task that runs the operation. A context variable set
in `on_attempt_started` is therefore visible to the step's body and can be reset in `on_attempt_ended`. Methods must not
block.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from durable_execution.call_site import CallSite
from durable_execution.protocol import ErrorObject, InvocationStatus, Operation, OperationStatus, Wire

if TYPE_CHECKING:
    from durable_execution.divergence import Divergence

__all__ = [
    "AttemptEnded",
    "AttemptStarted",
    "CallSite",
    "ChangedOperation",
    "CheckpointSent",
    "ContextEntered",
    "ContextLeft",
    "Diverged",
    "InvocationEnded",
    "InvocationStarted",
    "Observer",
    "OperationCall",
    "OperationCompleted",
    "OperationReplayed",
    "OperationStarted",
    "OperationsChanged",
    "Suspended",
]


@dataclass(frozen=True, slots=True)
class OperationCall:
    """One call of an operation by the user's code.

    Attributes:
        id: Operation id (64 hex characters).
        parent_id: Id of the enclosing CONTEXT operation; None at the root.
        context_id: Prefix of this call's id: the enclosing context, even if that is virtual; None at the root.
        position: Call number in the context, from 1; for a map item or parallel branch its index, from 0.
        path: Readable path, for example `process_order/notify#3/email`.
        type: STEP, WAIT, CALLBACK, CONTEXT or CHAINED_INVOKE.
        subtype: `Step`, `Map`, … or a subtype that the user chose.
        name: Name of the call; None when unnamed.
        call_site: Where the user's code made the call; None for branches, which the SDK calls.
        configuration: Arguments that can be compared with a recording, JSON-ready: `wait_seconds`, `function_name`,
            `timeout_seconds`, `heartbeat_timeout_seconds`, `branches`; None or empty when there are none.
        input: Serialized input (chained invoke payload); None when there is none.
        is_virtual: Whether it is a virtual context, which leaves no checkpoint.
        body: Fingerprint of the function of a step, context, map or branch, which distinguishes unnamed ones; else None.
        function: Qualified name of that function.
        bound: The function itself, with the arguments it is bound to.
        items: The items of a map.
    """

    id: str
    parent_id: str | None
    context_id: str | None
    position: int
    path: str
    type: str
    subtype: str | None
    name: str | None
    call_site: CallSite | None = None
    configuration: Mapping[str, Any] | None = None
    input: str | None = None
    is_virtual: bool = False
    body: str | None = None
    function: str | None = None
    bound: Any = field(default=None, repr=False, compare=False)
    items: Sequence[Any] | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class InvocationStarted:
    """An invocation has read its envelope and is about to run the handler.

    Attributes:
        execution_arn: ARN of the execution.
        request_id: Lambda's request id; None outside Lambda-like environments.
        is_first: Whether nothing is recorded yet.
        at: Time of the notification.
        execution_started_at: When the execution started.
        handler: `module:qualname` of the handler.
        operations: All recorded operations by id, including the EXECUTION operation. Read only.
        updated_operation_ids: Ids of the operations that the service changed since the last invocation.
        input: The deserialized payload, before conversion to the handler's annotation.
        trace_header: The incoming `_X_AMZN_TRACE_ID`, if any.
        lambda_context: Lambda's context object, as received.
        handler_function: The undecorated handler.
    """

    execution_arn: str
    request_id: str | None
    is_first: bool
    at: datetime
    execution_started_at: datetime | None
    handler: str
    operations: Mapping[str, Operation]
    updated_operation_ids: Sequence[str]
    input: Any
    trace_header: str | None
    lambda_context: Any
    handler_function: Any = None


@dataclass(frozen=True, slots=True)
class InvocationEnded:
    """The handler has returned, suspended or raised.

    Attributes:
        started: The notification of this invocation's start.
        at: Time of the notification.
        status: SUCCEEDED, FAILED, PENDING, or RETRY when the invocation raises so that Lambda retries it.
        result: The serialized result for SUCCEEDED; empty when it was checkpointed instead.
        error: The error for FAILED and RETRY.
        exception: The exception behind the error, with its traceback, if there is one.
        operations: All operations by id, as known at the end.
    """

    started: InvocationStarted
    at: datetime
    status: InvocationStatus
    result: str | None
    error: ErrorObject | None
    exception: BaseException | None
    operations: Mapping[str, Operation]

    @property
    def execution_arn(self) -> str:
        """ARN of the execution."""
        return self.started.execution_arn

    @property
    def request_id(self) -> str | None:
        """Lambda's request id."""
        return self.started.request_id

    @property
    def is_first(self) -> bool:
        """Whether nothing was recorded when it started."""
        return self.started.is_first


@dataclass(frozen=True, slots=True)
class OperationStarted:
    """An operation was called and has not ended: it is new, or an earlier invocation started it.

    Attributes:
        call: The call.
        at: When it started: the recorded start if there is one.
        is_replayed: Whether an earlier invocation started it.
        status: STARTED for a new operation; else STARTED, PENDING or READY as recorded.
        recorded: The recorded operation; None for a new one.
    """

    call: OperationCall
    at: datetime
    is_replayed: bool
    status: OperationStatus
    recorded: Operation | None


@dataclass(frozen=True, slots=True)
class OperationReplayed:
    """A call was answered from the recording: the operation ended before this invocation.

    Attributes:
        call: The call.
        at: When it was answered.
        recorded: The recorded operation.
    """

    call: OperationCall
    at: datetime
    recorded: Operation


@dataclass(frozen=True, slots=True)
class OperationCompleted:
    """An operation ended in, or just before, this invocation. Sent once per operation.

    Attributes:
        call: The call.
        at: When it ended: the recorded time if the service ended it.
        started_at: When it started; None where unknown.
        status: The terminal status.
        result: Serialized result.
        error: The error, when it failed.
        exception: The exception behind the error, if it was raised in this process.
        attempt: STEP: number of the last attempt, from 1; None for other types.
        is_replayed: Whether an earlier invocation started it.
    """

    call: OperationCall
    at: datetime
    started_at: datetime | None
    status: OperationStatus
    result: str | None = None
    error: ErrorObject | None = None
    exception: BaseException | None = None
    attempt: int | None = None
    is_replayed: bool = False


@dataclass(frozen=True, slots=True)
class AttemptStarted:
    """The body of a step (or a condition's check) is about to run.

    Attributes:
        call: The operation.
        attempt: Number of the attempt, from 1.
        at: Time of the notification.
        is_replayed: Whether an earlier invocation started the operation.
    """

    call: OperationCall
    attempt: int
    at: datetime
    is_replayed: bool = False


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """The body of a step (or a condition's check) has returned or raised.

    Attributes:
        call: The operation.
        attempt: Number of the attempt, from 1.
        at: When it ended.
        started_at: When it started.
        outcome: `SUCCEEDED`, `FAILED`, or `INCOMPLETE` when the invocation ended before it.
        error: The error it raised.
        exception: The exception it raised.
        next_attempt_delay_seconds: Delay until the next attempt; None after the last attempt.
        is_replayed: Whether an earlier invocation started the operation.
    """

    call: OperationCall
    attempt: int
    at: datetime
    started_at: datetime
    outcome: str
    error: ErrorObject | None = None
    exception: BaseException | None = None
    next_attempt_delay_seconds: int | None = None
    is_replayed: bool = False


@dataclass(frozen=True, slots=True)
class ContextEntered:
    """The body of a context (child context, map, parallel, a branch) is about to run.

    Attributes:
        call: The context's operation.
        at: Time of the notification.
        is_replaying_children: Whether it runs only to rebuild a result that was too large to record.
    """

    call: OperationCall
    at: datetime
    is_replaying_children: bool


@dataclass(frozen=True, slots=True)
class ContextLeft:
    """The body of a context has returned, raised, or was still running when the invocation ended.

    Attributes:
        call: The context's operation.
        at: Time of the notification.
        entered_at: When it was entered.
        is_replaying_children: As on entry.
        outcome: `SUCCEEDED`, `FAILED`, or `INCOMPLETE`.
        error: The error it raised.
        exception: The exception it raised.
    """

    call: OperationCall
    at: datetime
    entered_at: datetime
    is_replaying_children: bool
    outcome: str
    error: ErrorObject | None = None
    exception: BaseException | None = None


@dataclass(frozen=True, slots=True)
class CheckpointSent:
    """A checkpoint call returned.

    Attributes:
        execution_arn: ARN of the execution.
        at: When the response arrived.
        duration_seconds: Duration of the call, in seconds.
        updates: The updates it carried, in wire form. Read only.
        size_bytes: Estimated size of the updates as JSON, in bytes.
        error: Why the call failed; None when the service accepted it.
    """

    execution_arn: str
    at: datetime
    duration_seconds: float
    updates: Sequence[Mapping[str, Any]]
    size_bytes: int
    error: BaseException | None = None


class ChangedOperation(Operation):
    """An operation that the service reported as changed.

    Attributes:
        is_replayed: Whether an earlier invocation started it.
    """

    __slots__ = ("is_replayed",)

    def __init__(self, wire: Wire, *, is_replayed: bool) -> None:
        super().__init__(wire)
        self.is_replayed = is_replayed


@dataclass(frozen=True, slots=True)
class OperationsChanged:
    """The service reported operations that changed.

    Attributes:
        execution_arn: ARN of the execution.
        at: Time of the notification.
        updated: The changed operations by id. Each says whether it was replayed.
        operations: All operations by id, including the changes.
    """

    execution_arn: str
    at: datetime
    updated: Mapping[str, ChangedOperation]
    operations: Mapping[str, Operation]


@dataclass(frozen=True, slots=True)
class Suspended:
    """The invocation suspends: everything left to do is waiting.

    Attributes:
        execution_arn: ARN of the execution.
        at: Time of the notification.
        pending: The calls it is waiting for.
    """

    execution_arn: str
    at: datetime
    pending: Sequence[OperationCall]


@dataclass(frozen=True, slots=True)
class Diverged:
    """The code left the recorded path.

    Attributes:
        at: Time of the notification.
        call: The call that does not match; None for a recorded operation that was not called again.
        divergence: Both sides, where they are, and what is known of the cause.
    """

    at: datetime
    call: OperationCall | None
    divergence: "Divergence"


class Observer:
    """Base class of observers. Override the methods that you need; every method is optional."""

    def on_invocation_started(self, notification: InvocationStarted) -> None:
        """The handler is about to run."""

    def on_invocation_ended(self, notification: InvocationEnded) -> None:
        """The handler has returned, suspended or raised. This is the last notification of the invocation."""

    def on_operation_started(self, notification: OperationStarted) -> None:
        """An operation was called and has not ended."""

    def on_operation_replayed(self, notification: OperationReplayed) -> None:
        """A call was answered from the recording."""

    def on_operation_completed(self, notification: OperationCompleted) -> None:
        """An operation ended."""

    def on_attempt_started(self, notification: AttemptStarted) -> None:
        """A step's body is about to run."""

    def on_attempt_ended(self, notification: AttemptEnded) -> None:
        """A step's body has ended."""

    def on_context_entered(self, notification: ContextEntered) -> None:
        """A context's body is about to run."""

    def on_context_left(self, notification: ContextLeft) -> None:
        """A context's body has ended."""

    def on_checkpoint_sent(self, notification: CheckpointSent) -> None:
        """A checkpoint call returned."""

    def on_operations_changed(self, notification: OperationsChanged) -> None:
        """The service reported operations that changed."""

    def on_suspended(self, notification: Suspended) -> None:
        """The invocation suspends: everything left to do is waiting."""

    def on_diverged(self, notification: Diverged) -> None:
        """The code left the recorded path."""

    def trace_header(self, call: OperationCall) -> str | None:
        """Return the `XAmznTraceId` for a chained invoke that is about to start, or None.

        The SDK asks the observers in order and sends the first value that is not None.
        """
        return None

"""What happens in an execution, announced once, and the interface of those who listen.

Spans, metrics, the replay trace, the replay-aware logger and the debugger's live view are observers; a user may add one
with `@durable_execution(observers=[...])`. An observer that raises never changes the result of an execution: it is
logged once, and the others are still told.

Every method is called on the event loop of the invocation, in the task that runs the operation, so a context variable set
in `on_attempt_started` is visible to the step's body and is reset in `on_attempt_ended`. Nothing here may block.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from durable_execution.protocol import ErrorObject, InvocationStatus, Operation, OperationStatus


class CallSite(NamedTuple):
    """Where in the user's code an operation was called.

    Attributes:
        file: Path as the interpreter knows it.
        line: Line number, from 1.
        function: Qualified name of the calling function.
    """

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} in {self.function}"


@dataclass(frozen=True, slots=True)
class OperationCall:
    """One call of an operation by the user's code.

    Attributes:
        id: Operation id (64 hex characters).
        parent_id: Id of the enclosing CONTEXT operation; None at the root.
        context_id: Id that prefixes this call's id: the enclosing context, also when that one is flat; None at the root.
        position: 1 for the first call in the context; the index (from 0) for a map item or parallel branch.
        path: Readable place, for example `process_order/notify#3/email`.
        type: STEP, WAIT, CALLBACK, CONTEXT or CHAINED_INVOKE.
        subtype: `Step`, `Map`, … or a user's own word.
        name: As given; None when unnamed.
        call_site: Where the user's code called it; None for branches, which the SDK calls.
        configuration: What was asked for that a recording can be compared with, JSON-ready: `wait_seconds`,
            `function_name`, `timeout_seconds`, `heartbeat_timeout_seconds`, `branches`; empty where there is nothing.
        input: Serialized input (chained invoke payload); None where there is none.
        is_virtual: Whether it leaves no checkpoint (a flat branch).
        body: Fingerprint of a step's function, which tells unnamed steps apart; None for other operations.
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


@dataclass(frozen=True, slots=True)
class InvocationStarted:
    """An invocation has read its envelope and is about to run the handler.

    Attributes:
        execution_arn: Which execution.
        request_id: Lambda's id of this invocation; None outside Lambda-like environments.
        is_first: Whether nothing is recorded yet.
        at: When.
        execution_started_at: When the execution began.
        handler: `module:qualname` of the handler.
        operations: All recorded operations by id, the EXECUTION operation included. Read only.
        updated_operation_ids: Operations changed from outside since the last invocation.
        input: The deserialized payload, before it is fitted to the handler's annotation.
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
    """The handler has answered, or raised.

    Attributes:
        started: The start this is the end of.
        at: When.
        status: SUCCEEDED, FAILED, PENDING, or RETRY when the invocation raises so that it is retried.
        result: The serialized result with SUCCEEDED; empty when it was checkpointed instead.
        error: The error with FAILED and RETRY.
        exception: The exception behind the error, with its traceback, where there is one.
        operations: All operations by id as known at the end.
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
        """Which execution."""
        return self.started.execution_arn

    @property
    def request_id(self) -> str | None:
        """Lambda's id of this invocation."""
        return self.started.request_id

    @property
    def is_first(self) -> bool:
        """Whether nothing was recorded when it started."""
        return self.started.is_first


@dataclass(frozen=True, slots=True)
class OperationStarted:
    """An operation was called and is not finished: new, or recorded as started in an earlier invocation.

    Attributes:
        call: The call.
        at: When it started: recorded start where there is one.
        is_replayed: Whether an earlier invocation started it.
        status: STARTED for a new one; STARTED, PENDING or READY as recorded.
        recorded: What is recorded; None for a new one.
    """

    call: OperationCall
    at: datetime
    is_replayed: bool
    status: OperationStatus
    recorded: Operation | None


@dataclass(frozen=True, slots=True)
class OperationReplayed:
    """A call was answered from the record: the operation had finished before this invocation.

    Attributes:
        call: The call.
        at: When it was answered.
        recorded: What is recorded.
    """

    call: OperationCall
    at: datetime
    recorded: Operation


@dataclass(frozen=True, slots=True)
class OperationCompleted:
    """An operation reached its end in, or just before, this invocation. Announced once per operation.

    Attributes:
        call: The call.
        at: When it ended: as recorded where the service moved it.
        started_at: When it started, as far as known.
        status: The terminal status.
        result: Serialized result.
        error: The error, when it failed.
        exception: The exception behind it, when it was raised in this process.
        attempt: STEP: number of the last attempt, from 1; otherwise None.
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
        attempt: From 1.
        at: When.
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
        attempt: From 1.
        at: When it ended.
        started_at: When it started.
        outcome: `SUCCEEDED`, `FAILED`, or `INCOMPLETE` when the invocation ended under it.
        error: What it raised.
        exception: The exception itself.
        next_attempt_delay_seconds: When it will be tried again; None when this was the last attempt.
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
        at: When.
        is_replaying_children: Whether it runs only to rebuild a result that was too large to keep.
    """

    call: OperationCall
    at: datetime
    is_replaying_children: bool


@dataclass(frozen=True, slots=True)
class ContextLeft:
    """The body of a context has returned, raised, or was left behind.

    Attributes:
        call: The context's operation.
        at: When.
        entered_at: When it was entered.
        is_replaying_children: As on entry.
        outcome: `SUCCEEDED`, `FAILED`, or `INCOMPLETE`.
        error: What it raised.
        exception: The exception itself.
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
    """A checkpoint call was answered.

    Attributes:
        execution_arn: Which execution.
        at: When the answer arrived.
        duration_seconds: How long the call took.
        updates: The updates it carried, in wire form. Read only.
        size_bytes: Size of the updates as JSON, as estimated by the batcher.
        error: What the call failed with; None when it was accepted.
    """

    execution_arn: str
    at: datetime
    duration_seconds: float
    updates: Sequence[Mapping[str, Any]]
    size_bytes: int
    error: BaseException | None = None


@dataclass(frozen=True, slots=True)
class OperationsChanged:
    """The service told of operations that changed.

    Attributes:
        execution_arn: Which execution.
        at: When.
        updated: The changed operations by id.
        operations: All operations by id, changes included.
    """

    execution_arn: str
    at: datetime
    updated: Mapping[str, Operation]
    operations: Mapping[str, Operation]


@dataclass(frozen=True, slots=True)
class Suspended:
    """The invocation has nothing left to do but wait.

    Attributes:
        execution_arn: Which execution.
        at: When.
        pending: What it waits for.
    """

    execution_arn: str
    at: datetime
    pending: Sequence[OperationCall]


@dataclass(frozen=True, slots=True)
class Diverged:
    """The code called something else than what is recorded.

    Attributes:
        at: When.
        call: The call that found it; None for a recorded operation that was never called again.
        divergence: The `durable_execution.replay.Divergence`.
    """

    at: datetime
    call: OperationCall | None
    divergence: Any


class Observer:
    """Base class of observers. Override what you need; every method is optional."""

    def on_invocation_started(self, happening: InvocationStarted) -> None:
        """The handler is about to run."""

    def on_invocation_ended(self, happening: InvocationEnded) -> None:
        """The handler has answered or raised; last call of the invocation."""

    def on_operation_started(self, happening: OperationStarted) -> None:
        """An operation was called and is not finished."""

    def on_operation_replayed(self, happening: OperationReplayed) -> None:
        """A call was answered from the record."""

    def on_operation_completed(self, happening: OperationCompleted) -> None:
        """An operation reached its end."""

    def on_attempt_started(self, happening: AttemptStarted) -> None:
        """A step's body is about to run."""

    def on_attempt_ended(self, happening: AttemptEnded) -> None:
        """A step's body has ended."""

    def on_context_entered(self, happening: ContextEntered) -> None:
        """A context's body is about to run."""

    def on_context_left(self, happening: ContextLeft) -> None:
        """A context's body has ended."""

    def on_checkpoint_sent(self, happening: CheckpointSent) -> None:
        """A checkpoint call was answered."""

    def on_operations_changed(self, happening: OperationsChanged) -> None:
        """The service told of operations that changed."""

    def on_suspended(self, happening: Suspended) -> None:
        """The invocation has nothing left to do but wait."""

    def on_diverged(self, happening: Diverged) -> None:
        """The code called something else than what is recorded."""

    def trace_header(self, call: OperationCall) -> str | None:
        """The `XAmznTraceId` for a chained invoke that is about to start; the first answer that is not None is sent."""
        return None

"""Rows of the store as values. A field is a column, in the order of the schema."""

from typing import Any, NamedTuple


class ExecutionRow(NamedTuple):
    """One execution, or one invocation of a function that is not durable, without its payloads.

    Times end in `_ms` and are Unix milliseconds.

    Attributes:
        key: Number in this store.
        arn: ARN; of a plain invocation something that looks like one and is never shown.
        name: Execution name, unique within the function.
        function: Function name.
        version: Function version that runs it.
        is_durable: Whether it has operations and a history, or is a plain invocation.
        status: An `ExecutionStatus`.
        started_ms: When it started.
        ended_ms: When it ended.
        timeout_seconds: How long it may run.
        timeout_ms: When it times out; None once it has ended.
        retention_days: How long it is kept after its end.
        expires_ms: When it is removed; None until it has ended.
        tenant_id: Tenant it runs for.
        trace_header: `XAmznTraceId` it was started with.
        client_context: Base64 `ClientContext` it was invoked with.
        parent_key: The execution that invoked it.
        parent_operation: Id of the CHAINED_INVOKE operation that invoked it.
        is_held: Whether it waits for its parent's invocation to end.
        owner: Engine that runs it.
        wake_ms: When the scheduler must look at it; None when only an outside change can move it.
        turn: Place in the queue among those that wake at the same time.
        event_count: Id of its last event.
        operation_count: Operations it has, the EXECUTION operation not counted.
        written_bytes: Payload bytes it has written.
        pending_count: Operations that wait for a timer, a callback or another function.
        invocation: Number of its last invocation.
        request_id: Id of the invocation that runs; None when none does.
        invocation_ms: When that one began.
        token_sequence: Checkpoints accepted in it.
        is_changed: Whether anything changed since its input was built.
        invoke_ms: When the next invocation may begin; None when there is nothing to tell the handler.
        failures: Failed invocations in a row.
        idle_answers: PENDING answers in a row without a reason.
        ending: Status it enters when the running invocation ends.
        pause_request_ms: When a pause was asked for; None when it is not paused.
        pause_reason: Why.
        pauses_timeout: Whether its time-out stands still while it is paused.
        paused_ms: When it became PAUSED.
        frozen_timeout_ms: Its time-out as of then.
    """

    key: int
    arn: str
    name: str
    function: str
    version: str
    is_durable: int
    status: str
    started_ms: int
    ended_ms: int | None
    timeout_seconds: int
    timeout_ms: int | None
    retention_days: int
    expires_ms: int | None
    tenant_id: str | None
    trace_header: str | None
    client_context: str | None
    parent_key: int | None
    parent_operation: str | None
    is_held: int
    owner: str | None
    wake_ms: int | None
    turn: int
    event_count: int
    operation_count: int
    written_bytes: int
    pending_count: int
    invocation: int
    request_id: str | None
    invocation_ms: int | None
    token_sequence: int
    is_changed: int
    invoke_ms: int | None
    failures: int
    idle_answers: int
    ending: str | None
    pause_request_ms: int | None
    pause_reason: str | None
    pauses_timeout: int
    paused_ms: int | None
    frozen_timeout_ms: int | None

    @property
    def is_running(self) -> bool:
        """Whether an invocation runs."""
        return self.request_id is not None


class OperationRow(NamedTuple):
    """One operation.

    Attributes:
        execution: Key of the execution.
        sequence: 0 for the EXECUTION operation, then in order of their start.
        id: Operation id.
        parent_id: Id of the enclosing CONTEXT.
        name: Name.
        type: `OperationType`.
        subtype: Subtype.
        status: `OperationStatus`.
        started_ms: When it started.
        ended_ms: When it ended.
        attempt: STEP: attempts that have finished.
        due_ms: When a timer moves it next.
        scheduled_ms: WAIT: its end. STEP: its next attempt. CALLBACK: its time-out.
        heartbeat_ms: CALLBACK: when the heartbeat lapses.
        seconds: WAIT: its length. CALLBACK: its time-out.
        heartbeat_seconds: CALLBACK: heartbeat time-out.
        callback_id: CALLBACK: the id that completes it.
        replay_children: CONTEXT: whether its body runs again.
        function: CHAINED_INVOKE: the target as asked for.
        tenant_id: CHAINED_INVOKE: tenant.
        trace_header: CHAINED_INVOKE: `XAmznTraceId` handed on.
        child_arn: CHAINED_INVOKE: the execution it started.
        input: EXECUTION, CHAINED_INVOKE: payload.
        result: Serialized result, or the state of a polling STEP.
        error: Error object as JSON.
    """

    execution: int
    sequence: int
    id: str
    parent_id: str | None
    name: str | None
    type: str
    subtype: str | None
    status: str
    started_ms: int
    ended_ms: int | None = None
    attempt: int = 0
    due_ms: int | None = None
    scheduled_ms: int | None = None
    heartbeat_ms: int | None = None
    seconds: int | None = None
    heartbeat_seconds: int | None = None
    callback_id: str | None = None
    replay_children: int | None = None
    function: str | None = None
    tenant_id: str | None = None
    trace_header: str | None = None
    child_arn: str | None = None
    input: str | None = None
    result: str | None = None
    error: str | None = None

    @property
    def is_pending(self) -> bool:
        """Whether it waits for a timer, a callback or another function."""
        if self.type == "STEP":
            return self.status == "PENDING"
        return self.status == "STARTED" and self.type in ("WAIT", "CALLBACK", "CHAINED_INVOKE")


class EventRow(NamedTuple):
    """One event of a history.

    Attributes:
        execution: Key of the execution.
        id: 1 for the first, without gaps.
        type: Event type.
        at_ms: When it happened.
        operation_id: Operation it is about.
        name: Its name.
        parent_id: Its parent.
        subtype: Its subtype.
        details: JSON of the details except the payload.
        data: The payload: text, or JSON of an error object.
    """

    execution: int
    id: int
    type: str
    at_ms: int
    operation_id: str | None
    name: str | None
    parent_id: str | None
    subtype: str | None
    details: str | None
    data: str | None


Parameters = tuple[Any, ...]

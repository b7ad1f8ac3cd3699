"""Rows of the store as values. Each field is a column, in the order of the schema.

JSON without whitespace, as the store keeps it.
"""

import json
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from durable_execution.errors import EngineError

Row = TypeVar("Row", bound=tuple[Any, ...])
KINDS: dict[Any, tuple[type, ...]] = {
    int: (int,), bool: (int,), str: (str,), int | None: (int, type(None)), str | None: (str, type(None)),
}  # fmt: skip
"""The types that SQLite returns for a field. Its columns take values of any type, so that a damaged file may hold others."""

MOST_SIGNATURES = 1024


class ExecutionRow(NamedTuple):
    """One execution, or one invocation of a plain function, without payloads.

    Fields that end in `_ms` are Unix milliseconds.

    Attributes:
        key: Primary key in this store.
        arn: ARN. A plain invocation has a made-up one that is never shown.
        name: Execution name, unique within the function.
        function: Function name.
        version: Function version.
        is_durable: Whether it is a durable execution, with operations and a history, or a plain invocation.
        status: An `ExecutionStatus`.
        started_ms: Start time.
        ended_ms: End time; None while unfinished.
        timeout_seconds: Maximum duration.
        timeout_ms: When it times out; None once it has ended.
        retention_days: How long it is kept after its end.
        expires_ms: When it may be removed; None until it has ended.
        tenant_id: Tenant id.
        trace_header: `XAmznTraceId` of the start request.
        client_context: Base64 `ClientContext` of the invoke request.
        parent_key: Key of the execution that invoked it.
        parent_operation: Id of the CHAINED_INVOKE operation that invoked it.
        is_held: Whether it waits for its parent's invocation to end.
        owner: Id of the engine that runs it.
        wake_ms: When the scheduler must look at it; None if only an external change can move it.
        turn: Position in the queue among executions with the same `wake_ms`.
        event_count: Id of its last event.
        operation_count: Number of operations, without the EXECUTION operation.
        written_bytes: Payload bytes written.
        pending_count: Number of operations that wait for a timer, a callback or another function.
        invocation: Number of the last invocation.
        request_id: Id of the running invocation; None between invocations.
        invocation_ms: Start time of the running invocation.
        token_sequence: Number of checkpoints accepted in the running invocation.
        is_changed: Whether anything changed since the invocation's input was built.
        invoke_ms: When the next invocation may start; None if the handler has nothing new to process.
        failures: Consecutive failed invocations.
        idle_answers: Consecutive PENDING answers without a pending operation.
        ending: Status to enter when the running invocation ends.
        pause_request_ms: Time of the pause request; None if not pausing or paused.
        pause_reason: Reason given in the pause request.
        pauses_timeout: Whether the execution time-out is paused too.
        paused_ms: When it became PAUSED.
        frozen_timeout_ms: Value of `timeout_ms` at that time.
        is_asynchronous: Whether the request that started it did not wait for it. The service then keeps a smaller
            result.
    """

    key: int
    arn: str
    name: str
    function: str
    version: str
    is_durable: bool
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
    is_held: bool
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
    is_changed: bool
    invoke_ms: int | None
    failures: int
    idle_answers: int
    ending: str | None
    pause_request_ms: int | None
    pause_reason: str | None
    pauses_timeout: bool
    paused_ms: int | None
    frozen_timeout_ms: int | None
    is_asynchronous: bool

    @property
    def is_running(self) -> bool:
        """Whether an invocation is running."""
        return self.request_id is not None


class OperationRow(NamedTuple):
    """One operation.

    Attributes:
        execution: Key of the execution.
        sequence: 0 for the EXECUTION operation, then numbered in start order.
        id: Operation id.
        parent_id: Id of the enclosing CONTEXT.
        name: Name.
        type: `OperationType`.
        subtype: Subtype.
        status: `OperationStatus`.
        started_ms: Start time.
        ended_ms: End time; None while unfinished.
        attempt: STEP: number of finished attempts.
        due_ms: When its timer fires next; None without a timer.
        scheduled_ms: WAIT: end of the wait. STEP: next attempt. CALLBACK: time-out.
        heartbeat_ms: CALLBACK: heartbeat time-out.
        seconds: WAIT: duration. CALLBACK: time-out in seconds.
        heartbeat_seconds: CALLBACK: heartbeat time-out in seconds.
        callback_id: CALLBACK: id that completes it.
        replay_children: CONTEXT: whether a replay runs its body again.
        function: CHAINED_INVOKE: target function, as requested.
        tenant_id: CHAINED_INVOKE: tenant id.
        trace_header: CHAINED_INVOKE: `XAmznTraceId` to pass on.
        child_arn: CHAINED_INVOKE: ARN of the execution it started.
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


class ForkRow(NamedTuple):
    """What a forked execution knows of its origin.

    Attributes:
        execution: Key of the fork.
        origin: ARN of the execution it was forked from; None where unknown.
        call: Path of the call at which it was forked.
        is_edited: Whether that call ends differently than recorded.
        seed: ARN that seeds `ctx.random` and `ctx.uuid`; None for the fork's own.
        outcomes: Recorded outcomes of later calls, by operation id, as JSON.
        live: Names of calls that run for real, as a JSON list.
        answers: Given outcomes of calls without a recorded one, by name, as JSON.
    """

    execution: int
    origin: str | None
    call: str
    is_edited: int
    seed: str | None
    outcomes: str
    live: str
    answers: str


class EventRow(NamedTuple):
    """One event of a history.

    Attributes:
        execution: Key of the execution.
        id: Number within the history, from 1, without gaps.
        type: Event type.
        at_ms: Event time.
        operation_id: Id of the operation.
        name: Name of the operation.
        parent_id: Parent id of the operation.
        subtype: Subtype of the operation.
        details: Details as JSON, without the payload.
        data: The payload: text, or an error object as JSON.
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


def reader(row: type[Row]) -> Callable[[tuple[Any, ...]], Row]:
    """Return the function that makes a row of the values that SQLite returns.

    It raises an `EngineError` for values of the wrong types, which only a damaged file holds. A combination of types is looked
    at once.
    """
    known: set[tuple[type, ...]] = set()
    make: Callable[[tuple[Any, ...]], Row] = row._make  # type: ignore[attr-defined]

    def read(values: tuple[Any, ...]) -> Row:
        signature = tuple(map(type, values))
        if signature not in known:
            for (name, kind), value in zip(row.__annotations__.items(), values, strict=True):
                if type(value) not in KINDS[kind]:
                    raise impossible(name, value)
            if len(known) < MOST_SIGNATURES:
                known.add(signature)
        return make(values)

    return read


def whole(name: str, value: Any) -> int | None:
    """Return the value of a column of whole numbers, or None.

    Raises:
        EngineError: It is something else.
    """
    if value is not None and type(value) is not int:
        raise impossible(name, value)
    return value


def impossible(name: str, value: object) -> EngineError:
    """The error for a value that is never written."""
    return EngineError(
        f"the column {name} of the store contains {str(value)[:40]!r}: the file is damaged, or another program changed it. Move "
        "the file away to start with an empty store, or restore it from a backup."
    )


Parameters = tuple[Any, ...]
compact: Callable[[Any], str] = json.JSONEncoder(separators=(",", ":")).encode
"""Encode a value as JSON without whitespace."""

"""A recorded execution as values: what happened, in which invocation, and what came of it."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from durable_execution.observers import CallSite
from durable_execution.protocol import ErrorObject, OperationStatus, OperationType, Wire

PATCH = "Patch"
"""Subtype of the markers of changed code, whose ids stand outside the numbering of calls."""

COMBINATORS = frozenset({"All", "Any", "Race"})
"""Subtypes of steps that run several awaitables and record which of them decided."""

DERIVABLE = (16, 64)
"""Lengths of ids whose place can always be told: AWS's SDKs for JavaScript and Python."""


@dataclass(frozen=True, slots=True)
class RecordedAttempt:
    """One run of a step's body, or one poll of a condition.

    Attributes:
        number: From 1. A body that was run again after a crash has the number of the run that was cut off.
        started_at: When it started; None where the SDK records no start.
        ended_at: When it ended; None while it runs, or when it was cut off.
        outcome: `SUCCEEDED`, `FAILED`, `INCOMPLETE` when it was cut off and run again; None while it runs.
        error: What it raised.
        result: What it returned, serialized: the state of a condition that goes on polling, too.
        next_attempt_delay_seconds: When it is tried again; None after the last attempt.
        invocation: Number of the invocation it ended in, or runs in.
    """

    number: int
    started_at: datetime | None
    ended_at: datetime | None
    outcome: str | None
    error: ErrorObject | None = None
    result: str | None = None
    next_attempt_delay_seconds: int | None = None
    invocation: int | None = None


@dataclass(frozen=True, slots=True)
class RecordedOperation:
    """One operation of a recorded execution.

    Attributes:
        id: Operation id, in whatever scheme its SDK uses.
        parent_id: Id of the CONTEXT it belongs to, as recorded; None at the root.
        depth: Number of contexts around it; 0 at the root.
        position: Call number in its context, from 1; for a map item or parallel branch its index, from 0. None where
            it cannot be told from the id.
        path: Readable place, for example `process_order/notify#3/email`.
        type: What it is.
        subtype: What it is for, as recorded.
        name: As given; None when unnamed.
        status: Where it stands.
        started_at: When its first event was written.
        ended_at: When it reached a terminal status.
        input: Serialized input (payload of a chained invoke); None where there is none or it was not recorded.
        result: Serialized result; None where there is none or it was not recorded.
        error: Why it failed.
        attempts: STEP: its attempts in order.
        call_site: Where the code called it; only where a replay trace was recorded.
        executed_by: Invocations in which the code ran it.
        replayed_by: Invocations that took its result from the record. From traces where there are some, else inferred:
            every later invocation in which the context around it was still running. A `range` where it is one.
        details: What its type adds: `duration_seconds`, `scheduled_end_at`, `callback_id`, `timeout_seconds`,
            `heartbeat_timeout_seconds`, `function_name`, `child_execution_arn`, `tenant_id`, `executed_version`,
            `replay_children`, `branch_index` (of a map item or parallel branch), `flat_branch` (index of the branch without
            a context of its own that called it), `lane` (which numbering of its context it belongs to, when that is not
            the one of the context's own code; see `durable_execution.replay.positions`), `body` (fingerprint of a step's
            function, from a trace), `result_truncated`, `input_truncated`, `error_truncated`.
        events: Ids of its events in the history.
    """

    id: str
    parent_id: str | None
    depth: int
    position: int | None
    path: str
    type: OperationType
    subtype: str | None
    name: str | None
    status: OperationStatus
    started_at: datetime | None
    ended_at: datetime | None
    input: str | None = None
    result: str | None = None
    error: ErrorObject | None = None
    attempts: tuple[RecordedAttempt, ...] = ()
    call_site: CallSite | None = None
    executed_by: Sequence[int] = ()
    replayed_by: Sequence[int] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    events: tuple[int, ...] = ()

    @property
    def is_branch(self) -> bool:
        """Whether it is a map item or a parallel branch."""
        return "branch_index" in self.details


@dataclass(frozen=True, slots=True)
class RecordedInvocation:
    """One run of the handler.

    Attributes:
        number: From 1.
        request_id: Lambda's id of it.
        started_at: When it started, as far as known.
        ended_at: When it ended; None while it runs.
        error: Why it failed.
        outcome: `SUCCEEDED`, `FAILED`, `PENDING`, `RETRY` when it failed and was tried again; None while it runs.
        is_inferred: Whether the history has no event of its own for it.
        last_event: Id of the last event that belongs to it.
    """

    number: int
    request_id: str | None
    started_at: datetime | None
    ended_at: datetime | None
    error: ErrorObject | None = None
    outcome: str | None = None
    is_inferred: bool = False
    last_event: int | None = None


@dataclass(frozen=True, slots=True)
class RecordedExecution:
    """A whole execution, as far as it was recorded.

    Attributes:
        arn: Its ARN; None when unknown.
        name: Execution name; None when unknown.
        id: Execution id; the id of the EXECUTION operation where the ARN is unknown.
        function_name: The function's name; None when unknown.
        status: An `ExecutionStatus`; `RUNNING` while no event ends it.
        started_at: When it started.
        ended_at: When it ended.
        input: The caller's payload, serialized.
        result: The result, serialized.
        error: Why it failed, timed out or was stopped.
        operations: All operations but EXECUTION, in depth-first order of the tree, siblings in call order.
        invocations: In order.
        events: The events as received, by EventId.
        traces: The replay traces that were read with it.
        notes: What could not be read, or looks odd, a line each.
        handler: Name of the handler's function where a trace tells it.
        is_from_trace: Whether there are only replay traces, and no history.
    """

    arn: str | None
    name: str | None
    id: str | None
    function_name: str | None
    status: str
    started_at: datetime | None
    ended_at: datetime | None
    input: str | None
    result: str | None
    error: ErrorObject | None
    operations: tuple[RecordedOperation, ...] = ()
    invocations: tuple[RecordedInvocation, ...] = ()
    events: tuple[Wire, ...] = ()
    traces: tuple[Any, ...] = ()
    notes: tuple[str, ...] = ()
    handler: str | None = None
    is_from_trace: bool = False

    def __iter__(self) -> Iterator[RecordedOperation]:
        return iter(self.operations)

    def foreign(self) -> frozenset[str]:
        """Ids of operations that no call of this SDK's scheme has: what others wrote into the execution."""
        lengths = Counter(len(operation.id) for operation in self.operations if operation.position is not None)
        if not lengths:
            return frozenset()
        scheme = lengths.most_common(1)[0][0]
        unplaced = (operation for operation in self.operations if operation.position is None)
        return frozenset(one.id for one in unplaced if len(one.id) != scheme or scheme in DERIVABLE)

    def by_id(self) -> dict[str, RecordedOperation]:
        """The operations by id."""
        return {operation.id: operation for operation in self.operations}

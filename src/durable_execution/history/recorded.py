"""A recorded execution as values: its operations, attempts and invocations."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from durable_execution.call_site import CallSite
from durable_execution.protocol import ErrorObject, OperationStatus, OperationType, Wire
from durable_execution.protocol.enums import BATCHES

OWN_ID_LENGTH = 64
"""Length of the ids of this SDK and of AWS's SDK for Python."""

DERIVABLE = (16, OWN_ID_LENGTH)
"""Lengths of ids whose position can always be recovered: those of AWS's SDKs for JavaScript and Python."""


@dataclass(frozen=True, slots=True)
class RecordedAttempt:
    """One run of a step's body, or one poll of a condition.

    Attributes:
        number: From 1. A body that runs again after a crash keeps the number of the interrupted run.
        started_at: When it started; None where the SDK records no start.
        ended_at: When it ended; None while it runs, or when it was interrupted.
        outcome: `SUCCEEDED`, `FAILED`, `INCOMPLETE` when it was interrupted and ran again; None while it runs.
        error: The error it raised.
        result: Serialized return value; for a condition that continues to poll, its state.
        next_attempt_delay_seconds: Delay until the next attempt; None after the last attempt.
        invocation: Number of the invocation in which it ended, or runs.
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
        id: Operation id, in the scheme of its SDK.
        parent_id: Id of the CONTEXT it belongs to, as recorded; None at the root.
        depth: Number of enclosing contexts; 0 at the root.
        position: Call number in its context, from 1; for a map item or parallel branch its index, from 0. None where
            it cannot be recovered from the id.
        path: Readable path, for example `process_order/notify#3/email`.
        type: Type of the operation.
        subtype: Subtype, as recorded.
        name: Name of the operation; None when unnamed.
        status: Latest recorded status.
        started_at: When its first event was written.
        ended_at: When it reached a terminal status.
        input: Serialized input (payload of a chained invoke); None when absent or not recorded.
        result: Serialized result; None when absent or not recorded.
        error: Why it failed.
        attempts: STEP: its attempts in order.
        call_site: Where the code made the call; None without a replay trace.
        executed_by: Numbers of the invocations that ran it.
        replayed_by: Numbers of the invocations that replayed its recorded result: from replay traces where available,
            otherwise every later invocation in which its context was still running. May be a `range`.
        details: Members specific to its type: `duration_seconds`, `scheduled_end_at`, `callback_id`, `timeout_seconds`,
            `heartbeat_timeout_seconds`, `function_name`, `child_execution_arn`, `tenant_id`, `executed_version`,
            `replay_children`, `branch_index` (of a map item or parallel branch), `flat_branch` (index of the virtual branch
            that made the call), `task_scope` (its task scope, if that is not the context's own code; see
            `durable_execution.history.positions`), `body` and `function` (fingerprint and name of a step's
            function) and `branches` (how many a map or parallel was called with), all three from a replay trace,
            `result_truncated`, `input_truncated`, `error_truncated`.
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
        """Whether it is a map item or parallel branch."""
        return "branch_index" in self.details


@dataclass(frozen=True, slots=True)
class RecordedInvocation:
    """One run of the handler.

    Attributes:
        number: From 1.
        request_id: Lambda's request id; None where unknown.
        started_at: When it started; None where unknown.
        ended_at: When it ended; None while it runs.
        error: Why it failed.
        outcome: `SUCCEEDED`, `FAILED`, `PENDING`, `RETRY` when it failed and Lambda retried it; None while it runs.
        is_inferred: Whether the history has no event for it, so that it was inferred.
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
class ForkOrigin:
    """What an execution was forked from.

    Attributes:
        arn: ARN of the origin; None where unknown.
        call: Path of the call at which it was forked.
        is_edited: Whether that call ended differently than recorded.
        seed: ARN that seeds `ctx.random` and `ctx.uuid`; None for the execution's own.
    """

    arn: str | None
    call: str
    is_edited: bool = False
    seed: str | None = None


@dataclass(frozen=True, slots=True)
class RecordedExecution:
    """A whole recorded execution.

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
        operations: All operations except EXECUTION, depth first, siblings in call order.
        invocations: In order.
        events: The events as received, by EventId.
        traces: The replay traces read with it.
        notes: Unreadable parts and irregularities, one line each.
        handler: `module:qualname` of the handler, from a replay trace; None without one.
        is_from_trace: Whether it was read from replay traces alone, without a history.
        forked_from: What it was forked from; None for an execution that is not a fork.
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
    events: Sequence[Wire] = ()
    traces: tuple[Any, ...] = ()
    notes: tuple[str, ...] = ()
    handler: str | None = None
    is_from_trace: bool = False
    forked_from: ForkOrigin | None = None

    def __iter__(self) -> Iterator[RecordedOperation]:
        return iter(self.operations)

    def foreign(self) -> frozenset[str]:
        """Return the ids of operations outside the SDK's numbering, which other clients wrote into the execution."""
        lengths = Counter(len(operation.id) for operation in self.operations if operation.position is not None)
        if not lengths:
            return frozenset()
        scheme = lengths.most_common(1)[0][0]
        unplaced = (operation for operation in self.operations if operation.position is None)
        return frozenset(one.id for one in unplaced if len(one.id) != scheme or scheme in DERIVABLE)

    def by_id(self) -> dict[str, RecordedOperation]:
        """Return the operations by id."""
        return {operation.id: operation for operation in self.operations}


def is_rebuilt(operation: RecordedOperation) -> bool:
    """Whether a context's result was too large to record, so that its children are replayed. Histories do not record this.

    In place of such a result, the history has an empty string or the summary of a map or parallel. A result that is missing
    from the recording can also be rebuilt, as far as the children's results are recorded.
    """
    if "replay_children" in operation.details:
        return bool(operation.details["replay_children"])
    if operation.result == "" or (operation.result is None and operation.details.get("result_truncated")):
        return True
    if operation.subtype not in BATCHES or not operation.result:
        return False
    try:
        summary = json.loads(operation.result)
    except ValueError:
        return len(operation.id) != OWN_ID_LENGTH  # a different SDK may use its own format
    if len(operation.id) != OWN_ID_LENGTH and not (
        isinstance(summary, dict) and ("all" in summary or "items" in summary)
    ):
        return True
    return isinstance(summary, dict) and str(summary.get("type", "")).endswith("Result") and "totalCount" in summary

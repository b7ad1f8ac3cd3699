"""Maps recorded operations to the calls that made them and to the invocations in which each started and ended.

Virtual branches: contexts without events of their own, inferred from the operations called in them.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from durable_execution.errors import SerializationError
from durable_execution.observers import OperationCall
from durable_execution.protocol import (
    ErrorObject,
    Operation,
    OperationStatus,
    OperationSubType,
    OperationType,
    Wire,
    branch_id,
)
from durable_execution.protocol.ids import branch_path
from durable_execution.protocol.operation import DETAILS_MEMBER
from durable_execution.serdes.tagged import loads

if TYPE_CHECKING:
    from durable_execution.history.recorded import RecordedAttempt, RecordedExecution, RecordedOperation

NEVER = 1 << 30


@dataclass(frozen=True, slots=True)
class FlatBranch:
    """One virtual branch of a map or parallel.

    Attributes:
        call: The call of a recorded branch in its place, with the default name: a custom name is not recorded.
        depth: Depth of the operations called in it.
        operations: The operations called in it.
        outcome: Its outcome by the batch's result; None when the result does not say.
        error: The error it failed with.
    """

    call: OperationCall
    depth: int
    operations: "tuple[RecordedOperation, ...]"
    outcome: str | None = None
    error: ErrorObject | None = None

    @property
    def started_at(self) -> datetime | None:
        """When the first of its operations started."""
        return min((o.started_at for o in self.operations if o.started_at), default=None)

    @property
    def ended_at(self) -> datetime | None:
        """When the last of its operations ended."""
        return max((o.ended_at for o in self.operations if o.ended_at), default=None)

    @property
    def status(self) -> OperationStatus:
        """Return how it ended: by the batch's result, if that can be read."""
        if self.outcome in (OperationStatus.SUCCEEDED, OperationStatus.FAILED):
            return OperationStatus(self.outcome)
        is_running = any(not operation.status.is_terminal for operation in self.operations)
        return OperationStatus.STARTED if is_running else OperationStatus.SUCCEEDED


class RecordedCalls:
    """Looks up what the notifications of a recorded execution need.

    Attributes:
        arn: The execution's ARN, or its substitute.
        unfinished: Operations that had not ended when the execution did, by id, parents first.
    """

    def __init__(self, execution: "RecordedExecution", arn: str) -> None:
        self.arn = arn
        self._branches = flat_branches(execution)
        self._calls: dict[str, OperationCall] = {}
        self._last_events = [invocation.last_event or 0 for invocation in execution.invocations]
        self._starts = [invocation.started_at for invocation in execution.invocations if invocation.started_at]
        self._span = {operation.id: self._invocations_of(operation) for operation in execution}
        self._over: dict[str, int] = {}
        for operation in execution:  # parents before children
            around = self._over.get(operation.parent_id or "", NEVER)
            self._over[operation.id] = min(self._span[operation.id][1], around)
        self._waits = [operation for operation in execution if operation.type is OperationType.WAIT]
        self.unfinished: Mapping[str, Operation] = {
            o.id: Operation(wire_of(o)) for o in execution if self._over[o.id] == NEVER
        }

    def call(self, operation: "RecordedOperation") -> OperationCall:
        """Return the call that made an operation."""
        found = self._calls.get(operation.id)
        if found is None:
            found = self._calls[operation.id] = self._make(operation)
        return found

    def began_in(self, operation: "RecordedOperation") -> int:
        """Return the number of the invocation that started it."""
        return self._span[operation.id][0]

    def ended_in(self, operation: "RecordedOperation") -> int:
        """Return the number of the invocation that it ended in, or that found it ended; very large while it is open."""
        return self._span[operation.id][1]

    def over_in(self, operation: "RecordedOperation") -> int:
        """Return the number of the last invocation that calls it: afterwards it, or a context around it, has ended."""
        return self._over[operation.id]

    def waits_open_in(self, number: int) -> Mapping[str, Operation]:
        """Return the WAIT operations that an invocation reached before they ended, in the order in which they started."""
        return {
            wait.id: Operation({**wire_of(wait), "Status": "STARTED"})
            for wait in self._waits
            if self.began_in(wait) <= number <= self.over_in(wait)
        }

    def branch_of(self, operation: "RecordedOperation") -> FlatBranch | None:
        """Return the virtual branch that it was called in, if any."""
        return self._branches.get(operation.id)

    def invocation_at(self, moment: datetime | None) -> int | None:
        """Return the number of the latest invocation at a time."""
        return bisect_right(self._starts, moment) or None if moment is not None else None

    def _invocations_of(self, operation: "RecordedOperation") -> tuple[int, int]:
        first = self._invocation_of(operation.events[0]) if operation.events else NEVER
        last = self._invocation_of(operation.events[-1]) if operation.events else NEVER
        return first, last if operation.status.is_terminal else NEVER

    def _invocation_of(self, event: int) -> int:
        """Count invocations by their ends: events belong to the invocation whose end follows them."""
        return bisect_left(self._last_events, event) + 1

    def _make(self, operation: "RecordedOperation") -> OperationCall:
        branch = self.branch_of(operation)
        seconds = operation.details.get("duration_seconds")
        return OperationCall(
            id=operation.id,
            parent_id=operation.parent_id,
            context_id=branch.call.id if branch is not None else operation.parent_id,
            position=operation.position or 0,
            path=operation.path,
            type=operation.type,
            subtype=operation.subtype,
            name=operation.name,
            call_site=operation.call_site,
            configuration={"wait_seconds": seconds} if seconds is not None else None,
        )


def wire_of(operation: "RecordedOperation", *, last_attempt: "RecordedAttempt | None" = None) -> Wire:
    """Build an operation as the service would pass it to a handler, as far as spans need it."""
    wire: dict[str, Any] = {
        "Id": operation.id,
        "Type": operation.type.value,
        "Status": operation.status.value,
        "ParentId": operation.parent_id,
        "Name": operation.name,
        "SubType": operation.subtype,
        "StartTimestamp": operation.started_at,
        "EndTimestamp": operation.ended_at,
    }
    details: dict[str, Any] = {"Result": operation.result}
    if operation.error is not None:
        details["Error"] = operation.error.to_wire()
    if operation.type is OperationType.WAIT:
        details["ScheduledEndTimestamp"] = operation.details.get("scheduled_end_at")
    if operation.type is OperationType.STEP:
        details["NextAttemptTimestamp"] = _next_attempt(last_attempt)
    wire[DETAILS_MEMBER[operation.type]] = details
    return wire


def _next_attempt(attempt: "RecordedAttempt | None") -> datetime | None:
    if attempt is None or attempt.ended_at is None or attempt.next_attempt_delay_seconds is None:
        return None
    return attempt.ended_at + timedelta(seconds=attempt.next_attempt_delay_seconds)


BRANCHES = {
    OperationSubType.MAP.value: (OperationSubType.MAP_ITERATION, "map-item"),
    OperationSubType.PARALLEL.value: (OperationSubType.PARALLEL_BRANCH, "parallel-branch"),
}


def flat_branches(execution: "RecordedExecution") -> dict[str, FlatBranch]:
    """Return the virtual branches of an execution, by the id of each operation called in one."""
    by_id = execution.by_id()
    members: dict[str, list[RecordedOperation]] = {}
    batches: dict[str, tuple[RecordedOperation, int]] = {}
    for operation in execution:
        batch = by_id.get(operation.parent_id or "")
        index = operation.details.get("flat_branch")
        if batch is None or batch.subtype not in BRANCHES or index is None or operation.is_branch:
            continue
        branch = branch_id(batch.id, index)
        members.setdefault(branch, []).append(operation)
        batches[branch] = (batch, index)
    return {
        operation.id: branch
        for branch in (_branch(identity, *batches[identity], found) for identity, found in members.items())
        for operation in branch.operations
    }


def _branch(identity: str, batch: "RecordedOperation", index: int, operations: "list[RecordedOperation]") -> FlatBranch:
    subtype, word = BRANCHES[batch.subtype or ""]
    call = OperationCall(
        id=identity,
        parent_id=batch.id,
        context_id=batch.id,
        position=index,
        path=branch_path(batch.path, index),
        type=OperationType.CONTEXT,
        subtype=subtype,
        name=f"{word}-{index}",
        is_virtual=True,
    )
    outcome, error = _outcomes(batch).get(index, (None, None))
    return FlatBranch(call, operations[0].depth, tuple(operations), outcome, error)


def _outcomes(batch: "RecordedOperation") -> dict[int, tuple[str, ErrorObject | None]]:
    """Return how each branch ended, from the batch's result; nothing if there is none, or its form is unknown."""
    try:
        items = loads(batch.result or "")["all"]
        return {item["index"]: (str(item["status"]), ErrorObject.from_wire(item["error"])) for item in items}
    except (SerializationError, KeyError, TypeError, ValueError, AttributeError, RecursionError):
        return {}

"""Maps recorded operations to the calls that made them and to the invocations in which each started and ended."""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from durable_execution.observers import OperationCall
from durable_execution.protocol import Operation, OperationType, Wire
from durable_execution.telemetry.history_branches import FlatBranch, flat_branches

if TYPE_CHECKING:
    from durable_execution.replay.recorded import RecordedAttempt, RecordedExecution, RecordedOperation

NEVER = 1 << 30


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
    if operation.type is OperationType.WAIT:
        wire["WaitDetails"] = {"ScheduledEndTimestamp": operation.details.get("scheduled_end_at")}
    if operation.type is OperationType.STEP:
        wire["StepDetails"] = {"Result": operation.result, "NextAttemptTimestamp": _next_attempt(last_attempt)}
    if operation.type is OperationType.CONTEXT:
        wire["ContextDetails"] = {"Result": operation.result}
    return wire


def _next_attempt(attempt: "RecordedAttempt | None") -> datetime | None:
    if attempt is None or attempt.ended_at is None or attempt.next_attempt_delay_seconds is None:
        return None
    return attempt.ended_at + timedelta(seconds=attempt.next_attempt_delay_seconds)

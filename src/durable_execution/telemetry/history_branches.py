"""Virtual branches: contexts without events of their own, inferred from the operations called in them."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from durable_execution.errors import SerializationError
from durable_execution.observers import OperationCall
from durable_execution.protocol import ErrorObject, OperationStatus, OperationSubType, OperationType, branch_id
from durable_execution.protocol.paths import branch_path
from durable_execution.serdes.tagged import loads

if TYPE_CHECKING:
    from durable_execution.replay.recorded import RecordedExecution, RecordedOperation

BRANCHES = {
    OperationSubType.MAP.value: (OperationSubType.MAP_ITERATION, "map-item"),
    OperationSubType.PARALLEL.value: (OperationSubType.PARALLEL_BRANCH, "parallel-branch"),
}


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

"""The critical path: the calls that determine how long an execution takes."""

from collections.abc import Sequence

from durable_debugger.text.durations import between
from durable_execution.protocol import OperationType
from durable_execution.replay.recorded import RecordedOperation


def critical_path(operations: Sequence[RecordedOperation]) -> list[int]:
    """Return the rows of the calls that determined when the execution ended, in order of time.

    The search runs backwards from the end: the call that ended last, then the call that ended last before that one
    started, and so on. Contexts are excluded; the calls inside them are more precise.
    """
    ended = sorted(
        (
            (operation.ended_at, row)
            for row, operation in enumerate(operations)
            if operation.ended_at is not None
            and operation.started_at is not None
            and operation.type is not OperationType.CONTEXT
        ),
        reverse=True,
    )
    path: list[int] = []
    before = None
    for end, row in ended:
        if before is None or end <= before:
            path.append(row)
            before = operations[row].started_at
    return path[::-1]


def longest(path: Sequence[int], operations: Sequence[RecordedOperation], count: int) -> list[int]:
    """Return the longest calls on a path that ran code, in order of time."""
    work = [row for row in path if operations[row].type in (OperationType.STEP, OperationType.CHAINED_INVOKE)]
    by_length = sorted(work, key=lambda row: -(between(operations[row].started_at, operations[row].ended_at) or 0.0))
    return sorted(by_length[:count], key=work.index)

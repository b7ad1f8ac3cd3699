"""The rows of a comparison, and where differences inside finished contexts belong among them.

A comparison does not open finished contexts, because a resumed execution skips them. A replay checks them separately;
their differences are inserted here below the contexts they belong to.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from durable_execution.comparison.call_tree import BRANCH_OF, CallNode, node_of
from durable_execution.comparison.comparison import Comparison
from durable_execution.divergence import Divergence, DivergenceKind, Side
from durable_execution.history.recorded import RecordedOperation
from durable_execution.protocol import OperationSubType

MAX_NEW = 100
"""Branches of one call that only today's code has, at most: their number can be any."""


@dataclass(frozen=True, slots=True)
class DiffRow:
    """One line of the comparison.

    Attributes:
        depth: Number of contexts around it.
        recorded: The recorded call.
        replayed: The replayed call.
        divergence: The difference.
        is_shifted: Whether both sides have the call, at different positions.
        row: Row of the recorded call in the session.
        hidden: Number of equal calls below it that are folded away.
    """

    depth: int
    recorded: CallNode | None
    replayed: CallNode | None
    divergence: Divergence | None = None
    is_shifted: bool = False
    row: int | None = None
    hidden: int = 0

    @property
    def is_root(self) -> bool:
        """Whether this row is a root difference."""
        return self.divergence is not None and self.divergence.is_root

    @property
    def is_follow_on(self) -> bool:
        """Whether this row differs only because of an earlier difference."""
        return (self.divergence is not None and not self.divergence.is_root) or (
            self.divergence is None and self.is_shifted
        )

    @property
    def is_one_sided_branch(self) -> bool:
        """Whether this is a branch or item of a call that only one side has."""
        node = self.recorded or self.replayed
        return node is not None and node.branch is not None and (self.recorded is None or self.replayed is None)


def with_nested(
    aligned: Sequence[DiffRow],
    comparison: Comparison,
    rows: Mapping[str, int],
    operations: Sequence[RecordedOperation],
) -> list[DiffRow]:
    """Return the rows with every difference that has no row yet: inside a finished context, or of the outcome."""
    placed = {id(each.divergence) for each in comparison.rows}
    found = list(aligned)
    for divergence in comparison.divergences:
        if id(divergence) in placed:
            continue
        anchor = _anchor(divergence, rows, operations)
        if anchor is None:
            found.append(DiffRow(0, None, None, divergence))
        else:
            _insert(found, divergence, anchor, operations)
    return _with_branches(found, operations)


def _with_branches(rows: Sequence[DiffRow], operations: Sequence[RecordedOperation]) -> list[DiffRow]:
    """Return the rows with one for each branch or item that only one side of a call has."""
    found = list(rows)
    for parent in rows:
        divergence = parent.divergence
        if divergence is None or divergence.kind is not DivergenceKind.BRANCH_COUNT or parent.row is None:
            continue
        at = next(index for index, each in enumerate(found) if each is parent)
        end = next((index for index in range(at + 1, len(found)) if found[index].depth <= parent.depth), len(found))
        found[at:end] = _branches(parent, parent.row, found[at + 1 : end], operations)
    return found


def _branches(
    parent: DiffRow, row: int, below: list[DiffRow], operations: Sequence[RecordedOperation]
) -> list[DiffRow]:
    """Return the rows of a call whose number of branches differs: first itself, and at their places those that one side lacks."""
    recorded, replayed = (side.configuration.get("branches") if side else None for side in _sides(parent))
    if not isinstance(replayed, int) or not operations:
        return [parent, *below]
    end = next((at for at in range(row + 1, len(operations)) if operations[at].depth <= operations[row].depth), None)
    inside = range(row + 1, len(operations) if end is None else end)
    starts = [at for at in inside if operations[at].is_branch and operations[at].depth == operations[row].depth + 1]
    shown = {each.row: each for each in below}
    known = [-1 if each.row is None else each.row for each in _filled(below)]
    rows = {each.row: each for each in below if each.row is not None}
    lost: list[DiffRow] = []
    for start, after in pairwise([*starts, inside.stop]):
        if operations[start].details["branch_index"] < replayed:
            continue
        was = shown.get(start)
        if was is None:
            is_open = any(start < at < after for at in rows)
            hidden = 0 if is_open else after - start - 1
            was = DiffRow(parent.depth + 1, node_of(operations[start]), None, row=start, hidden=hidden)
        lost.append(was if was.divergence is not None else replace(was, replayed=None, is_shifted=True))
    kept = [(at, each) for at, each in zip(known, below, strict=True) if all(each.row != one.row for one in lost)]
    kept += [(-1 if each.row is None else each.row, each) for each in lost]
    new = [
        _new_branch(parent, index)
        for index in range(recorded if isinstance(recorded, int) else len(starts), replayed)[:MAX_NEW]
        if not any(each.replayed is not None and each.replayed.branch == index for each in below)
    ]
    is_changed = bool(lost or new)
    first = replace(parent, hidden=0) if is_changed else parent
    return [first, *(each for _, each in sorted(kept, key=lambda pair: pair[0])), *new]


def _sides(row: DiffRow) -> tuple[Side | None, Side | None]:
    return (row.divergence.recorded, row.divergence.replayed) if row.divergence is not None else (None, None)


def _new_branch(parent: DiffRow, index: int) -> DiffRow:
    """A branch that only today's code has. What it calls is not known where the code has not reached it."""
    _, side = _sides(parent)
    subtype = BRANCH_OF.get((side.subtype or "") if side is not None else "")
    stem = "map-item" if side is not None and side.subtype == OperationSubType.MAP else "parallel-branch"
    node = CallNode(Side("CONTEXT", subtype=subtype, name=f"{stem}-{index}", position=index), branch=index)
    return DiffRow(parent.depth + 1, None, node, is_shifted=True)


def _anchor(divergence: Divergence, rows: Mapping[str, int], operations: Sequence[RecordedOperation]) -> int | None:
    """Return the recorded row a difference belongs to; None for a difference of the whole execution."""
    if not operations or divergence.kind is DivergenceKind.OUTCOME:
        return None
    for side in (divergence.recorded, divergence.replayed):
        key = side.id if side is not None else None
        if key is not None and key in rows:
            return rows[key]
    return next((row for row, each in enumerate(operations) if each.path == divergence.context_path), None)


def _insert(found: list[DiffRow], divergence: Divergence, anchor: int, operations: Sequence[RecordedOperation]) -> None:
    """Insert a difference at its recorded row, below the contexts around it."""
    recorded = CallNode(divergence.recorded) if divergence.recorded is not None else None
    replayed = CallNode(divergence.replayed) if divergence.replayed is not None else None
    kind = divergence.kind
    row: int | None = anchor
    if kind is DivergenceKind.INSERTED:
        recorded, row = None, None
    elif kind is DivergenceKind.SKIPPED:
        replayed = None
    operation = operations[anchor]
    is_inside = divergence.recorded is None or divergence.recorded.id != operation.id
    depth = operation.depth + (1 if is_inside else 0)
    around = _ancestors(anchor, operations)
    for context in [*reversed(around), *([anchor] if is_inside else [])]:
        _open(found, context, operations[context])
    at = _end_of(found, anchor if is_inside else anchor - 1, depth)
    if row is not None and at < len(found) and found[at].row == row and found[at].divergence is None:
        found[at] = replace(found[at], divergence=divergence, hidden=0)  # the call is there on both sides already
        return
    found.insert(at, DiffRow(depth, recorded, replayed, divergence, False, row))


def _open(found: list[DiffRow], row: int, operation: RecordedOperation) -> None:
    """Have a row for a context that is folded away, and fold nothing into it."""
    known = next((at for at, each in enumerate(found) if each.row == row), None)
    if known is not None:
        found[known] = replace(found[known], hidden=0)
        return
    node = node_of(operation)
    at = _end_of(found, row, operation.depth)
    found.insert(at, DiffRow(operation.depth, node, node, row=row))


def _end_of(found: Sequence[DiffRow], row: int, depth: int) -> int:
    """Return the index after a recorded row and today's calls behind it, but before those of the contexts around a depth."""
    at = bisect_right([-1 if each.row is None else each.row for each in _filled(found)], row)
    while at and found[at - 1].row is None and found[at - 1].depth < depth:
        at -= 1
    return at


def _filled(found: Sequence[DiffRow]) -> list[DiffRow]:
    """Return the rows, each row of today's code alone standing for the recorded row before it."""
    filled: list[DiffRow] = []
    last: int | None = None
    for each in found:
        last = each.row if each.row is not None else last
        filled.append(each if each.row is not None else replace(each, row=last))
    return filled


def _ancestors(row: int, operations: Sequence[RecordedOperation]) -> list[int]:
    """Return the rows of the enclosing contexts from the inside out."""
    found: list[int] = []
    depth = operations[row].depth
    for above in range(row - 1, -1, -1):
        if operations[above].depth < depth:
            depth = operations[above].depth
            found.append(above)
        if depth == 0:
            break
    return found

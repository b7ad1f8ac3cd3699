"""Divergences, assigned to the rows they belong to."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from durable_debugger.model.differences import Differences, DiffRow
from durable_execution.divergence import Divergence, DivergenceKind
from durable_execution.history.recorded import RecordedExecution, RecordedOperation


@dataclass(frozen=True, slots=True)
class Mark:
    """How one recorded call differs.

    Attributes:
        kind: Kind of the divergence, as shown: `skipped`, `renamed`, …
        is_root: Whether it is a root difference; follow-on marks are only shifted by one.
        note: A short remark for the row.
        short: A shorter form of `note`.
        divergence: The divergence it comes from.
        invocation: The invocation that found it; None when a replay found it.
    """

    kind: str
    is_root: bool
    note: str
    short: str = ""
    divergence: Divergence | None = None
    invocation: int | None = None

    def invocation_of(self, operation: RecordedOperation) -> int | None:
        """The invocation in which stepping stops at this mark."""
        if self.invocation is not None:
            return self.invocation
        return next(iter(operation.executed_by), None)


def row_of(divergence: Divergence, rows: Mapping[str, int]) -> int | None:
    """The row of a divergence: the recorded call's, or the row recorded at the replayed call's position."""
    for side in (divergence.recorded, divergence.replayed):
        if side is not None and side.id is not None and side.id in rows:
            return rows[side.id]
    return None


NOTES = {
    DivergenceKind.SKIPPED: "your code skips this",
    DivergenceKind.INSERTED: "your code calls {replayed} here",
    DivergenceKind.CHANGED_KIND: "your code: {replayed}",
    DivergenceKind.RENAMED: "your code: {replayed}",
    DivergenceKind.REORDERED: "your code: different order",
    DivergenceKind.BRANCH_COUNT: "your code: {replayed}",
    DivergenceKind.CONFIGURATION: "different arguments",
    DivergenceKind.INPUT: "different arguments",
    DivergenceKind.RESULT: "different result",
    DivergenceKind.UNFINISHED: "unfinished",
}


def note_of(divergence: Divergence) -> str:
    """Return a short remark about a divergence, for its row."""
    replayed = divergence.replayed.label if divergence.replayed else "nothing"
    return NOTES.get(divergence.kind, divergence.title.lower()).format(replayed=replayed)


def _mark_of(row: DiffRow) -> Mark:
    if row.divergence is not None and row.is_root:
        return Mark(row.divergence.kind, is_root=True, note=note_of(row.divergence), divergence=row.divergence)
    kind = row.divergence.kind.value if row.divergence else "shifted"
    note = shift_note(row)
    short = note.removeprefix("follow-on: ")
    return Mark(kind, is_root=False, note=note, short=short, divergence=row.divergence)


def shift_note(row: DiffRow) -> str:
    """Say how a call moved because of an earlier difference."""
    was = row.recorded.side.position if row.recorded else None
    now = row.replayed.side.position if row.replayed else None
    if was is None or now is None or was == now:
        return "follow-on"
    return f"follow-on: now {now}, was {was}"


@dataclass(frozen=True, slots=True)
class Marks:
    """All marks of an execution.

    Attributes:
        by_row: Mark of each marked row.
        roots: Rows of root divergences, in order.
        unplaced: Root divergences without a recorded row.
        follow_on_count: Number of calls that are only shifted.
    """

    by_row: Mapping[int, Mark] = field(default_factory=dict)
    roots: list[int] = field(default_factory=list)
    unplaced: tuple[Divergence, ...] = ()
    follow_on_count: int = 0

    @classmethod
    def of_execution(cls, execution: RecordedExecution, rows: Mapping[str, int]) -> "Marks":
        """Collect the divergences that the invocations themselves reported, from their replay traces."""
        by_row: dict[int, Mark] = {}
        unplaced: list[Divergence] = []
        for trace in execution.traces:
            for divergence in trace.divergences:
                row = row_of(divergence, rows)
                if row is None:
                    unplaced += [divergence] if divergence.is_root else []
                elif row not in by_row or (divergence.is_root and not by_row[row].is_root):
                    by_row[row] = Mark(
                        divergence.kind,
                        divergence.is_root,
                        note_of(divergence),
                        divergence=divergence,
                        invocation=trace.invocation,
                    )
        roots = sorted(row for row, mark in by_row.items() if mark.is_root)
        return cls(by_row, roots, tuple(unplaced), len(by_row) - len(roots))

    @classmethod
    def of_differences(cls, differences: Differences) -> "Marks":
        """Collect the divergences of a comparison with a second side."""
        by_row: dict[int, Mark] = {}
        unplaced: list[Divergence] = []
        recorded = [each.row for each in differences.aligned]
        for index, each in enumerate(differences.aligned):
            if not (each.is_root or each.is_follow_on):
                continue
            row = each.row
            if row is None:  # a new call: its mark goes to the recorded call that comes next
                row = next((found for found in recorded[index:] if found is not None), None)
            if row is None:
                unplaced += [each.divergence] if each.is_root and each.divergence else []
            elif row not in by_row or (each.is_root and not by_row[row].is_root):
                by_row[row] = _mark_of(each)
        roots = sorted(row for row, mark in by_row.items() if mark.is_root)
        return cls(by_row, roots, tuple(unplaced), differences.follow_on)

    @property
    def root_count(self) -> int:
        """Number of root differences."""
        return len(self.roots) + len(self.unplaced)

"""Divergences, placed on the rows they belong to."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from durable_debugger.model.differences import Differences, DiffRow
from durable_execution.replay.divergence import Divergence, DivergenceKind
from durable_execution.replay.recorded import RecordedExecution, RecordedOperation


@dataclass(frozen=True, slots=True)
class Mark:
    """What is different about one recorded call.

    Attributes:
        kind: Kind of the divergence, as shown: `skipped`, `renamed`, …
        is_root: Whether it is a difference of its own; follow-on marks only shift because of one.
        note: A few words for the row.
        short: The same in fewer words.
        divergence: The divergence it comes from.
        invocation: In which invocation it was found; None when it was found by replaying.
    """

    kind: str
    is_root: bool
    note: str
    short: str = ""
    divergence: Divergence | None = None
    invocation: int | None = None

    def invocation_of(self, operation: RecordedOperation) -> int | None:
        """The invocation in which stepping should stop for it."""
        if self.invocation is not None:
            return self.invocation
        return next(iter(operation.executed_by), None)


def row_of(divergence: Divergence, rows: Mapping[str, int]) -> int | None:
    """The row a divergence belongs to: that of the recorded call, else of what is recorded in the replayed call's place."""
    for side in (divergence.recorded, divergence.replayed):
        if side is not None and side.id is not None and side.id in rows:
            return rows[side.id]
    return None


NOTES = {
    DivergenceKind.SKIPPED: "your code skips this",
    DivergenceKind.INSERTED: "your code calls {replayed} here",
    DivergenceKind.CHANGED_KIND: "your code: {replayed}",
    DivergenceKind.RENAMED: "your code: {replayed}",
    DivergenceKind.REORDERED: "your code: another order",
    DivergenceKind.BRANCH_COUNT: "your code: {replayed}",
    DivergenceKind.CONFIGURATION: "other arguments",
    DivergenceKind.INPUT: "other arguments",
    DivergenceKind.RESULT: "another result",
    DivergenceKind.UNFINISHED: "unfinished",
}


def note_of(divergence: Divergence) -> str:
    """A few words about a divergence, for its row."""
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
    """How a call moved because of a difference before it."""
    was = row.recorded.side.position if row.recorded else None
    now = row.replayed.side.position if row.replayed else None
    if was is None or now is None or was == now:
        return "follow-on"
    return f"follow-on: now {now}, was {was}"


@dataclass(frozen=True, slots=True)
class Marks:
    """All marks of an execution.

    Attributes:
        by_row: Mark of each row that has one.
        roots: Rows of root divergences, in order.
        unplaced: Root divergences that belong to no recorded row.
        follow_on_count: Number of calls that only shifted.
    """

    by_row: Mapping[int, Mark] = field(default_factory=dict)
    roots: list[int] = field(default_factory=list)
    unplaced: tuple[Divergence, ...] = ()
    follow_on_count: int = 0

    @classmethod
    def of_execution(cls, execution: RecordedExecution, rows: Mapping[str, int]) -> "Marks":
        """What the invocations themselves noticed, from their replay traces."""
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
        """What a comparison with another side found."""
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
        """Number of differences."""
        return len(self.roots) + len(self.unplaced)

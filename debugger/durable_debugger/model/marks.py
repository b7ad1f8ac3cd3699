"""Divergences, assigned to the rows they belong to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from durable_debugger.model.diff_rows import DiffRow
from durable_debugger.model.differences import Differences
from durable_execution.divergence import Divergence, DivergenceKind
from durable_execution.history.recorded import RecordedOperation


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


NOTES = {
    DivergenceKind.SKIPPED: "your code skips this",
    DivergenceKind.INSERTED: "your code calls {replayed} here",
    DivergenceKind.CHANGED_KIND: "your code: {replayed}",
    DivergenceKind.RENAMED: "your code: {replayed}",
    DivergenceKind.REORDERED: "your code: different order",
    DivergenceKind.BRANCH_COUNT: "your code: {extent}",
    DivergenceKind.CONFIGURATION: "different arguments",
    DivergenceKind.INPUT: "different arguments",
    DivergenceKind.RESULT: "different result",
    DivergenceKind.UNFINISHED: "unfinished",
}


def note_of(row: DiffRow) -> str:
    """Return a short remark about the difference of a row. A skipped call with a different one in its place names that one."""
    divergence = row.divergence
    if divergence is None:
        return ""
    if divergence.moved:
        return _where(divergence.moved)
    is_replaced = divergence.kind is DivergenceKind.SKIPPED and row.replayed is not None
    kind = DivergenceKind.RENAMED if is_replaced else divergence.kind
    replayed = (divergence.replayed.detail or divergence.replayed.label) if divergence.replayed else "nothing"
    extent = (divergence.replayed.extent if divergence.replayed else "") or replayed
    return NOTES.get(kind, divergence.title.lower()).format(replayed=replayed, extent=extent)


def _where(moved: str) -> str:
    """Return a move in a few words, for the row of the call: `moved out of "packing"`, `moved into "packing"`."""
    how = moved[moved.find(" moved ") + 1 :]
    if how.startswith("moved out of "):
        return how.rpartition(" to ")[0]
    _, into, context = how.rpartition(" into ")
    return f"moved into {context}" if into else how


def _mark_of(row: DiffRow, invocation: int | None) -> Mark:
    if row.divergence is not None and row.is_root:
        return Mark(row.divergence.kind, True, note_of(row), divergence=row.divergence, invocation=invocation)
    kind = row.divergence.kind.value if row.divergence else "shifted"
    is_named = row.divergence is not None and bool(
        row.divergence.moved or row.divergence.kind is DivergenceKind.RENAMED
    )
    note = note_of(row) if is_named else shift_note(row)
    short = note.removeprefix("follow-on: ")
    return Mark(kind, False, note, short, row.divergence, invocation)


def _following(rows: Sequence[DiffRow]) -> list[int | None]:
    """Return, for each row of a comparison, the recorded row at or after it."""
    found: list[int | None] = []
    following: int | None = None
    for each in reversed(rows):
        following = each.row if each.row is not None else following
        found.append(following)
    return found[::-1]


LOST = "not in your code"
"""Remark on a branch or item that only the recording has."""


def shift_note(row: DiffRow) -> str:
    """Say how a call moved because of an earlier difference."""
    if row.is_one_sided_branch:
        return f"follow-on: {LOST}"
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
        root_count: Number of root differences.
        places: Row of each difference, by its identity.
    """

    by_row: Mapping[int, Mark] = field(default_factory=dict)
    roots: list[int] = field(default_factory=list)
    unplaced: tuple[Divergence, ...] = ()
    follow_on_count: int = 0
    root_count: int = 0
    places: Mapping[int, int] = field(default_factory=dict)

    @classmethod
    def of_differences(cls, differences: Differences) -> "Marks":
        """Assign the differences of a comparison to rows."""
        by_row: dict[int, Mark] = {}
        unplaced: list[Divergence] = []
        places: dict[int, int] = {}
        following = _following(differences.aligned)
        for index, each in enumerate(differences.aligned):
            if not (each.is_root or each.is_follow_on):
                continue
            row = each.row if each.row is not None else following[index]  # a new call marks the recorded call after it
            if each.divergence is not None and row is not None:
                places.setdefault(id(each.divergence), row)
            if row is None:
                unplaced += [each.divergence] if each.is_root and each.divergence else []
            elif row not in by_row or (each.is_root and not by_row[row].is_root):
                by_row[row] = _mark_of(each, differences.invocation)
        roots = sorted(row for row, mark in by_row.items() if mark.is_root)
        return cls(by_row, roots, tuple(unplaced), differences.follow_on, len(differences.roots), places)

    def row_of(self, divergence: Divergence) -> int | None:
        """Return the row that a difference marks; None when it belongs to no recorded row."""
        return self.places.get(id(divergence))

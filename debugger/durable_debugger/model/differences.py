"""The rows of a comparison of two sides, call by call: aligned, or paired by position."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from durable_execution.comparison.call_tree import CallNode
from durable_execution.comparison.comparison import Comparison, Row
from durable_execution.divergence import Divergence

if TYPE_CHECKING:
    from durable_execution.replay.report import ReplayReport


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


class Differences:
    """A comparison, mapped to the rows of a session.

    Args:
        comparison: The comparison.
        rows: Row of each recorded operation by id.
        replayed_by: Description of the replayed side.
        labels: Names of the two sides.

    Attributes:
        aligned: Rows by alignment; equal calls below a call are folded away.
        roots: Indexes into `aligned` of the root differences.
    """

    def __init__(
        self,
        comparison: Comparison,
        rows: Mapping[str, int],
        *,
        replayed_by: str = "your code now",
        labels: tuple[str, str] = ("recorded", "replayed"),
    ) -> None:
        self.comparison = comparison
        self.replayed_by = replayed_by
        self.labels = labels
        self.aligned = [*_aligned(comparison, rows), *_elsewhere(comparison, rows)]
        self.roots = [index for index, row in enumerate(self.aligned) if row.is_root]
        self._by_position: list[DiffRow] | None = None

    @property
    def by_position(self) -> Sequence[DiffRow]:
        """Rows paired by position in each context, as a service that only counts calls pairs them."""
        if self._by_position is None:
            self._by_position = _by_position(self.aligned)
        return self._by_position

    @property
    def follow_on(self) -> int:
        """Number of recorded calls that differ only because of an earlier difference."""
        return sum(row.is_follow_on and row.recorded is not None for row in self.aligned)

    def index_of(self, row: int) -> int | None:
        """Index of a session's row, or of the nearest row before it when the row is folded away."""
        places = [(each.row, index) for index, each in enumerate(self.aligned) if each.row is not None]
        at = bisect_right(places, (row, len(self.aligned)))
        return places[at - 1][1] if at else None

    def why(self, index: int) -> Divergence | None:
        """The difference that explains a row: its own, or the nearest root before it."""
        row = self.aligned[index]
        if row.is_root:
            return row.divergence
        if row.is_follow_on:
            before = [root for root in self.roots if root < index]
            return self.aligned[before[-1]].divergence if before else row.divergence
        return row.divergence


def _aligned(comparison: Comparison, rows: Mapping[str, int]) -> list[DiffRow]:
    found: list[DiffRow] = []
    sources = comparison.rows
    index = 0
    while index < len(sources):
        source = sources[index]
        end = index + 1
        while end < len(sources) and sources[end].depth > source.depth:
            end += 1
        hidden = end - index - 1 if _is_dull(source, sources[index + 1 : end]) else 0
        identifier = source.recorded.side.id if source.recorded else None
        found.append(
            DiffRow(
                source.depth,
                source.recorded,
                source.replayed,
                source.divergence,
                source.is_shifted,
                rows.get(identifier) if identifier else None,
                hidden,
            )
        )
        index = end if hidden else index + 1
    return found


def _elsewhere(comparison: Comparison, rows: Mapping[str, int]) -> list[DiffRow]:
    """Differences without a row: a different outcome, or a call inside a context that has ended."""
    placed = {id(each.divergence) for each in comparison.rows}
    return [
        DiffRow(0, None, None, each, row=rows.get(each.recorded.id or "") if each.recorded else None)
        for each in comparison.divergences
        if id(each) not in placed
    ]


def of_report(report: "ReplayReport") -> Comparison:
    """Convert a replay report to a comparison: its rows, with the report's severity for each difference."""
    judged = {_place(each): each for each in report.divergences}
    found: list[Row] = []
    for row in report.rows:
        divergence = judged.pop(_place(row.divergence), row.divergence) if row.divergence is not None else None
        found.append(Row(row.depth, row.recorded, row.replayed, divergence, row.is_shifted))
    placed = [row.divergence for row in found if row.divergence is not None]
    return Comparison(tuple(found), (*placed, *judged.values()))


def _place(divergence: Divergence) -> tuple[str, str, int | None, str | None]:
    recorded = divergence.recorded.id if divergence.recorded else None
    return divergence.kind, divergence.path, divergence.position, recorded


def _is_dull(source: Row, below: Sequence[Row]) -> bool:
    """Whether the calls below a call add no information: all are equal, or all exist on the call's side only."""
    has = (source.recorded is not None, source.replayed is not None)
    return all(
        each.divergence is None and (each.recorded is not None, each.replayed is not None) == has for each in below
    )


def _by_position(aligned: Sequence[DiffRow]) -> list[DiffRow]:
    """Pair the calls of each context by number; the calls inside a pair follow it."""
    found: list[DiffRow] = []
    stack = [list(aligned)]
    while stack:
        block = stack.pop()
        if not block:
            continue
        depth = block[0].depth
        ends = [index for index, row in enumerate(block) if row.depth == depth] + [len(block)]
        children = {start: block[start + 1 : end] for start, end in pairwise(ends)}
        left = [start for start in children if block[start].recorded is not None]
        right = [start for start in children if block[start].replayed is not None]
        for number in range(max(len(left), len(right))):
            one = block[left[number]] if number < len(left) else None
            other = block[right[number]] if number < len(right) else None
            is_same = one is other
            found.append(
                DiffRow(
                    depth,
                    one.recorded if one else None,
                    other.replayed if other else None,
                    one.divergence if one is not None and is_same else None,
                    not is_same,
                    one.row if one else None,
                    one.hidden if one else 0,
                )
            )
            if one is not None and is_same:
                found += children[left[number]]
    return found

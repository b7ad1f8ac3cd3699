"""The rows of a comparison of two sides, call by call: aligned, or paired by position."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from durable_debugger.model.diff_rows import DiffRow, with_nested
from durable_execution.call_site import CallSite
from durable_execution.comparison.comparison import Comparison, Row
from durable_execution.divergence import Divergence, Severity
from durable_execution.history.recorded import RecordedOperation

if TYPE_CHECKING:
    from durable_execution.replay.report import ReplayReport


class Differences:
    """A comparison, mapped to the rows of a session. Every view reads differences from this one value.

    Args:
        comparison: The comparison.
        rows: Row of each recorded operation by id.
        operations: The recorded operations, to place differences inside contexts that the comparison does not open.
        replayed_by: Description of the replayed side.
        labels: Names of the two sides.
        invocation: The invocation that found the differences at run time; None for a replay.
        remark: The result in one sentence, when there is no difference to show.
        is_failure: Whether that result needs attention.

    Attributes:
        aligned: Rows by alignment; equal calls below a call are folded away.
        roots: Indexes into `aligned` of the root differences.
    """

    def __init__(
        self,
        comparison: Comparison,
        rows: Mapping[str, int],
        *,
        operations: Sequence[RecordedOperation] = (),
        replayed_by: str = "your code now",
        labels: tuple[str, str] = ("recorded", "replayed"),
        invocation: int | None = None,
        remark: str = "",
        is_failure: bool = False,
    ) -> None:
        self.comparison = comparison
        self.replayed_by = replayed_by
        self.labels = labels
        self.invocation = invocation
        self.remark = remark
        self.is_failure = is_failure
        self.aligned = with_nested(_aligned(comparison, rows), comparison, rows, operations)
        self.roots = [index for index, row in enumerate(self.aligned) if row.is_root]
        self.follow_on = sum(row.is_follow_on and row.recorded is not None for row in self.aligned)
        self._by_position: list[DiffRow] | None = None
        self._known = [(each.row, index) for index, each in enumerate(self.aligned) if each.row is not None]

    @property
    def by_position(self) -> Sequence[DiffRow]:
        """Rows paired by position in each context, as a service that only counts calls pairs them."""
        if self._by_position is None:
            self._by_position = _by_position(self.aligned)
        return self._by_position

    @property
    def first(self) -> Divergence | None:
        """The root difference to explain first: the first error, else the first warning or remark."""
        found = [self.aligned[index].divergence for index in self.roots]
        return min((each for each in found if each is not None), key=_urgency, default=None)

    def index_of(self, row: int) -> int | None:
        """Index of a session's row, or of the nearest row before it when the row is folded away."""
        at = bisect_right(self._known, (row, len(self.aligned)))
        return self._known[at - 1][1] if at else None

    def root_at(self, index: int) -> DiffRow | None:
        """The row of the root difference that explains a row: the row itself, or the nearest root before a follow-on row."""
        row = self.aligned[index]
        if row.is_root:
            return row
        before = bisect_right(self.roots, index)
        return self.aligned[self.roots[before - 1]] if row.is_follow_on and before else None

    def why(self, index: int) -> Divergence | None:
        """The difference that explains a row: its own, or the nearest root before it."""
        root = self.root_at(index)
        return root.divergence if root is not None else self.aligned[index].divergence


def sites_today(differences: Differences | None) -> dict[int, CallSite]:
    """Return where a replay's code made the recorded calls, by row; lines move when a file is edited."""
    if differences is None:
        return {}
    return {
        each.row: each.replayed.side.call_site
        for each in differences.aligned
        if each.row is not None and each.replayed is not None and each.replayed.side.call_site is not None
    }


SEVERITIES = tuple(Severity)


def _urgency(divergence: Divergence) -> int:
    return SEVERITIES.index(divergence.severity)


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


def of_report(report: "ReplayReport") -> Comparison:
    """Convert a replay report to a comparison: its rows, with the report's severity for each difference."""
    judged: dict[Hashable, list[Divergence]] = defaultdict(list)
    for each in report.divergences:
        judged[_key(each)].append(each)
    found: list[Row] = []
    for row in report.rows:
        known = judged.get(_key(row.divergence)) if row.divergence is not None else None
        divergence = known.pop(0) if known else row.divergence
        found.append(Row(row.depth, row.recorded, row.replayed, divergence, row.is_shifted))
    placed = [row.divergence for row in found if row.divergence is not None]
    return Comparison(tuple(found), (*placed, *(each for rest in judged.values() for each in rest)))


def _key(divergence: Divergence) -> Hashable:
    recorded = divergence.recorded.id if divergence.recorded else None
    return divergence.kind, divergence.path, divergence.position, recorded, divergence.is_root


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

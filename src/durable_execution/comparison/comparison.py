"""Compares two sides call by call: finds the root difference of each context and counts those that follow from it."""

import re
from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

from durable_execution.comparison.call_tree import LATEST, CallNode, Comparing, shared_functions
from durable_execution.comparison.context_comparison import Row, context_rows
from durable_execution.comparison.relocation import with_relocations
from durable_execution.comparison.wording import ENDED_DIFFERENTLY
from durable_execution.divergence import Divergence, DivergenceKind, Severity
from durable_execution.protocol.ids import root_path

__all__ = ["Comparison", "Row", "compare", "not_restated"]

COVERING = (DivergenceKind.BRANCH_COUNT, DivergenceKind.CHANGED_KIND, DivergenceKind.RENAMED)
"""Kinds of difference that explain every difference inside the call."""

NUMBERED = re.compile(r"[#~]\d+")
DIGITS = re.compile(r"\d+")
"""Calls made for an item are often named after it, with a number."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two sides, call by call.

    Attributes:
        rows: Every call of either side, depth first.
        divergences: The differences, in the order of the rows.
    """

    rows: tuple[Row, ...]
    divergences: tuple[Divergence, ...]

    @property
    def roots(self) -> tuple[Divergence, ...]:
        """The differences that do not follow from an earlier one."""
        return tuple(divergence for divergence in self.divergences if divergence.is_root)

    @property
    def first(self) -> Divergence | None:
        """The root difference that comes first in time, where the order of events is known; None without a difference."""
        roots = [row for row in self.rows if row.divergence is not None and row.divergence.is_root]
        found = min(roots, key=lambda row: row.recorded.order if row.recorded else LATEST + 1, default=None)
        return found.divergence if found is not None else None


def compare(recorded: CallNode, replayed: CallNode, *, handler: str) -> Comparison:
    """Compare two trees of calls.

    Args:
        recorded: Root of the recorded side.
        replayed: Root of the replayed side.
        handler: `module:qualname` of the handler, or another name of the workflow.
    """
    is_loose = any(child.side.subtype == "Context" for child in recorded.children or ())
    whole = Comparing(handler, is_loose, shared_functions(recorded, replayed))
    first = context_rows(recorded, replayed, root_path(handler), 0, whole)
    rows: list[Row] = []
    stack: list[Iterator[Row]] = [iter(first)]
    while stack:
        row = next(stack[-1], None)
        if row is None:
            stack.pop()
            continue
        rows.append(row)
        below = _below(row, whole)
        if below is not None:
            stack.append(below)
    rows = with_relocations(_grouped(_given_to_items(_explained_inside(rows))))
    return Comparison(tuple(rows), tuple(row.divergence for row in rows if row.divergence is not None))


def _below(row: Row, whole: Comparing) -> Iterator[Row] | None:
    recorded, replayed = row.recorded, row.replayed
    if recorded is None or replayed is None:
        only = recorded or replayed
        if only is None or not only.children:
            return None
        return iter(_one_sided(only.children, row.depth + 1, is_recorded=recorded is not None))
    if recorded.children is None or replayed.children is None or recorded.side.type != replayed.side.type:
        return None
    path = replayed.side.path or recorded.side.path or ""
    return iter(context_rows(recorded, replayed, path, row.depth + 1, whole))


def _one_sided(nodes: list[CallNode], depth: int, *, is_recorded: bool) -> list[Row]:
    return [Row(depth, node if is_recorded else None, None if is_recorded else node) for node in nodes]


def _grouped(rows: list[Row]) -> list[Row]:
    """Keep one root for the same difference in many branches, and none inside a call whose branch count differs."""
    roots: dict[Hashable, int] = {}
    counted: dict[int, int] = defaultdict(int)
    covered: int | None = None
    for index, row in enumerate(rows):
        if covered is not None and row.depth <= covered:
            covered = None
        found = row.divergence
        if found is None:
            continue
        is_covered = covered is not None
        if (
            not is_covered
            and (found.kind in COVERING or _is_exchange(row))
            and (found.is_root or row.recorded is None or not row.recorded.order)
        ):
            covered = row.depth
        if not found.is_root or (_ended_differently(row) and not is_covered):
            continue
        first = roots.setdefault(_in_any_branch(found), index)
        if not is_covered and first == index:
            continue
        rows[index] = replace(row, divergence=replace(found, is_root=False))
        counted[first] += 1 + found.follow_on if first != index else 0
    for index, more in counted.items():
        root = rows[index].divergence
        if root is not None:
            rows[index] = replace(rows[index], divergence=replace(root, follow_on=root.follow_on + more))
    return rows


def _given_to_items(rows: list[Row]) -> list[Row]:
    """Let arguments of calls in the items of a map follow from its items, where those differ."""
    found = list(rows)
    given: int | None = None
    for index, row in enumerate(rows):
        if given is not None and row.depth <= rows[given].depth:
            given = None
        divergence = row.divergence
        if divergence is None or divergence.kind is not DivergenceKind.INPUT or not divergence.is_root:
            continue
        above = found[given].divergence if given is not None else None
        if given is None or above is None:
            given = index
            continue
        found[index] = replace(row, divergence=replace(divergence, is_root=False))
        found[given] = replace(found[given], divergence=replace(above, follow_on=above.follow_on + 1))
    return found


def _explained_inside(rows: list[Row]) -> list[Row]:
    """Of two recordings: a context that differs because a call inside ended differently is not a root.

    Nor is a call that never ended in the first one: its outcome changed nothing there.
    """
    found = list(rows)
    for index, row in enumerate(rows):
        divergence = row.divergence
        if divergence is None or row.recorded is None or row.recorded.order == 0:
            continue
        if divergence.kind is DivergenceKind.SKIPPED and not row.recorded.is_ended:
            found[index] = replace(row, divergence=replace(divergence, is_root=False, severity=Severity.INFO))
        elif divergence.kind in (DivergenceKind.RESULT, DivergenceKind.BRANCH_COUNT):
            inside = takewhile(lambda below: below.depth > row.depth, rows[index + 1 :])  # noqa: B023  # read at once
            is_explained = any(_ended_differently(below) for below in inside)
            if is_explained or row.recorded.branch is not None:  # branches end independently of each other
                found[index] = replace(row, divergence=replace(divergence, is_root=not is_explained))
    return found


def _is_exchange(row: Row) -> bool:
    """Whether branches changed places, with everything in them."""
    is_branch = row.recorded is not None and row.recorded.branch is not None
    return is_branch and row.divergence is not None and row.divergence.kind is DivergenceKind.REORDERED


def _ended_differently(row: Row) -> bool:
    return row.divergence is not None and row.divergence.likely == ENDED_DIFFERENTLY.likely


def _in_any_branch(divergence: Divergence) -> Hashable:
    path = NUMBERED.sub("", divergence.path)
    if path == divergence.path:
        return divergence.kind, path, divergence.position
    names = tuple(
        (side.type, side.subtype, DIGITS.sub("", side.name or "")) if side else None
        for side in (divergence.recorded, divergence.replayed)
    )
    return divergence.kind, DIGITS.sub("", path), names


def not_restated(divergences: Sequence[Divergence]) -> list[Divergence]:
    """The differences, without those of a map's items where the other order of its branches is a difference as well.

    Arguments of calls in the items follow from the items: they are counted as such, although each context was compared alone.
    """
    reordered = {one.path for one in divergences if one.kind is DivergenceKind.REORDERED}
    found = [one for one in divergences if one.kind is not DivergenceKind.INPUT or one.path not in reordered]
    inner = [one.path for one in found if one.kind is DivergenceKind.INPUT and not one.is_root]
    return [replace(one, follow_on=one.follow_on or _inside(one, inner)) for one in found]


def _inside(divergence: Divergence, paths: Sequence[str]) -> int:
    """How many of some paths are in the items of a map that is given different items."""
    is_given = divergence.kind is DivergenceKind.INPUT and divergence.is_root
    return sum(path.startswith(f"{divergence.path}#") for path in paths) if is_given else 0

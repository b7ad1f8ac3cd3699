"""Aligns two sequences of calls, so that one inserted call is one difference and not a hundred shifted ones.

The alignment is a longest common subsequence, found in steps that keep the time near-linear for real recordings: equal
ends are cut off, calls that are unique on both sides serve as anchors, and only the small gaps between anchors are
compared in full.

Pairs the calls between two matches: which recorded call became which replayed call.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Sequence
from typing import NamedTuple

from durable_execution.comparison.call_tree import CallNode, is_same_function

MAX_TABLE = 4_000_000
"""Largest table for one gap, in cells. In a larger gap, only a small number of differences is searched for."""
MAX_DIFFERENCES = 1_500


class Pair(NamedTuple):
    """One row of an alignment: an index on both sides, or on one of them."""

    recorded: int | None
    replayed: int | None

    @property
    def is_match(self) -> bool:
        """Whether both sides have this call."""
        return self.recorded is not None and self.replayed is not None


class _Block(NamedTuple):
    a0: int
    a1: int
    b0: int
    b1: int


def align(recorded: Sequence[Hashable], replayed: Sequence[Hashable]) -> list[Pair]:
    """Align two sequences of keys.

    Returns:
        Rows in the order of both sequences. Between two matches, recorded rows come before replayed ones.
    """
    matches = sorted(_matches(recorded, replayed))
    rows: list[Pair] = []
    i = j = 0
    for matched_i, matched_j in [*matches, (len(recorded), len(replayed))]:
        rows.extend(Pair(index, None) for index in range(i, matched_i))
        rows.extend(Pair(None, index) for index in range(j, matched_j))
        if matched_i < len(recorded) and matched_j < len(replayed):
            rows.append(Pair(matched_i, matched_j))
        i, j = matched_i + 1, matched_j + 1
    return rows


def gaps(rows: Sequence[Pair]) -> Iterator[tuple[int, list[int], list[int]]]:
    """Yield each gap between matches: index of its first row, recorded indexes, replayed indexes."""
    start: int | None = None
    left: list[int] = []
    right: list[int] = []
    for index, row in enumerate([*rows, Pair(-1, -1)]):
        if row.is_match:
            if start is not None:
                yield start, left, right
            start, left, right = None, [], []
            continue
        start = index if start is None else start
        if row.recorded is not None:
            left.append(row.recorded)
        if row.replayed is not None:
            right.append(row.replayed)


def _matches(a: Sequence[Hashable], b: Sequence[Hashable]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    pending = [_Block(0, len(a), 0, len(b))]
    while pending:
        block = _trimmed(a, b, pending.pop(), found)
        if block.a0 == block.a1 or block.b0 == block.b1:
            continue
        anchors = _anchors(a, b, block)
        if not anchors:
            found.extend(_gap_matches(a, b, block))
            continue
        i, j = block.a0, block.b0
        for anchor_i, anchor_j in anchors:
            pending.append(_Block(i, anchor_i, j, anchor_j))
            found.append((anchor_i, anchor_j))
            i, j = anchor_i + 1, anchor_j + 1
        pending.append(_Block(i, block.a1, j, block.b1))
    return found


def _trimmed(a: Sequence[Hashable], b: Sequence[Hashable], block: _Block, found: list[tuple[int, int]]) -> _Block:
    """Cut equal ends off a block."""
    a0, a1, b0, b1 = block
    while a0 < a1 and b0 < b1 and a[a0] == b[b0]:
        found.append((a0, b0))
        a0, b0 = a0 + 1, b0 + 1
    while a0 < a1 and b0 < b1 and a[a1 - 1] == b[b1 - 1]:
        a1, b1 = a1 - 1, b1 - 1
        found.append((a1, b1))
    return _Block(a0, a1, b0, b1)


def _anchors(a: Sequence[Hashable], b: Sequence[Hashable], block: _Block) -> list[tuple[int, int]]:
    """Calls that are unique on both sides; of these, the longest run that has the same order on both."""
    counts_a = Counter(a[block.a0 : block.a1])
    counts_b = Counter(b[block.b0 : block.b1])
    places = {b[j]: j for j in range(block.b0, block.b1) if counts_b[b[j]] == 1}
    pairs = [(i, places[a[i]]) for i in range(block.a0, block.a1) if counts_a[a[i]] == 1 and a[i] in places]
    return _increasing(pairs)


def _increasing(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The longest subsequence whose second members increase."""
    tails: list[int] = []
    chosen: list[int] = []
    before: list[int] = []
    for index, (_, j) in enumerate(pairs):
        at = bisect_left(tails, j)
        before.append(chosen[at - 1] if at else -1)
        if at == len(tails):
            tails.append(j)
            chosen.append(index)
        else:
            tails[at], chosen[at] = j, index
    result: list[tuple[int, int]] = []
    at = chosen[-1] if chosen else -1
    while at >= 0:
        result.append(pairs[at])
        at = before[at]
    return result[::-1]


def _gap_matches(a: Sequence[Hashable], b: Sequence[Hashable], block: _Block) -> list[tuple[int, int]]:
    in_a, in_b = set(a[block.a0 : block.a1]), set(b[block.b0 : block.b1])
    left = [i for i in range(block.a0, block.a1) if a[i] in in_b]
    right = [j for j in range(block.b0, block.b1) if b[j] in in_a]
    search = _by_table if len(left) * len(right) <= MAX_TABLE else _by_differences
    return [(left[i], right[j]) for i, j in search([a[i] for i in left], [b[j] for j in right])]


def _by_table(a: Sequence[Hashable], b: Sequence[Hashable]) -> list[tuple[int, int]]:
    """The textbook dynamic-programming table, filled from the end so that the earliest match wins."""
    width = len(b) + 1
    table = [[0] * width for _ in range(len(a) + 1)]
    for i in range(len(a) - 1, -1, -1):
        row, below = table[i], table[i + 1]
        for j in range(len(b) - 1, -1, -1):
            row[j] = below[j + 1] + 1 if a[i] == b[j] else max(below[j], row[j + 1])
    found: list[tuple[int, int]] = []
    i = j = 0
    while i < len(a) and j < len(b):
        if a[i] == b[j] and table[i][j] == table[i + 1][j + 1] + 1:
            found.append((i, j))
            i, j = i + 1, j + 1
        elif table[i + 1][j] >= table[i][j + 1]:
            i += 1
        else:
            j += 1
    return found


def _by_differences(a: Sequence[Hashable], b: Sequence[Hashable]) -> list[tuple[int, int]]:
    """Myers's greedy search, up to `MAX_DIFFERENCES`. Beyond that, calls are matched by index."""
    reach = {1: 0}
    trail: list[dict[int, int]] = []
    for depth in range(MAX_DIFFERENCES + 1):
        trail.append(dict(reach))
        for diagonal in range(-depth, depth + 1, 2):
            goes_down = diagonal == -depth or (
                diagonal != depth and reach.get(diagonal - 1, -1) < reach.get(diagonal + 1, -1)
            )
            x = reach.get(diagonal + 1, 0) if goes_down else reach.get(diagonal - 1, 0) + 1
            while x < len(a) and x - diagonal < len(b) and a[x] == b[x - diagonal]:
                x += 1
            reach[diagonal] = x
            if x >= len(a) and x - diagonal >= len(b):
                return _walk_back(a, b, trail)
    return [(i, i) for i in range(min(len(a), len(b))) if a[i] == b[i]]


def _walk_back(a: Sequence[Hashable], b: Sequence[Hashable], trail: list[dict[int, int]]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    x, y = len(a), len(b)
    for depth in range(len(trail) - 1, -1, -1):
        reach = trail[depth]
        diagonal = x - y
        came_down = diagonal == -depth or (
            diagonal != depth and reach.get(diagonal - 1, -1) < reach.get(diagonal + 1, -1)
        )
        before = diagonal + 1 if came_down else diagonal - 1
        start_x = reach.get(before, 0)
        start_y = start_x - before
        while x > start_x and y > start_y and x > 0 and y > 0 and a[x - 1] == b[y - 1]:
            x, y = x - 1, y - 1
            found.append((x, y))
        if depth:
            x, y = start_x, start_y
    return found[::-1]


ALONE = 2
SAME_KIND = 2
SAME_NAME = 2
UNLIKE = 3.8
SAME_SITE = 1
REPLACED = 2 * ALONE + 1
"""Costs. Two calls of the same kind with different names are more likely a rename than a removal and an addition. Two
calls of different kinds at the same place are, narrowly, more likely a change of kind. Two calls known to run different
functions under different names are a replacement and never paired."""
MAX_PAIRING_TABLE = 250_000


def pair_gap(
    left: list[CallNode], right: list[CallNode], recorded: list[int], replayed: list[int], *, is_cut: bool
) -> list[Pair]:
    """Pair the calls of a gap at the least cost, in order.

    Args:
        left: All recorded calls of the context.
        right: All replayed calls of the context.
        recorded: Indexes of the recorded calls in the gap.
        replayed: Indexes of the replayed calls in the gap.
        is_cut: Whether the replayed side stops in this gap, so that unpaired recorded calls are not differences.
    """
    rows, columns = len(recorded), len(replayed)
    if not rows or not columns:
        return [*(Pair(i, None) for i in recorded), *(Pair(None, j) for j in replayed)]
    if rows * columns > MAX_PAIRING_TABLE:
        return _in_order(recorded, replayed)
    cost = [[0.0] * (columns + 1) for _ in range(rows + 1)]
    for i in range(rows - 1, -1, -1):
        cost[i][columns] = 0 if is_cut else cost[i + 1][columns] + ALONE
    for j in range(columns - 1, -1, -1):
        cost[rows][j] = cost[rows][j + 1] + ALONE
    for i in range(rows - 1, -1, -1):
        for j in range(columns - 1, -1, -1):
            joined = cost[i + 1][j + 1] + _cost(left[recorded[i]], right[replayed[j]])
            cost[i][j] = min(joined, cost[i + 1][j] + ALONE, cost[i][j + 1] + ALONE)
    return _walk(cost, left, right, recorded, replayed)


def _walk(
    cost: list[list[float]], left: list[CallNode], right: list[CallNode], recorded: list[int], replayed: list[int]
) -> list[Pair]:
    pairs: list[Pair] = []
    i = j = 0
    while i < len(recorded) and j < len(replayed):
        joined = cost[i + 1][j + 1] + _cost(left[recorded[i]], right[replayed[j]])
        if cost[i][j] == joined:
            pairs.append(Pair(recorded[i], replayed[j]))
            i, j = i + 1, j + 1
        elif cost[i][j] == cost[i + 1][j] + ALONE:
            pairs.append(Pair(recorded[i], None))
            i += 1
        else:
            pairs.append(Pair(None, replayed[j]))
            j += 1
    pairs.extend(Pair(index, None) for index in recorded[i:])
    pairs.extend(Pair(None, index) for index in replayed[j:])
    return pairs


def _cost(recorded: CallNode, replayed: CallNode) -> float:
    left, right = recorded.side, replayed.side
    if is_same_function(recorded, replayed) is False and left.name != right.name:
        return REPLACED
    if left.call_site is not None and left.call_site == right.call_site:
        return SAME_SITE
    if left.type == right.type and (left.subtype or right.subtype) == right.subtype:
        return SAME_KIND
    return SAME_NAME if left.name == right.name and left.name is not None else UNLIKE


def _in_order(recorded: list[int], replayed: list[int]) -> list[Pair]:
    shared = min(len(recorded), len(replayed))
    pairs = [Pair(i, j) for i, j in zip(recorded, replayed, strict=False)]
    return [*pairs, *(Pair(i, None) for i in recorded[shared:]), *(Pair(None, j) for j in replayed[shared:])]


def moved_pairs(aligned: list[Pair], keys: list[Hashable], others: list[Hashable]) -> dict[int, int]:
    """Map unmatched recorded calls to unmatched replayed calls with the same key, by index."""
    waiting: dict[Hashable, list[int]] = defaultdict(list)
    for row in aligned:
        if row.recorded is None and row.replayed is not None:
            waiting[others[row.replayed]].append(row.replayed)
    moved: dict[int, int] = {}
    for row in aligned:
        if row.replayed is None and row.recorded is not None and waiting.get(keys[row.recorded]):
            moved[row.recorded] = waiting[keys[row.recorded]].pop(0)
    return moved

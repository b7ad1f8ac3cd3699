"""Pairs the calls between two matches: which recorded call became which replayed call."""

from durable_execution.replay.alignment import Pair
from durable_execution.replay.call_tree import CallNode

ALONE = 2
SAME_KIND = 2
SAME_NAME = 2
UNLIKE = 3.8
SAME_SITE = 1
"""Costs. Two calls of the same kind with different names are more likely a rename than a removal and an addition. Two
calls of different kinds at the same place are, narrowly, more likely a change of kind."""

MAX_TABLE = 250_000


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
    if rows * columns > MAX_TABLE:
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
    if left.call_site is not None and left.call_site == right.call_site:
        return SAME_SITE
    if left.type == right.type and (left.subtype or right.subtype) == right.subtype:
        return SAME_KIND
    return SAME_NAME if left.name == right.name and left.name is not None else UNLIKE


def _in_order(recorded: list[int], replayed: list[int]) -> list[Pair]:
    shared = min(len(recorded), len(replayed))
    pairs = [Pair(i, j) for i, j in zip(recorded, replayed, strict=False)]
    return [*pairs, *(Pair(i, None) for i in recorded[shared:]), *(Pair(None, j) for j in replayed[shared:])]

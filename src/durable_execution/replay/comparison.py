"""Compares two sides call by call: finds the root difference of each context, and only counts what follows from it."""

from collections import defaultdict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, replace

from durable_execution.protocol.paths import root_path
from durable_execution.replay.alignment import Pair, align
from durable_execution.replay.call_tree import CallNode, is_same_json
from durable_execution.replay.configuration import configuration_divergence
from durable_execution.replay.divergence import Divergence, DivergenceKind, Severity, Side
from durable_execution.replay.gap_pairing import pair_gap
from durable_execution.replay.wording import APPENDED, effect_of, fix_of, likely_of

Kind = DivergenceKind


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a comparison.

    Attributes:
        depth: Number of contexts around it.
        recorded: The recorded call; None when there is none.
        replayed: The replayed call; None when there is none.
        divergence: The difference, if any.
        is_shifted: Whether both sides have the call, but at different positions.
    """

    depth: int
    recorded: CallNode | None
    replayed: CallNode | None
    divergence: Divergence | None = None
    is_shifted: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two sides, call by call.

    Attributes:
        rows: Every call of either side, in depth-first order.
        divergences: The differences, in order of the rows.
    """

    rows: tuple[Row, ...]
    divergences: tuple[Divergence, ...]

    @property
    def roots(self) -> tuple[Divergence, ...]:
        """The differences that do not follow from another one."""
        return tuple(divergence for divergence in self.divergences if divergence.is_root)


def compare(recorded: CallNode, replayed: CallNode, *, handler: str) -> Comparison:
    """Compare two trees of calls.

    Args:
        recorded: Root of the recorded side.
        replayed: Root of the replayed side.
        handler: `module:qualname` of the handler, or whatever names the workflow.
    """
    is_loose = any(child.side.subtype == "Context" for child in recorded.children or ())
    rows: list[Row] = []
    stack: list[Iterator[Row]] = [iter(_Context(recorded, replayed, root_path(handler), 0, handler, is_loose).rows())]
    while stack:
        row = next(stack[-1], None)
        if row is None:
            stack.pop()
            continue
        rows.append(row)
        below = _below(row, handler, is_loose)
        if below is not None:
            stack.append(below)
    rows = _grouped(rows)
    return Comparison(tuple(rows), tuple(row.divergence for row in rows if row.divergence is not None))


def _below(row: Row, handler: str, is_loose: bool) -> Iterator[Row] | None:
    recorded, replayed = row.recorded, row.replayed
    if recorded is None or replayed is None:
        only = recorded or replayed
        if only is None or not only.children:
            return None
        return iter(_one_sided(only.children, row.depth + 1, is_recorded=recorded is not None))
    if recorded.children is None or replayed.children is None or recorded.side.type != replayed.side.type:
        return None
    path = replayed.side.path or recorded.side.path or ""
    return iter(_Context(recorded, replayed, path, row.depth + 1, handler, is_loose).rows())


def _one_sided(nodes: list[CallNode], depth: int, *, is_recorded: bool) -> list[Row]:
    return [Row(depth, node if is_recorded else None, None if is_recorded else node) for node in nodes]


class _Context:
    """One context on both sides."""

    def __init__(
        self, recorded: CallNode, replayed: CallNode, path: str, depth: int, handler: str, is_loose: bool
    ) -> None:
        self.recorded, self.replayed = recorded, replayed
        self.left, self.right = recorded.children or [], replayed.children or []
        self.path, self.depth, self.handler, self.is_loose = path, depth, handler, is_loose

    def rows(self) -> list[Row]:
        if self.recorded.is_batch and self.replayed.is_batch:
            pairs = self._pair_branches()
            moved: dict[int, int] = {}
        else:
            keys = [node.key(within=self.recorded, is_loose=self.is_loose) for node in self.left]
            others = [node.key(within=self.replayed, is_loose=self.is_loose) for node in self.right]
            aligned = align(keys, others)
            moved = _moved(aligned, keys, others)
            pairs = self._paired(aligned, moved)
        return self._with_root(self._rows_of(pairs, moved))

    def _pair_branches(self) -> list[Pair]:
        left = {node.branch: index for index, node in enumerate(self.left)}
        right = {node.branch: index for index, node in enumerate(self.right)}
        indexes = sorted({branch for branch in (*left, *right) if branch is not None})
        return [Pair(left.get(index), right.get(index)) for index in indexes]

    def _paired(self, aligned: list[Pair], moved: dict[int, int]) -> list[Pair]:
        """Join what stands in the same gap on both sides."""
        result: list[Pair] = []
        left: list[int] = []
        right: list[int] = []
        targets = set(moved.values())
        for row in [*aligned, None]:
            if row is not None and not row.is_match:
                if row.recorded is not None and row.recorded not in moved:
                    left.append(row.recorded)
                if row.replayed is not None and row.replayed not in targets:
                    right.append(row.replayed)
                if row.recorded in moved or row.replayed in targets:
                    result.append(row)
                continue
            is_cut = row is None and not self.replayed.is_ended
            result.extend(pair_gap(self.left, self.right, left, right, is_cut=is_cut))
            left, right = [], []
            if row is not None:
                result.append(row)
        return result

    def _rows_of(self, pairs: list[Pair], moved: dict[int, int]) -> list[Row]:
        last_match = max((index for index, pair in enumerate(pairs) if pair.is_match), default=-1)
        last_recorded = max((index for index, pair in enumerate(pairs) if pair.recorded is not None), default=-1)
        origins = {there: here for here, there in moved.items()}
        rows: list[Row] = []
        for index, pair in enumerate(pairs):
            recorded = self.left[pair.recorded] if pair.recorded is not None else None
            replayed = self.right[pair.replayed] if pair.replayed is not None else None
            if recorded is not None and replayed is not None:
                rows.append(self._both(recorded, replayed))
            elif replayed is not None and pair.replayed in origins:
                origin = self.left[origins[pair.replayed]]
                rows.append(Row(self.depth, None, replayed, self._alone(Kind.REORDERED, origin, replayed)))
            elif recorded is not None and pair.recorded in moved:
                target = self.right[moved[pair.recorded]]
                rows.append(Row(self.depth, recorded, None, self._alone(Kind.REORDERED, recorded, target)))
            elif recorded is not None:
                is_unknown = index > last_match and not self.replayed.is_ended
                is_blameless = recorded.branch is not None or recorded.is_foreign
                found = None if is_unknown or is_blameless else self._alone(Kind.SKIPPED, recorded, None)
                rows.append(Row(self.depth, recorded, None, found))
            elif replayed is not None:
                rows.append(Row(self.depth, None, replayed, self._extra(replayed, is_last=index > last_recorded)))
        return rows

    def _both(self, recorded: CallNode, replayed: CallNode) -> Row:
        left, right = recorded.side, replayed.side
        is_shifted = left.position is not None and right.position is not None and left.position != right.position
        found: Divergence | None
        if recorded.is_virtual != replayed.is_virtual:
            found = self._alone(Kind.CHANGED_KIND, recorded, replayed)
        elif (
            recorded.key(within=self.recorded, is_loose=self.is_loose)
            == replayed.key(within=self.replayed, is_loose=self.is_loose)
            or recorded.is_virtual
        ):
            found = self._in_content(recorded, replayed)
        elif left.type == right.type and left.subtype == right.subtype:
            found = self._alone(Kind.RENAMED, recorded, replayed)
        else:
            found = self._alone(Kind.CHANGED_KIND, recorded, replayed)
        return Row(self.depth, recorded, replayed, found, is_shifted)

    def _in_content(self, recorded: CallNode, replayed: CallNode) -> Divergence | None:
        found = configuration_divergence(recorded, replayed, context_path=self.path, handler=self.handler)
        if found is not None or recorded.result is None or replayed.result is None:
            return found
        if recorded.is_batch or is_same_json(recorded.result, replayed.result):
            return None
        return self._alone(Kind.RESULT, recorded, replayed, severity=Severity.WARNING)

    def _extra(self, replayed: CallNode, *, is_last: bool) -> Divergence | None:
        """A call the recording does not have. Behind the last recorded call, the recording may just end."""
        if replayed.branch is not None:
            return None
        if is_last and not self.recorded.is_ended:
            return None
        if not is_last:
            return self._alone(Kind.INSERTED, None, replayed)
        found = self._alone(Kind.INSERTED, None, replayed, severity=Severity.WARNING)
        return replace(found, likely=APPENDED.likely, effect=APPENDED.effect, fix=APPENDED.fix)

    def _alone(
        self,
        kind: DivergenceKind,
        recorded: CallNode | None,
        replayed: CallNode | None,
        *,
        severity: Severity = Severity.ERROR,
    ) -> Divergence:
        """A difference at one place: what each side has in that place, even where it is about one of them only."""
        position = self._position(kind, recorded, replayed)
        if kind in (Kind.SKIPPED, Kind.INSERTED, Kind.REORDERED) and position is not None:
            recorded = recorded if kind is Kind.SKIPPED else self._at(self.left, position)
            replayed = replayed if kind is Kind.INSERTED else self._at(self.right, position)
        left = recorded.side if recorded else None
        right = _flat_side(replayed) if replayed else None
        anchor = right if kind is Kind.INSERTED or left is None else left
        return Divergence(
            kind=kind,
            severity=severity,
            handler=self.handler,
            path=(anchor.path if anchor else None) or self.path,
            context_path=self.path,
            position=position,
            recorded=left,
            replayed=right,
            likely=likely_of(kind, left, right),
            effect=effect_of(kind, left, right),
            fix=fix_of(kind, left, right),
        )

    def _position(self, kind: DivergenceKind, recorded: CallNode | None, replayed: CallNode | None) -> int | None:
        left = recorded.side.position if recorded else None
        right = replayed.side.position if replayed else None
        if kind is Kind.REORDERED and left is not None and right is not None:
            return min(left, right)
        return right if kind is not Kind.SKIPPED and right is not None else left

    def _at(self, nodes: list[CallNode], position: int) -> CallNode | None:
        return next((node for node in nodes if node.side.position == position), None)

    def _with_root(self, rows: list[Row]) -> list[Row]:
        """Mark the first error as the root, and count what follows from it."""
        first = next((i for i, row in enumerate(rows) if _is_error(row)), None)
        if first is None:
            return rows
        after = rows[first + 1 :]
        follow_on = sum(1 for row in after if row.is_shifted or _is_error(row))
        root = rows[first].divergence
        if root is None:
            return rows
        shifted = effect_of(root.kind, root.recorded, root.replayed, shifted=follow_on)
        rows[first] = replace(rows[first], divergence=replace(root, follow_on=follow_on, effect=shifted))
        for index in range(first + 1, len(rows)):
            found = rows[index].divergence
            if found is not None and found.severity is Severity.ERROR:
                rows[index] = replace(rows[index], divergence=replace(found, is_root=False))
        return rows


def _moved(aligned: list[Pair], keys: list[Hashable], others: list[Hashable]) -> dict[int, int]:
    """Recorded calls without a partner, by index, with the replayed call of the same key elsewhere."""
    waiting: dict[Hashable, list[int]] = defaultdict(list)
    for row in aligned:
        if row.recorded is None and row.replayed is not None:
            waiting[others[row.replayed]].append(row.replayed)
    moved: dict[int, int] = {}
    for row in aligned:
        if row.replayed is None and row.recorded is not None and waiting.get(keys[row.recorded]):
            moved[row.recorded] = waiting[keys[row.recorded]].pop(0)
    return moved


def _flat_side(node: CallNode) -> Side:
    if not node.is_virtual:
        return node.side
    return replace(node.side, detail="flat branch, without a context of its own")


def _is_error(row: Row) -> bool:
    return row.divergence is not None and row.divergence.severity is Severity.ERROR


def _grouped(rows: list[Row]) -> list[Row]:
    """The same difference in many branches is one root; below a difference in the number of branches there is none."""
    roots: dict[Hashable, int] = {}
    counted: dict[int, int] = defaultdict(int)
    covered: int | None = None
    for index, row in enumerate(rows):
        if covered is not None and row.depth <= covered:
            covered = None
        found = row.divergence
        if found is None:
            continue
        if covered is None and found.kind in (Kind.BRANCH_COUNT, Kind.CHANGED_KIND) and found.is_root:
            covered = row.depth
        elif found.is_root:
            key = _in_any_branch(found)
            first = roots.setdefault(key, index)
            if first != index or covered is not None:
                rows[index] = replace(row, divergence=replace(found, is_root=False))
                counted[first] += 1 if first != index else 0
            continue
        if found.is_root:
            roots.setdefault(_in_any_branch(found), index)
    for index, more in counted.items():
        root = rows[index].divergence
        if root is not None:
            rows[index] = replace(rows[index], divergence=replace(root, follow_on=root.follow_on + more))
    return rows


def _in_any_branch(divergence: Divergence) -> Hashable:
    path = "/".join(part.partition("#")[0] for part in divergence.path.split("/"))
    is_branched = "#" in divergence.path
    names = tuple(
        (side.type, side.subtype, side.name) if side else None for side in (divergence.recorded, divergence.replayed)
    )
    return (
        (divergence.kind, path, names)
        if is_branched
        else (divergence.kind, divergence.path, divergence.position, names)
    )

"""Compares the calls of one context: aligns them, classifies each difference and marks the root."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from itertools import takewhile

from durable_execution.comparison.alignment import Pair, align, moved_pairs, pair_gap
from durable_execution.comparison.call_tree import (
    CallNode,
    Comparing,
    changed_functions,
    is_same_function,
    is_same_json,
)
from durable_execution.comparison.runtime_check import configuration_divergence, divergence_of, given_divergence
from durable_execution.comparison.wording import (
    APPENDED,
    ENDED_DIFFERENTLY,
    effect_of,
    exchanged,
    fix_of,
    likely_of,
    replaced,
)
from durable_execution.divergence import Divergence, DivergenceKind, Severity, Side
from durable_execution.history.positions import MAIN, ScopePath, is_other_task, may_have_lost, paired_scopes
from durable_execution.protocol.enums import COMBINATORS

Kind = DivergenceKind
GIVEN = (Kind.INPUT, Kind.CONFIGURATION)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a comparison.

    Attributes:
        depth: Number of enclosing contexts.
        recorded: The recorded call; None when there is none.
        replayed: The replayed call; None when there is none.
        divergence: The difference, if any.
    """

    depth: int
    recorded: CallNode | None
    replayed: CallNode | None
    divergence: Divergence | None = None

    @property
    def shift(self) -> int:
        """By how much the number of a call that both sides have differs."""
        recorded = self.recorded.side.position if self.recorded is not None else None
        replayed = self.replayed.side.position if self.replayed is not None else None
        return replayed - recorded if recorded is not None and replayed is not None else 0


def context_rows(recorded: CallNode, replayed: CallNode, path: str, depth: int, whole: Comparing) -> list[Row]:
    """Compare the calls of one context on both sides.

    Args:
        recorded: The recorded context.
        replayed: The replayed context.
        path: Its path.
        depth: Depth of its calls.
        whole: What holds for the whole comparison.
    """
    left, right = _scopes(recorded), _scopes(replayed)
    rows: list[Row] = []
    renumbered: list[tuple[int, _ComparedScope]] = []
    taken = {(scope, node.side.position): node for scope, nodes in right.items() for node in nodes}
    for here, there in paired_scopes(list(left), list(right)):
        ours, theirs = left.get(here, []) if here is not None else [], right.get(there, []) if there is not None else []
        is_gone = _is_taken(here or MAIN, taken)
        is_undecided = not theirs and not is_gone and may_have_lost(here)
        is_cut = here in recorded.cut_off or here in replayed.cut_off or is_undecided
        is_open = is_cut or (here in replayed.unfinished and not replayed.is_resting)
        is_finished = replayed.is_ended or replayed.is_resting or here in replayed.finished
        compared = _ComparedScope(
            recorded,
            replayed,
            left=ours,
            right=theirs,
            path=path if here == MAIN else _context_path(ours or theirs, path),
            depth=depth,
            whole=whole,
            is_cut=is_cut,
            is_ended=is_gone or (is_finished and not is_open),
        )
        found = compared.rows()
        if is_other_task(here, there):
            pairs = (index for index, row in enumerate(found, len(rows)) if row.recorded and row.replayed)
            renumbered += ((index, compared) for index in pairs)
        rows += found
    if renumbered and not any(map(_is_error, rows)):
        index, compared = renumbered[0]
        rows[index] = compared.in_other_task(rows[index])
    foreign = (node for node in recorded.children or () if node.is_foreign)
    return [*rows, *(Row(depth, node, None) for node in foreign)]


def _is_taken(scope: ScopePath, taken: Mapping[tuple[ScopePath, int | None], CallNode]) -> bool:
    """Whether the number of a virtual context belongs to a different call: the calls in it are not made any more.

    So are the calls in the contexts inside it, unless a race has the number: its awaitables are numbered like contexts.
    """
    for depth, step in enumerate(scope):
        call = taken.get((scope[:depth], step.number)) if step.kind == "context" else None
        if call is not None and (depth == len(scope) - 1 or call.side.subtype not in COMBINATORS):
            return True
    return False


def _scopes(context: CallNode) -> dict[ScopePath, list[CallNode]]:
    found: dict[ScopePath, list[CallNode]] = {MAIN: []}
    for node in context.children or ():
        if not node.is_foreign:
            found.setdefault(node.scope, []).append(node)
    return found


def _context_path(nodes: list[CallNode], path: str) -> str:
    own = nodes[0].side.path if nodes else None
    return own.rpartition("/")[0] if own and "/" in own else path


class _ComparedScope:
    """The calls of one task scope of a context, on both sides."""

    def __init__(
        self,
        recorded: CallNode,
        replayed: CallNode,
        *,
        left: list[CallNode],
        right: list[CallNode],
        path: str,
        depth: int,
        whole: Comparing,
        is_cut: bool,
        is_ended: bool,
    ) -> None:
        self.recorded, self.replayed = recorded, replayed
        self.left, self.right = left, right
        self.path, self.depth = path, depth
        self.whole, self.handler, self.is_loose = whole, whole.handler, whole.is_loose
        self.is_cut, self.is_ended = is_cut, is_ended
        self.moved: dict[int, int] = {}
        self.crossed: set[int] = set()
        self.added: list[CallNode] = []

    def rows(self) -> list[Row]:
        return self._with_root(self._with_bodies(self._rows_of(self._pairs())))

    def in_other_task(self, row: Row) -> Row:
        """Describe the first call of a task that has a different number: its calls do not find their recorded results."""
        return replace(row, divergence=self._alone(Kind.REORDERED, row.recorded, row.replayed))

    def _pairs(self) -> list[Pair]:
        if self.recorded.is_batch and self.replayed.is_batch:
            return self._pair_branches()
        keys = [node.key(within=self.recorded, is_loose=self.is_loose) for node in self.left]
        others = [node.key(within=self.replayed, is_loose=self.is_loose) for node in self.right]
        numbered = self._by_number(keys, others)
        if numbered is not None:
            return numbered
        aligned = align(keys, others)
        self.moved = moved_pairs(aligned, keys, others)
        return self._paired(aligned)

    def _pair_branches(self) -> list[Pair]:
        left = {node.branch: index for index, node in enumerate(self.left)}
        right = {node.branch: index for index, node in enumerate(self.right)}
        indexes = sorted({branch for branch in (*left, *right) if branch is not None})
        return [Pair(left.get(index), right.get(index)) for index in indexes]

    def _by_number(self, keys: list[Hashable], others: list[Hashable]) -> list[Pair] | None:
        """Pair calls by number, if every number that both sides use stands for the same call."""
        left, right = _by_position(self.left), _by_position(self.right)
        if len(left) + len(right) < len(self.left) + len(self.right):
            return None
        if any(keys[left[number]] != others[right[number]] for number in left.keys() & right.keys()):
            return None
        return [Pair(left.get(number), right.get(number)) for number in sorted(left.keys() | right.keys())]

    def _paired(self, aligned: list[Pair]) -> list[Pair]:
        """Pair the calls that stand in the same gap on both sides."""
        result: list[Pair] = []
        left: list[int] = []
        right: list[int] = []
        targets = set(self.moved.values())
        for row in aligned:
            if row.is_match:
                result += [*pair_gap(self.left, self.right, left, right, is_cut=False), row]
                left, right = [], []
            elif row.recorded in self.moved or row.replayed in targets:
                result.append(row)
            elif row.recorded is not None:
                left.append(row.recorded)
            elif row.replayed is not None:
                right.append(row.replayed)
        return [*result, *pair_gap(self.left, self.right, left, right, is_cut=not self.is_ended)]

    def _rows_of(self, pairs: list[Pair]) -> list[Row]:
        behind_matches = _end_of(pairs, lambda pair: pair.is_match)
        behind_recorded = _end_of(pairs, lambda pair: pair.recorded is not None)
        origins = {there: here for here, there in self.moved.items()}
        reserved = self._reserved(pairs)
        self.added = [
            self.right[pair.replayed] for pair in pairs if pair.recorded is None and pair.replayed is not None
        ]
        rows: list[Row] = []
        for index, pair in enumerate(pairs):
            recorded = self.left[pair.recorded] if pair.recorded is not None else None
            replayed = self.right[pair.replayed] if pair.replayed is not None else None
            found: Divergence | None = None
            if recorded is not None and replayed is not None:
                found = self._both(recorded, replayed)
                if self._is_crossed(pair):
                    self.crossed.add(index)
            elif pair.replayed in origins:
                found = self._alone(Kind.REORDERED, self.left[origins[pair.replayed]], replayed)
            elif pair.recorded in self.moved:
                found = self._alone(Kind.REORDERED, recorded, self.right[self.moved[pair.recorded]])
            elif recorded is not None:
                is_behind = index >= behind_matches
                is_blameless = recorded.branch is not None or index in reserved
                if (self.is_ended or not is_behind) and not is_blameless:
                    found = self._gone(recorded, is_behind=is_behind)
            elif replayed is not None:
                found = self._extra(replayed, is_last=index >= behind_recorded, is_free=index in reserved)
            rows.append(Row(self.depth, recorded, replayed, found))
        return rows

    def _is_crossed(self, pair: Pair) -> bool:
        """Whether a moved call is on different sides of these two."""
        before, after = pair.recorded, pair.replayed
        return (
            before is not None
            and after is not None
            and any((here < before) != (there < after) for here, there in self.moved.items())
        )

    def _reserved(self, pairs: list[Pair]) -> set[int]:
        """Rows of one side whose number is free on the other side.

        A call that is not made leaves its number to the next call. A number that no call uses was reserved by a call
        that the code created and did not await, or has not awaited yet, such as a loser of a race that is already decided.
        """
        left, right = _by_position(self.left), _by_position(self.right)
        last = max(right, default=0)
        found: set[int] = set()
        offset = 0
        for index, pair in enumerate(pairs):
            here = self.left[pair.recorded].side.position if pair.recorded is not None else None
            there = self.right[pair.replayed].side.position if pair.replayed is not None else None
            if here is not None and there is not None:
                offset = there - here
                continue
            is_reserved = here is not None and here + offset not in right and here + offset < last
            if is_reserved or (there is not None and there - offset not in left):
                found.add(index)
        return found

    def _both(self, recorded: CallNode, replayed: CallNode) -> Divergence | None:
        left, right = recorded.side, replayed.side
        if recorded.is_virtual != replayed.is_virtual:
            return self._alone(Kind.CHANGED_KIND, recorded, replayed)
        if recorded.is_virtual or self._has_same_key(recorded, replayed):
            return self._in_content(recorded, replayed)
        if left.type == right.type and (left.subtype or right.subtype) == right.subtype:
            return self._renamed(recorded, replayed)
        return self._alone(Kind.CHANGED_KIND, recorded, replayed)

    def _has_same_key(self, recorded: CallNode, replayed: CallNode) -> bool:
        ours = recorded.key(within=self.recorded, is_loose=self.is_loose)
        return ours == replayed.key(within=self.replayed, is_loose=self.is_loose)

    def _in_content(self, recorded: CallNode, replayed: CallNode) -> Divergence | None:
        found = configuration_divergence(recorded, replayed, context_path=self.path, handler=self.handler)
        found = found or given_divergence(recorded, replayed, context_path=self.path, handler=self.handler)
        if found is not None:
            return found
        if recorded.outcome is not None and replayed.outcome is not None:
            return self._in_outcome(recorded, replayed, json.loads(recorded.outcome), json.loads(replayed.outcome))
        if recorded.is_batch or recorded.result is None or replayed.result is None:
            return None
        if is_same_json(recorded.result, replayed.result):
            return None
        return self._alone(Kind.RESULT, recorded, replayed, severity=Severity.WARNING)

    def _in_outcome(
        self, recorded: CallNode, replayed: CallNode, before: list[str | None], after: list[str | None]
    ) -> Divergence | None:
        if after == ["open"]:
            return None  # the second execution has not come that far, or ended before
        if before == after or (before[0] == after[0] == "ended" and is_same_json(before[1], after[1])):
            return None
        found = self._alone(Kind.RESULT, recorded, replayed)
        words = ENDED_DIFFERENTLY
        return replace(found, likely=words.likely, effect=words.effect, fix=words.fix)

    def _with_bodies(self, rows: list[Row]) -> list[Row]:
        """Find calls with equal keys whose functions changed places."""
        groups: dict[Hashable, list[tuple[int, CallNode, CallNode]]] = defaultdict(list)
        for index, row in enumerate(rows):
            recorded, replayed = row.recorded, row.replayed
            if row.divergence is None and recorded and recorded.body and replayed and replayed.body:
                is_branch = recorded.branch is not None  # its default name contains its index
                key = None if is_branch else recorded.key(within=self.recorded, is_loose=self.is_loose)
                groups[key].append((index, recorded, replayed))
        for group in groups.values():
            if Counter(recorded.body for _, recorded, _ in group) == Counter(replayed.body for *_, replayed in group):
                for index, recorded, replayed in group:
                    if recorded.body != replayed.body:
                        rows[index] = replace(rows[index], divergence=self._exchanged(recorded, replayed))
        return rows

    def _exchanged(self, recorded: CallNode, replayed: CallNode) -> Divergence:
        found = self._alone(Kind.REORDERED, recorded, replayed)
        if recorded.branch is None:
            return found
        likely, fix = exchanged(recorded.branch, *changed_functions(recorded, replayed), recorded.side)
        return replace(found, likely=likely, fix=fix)

    def _extra(self, replayed: CallNode, *, is_last: bool, is_free: bool) -> Divergence | None:
        """Classify a call that the recording does not have. After the last recorded call, it may simply be new work."""
        if replayed.branch is not None:
            return self._gained(replayed)
        if is_free and replayed.side.subtype in COMBINATORS:
            return None  # it is recorded only when it is decided
        if (is_last or is_free) and (self.is_cut or not self.recorded.is_ended):
            return None
        if not (is_last or is_free):
            return self._alone(Kind.INSERTED, None, replayed)
        found = self._alone(Kind.INSERTED, None, replayed, severity=Severity.WARNING)
        return replace(found, likely=APPENDED.likely, effect=APPENDED.effect, fix=APPENDED.fix)

    def _gained(self, branch: CallNode) -> Divergence | None:
        """Classify a branch that the recording does not have: an open map or parallel may not have come to it yet."""
        branches = [node for node in self.right if node.branch is not None]
        is_first = next((node for node in branches if node.branch == len(self.left)), None) is branch
        if not self.recorded.is_settled or branch.is_virtual or not is_first:
            return None
        asked = self.replayed.known.get("branches", len(branches))
        around = self.path.rpartition("/")[0] or self.path
        sides = self.recorded.side, self.replayed.side
        return divergence_of("branches", asked, len(self.left), *sides, context_path=around, handler=self.handler)

    def _renamed(self, recorded: CallNode, replayed: CallNode) -> Divergence:
        found = self._alone(Kind.RENAMED, recorded, replayed)
        if recorded.branch is not None and replayed.side.name in {node.side.name for node in self.left}:
            left, right = recorded.side, replayed.side
            likely = f"the branches changed places: {right.short_name} is branch {recorded.branch} in place of {left.short_name}"
            return replace(found, likely=likely, fix=fix_of(Kind.REORDERED, left, right))
        if not self.whole.runs_one_call(recorded, replayed):
            return found
        return replace(
            found,
            likely=likely_of(Kind.RENAMED, recorded.side, replayed.side, is_same_function=True),
            fix=fix_of(Kind.RENAMED, recorded.side, replayed.side, is_same_function=True),
        )

    def _gone(self, recorded: CallNode, *, is_behind: bool) -> Divergence:
        """Classify a recorded call that is not made: skipped, or not reached because the code raised before it."""
        raised = self.replayed.raised
        if raised is None or not is_behind:
            found = self._alone(Kind.SKIPPED, recorded, None)
            taker = next((node for node in self.added if node.side.position == recorded.side.position), None)
            if taker is None or is_same_function(recorded, taker) is not False:
                return found
            likely, fix = replaced(recorded.side, taker.side)
            return replace(found, likely=likely, fix=fix)
        return replace(
            self._alone(Kind.UNFINISHED, recorded, None),
            replayed=raised,
            likely=likely_of(Kind.UNFINISHED, recorded.side, raised),
            effect=effect_of(Kind.UNFINISHED, recorded.side, raised),
            fix=fix_of(Kind.UNFINISHED, recorded.side, raised),
        )

    def _alone(
        self,
        kind: DivergenceKind,
        recorded: CallNode | None,
        replayed: CallNode | None,
        *,
        severity: Severity = Severity.ERROR,
    ) -> Divergence:
        """Build the difference, showing what each side has at this position even if only one side is at fault."""
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
        return right if right is not None else left

    def _at(self, nodes: list[CallNode], position: int) -> CallNode | None:
        return next((node for node in nodes if node.side.position == position), None)

    def _with_root(self, rows: list[Row]) -> list[Row]:
        """Mark the first error as the root and count the differences that follow from it."""
        errors = ((index, row.divergence) for index, row in enumerate(rows) if row.divergence and _is_error(row))
        found = next(errors, None)
        if found is None:
            return rows
        first, root = found
        later = rows[first + 1 :]
        if root.kind is Kind.RENAMED and self._is_pushed(rows[first], later):
            root = self._alone(Kind.INSERTED, None, rows[first].replayed)
        follow_on = sum(1 for row in later if row.shift or _is_error(row))
        effect = root.effect
        if not _has_own_effect(root):
            shifted, by = _shift(root, later)
            effect = effect_of(root.kind, root.recorded, root.replayed, shifted=shifted, by=by)
        rows[first] = replace(rows[first], divergence=replace(root, follow_on=follow_on, effect=effect))
        for index, row in enumerate(later, first + 1):
            if row.divergence and (_is_error(row) or row.divergence.kind is Kind.INSERTED):
                rows[index] = replace(row, divergence=replace(row.divergence, is_root=False))
        for index in self.crossed if root.kind is Kind.REORDERED else ():  # one edit made both
            row = rows[index]
            if row.divergence and row.divergence.kind in GIVEN:
                rows[index] = replace(row, divergence=replace(row.divergence, is_root=False))
        return rows

    def _is_pushed(self, row: Row, later: list[Row]) -> bool:
        """Whether the calls after a renamed one have higher numbers than recorded: then it was added, and none has its new name.

        The recorded call was created, but is not awaited: it loses to the new one.
        """
        if row.recorded is None or row.replayed is None or is_same_function(row.recorded, row.replayed):
            return False
        for one in later:
            if one.recorded is None:
                return False
            if one.replayed is not None:
                left, right = one.recorded.side.position, one.replayed.side.position
                return left is not None and right is not None and right > left
        return False


def _shift(root: Divergence, later: list[Row]) -> tuple[int, int | None]:
    """How many later calls get the recorded result of a different call, or lose theirs, and how far they shift."""
    if root.replayed is None:
        return sum(1 for row in later if row.replayed is None), None
    shifts = [row.shift for row in later if row.shift]
    distances = set(shifts)
    return len(shifts), abs(distances.pop()) if len(distances) == 1 else None


def _by_position(nodes: list[CallNode]) -> dict[int, int]:
    return {node.side.position: index for index, node in enumerate(nodes) if node.side.position is not None}


def _end_of(pairs: list[Pair], is_one: Callable[[Pair], bool]) -> int:
    """Index of the first row behind the last one of a sort."""
    return len(pairs) - sum(1 for _ in takewhile(lambda pair: not is_one(pair), reversed(pairs)))


def _has_own_effect(root: Divergence) -> bool:
    return root.kind is Kind.UNFINISHED or root.fix == ENDED_DIFFERENTLY.fix


def _flat_side(node: CallNode) -> Side:
    if not node.is_virtual:
        return node.side
    return replace(node.side, detail="virtual branch, without a record of its own")


def _is_error(row: Row) -> bool:
    return row.divergence is not None and row.divergence.severity is Severity.ERROR

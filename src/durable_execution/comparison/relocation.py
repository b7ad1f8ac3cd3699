"""Finds calls that moved: into or out of a context or loop, or that were split or merged, and says so.

A call that moved is missing in one place and new in another. Both are differences, but the two sentences of a removed and
an added call hide what was edited.
"""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace

from durable_execution.call_site import CallSite
from durable_execution.comparison.call_tree import CallNode, is_same_function
from durable_execution.comparison.context_comparison import Row
from durable_execution.comparison.wording import OLD, change_id, place, times
from durable_execution.counts import enumerated
from durable_execution.divergence import Divergence, DivergenceKind, Severity, Side, quoted, readable
from durable_execution.protocol import OperationSubType, OperationType
from durable_execution.protocol.ids import kind_of

Kind = DivergenceKind
MOVABLE = (Kind.SKIPPED, Kind.INSERTED, Kind.CHANGED_KIND, Kind.RENAMED)
CONTENT = (Kind.INPUT, Kind.CONFIGURATION, Kind.RESULT)
"""Differences of a call that is made on both sides: the edit that moved a call often changes what it is given too."""

MAX_LISTED = 3


def with_relocations(rows: list[Row]) -> list[Row]:
    """Name the edit behind each root difference that is part of a move, a loop, a split or a merge.

    Args:
        rows: The rows of a comparison, depth first.
    """
    if not any(_is_candidate(row.divergence) for row in rows):
        return rows
    rows = _with_permutations(rows)
    finder = _Finder(rows)
    found = [_explained(row, finder.explain(index)) for index, row in enumerate(rows)]
    for index, text in finder.moves.items():
        found[index] = _moved(found[index], text)
    for root, others in finder.counterparts.items():
        _join(found, root, others)
    return found


def _with_permutations(rows: list[Row]) -> list[Row]:
    """Make one difference of a map whose items make the recorded calls, but in the place of other items."""
    found = list(rows)
    for index, row in enumerate(rows):
        node, other = row.recorded, row.replayed
        if node is None or other is None or node.side.subtype != OperationSubType.MAP:
            continue
        if row.divergence is not None and row.divergence.kind is not Kind.INPUT:  # a trace shows that the items differ
            continue
        moved = [
            (at, each) for at in _below(rows, index) if (each := rows[at].divergence) and each.kind is Kind.RENAMED
        ]
        before = [each.recorded for _, each in moved if each.recorded is not None]
        after = [each.replayed for _, each in moved if each.replayed is not None]
        known = [one.side.label for at in _below(rows, index) if (one := rows[at].recorded) is not None]
        if len(moved) < 2 or Counter(one.label for one in after) - Counter(known):
            continue  # a replay ends early where one item waits, so that not every recorded call has a partner
        root = _permutation(moved[0][1], node.side, other.side, before, after)
        found[index] = replace(row, divergence=replace(root, follow_on=len(moved)))
        for at, each in moved:
            found[at] = replace(rows[at], divergence=replace(each, is_root=False))
    return found


def _below(rows: list[Row], index: int) -> Iterator[int]:
    """The rows inside a row."""
    for at in range(index + 1, len(rows)):
        if rows[at].depth <= rows[index].depth:
            return
        yield at


def _permutation(
    first: Divergence, recorded: Side, replayed: Side, before: list[Side], after: list[Side]
) -> Divergence:
    where = f" ({place(replayed.call_site)})" if replayed.call_site is not None else ""
    change = change_id(recorded)
    return replace(
        first,
        kind=Kind.REORDERED,
        path=recorded.path or first.path,
        context_path=(recorded.path or first.path).rpartition("/")[0],
        position=recorded.position,
        recorded=replace(recorded, detail=f"{recorded.label}: {_order(before)}"),
        replayed=replace(replayed, detail=f"{replayed.label}: {_order(after)}"),
        likely=f"{recorded.short_name} runs over the same items in a different order{where}",
        effect=f"{after[0].short_name} would take the recorded result of {before[0].short_name}, and so on",
        fix=f"give {recorded.short_name} its items in the recorded order: compute the list in a step, or sort it if it comes "
        f"from a set; if you changed the order, use the new order only `if ctx.patched({change}):`, {OLD}",
        is_root=True,
    )


def _order(sides: list[Side]) -> str:
    names = [one.name or one.label for one in sides[:MAX_LISTED]]
    return ", ".join([*names, *(["…"] if len(sides) > MAX_LISTED else [])])


def _join(rows: list[Row], root: int, others: set[int]) -> None:
    """Count the other place of a move as following from it."""
    main = rows[root].divergence
    if main is None or not main.is_root:
        return
    for index in others - {root}:
        other = rows[index].divergence
        if other is not None and other.is_root:
            rows[index] = replace(rows[index], divergence=replace(other, is_root=False))
            main = replace(main, follow_on=main.follow_on + 1 + other.follow_on)
    rows[root] = replace(rows[root], divergence=main)


def _is_candidate(found: Divergence | None) -> bool:
    return found is not None and found.is_root and found.severity is Severity.ERROR and found.kind in MOVABLE


def with_moves_inside(found: Sequence[Divergence], inside: Sequence[Divergence]) -> list[Divergence]:
    """Return all differences, with one root for a call that left a finished context or went into one.

    Args:
        found: Those of a replay that skips finished contexts, as a resumed execution does. One of these is the root of a
            move: it is what breaks an execution.
        inside: Those inside finished contexts.
    """
    roots, others = list(found), list(inside)
    for index, root in enumerate(roots):
        if not _is_candidate(root) or root.moved:
            continue
        for at, other in enumerate(others):
            move = _between(root, other)
            if move is None:
                continue
            likely, fix = _move(*move)
            around = [one for one in others if one.kind in CONTENT and f"{other.path}/".startswith(f"{one.path}/")]
            own = max(0, other.follow_on - 1 - root.follow_on - len(around)) if other.is_root else other.follow_on
            follow_on = root.follow_on + 1 + len(around) + own
            roots[index] = replace(root, likely=likely, fix=fix, moved=likely, follow_on=follow_on)
            others[at] = replace(other, likely=likely, fix=fix, moved=likely, follow_on=own, is_root=False)
            others = [replace(one, is_root=False) if one in around else one for one in others]
            break
    return [*roots, *others]


def _between(root: Divergence, other: Divergence) -> tuple[Side, Side] | None:
    """The sides of a call that one of two differences misses, and the other has as new."""
    for kind, before, after in (
        (Kind.SKIPPED, other.recorded, root.replayed),
        (Kind.INSERTED, root.recorded, other.replayed),
    ):
        if other.kind is not kind or before is None or after is None or before.name is None:
            continue
        if _side_key(before) == _side_key(after) and _around(before) != _around(after):
            return before, after
    return None


def _moved(row: Row, text: str) -> Row:
    return replace(row, divergence=replace(row.divergence, moved=text) if row.divergence is not None else None)


def _explained(row: Row, texts: tuple[str, str] | None) -> Row:
    if texts is None or row.divergence is None:
        return row
    likely, fix = texts
    return replace(row, divergence=replace(row.divergence, likely=likely, fix=fix))


class _Finder:
    def __init__(self, rows: list[Row]) -> None:
        self.rows = rows
        self.missing: dict[Hashable, list[CallNode]] = defaultdict(list)
        self.added: dict[Hashable, list[CallNode]] = defaultdict(list)
        self.counterparts: dict[int, set[int]] = defaultdict(set)
        self.moves: dict[int, str] = {}
        self.at = {
            id(node): index
            for index, row in enumerate(rows)
            for node in (row.recorded, row.replayed)
            if node is not None
        }
        self.renamed: dict[Hashable, list[Row]] = defaultdict(list)
        for row in rows:
            if row.divergence is not None and row.divergence.kind is Kind.RENAMED and row.recorded is not None:
                self.renamed[_key(row.recorded)].append(row)
            if row.recorded is not None and row.replayed is None and not row.recorded.is_foreign:
                self.missing[_key(row.recorded)].append(row.recorded)
            elif row.replayed is not None and row.recorded is None:
                self.added[_key(row.replayed)].append(row.replayed)

    def explain(self, index: int) -> tuple[str, str] | None:
        """The likely cause and the fix of a row, if its call moved."""
        row = self.rows[index]
        if not _is_candidate(row.divergence):
            return None
        move = self._moved(row) or self._exchanged(row) or self._moved_inside(row)
        if move is None:
            return self._loop(index) or self._divided(index)
        places = {self.at[id(node)] for node in move if id(node) in self.at}
        self.counterparts[index] |= places | {at for place in places for at in self._contexts_of(place)}
        texts = _move(move[0].side, move[1].side)
        for kind, node in zip((Kind.SKIPPED, Kind.INSERTED), move, strict=True):
            at = self.at.get(id(node))
            divergence = self.rows[at].divergence if at is not None else None
            if at is not None and divergence is not None and divergence.kind is kind:
                self.moves[at] = texts[0]
        return texts

    def _contexts_of(self, index: int) -> Iterator[int]:
        """The contexts around a row whose arguments or result differ: they did without the call, or with it."""
        depth = self.rows[index].depth
        for at in range(index - 1, -1, -1):
            row = self.rows[at]
            if row.depth < depth:
                depth = row.depth
                if row.divergence is not None and row.divergence.kind in CONTENT:
                    yield at
            if not depth:
                return

    def _moved(self, row: Row) -> tuple[CallNode, CallNode] | None:
        """The call itself is in different contexts of the recording and the replay."""
        if row.recorded is not None and (found := self._elsewhere(row.recorded, self.added)) is not None:
            return row.recorded, found
        if row.replayed is not None and (found := self._elsewhere(row.replayed, self.missing)) is not None:
            return found, row.replayed
        return None

    def _exchanged(self, row: Row) -> tuple[CallNode, CallNode] | None:
        """The call changed places with one in a different context: what is recorded there is made here, and the reverse."""
        if row.recorded is None or row.replayed is None or row.replayed.side.name is None:
            return None
        for other in self.renamed.get(_key(row.replayed), ()):
            if (
                other.recorded is None
                or other.replayed is None
                or _around(other.recorded.side) == _around(row.recorded.side)
            ):
                continue
            if _key(other.replayed) == _key(row.recorded):
                return other.recorded, row.replayed
        return None

    def _moved_inside(self, row: Row) -> tuple[CallNode, CallNode] | None:
        """A call moved into or out of the context that is new or gone."""
        for inner in self._alone_in(row.replayed):
            if (found := self._elsewhere(inner, self.missing)) is not None or _is_same(inner, row.recorded):
                return found or row.recorded or inner, inner
        for inner in self._alone_in(row.recorded):
            if (found := self._elsewhere(inner, self.added)) is not None or _is_same(row.replayed, inner):
                return inner, found or row.replayed or inner
        return None

    def _alone_in(self, node: CallNode | None) -> Iterator[CallNode]:
        """The calls inside a call that have no counterpart there."""
        for inner in _inside(node):
            row = self.rows[self.at[id(inner)]] if id(inner) in self.at else None
            if row is None or row.recorded is None or row.replayed is None:
                yield inner

    def _elsewhere(self, node: CallNode, candidates: dict[Hashable, list[CallNode]]) -> CallNode | None:
        if node.side.name is None:
            return None
        around = _around(node.side)
        for other in candidates.get(_key(node), ()):
            if _around(other.side) != around and is_same_function(node, other) is not False:
                return other
        return None

    def _loop(self, index: int) -> tuple[str, str] | None:
        """The same line makes the call more or less often than recorded."""
        row = self.rows[index]
        node = row.replayed if row.recorded is None else row.recorded
        if node is None or (row.recorded is not None and row.replayed is not None):
            return None
        alike = [one for one in self._siblings(index) if _is_alike(one, node)]
        sites = {one.replayed.side.call_site for one in alike if one.replayed is not None}
        replayed, recorded = sum(1 for one in alike if one.replayed), sum(1 for one in alike if one.recorded)
        site = next(iter(sites)) if len(sites) == 1 else None
        if site is None or replayed == recorded or not recorded or max(replayed, recorded) < 2:
            return None
        if node.side.name is None and replayed < 2:  # unnamed calls are alike wherever they are made
            return None
        self.counterparts[index] |= {
            self.at[id(one.recorded)]
            for one in alike
            if one.divergence is not None and one.divergence.kind in CONTENT and one.recorded is not None
        }
        return _in_loop(node, site, recorded, replayed)

    def _divided(self, index: int) -> tuple[str, str] | None:
        """One step in the place of several, or several in the place of one."""
        gap = list(self._gap(index))
        if any(row.divergence is None for row in gap):
            return None  # such as a call that was created and not awaited: it is in the code still
        before = [row.recorded for row in gap if row.recorded is not None]
        after = [row.replayed for row in gap if row.replayed is not None]
        nodes = [*before, *after]
        if any(node.side.type != OperationType.STEP or node.side.name is None for node in nodes):
            return None
        if len(before) == 1 and len(after) > 1:
            return _division(before[0], f"{_listed(before)} was split into {_listed(after)}", "the recorded call")
        if len(after) == 1 and len(before) > 1:
            return _division(after[0], f"{_listed(before)} were merged into {_listed(after)}", "the recorded calls")
        return None

    def _siblings(self, index: int) -> Iterator[Row]:
        """The rows of the same context."""
        depth = self.rows[index].depth
        for step in (-1, 1):
            at = index if step == 1 else index - 1
            while 0 <= at < len(self.rows) and self.rows[at].depth >= depth:
                if self.rows[at].depth == depth:
                    yield self.rows[at]
                at += step

    def _gap(self, index: int) -> Iterator[Row]:
        """The rows around one that differ, between two calls that are the same."""
        depth = self.rows[index].depth
        for step in (-1, 1):
            at = index if step == 1 else index - 1
            while 0 <= at < len(self.rows) and self.rows[at].depth == depth and _differs(self.rows[at]):
                yield self.rows[at]
                at += step


def _differs(row: Row) -> bool:
    return (
        row.recorded is None
        or row.replayed is None
        or (row.divergence is not None and row.divergence.kind is Kind.RENAMED)
    )


def _key(node: CallNode) -> Hashable:
    return _side_key(node.side)


def _side_key(side: Side) -> Hashable:
    return side.type, kind_of(side.type, side.subtype), side.name


def _is_same(node: CallNode | None, other: CallNode | None) -> bool:
    if node is None or other is None or node.side.name is None:
        return False
    return _key(node) == _key(other) and is_same_function(other, node) is not False


def _is_alike(row: Row, node: CallNode) -> bool:
    return any(one is not None and _key(one) == _key(node) for one in (row.recorded, row.replayed))


def _inside(node: CallNode | None) -> Iterator[CallNode]:
    pending = list(node.children or ())[::-1] if node is not None else []
    while pending:
        inner = pending.pop()
        yield inner
        pending.extend(list(inner.children or ())[::-1])


def _around(side: Side) -> str:
    """Path of the context of a call."""
    return (side.path or "").rpartition("/")[0]


def _move(before: Side, after: Side) -> tuple[str, str]:
    name, old, new = before.short_name, _around(before), _around(after)
    if new.startswith(old) and new != old:
        how = f"moved from {readable(old)} into {_context(new, name)}"
    elif old.startswith(new) and new != old:
        how = f"moved out of {_context(old, name)} to {readable(new)}"
    else:
        how = f"moved from {readable(old)} to {readable(new)}"
    fix = f"call {name} in {readable(old)} again, or move it only `if ctx.patched({change_id(before)}):`, {OLD}"
    return f"{name} {how}", fix


def _context(path: str, call: str) -> str:
    name = quoted(path.rpartition("/")[2])
    return name if name != call else "a context of the same name"


def _in_loop(node: CallNode, site: CallSite, recorded: int, replayed: int) -> tuple[str, str]:
    name, where = node.side.short_name, place(site)
    likely = (
        f"{where} calls {name} {times(replayed)}, and {times(recorded)} in the recording: the call moved into or out of a loop, "
        "or the loop runs over something that is not recorded"
    )
    fix = (
        f"compute what the loop runs over in a step; if you changed the loop, use the new loop only "
        f"`if ctx.patched({change_id(node.side)}):`, {OLD}"
    )
    return likely, fix


def _listed(nodes: list[CallNode]) -> str:
    names = [node.side.short_name for node in nodes[:MAX_LISTED]]
    names += ["…"] if len(nodes) > MAX_LISTED else []
    return enumerated(names)


def _division(node: CallNode, likely: str, recorded: str) -> tuple[str, str]:
    fix = f"make the new calls only `if ctx.patched({change_id(node.side)}):`, {OLD}, and {recorded} in `else:`"
    return likely, fix

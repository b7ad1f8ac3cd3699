"""Runs at the same positions of sibling contexts, such as the items of a map, share a line of the trace.

Otherwise the trace of a map with many open items would grow with the square of their number. The same holds for what is inside
the items: a map, or tasks. The reader derives the ids of the contexts from their numbers, as the runtime does.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, product
from typing import Any

from durable_execution.protocol.ids import operation_id, task_prefix
from durable_execution.trace.runs import CUT, CUT_DIGITS, Digest, ReplayRun, consecutive, digest_of_keys, run_of

MAX_WIDTH = CUT // 2
"""Longer runs have lines of their own: those of siblings save nothing."""

MAX_LEVELS = 6
"""Contexts within each other that a line joins: two maps without contexts within each other take three."""

MAX_DIGITS = 8

Origin = tuple[str | None, int, bool]
"""Where a context was created: the prefix of that context, the position there, or the number of a task, and whether it is one."""


Level = tuple[tuple[tuple[int, int], ...], bool]
"""First and last number of adjacent contexts, ascending, and whether they are tasks."""

Group = tuple[int, list[str]]
"""The number of a context, and the keys of the calls in it."""


@dataclass(frozen=True, slots=True)
class SiblingRuns:
    """Runs at the same positions of several contexts that were created in the same context.

    Attributes:
        context_id: Prefix of the ids of the contexts; None at the root.
        siblings: First and last position of adjacent contexts, ascending; numbers of tasks if `of_tasks`.
        first: Position of the first call in each context.
        last: Position of the last call in each context.
        cuts: Digests of the calls, without separators. Each covers as many contexts as have at most `CUT` calls.
        is_open: Whether the operations had not ended.
        of_tasks: Whether the siblings are tasks.
        inner: Where in each sibling the calls are, from the outside to the inside; empty if they are its own.
        at: Offset in seconds from the start of the invocation at which the runs were complete.
    """

    context_id: str | None
    siblings: tuple[tuple[int, int], ...]
    first: int
    last: int
    cuts: str = ""
    is_open: bool = False
    of_tasks: bool = False
    inner: tuple[Level, ...] = ()
    at: float | None = None

    @property
    def width(self) -> int:
        """The number of calls in each sibling."""
        found = self.last - self.first + 1
        for ranges, _ in self.inner:
            found *= sum(last - first + 1 for first, last in ranges)
        return found

    @property
    def count(self) -> int:
        """The number of calls."""
        return self.width * sum(last - first + 1 for first, last in self.siblings)

    @property
    def cut_count(self) -> int:
        """The number of digests that cover the calls; 0 if the positions or contexts are none."""
        if not 0 <= self.first <= self.last or not all(_are_ascending(ranges) for ranges, _ in self.inner):
            return 0
        if self.width > MAX_WIDTH or not _are_ascending(self.siblings):
            return 0
        count, before, cut = 0, -1, CUT // self.width
        for first, last in self.siblings:
            count += last // cut - first // cut + (first // cut != before // cut or before < 0)
            before = last
        return count

    def segments(self) -> Iterator[tuple[list[int], str]]:
        """Yield the siblings and the digest of each cut."""
        siblings = _numbers(self.siblings)
        for index, (_, numbers) in enumerate(groupby(siblings, key=lambda number: number // (CUT // self.width))):
            yield list(numbers), self.cuts[index * CUT_DIGITS : (index + 1) * CUT_DIGITS]

    def contexts(self, number: int) -> list[str]:
        """Return the prefixes of the calls in a sibling, in the order of the digests."""
        found = [sibling_id(self.context_id, number, of_tasks=self.of_tasks)]
        for ranges, of_tasks in self.inner:
            found = [sibling_id(each, inside, of_tasks=of_tasks) for each in found for inside in _numbers(ranges)]
        return found

    def places(self) -> Iterator[tuple[Any, ...]]:
        """Yield the place of each call in a sibling: the position, and the number and kind of each context in between."""
        between = [[(number, of_tasks) for number in _numbers(ranges)] for ranges, of_tasks in self.inner]
        for path in product(*between):
            for position in range(self.first, self.last + 1):
                yield position, *path

    def runs(self) -> Iterator[ReplayRun]:
        """Yield the run of each context, without digests."""
        for number in _numbers(self.siblings):
            for context_id in self.contexts(number):
                yield ReplayRun(context_id, self.first, self.last, "", self.is_open, self.at)


def _numbers(ranges: Sequence[tuple[int, int]]) -> Iterator[int]:
    for first, last in ranges:
        yield from range(first, last + 1)


def _are_ascending(ranges: Sequence[tuple[int, int]]) -> bool:
    before = -1
    for first, last in ranges:
        if not before < first <= last:
            return False
        before = last
    return bool(ranges)


def sibling_id(prefix: str | None, number: int, *, of_tasks: bool) -> str:
    """Return the prefix of the ids in a context, or of the calls of a task, that was created in the context `prefix`."""
    return task_prefix(prefix, number) if of_tasks else operation_id(prefix, number)


@dataclass(frozen=True, slots=True)
class _Block:
    """Calls below one context that are written together.

    Attributes:
        place: Where its first call is among all.
        context_id: A context around the calls.
        inner: Where in that context they are.
        first: Position of the first call in each innermost context.
        last: Position of the last call.
        is_open: Whether the operations had not ended.
        keys: The keys of the calls.
        joined: What was joined last: the context, the siblings in it, whether they are tasks, and where in them the calls are.
            None if the calls are those of one context.
        own: The context of the calls, if it is one.
    """

    place: int
    context_id: str | None
    inner: tuple[Level, ...]
    first: int
    last: int
    is_open: bool
    keys: list[str]
    own: str | None
    joined: tuple[str | None, list[Group], bool, tuple[Level, ...]] | None = None

    def run(self, digest: Digest | None) -> ReplayRun | SiblingRuns:
        """Return what is written."""
        if self.joined is None:
            return run_of(self.own, self.first, self.keys, is_open=self.is_open, digest=digest)
        context_id, siblings, of_tasks, inner = self.joined
        per_cut = CUT // len(siblings[0][1])
        cuts = "".join(
            digest_of_keys(key for _, keys in cut for key in keys)
            for _, cut in groupby(siblings, key=lambda sibling: sibling[0] // per_cut)
        )
        return SiblingRuns(context_id, _ranges(siblings), self.first, self.last, cuts, self.is_open, of_tasks, inner)


def joined(
    groups: Mapping[tuple[str | None, bool], list[tuple[int, list[str]]]],
    origins: Mapping[str, Origin | None],
    digest: Digest | None = None,
) -> Iterator[ReplayRun | SiblingRuns]:
    """Yield the runs of repeated calls, those of siblings together, at the place of the first.

    Args:
        groups: First position and keys of consecutive calls, by their context and by whether they are open.
        origins: Where the contexts were created.
        digest: Returns the digest of one cut of the calls of one context; None works it out.
    """
    blocks: list[_Block] = []
    for (context_id, is_open), found in groups.items():
        for first, keys in _merged(found):
            last = first + len(keys) - 1
            blocks.append(_Block(len(blocks), context_id, (), first, last, is_open, keys, context_id))
    done: list[_Block] = []
    for _ in range(MAX_LEVELS):
        alike: dict[tuple[Any, ...], list[tuple[int, _Block]]] = {}
        for block in blocks:
            created = origins.get(block.context_id) if block.context_id is not None else None
            if created is None or len(block.keys) > MAX_WIDTH:
                done.append(block)
            else:
                parent, number, of_tasks = created
                shape = parent, of_tasks, block.inner, block.first, block.last, block.is_open
                alike.setdefault(shape, []).append((number, block))
        blocks = [_around(parent, of_tasks, members) for (parent, of_tasks, *_), members in alike.items()]
    for block in sorted([*done, *blocks], key=lambda block: block.place):
        yield block.run(digest)


def _merged(parts: list[tuple[int, list[str]]]) -> Iterator[tuple[int, list[str]]]:
    """Yield the first position and the keys of calls, those that are consecutive together."""
    first = 0
    keys: list[str] = []
    for start, more in sorted(parts):
        if keys and start == first + len(keys):
            keys += more
        else:
            if keys:
                yield first, keys
            first, keys = start, [*more]
    yield first, keys


def _around(parent: str | None, of_tasks: bool, members: list[tuple[int, _Block]]) -> _Block:  # a shape's
    """Return blocks of the same shape in siblings as one block of the context around them."""
    members.sort(key=lambda member: member[0])
    block = members[0][1]
    siblings = [(number, each.keys) for number, each in members]
    level = _ranges(siblings), of_tasks
    if len(members) == 1:
        return replace(block, context_id=parent, inner=(level, *block.inner))
    return replace(
        block,
        place=min(each.place for _, each in members),
        context_id=parent,
        inner=(level, *block.inner),
        keys=[key for _, keys in siblings for key in keys],
        joined=(parent, siblings, of_tasks, block.inner),
    )


def _ranges(siblings: Sequence[Group]) -> tuple[tuple[int, int], ...]:
    return tuple((run[0][0], run[-1][0]) for run in consecutive(siblings))


def origin(context_id: str, parent: str | None, number: int, *, of_tasks: bool) -> Origin | None:
    """Return where a context was created, if a reader can find the context by it."""
    return (parent, number, of_tasks) if sibling_id(parent, number, of_tasks=of_tasks) == context_id else None


def origin_of_scope(context_id: str, scope: Any) -> Origin | None:
    """Return where the context of a running call was created; None if that is unknown."""
    if scope.owner is not None:
        return origin(context_id, scope.owner.scope.ids.prefix, scope.owner.position, of_tasks=False)
    return task_origin(context_id, scope.base.ids.prefix, scope.path) if scope.base is not None else None


def around(scope: Any) -> Any:
    """Return the scope that created the context of a running call, or the task that makes it; None at the root."""
    return scope.owner.scope if scope.owner is not None else scope.base


def task_origin(context_id: str, parent: str | None, path: str) -> Origin | None:
    """Return which task of the context `parent` makes the calls at a path; None if it is not a task of that context."""
    number = path.rpartition("~")[2]
    is_number = number.isascii() and number.isdecimal() and len(number) <= MAX_DIGITS
    return origin(context_id, parent, int(number), of_tasks=True) if is_number else None

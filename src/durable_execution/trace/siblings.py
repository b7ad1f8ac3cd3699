"""Runs at the same positions of sibling contexts, such as the items of a map, share a line of the trace.

Otherwise the trace of a map with many open items would grow with the square of their number. The reader derives the ids of the
contexts from their numbers, as the runtime does.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from durable_execution.protocol.ids import operation_id, task_prefix
from durable_execution.trace.runs import CUT, CUT_DIGITS, ReplayRun, consecutive, digest_of_keys, runs_of

MAX_WIDTH = CUT // 2
"""Longer runs have lines of their own: those of siblings save nothing."""

MAX_DIGITS = 8

Origin = tuple[str | None, int, bool]
"""Where a context was created: the prefix of that context, the position there, or the number of a task, and whether it is one."""


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
        of_tasks: Whether tasks made the calls.
        at: Offset in seconds from the start of the invocation at which the runs were complete.
    """

    context_id: str | None
    siblings: tuple[tuple[int, int], ...]
    first: int
    last: int
    cuts: str = ""
    is_open: bool = False
    of_tasks: bool = False
    at: float | None = None

    @property
    def width(self) -> int:
        """The number of calls in each context."""
        return self.last - self.first + 1

    @property
    def count(self) -> int:
        """The number of calls."""
        return self.width * sum(last - first + 1 for first, last in self.siblings)

    @property
    def cut_count(self) -> int:
        """The number of digests that cover the calls; 0 if the positions or contexts are none."""
        if not 0 <= self.first <= self.last or self.width > MAX_WIDTH:
            return 0
        count, before, cut = 0, -1, CUT // self.width
        for first, last in self.siblings:
            if not before < first <= last:
                return 0
            count += last // cut - first // cut + (first // cut != before // cut or before < 0)
            before = last
        return count

    def segments(self) -> Iterator[tuple[list[int], str]]:
        """Yield the contexts and the digest of each cut."""
        contexts = (number for first, last in self.siblings for number in range(first, last + 1))
        for index, (_, numbers) in enumerate(groupby(contexts, key=lambda number: number // (CUT // self.width))):
            yield list(numbers), self.cuts[index * CUT_DIGITS : (index + 1) * CUT_DIGITS]

    def runs(self) -> Iterator[ReplayRun]:
        """Yield the run of each context, without digests."""
        for first, last in self.siblings:
            for number in range(first, last + 1):
                context_id = sibling_id(self.context_id, number, of_tasks=self.of_tasks)
                yield ReplayRun(context_id, self.first, self.last, "", self.is_open, self.at)


def sibling_id(prefix: str | None, number: int, *, of_tasks: bool) -> str:
    """Return the prefix of the ids in a context, or of the calls of a task, that was created in the context `prefix`."""
    return task_prefix(prefix, number) if of_tasks else operation_id(prefix, number)


def siblings_of(
    context_id: str | None,
    contexts: Sequence[tuple[int, Sequence[str]]],
    first: int,
    *,
    is_open: bool,
    of_tasks: bool,
) -> SiblingRuns:
    """Join the runs of sibling contexts.

    Args:
        context_id: The context that created them.
        contexts: The number of each context, ascending, and the keys of its calls: as many for each.
        first: Position of the first call in each context.
        is_open: Whether the operations had not ended.
        of_tasks: Whether tasks made the calls.
    """
    width = len(contexts[0][1])
    ranges = tuple((run[0][0], run[-1][0]) for run in consecutive(contexts))
    cuts = "".join(
        digest_of_keys(key for _, keys in cut for key in keys)
        for _, cut in groupby(contexts, key=lambda context: context[0] // (CUT // width))
    )
    return SiblingRuns(context_id, ranges, first, first + width - 1, cuts, is_open, of_tasks)


def joined(
    groups: Mapping[tuple[str | None, bool], list[tuple[int, str]]], origins: Mapping[str, Origin | None]
) -> Iterator[ReplayRun | SiblingRuns]:
    """Yield the runs of repeated calls, those of siblings together, at the place of the first.

    Args:
        groups: Position and key of each call, by its context and by whether it is open.
        origins: Where the contexts were created.
    """
    alike: dict[tuple[Any, ...], list[tuple[int, str | None, Sequence[tuple[int, str]]]]] = {}
    for (context_id, is_open), found in groups.items():
        created = origins.get(context_id) if context_id is not None else None
        for run in consecutive(sorted(found)):
            first = run[0][0]
            if created is None or len(run) > MAX_WIDTH:
                alike[context_id, is_open, first] = [(0, context_id, run)]
            else:
                parent, number, of_tasks = created
                alike.setdefault((parent, is_open, first, len(run), of_tasks), []).append((number, context_id, run))
    for shape, members in alike.items():
        is_open, first = shape[1], shape[2]
        if len(members) == 1:
            yield from runs_of(members[0][1], members[0][2], is_open=is_open)
        else:
            contexts = sorted((number, [key for _, key in run]) for number, _, run in members)
            yield siblings_of(shape[0], contexts, first, is_open=is_open, of_tasks=shape[4])


def origin(context_id: str, parent: str | None, number: int, *, of_tasks: bool) -> Origin | None:
    """Return where a context was created, if a reader can find the context by it."""
    return (parent, number, of_tasks) if sibling_id(parent, number, of_tasks=of_tasks) == context_id else None


def origin_of_scope(context_id: str, scope: Any) -> Origin | None:
    """Return where the context of a running call was created; None if that is unknown."""
    if scope.owner is not None:
        return origin(context_id, scope.owner.scope.ids.prefix, scope.owner.position, of_tasks=False)
    return task_origin(context_id, scope.base.ids.prefix, scope.path) if scope.base is not None else None


def task_origin(context_id: str, parent: str | None, path: str) -> Origin | None:
    """Return which task of the context `parent` makes the calls at a path; None if it is not a task of that context."""
    number = path.rpartition("~")[2]
    is_number = number.isascii() and number.isdecimal() and len(number) <= MAX_DIGITS
    return origin(context_id, parent, int(number), of_tasks=True) if is_number else None

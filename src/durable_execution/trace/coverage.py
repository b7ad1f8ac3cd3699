"""Which invocations executed and replayed each operation, from the runs of their traces, without building their calls."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, overload

from durable_execution.trace.lazy_calls import Place, TraceCalls, place_of
from durable_execution.trace.runs import ReplayRun

if TYPE_CHECKING:
    from durable_execution.trace.schema import InvocationTrace, TraceEntry

MAX_TUPLE = 32
Interval = tuple[int, int]
Group = tuple[str | None, bool]


class Numbers(Sequence[int]):
    """Ascending numbers, kept as ranges."""

    __slots__ = ("_ends", "_ranges")

    def __init__(self, ranges: Iterable[range]) -> None:
        self._ranges = tuple(ranges)
        self._ends = [each.stop for each in self._ranges]

    def __len__(self) -> int:
        return sum(map(len, self._ranges))

    def __iter__(self) -> Iterator[int]:
        return chain.from_iterable(self._ranges)

    def __contains__(self, number: object) -> bool:
        if not isinstance(number, int):
            return False
        index = bisect_right(self._ends, number)
        return index < len(self._ranges) and number in self._ranges[index]

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[int]: ...
    def __getitem__(self, index: int | slice) -> int | Sequence[int]:
        return tuple(self)[index]

    def __repr__(self) -> str:
        return f"Numbers({list(self._ranges)!r})"


class Coverage:
    """What each traced invocation did with each operation.

    Attributes:
        invocations: Numbers of the traced invocations.
        places: Place of each call that has a line of its own, by id.
    """

    def __init__(self, traces: "Iterable[InvocationTrace]") -> None:
        self.invocations: set[int] = set()
        self.places: dict[str, Place] = {}
        self._executed: dict[str, list[int]] = defaultdict(list)
        self._replayed: dict[str, list[int]] = defaultdict(list)
        self._ranges: dict[tuple[Place, bool], list[range]] = defaultdict(list)
        self._since: dict[tuple[Place, bool], int] = {}
        active: dict[Group, list[Interval]] = {}
        last = 0
        for trace in traces:
            number = trace.invocation
            self.invocations.add(number)
            if number != last + 1:
                self._leave(active, {}, last)
                active = {}
            found = self._intervals(trace)
            self._leave(active, found, last)
            self._enter(active, found, number)
            active, last = found, number
        self._leave(active, {}, last)

    def executed_by(self, operation_id: str, place: Place | None) -> list[int]:
        """Return the invocations that ran an operation, in order."""
        place = self.places.get(operation_id, place)
        ranges = self._ranges.get((place, True), []) if place is not None else []
        return sorted({*self._executed.get(operation_id, ()), *chain.from_iterable(ranges)})

    def replayed_by(self, operation_id: str, place: Place | None) -> Sequence[int]:
        """Return the invocations that replayed an operation's result, in order."""
        place = self.places.get(operation_id, place)
        ranges = self._ranges.get((place, False), []) if place is not None else []
        alone = self._replayed.get(operation_id)
        if alone:
            return sorted({*alone, *chain.from_iterable(ranges)})
        numbers = Numbers(ranges)
        return tuple(numbers) if len(numbers) <= MAX_TUPLE else ranges[0] if len(ranges) == 1 else numbers

    def _intervals(self, trace: "InvocationTrace") -> dict[Group, list[Interval]]:
        """Return the positions that an invocation repeated, by context, as sorted intervals."""
        found: dict[Group, list[Interval]] = {}
        entries = trace.entries
        for part in entries.parts if isinstance(entries, TraceCalls) else entries:
            if isinstance(part, ReplayRun):
                found.setdefault((part.context_id, part.is_open), []).append((part.first, part.last))
            else:
                self._take(part, trace.invocation, found)
        return {group: _joined(intervals) for group, intervals in found.items()}

    def _take(self, entry: "TraceEntry", number: int, found: dict[Group, list[Interval]]) -> None:
        place = place_of(entry)
        if place is not None:
            self.places[entry.id] = place
        if entry.happened != "replayed":
            self._executed[entry.id].append(number)
        elif place is None:
            self._replayed[entry.id].append(number)
        else:
            found.setdefault((place[0], False), []).append((place[1], place[1]))

    def _enter(self, before: dict[Group, list[Interval]], now: dict[Group, list[Interval]], number: int) -> None:
        for (context_id, is_open), intervals in now.items():
            for position in _without(intervals, before.get((context_id, is_open), [])):
                self._since[(context_id, position), is_open] = number

    def _leave(self, before: dict[Group, list[Interval]], now: dict[Group, list[Interval]], last: int) -> None:
        for (context_id, is_open), intervals in before.items():
            for position in _without(intervals, now.get((context_id, is_open), [])):
                name = (context_id, position), is_open
                self._ranges[name].append(range(self._since.pop(name), last + 1))


def _joined(intervals: list[Interval]) -> list[Interval]:
    intervals.sort()
    joined = [intervals[0]]
    for first, last in intervals[1:]:
        if first <= joined[-1][1] + 1:
            joined[-1] = joined[-1][0], max(joined[-1][1], last)
        else:
            joined.append((first, last))
    return joined


def _without(intervals: list[Interval], others: list[Interval]) -> Iterator[int]:
    """Yield the positions in some intervals that are not in others. Both are sorted and disjoint."""
    index = 0
    for first, last in intervals:
        position = first
        while position <= last:
            while index < len(others) and others[index][1] < position:
                index += 1
            if index == len(others) or others[index][0] > last:
                yield from range(position, last + 1)
                break
            yield from range(position, others[index][0])
            position = others[index][1] + 1

"""The calls of an invocation, built from its lines and the runs that refer to earlier invocations when they are looked at."""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, overload

from durable_execution.trace.runs import (
    CUT,
    ReplayRun,
    configuration_text,
    digest_of_keys,
    identity_digest,
    key_of,
)
from durable_execution.trace.siblings import SiblingRuns, sibling_id

if TYPE_CHECKING:
    from durable_execution.trace.schema import InvocationTrace, TraceEntry

Segment = tuple[str | None, int, int]
Place = tuple[str | None, int]
"""Prefix of a call's id, and its position: what a run refers to."""

OLD_VERSION = 1
"""The schema version without function identities; its calls cannot be compared with a digest."""

IDENTITY_VERSIONS = (3, 4)
"""The last schema versions with the identities of step functions only, and without those of conditions and retried blocks: their
calls are compared with each other."""

MAX_TUPLE = 32
Interval = tuple[int, int]
Group = tuple[Any, ...]
"""Prefix of a context, and whether the calls are open: positions belong to it. Or: the prefix of the enclosing context, whether the
calls are open, whether tasks made them, a position, and where in each context it is: the numbers of contexts belong to it."""


def kin(version: int, python: str | None) -> str | None:
    """Return what the fingerprints of functions depend on: the version of Python, and which calls have them."""
    return f"{python} {sum(version > last for last in IDENTITY_VERSIONS)}" if python is not None else None


def place_of(entry: "TraceEntry") -> Place | None:
    """Return the place that a run refers to the call by; None if it has no position, or is a marker outside the numbering."""
    if entry.position is None or entry.subtype == "Patch":
        return None
    return entry.context_id or entry.parent_id, entry.position


class TraceIndex:
    """Finds the latest line of each call, in the invocations of one trace file."""

    def __init__(self) -> None:
        self._lines: dict[Place, list[tuple[int, TraceEntry]]] = defaultdict(list)
        self._comparable: dict[int, str | None] = {}
        self._keys: dict[int, tuple[TraceEntry, str]] = {}
        self._digests: dict[tuple[Segment, str | None], str] = {}
        self._of_siblings: dict[tuple[Any, ...], str] = {}
        self._changed: set[Place] = set()

    def add(self, number: int, version: int, python: str | None, entries: Iterable["TraceEntry"]) -> None:
        """Add the lines of an invocation, in order of the invocations.

        Args:
            number: Number of the invocation.
            version: Schema version of the lines.
            python: Version of Python, on which the fingerprints of functions depend.
            entries: The lines.
        """
        if version > OLD_VERSION:
            self._comparable[number] = kin(version, python)
        for entry in entries:
            place = place_of(entry)
            if place is not None and entry.happened != "diverged":
                self._lines[place].append((number, entry))

    def find(self, place: Place, before: int) -> "TraceEntry | None":
        """Return the latest line of a call in the invocations before the given one."""
        found = self._line(place, before)
        return found[1] if found is not None else None

    def changes(
        self, parts: "Iterable[TraceEntry | ReplayRun | SiblingRuns]", before: int, python: str | None
    ) -> Iterator[Segment]:
        """Yield where calls were not made as before: their context, and positions from and to.

        Call this for every invocation in order. A change is reported for the first invocation that has it.
        """
        for part in parts:
            if isinstance(part, ReplayRun):
                yield from self._changes_in_run(part, before, python)
                continue
            if isinstance(part, SiblingRuns):
                yield from self._changes_in_siblings(part, before, python)
                continue
            if part.happened == "diverged":  # a different call in the place of the recorded one: the difference says so
                continue
            place = place_of(part)
            known = self._known_key(place, before, python) if place is not None else None
            if place is not None and known is not None and known != self._key(part):
                yield place[0], place[1], place[1]

    def _changes_in_run(self, run: ReplayRun, before: int, python: str | None) -> Iterator[Segment]:
        for first, last, digest in run.segments():
            segment = run.context_id, first, last
            seen = self._digests.get((segment, python))
            if seen == digest:
                continue
            self._digests[segment, python] = digest
            cut = run.context_id, first // CUT
            if seen is not None or (cut not in self._changed and self._is_different(segment, digest, before, python)):
                self._changed.add(cut)
                yield segment

    def _changes_in_siblings(self, runs: SiblingRuns, before: int, python: str | None) -> Iterator[Segment]:
        for numbers, digest in runs.segments():
            contexts = runs.context_id, runs.of_tasks, runs.inner, runs.first, runs.last, tuple(numbers), python
            seen = self._of_siblings.get(contexts)
            if seen == digest:
                continue
            self._of_siblings[contexts] = digest
            ids = [id_ for number in numbers for id_ in runs.contexts(number)]
            places = [(id_, position) for id_ in ids for position in range(runs.first, runs.last + 1)]
            if any((id_, runs.first // CUT) in self._changed for id_ in ids):
                continue
            if seen is not None or self._are_different(places, digest, before, python):
                self._changed.update((id_, runs.first // CUT) for id_ in ids)
                yield from dict.fromkeys((id_, runs.first, runs.last) for id_ in (ids[0], ids[-1]))

    def _is_different(self, segment: Segment, digest: str, before: int, python: str | None) -> bool:
        context_id, first, last = segment
        return self._are_different([(context_id, at) for at in range(first, last + 1)], digest, before, python)

    def _are_different(self, places: Sequence[Place], digest: str, before: int, python: str | None) -> bool:
        keys = []
        for place in places:
            key = self._known_key(place, before, python)
            if key is None:
                return False
            keys.append(key)
        return digest_of_keys(keys) != digest

    def _known_key(self, place: Place, before: int, python: str | None) -> str | None:
        """Return the key of a call as it was; None if that cannot be compared."""
        line = self._line(place, before)
        if line is None or line[0] not in self._comparable or self._comparable[line[0]] != python:
            return None
        return self._key(line[1])

    def _line(self, place: Place, before: int) -> "tuple[int, TraceEntry] | None":
        lines = self._lines.get(place)
        index = bisect_left(lines, before, key=itemgetter(0)) if lines else 0
        return lines[index - 1] if lines and index else None

    def _key(self, entry: "TraceEntry") -> str:
        known = self._keys.get(id(entry))
        if known is None:
            identity = (entry.type, entry.subtype, entry.name, entry.call_site, entry.function, entry.body)
            configuration = configuration_text(entry.configuration)
            key = key_of(entry.id, identity_digest(identity), configuration, entry.input_digest)
            known = self._keys[id(entry)] = entry, key
        return known[1]


class TraceCalls(Sequence["TraceEntry"]):
    """The calls of one invocation in call order. Those that a run refers to are built on first use.

    Attributes:
        parts: The calls with a line of their own, and the runs, in the order of the file.
        changed: Where the code did not repeat the calls of earlier invocations: contexts, with positions from and to.
    """

    __slots__ = ("_built", "_index", "_number", "changed", "parts")

    def __init__(
        self,
        parts: "Sequence[TraceEntry | ReplayRun | SiblingRuns]",
        index: TraceIndex,
        number: int,
        python: str | None,
    ) -> None:
        self.parts = tuple(parts)
        self._index = index
        self._number = number
        self.changed = tuple(index.changes(self.parts, number, python))
        self._built: tuple[TraceEntry, ...] | None = None

    @property
    def written(self) -> "tuple[TraceEntry, ...]":
        """The calls with a line of their own."""
        return tuple(part for part in self.parts if not isinstance(part, ReplayRun | SiblingRuns))

    @property
    def runs(self) -> tuple[ReplayRun, ...]:
        """The runs, those of siblings one by one."""
        return tuple(part for part in _one_by_one(self.parts) if isinstance(part, ReplayRun))

    def changed_paths(self) -> Iterator[str]:
        """Yield the calls that the code did not repeat as before, by their paths: one, or the first and last of several."""
        for context_id, first, last in self.changed:
            ends = [self._index.find((context_id, position), self._number) for position in (first, last)]
            yield " to ".join(dict.fromkeys(entry.path for entry in ends if entry is not None))

    def __len__(self) -> int:
        return len(self._calls())

    def __iter__(self) -> "Iterator[TraceEntry]":
        return iter(self._calls())

    @overload
    def __getitem__(self, index: int) -> "TraceEntry": ...
    @overload
    def __getitem__(self, index: slice) -> "tuple[TraceEntry, ...]": ...
    def __getitem__(self, index: int | slice) -> "TraceEntry | tuple[TraceEntry, ...]":
        return self._calls()[index]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return self._calls() == tuple(other)

    __hash__ = None  # type: ignore[assignment]  # equal to a tuple with another hash

    def __repr__(self) -> str:
        return f"TraceCalls({self.parts!r})"

    def _calls(self) -> "tuple[TraceEntry, ...]":
        if self._built is None:
            self._built = tuple(self._build())
        return self._built

    def _build(self) -> "Iterator[TraceEntry]":
        written = self.written
        if len(written) == len(self.parts):
            yield from written
            return
        for number, entry in enumerate(_contexts_first(list(self._expanded(written))), start=1):
            yield entry if entry.seq == number else replace(entry, seq=number)

    def _expanded(self, written: "tuple[TraceEntry, ...]") -> "Iterator[TraceEntry]":
        own = {place: entry for entry in written if (place := place_of(entry)) is not None}
        pending = set(map(id, written))
        for is_run, group in groupby(_one_by_one(self.parts), key=lambda part: isinstance(part, ReplayRun)):
            parts: list[Any] = list(group)
            for entry in _Expansion(parts, self._index, self._number, own).calls() if is_run else parts:
                if id(entry) in pending:
                    pending.remove(id(entry))
                elif not is_run or place_of(entry) in own:
                    continue  # it stands at its place in a run already
                yield entry


def _contexts_first(entries: "Sequence[TraceEntry]") -> "Iterator[TraceEntry]":
    """Yield calls after the virtual context they are in: a trace has an open one after everything that happened elsewhere."""
    contexts = {entry.id: entry for entry in entries if entry.is_virtual}
    for entry in entries:
        around: list[TraceEntry] = []
        id_ = entry.id if entry.id in contexts else entry.context_id or entry.parent_id
        while id_ is not None and (context := contexts.pop(id_, None)) is not None:
            around.append(context)
            id_ = context.context_id or context.parent_id
        yield from reversed(around)
        if not entry.is_virtual:
            yield entry


def _one_by_one(parts: "Iterable[TraceEntry | ReplayRun | SiblingRuns]") -> "Iterator[TraceEntry | ReplayRun]":
    for part in parts:
        if isinstance(part, SiblingRuns):
            yield from part.runs()
        else:
            yield part


def lines_of_calls(entries: "Sequence[TraceEntry]") -> "Sequence[TraceEntry]":
    """Return the calls that have a line of their own in the trace, without building the others."""
    return entries.written if isinstance(entries, TraceCalls) else entries


class _Expansion:
    """Adjacent runs, expanded depth first: the calls of a context follow the call of the context."""

    def __init__(self, runs: "list[Any]", index: TraceIndex, number: int, own: "Mapping[Place, TraceEntry]") -> None:
        self._index, self._number, self._own = index, number, own
        self._by_context: dict[str | None, list[ReplayRun]] = {}
        for run in runs:
            self._by_context.setdefault(run.context_id, []).append(run)

    def calls(self) -> "Iterator[TraceEntry]":
        while self._by_context:
            stack = [self._calls_of(next(iter(self._by_context)))]
            while stack:
                entry = next(stack[-1], None)
                if entry is None:
                    stack.pop()
                    continue
                yield entry
                if entry.id in self._by_context:
                    stack.append(self._calls_of(entry.id))

    def _calls_of(self, context_id: str | None) -> "Iterator[TraceEntry]":
        for run in sorted(self._by_context.pop(context_id), key=lambda run: run.first):
            for position in range(run.first, run.last + 1):
                place = context_id, position
                own = self._own.get(place)
                if own is not None:
                    yield own
                    continue
                known = self._index.find(place, self._number)
                if known is not None:
                    yield _repeated(known, run)


def _repeated(known: "TraceEntry", run: ReplayRun) -> "TraceEntry":
    happened = "pending" if run.is_open else "replayed"
    if known.is_virtual and known.status == "STARTED" and not run.is_open:
        known = replace(known, status=None)  # the invocation in which it ended stopped before it wrote that
    return replace(known, happened=happened, at=run.at, ended=None, attempts=(), locals={}, extra={})


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
            elif isinstance(part, SiblingRuns):
                for place in part.places():
                    group = part.context_id, part.is_open, part.of_tasks, *place
                    found.setdefault(group, []).extend(part.siblings)
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
        for group, intervals in now.items():
            for each in _without(intervals, before.get(group, [])):
                self._since[_place_in(group, each), group[1]] = number

    def _leave(self, before: dict[Group, list[Interval]], now: dict[Group, list[Interval]], last: int) -> None:
        for group, intervals in before.items():
            for each in _without(intervals, now.get(group, [])):
                name = _place_in(group, each), group[1]
                self._ranges[name].append(range(self._since.pop(name), last + 1))


def _place_in(group: Group, number: int) -> Place:
    """Return the place of a call by what belongs to its group."""
    if len(group) == len(("context", "is_open")):
        return group[0], number
    context_id, _, of_tasks, position, *inner = group
    context_id = sibling_id(context_id, number, of_tasks=of_tasks)
    for inside, is_task in inner:
        context_id = sibling_id(context_id, inside, of_tasks=is_task)
    return context_id, position


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

"""The rows of a comparison of two sides, call by call: aligned, or paired by position.

The two sides are two executions, an execution and a replay, or an execution and the code that its own invocation ran: one that
reaches a call which does not match the recording stops there. Its replay trace holds the calls up to that point and the
difference; without a trace, the error that ended the execution explains the difference in its text.
"""

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from durable_debugger.model.diff_rows import DiffRow, with_nested
from durable_execution.call_site import CallSite
from durable_execution.comparison.call_tree import CallNode, node_of
from durable_execution.comparison.comparison import Comparison, Row
from durable_execution.counts import counted
from durable_execution.divergence import (
    NONDETERMINISM,
    TITLES,
    Divergence,
    DivergenceKind,
    Severity,
    Side,
    call_of,
    lines_of,
)
from durable_execution.history.recorded import RecordedExecution, RecordedOperation
from durable_execution.protocol import OperationType
from durable_execution.protocol.ids import KINDS_BY_SUBTYPE, KINDS_BY_TYPE
from durable_execution.replay.report import ReplayReport, Verdict
from durable_execution.trace.schema import InvocationTrace, TraceEntry

SEVERITIES = tuple(Severity)
HEADLINE = re.compile(r"^Nondeterminism in (?P<context>.+?)(?: at call (?P<position>\d+))?: (?P<kind>\w+)$")
CALL = re.compile(r'(?P<kind>[a-z ]+?) (?:"(?P<name>[^"]*)"|\(unnamed\)).*')
SITE = re.compile(r"  (?P<file>\S.*):(?P<line>\d+) in (?P<function>\S+)$")
TYPES = {
    **{kind.replace("_", " "): (OperationType.CONTEXT, subtype) for subtype, kind in KINDS_BY_SUBTYPE.items()},
    **{kind: (type_, None) for type_, kind in KINDS_BY_TYPE.items()},
}
"""Type and subtype of a call by its kind in a text; the other kinds are types."""
TAKES_PLACE = frozenset(
    {DivergenceKind.RENAMED, DivergenceKind.CHANGED_KIND, DivergenceKind.INSERTED, DivergenceKind.SKIPPED}
)
"""Kinds of a different call where the recording has one."""

SHORT_ID = re.compile(r"\bid (\w+)…")


class Differences:
    """A comparison, mapped to the rows of a session. Every view reads differences from this one value.

    Args:
        comparison: The comparison.
        rows: Row of each recorded operation by id.
        operations: The recorded operations, to place differences inside contexts that the comparison does not open.
        replayed_by: Description of the replayed side.
        labels: Names of the two sides.
        invocation: The invocation that found the differences at run time; None for a replay.
        remark: The result in one sentence, when there is no difference to show.
        is_failure: Whether that result needs attention.

    Attributes:
        aligned: Rows by alignment; equal calls below a call are folded away.
        roots: Indexes into `aligned` of the root differences.
        follow_on: Number of differences that follow from them, as their explanations say it.
    """

    def __init__(
        self,
        comparison: Comparison,
        rows: Mapping[str, int],
        *,
        operations: Sequence[RecordedOperation] = (),
        replayed_by: str = "your code now",
        labels: tuple[str, str] = ("recorded", "replayed"),
        invocation: int | None = None,
        remark: str = "",
        is_failure: bool = False,
    ) -> None:
        self.comparison = comparison
        self.replayed_by = replayed_by
        self.labels = labels
        self.invocation = invocation
        self.remark = remark
        self.is_failure = is_failure
        self.aligned = with_nested(_aligned(comparison, rows), comparison, rows, operations)
        self.roots = [index for index, row in enumerate(self.aligned) if row.is_root]
        causes = [self.aligned[index].divergence for index in self.roots]
        self.follow_on = sum(each.follow_on for each in causes if each is not None)
        self._by_position: list[DiffRow] | None = None
        self._known = [(each.row, index) for index, each in enumerate(self.aligned) if each.row is not None]

    @property
    def by_position(self) -> Sequence[DiffRow]:
        """Rows paired by position in each context, as a service that only counts calls pairs them."""
        if self._by_position is None:
            self._by_position = _by_position(self.aligned)
        return self._by_position

    @property
    def first(self) -> Divergence | None:
        """The root difference to explain first: the first error, else the first warning or remark."""
        found = [self.aligned[index].divergence for index in self.roots]
        return min((each for each in found if each is not None), key=_urgency, default=None)

    def index_of(self, row: int) -> int | None:
        """Index of a session's row, or of the nearest row before it when the row is folded away."""
        at = bisect_right(self._known, (row, len(self.aligned)))
        return self._known[at - 1][1] if at else None

    def root_at(self, index: int) -> DiffRow | None:
        """The row of the root difference that explains a row: the row itself, or the nearest root before a follow-on row."""
        row = self.aligned[index]
        if row.is_root:
            return row
        before = bisect_right(self.roots, index)
        return self.aligned[self.roots[before - 1]] if row.is_follow_on and before else None

    def why(self, index: int) -> Divergence | None:
        """The difference that explains a row: its own, or the nearest root before it."""
        root = self.root_at(index)
        return root.divergence if root is not None else self.aligned[index].divergence


def sites_today(differences: Differences | None) -> dict[int, CallSite]:
    """Return where a replay's code made the recorded calls, by row; lines move when a file is edited."""
    if differences is None:
        return {}
    return {
        each.row: each.replayed.side.call_site
        for each in differences.aligned
        if each.row is not None and each.replayed is not None and each.replayed.side.call_site is not None
    }


def _urgency(divergence: Divergence) -> int:
    return SEVERITIES.index(divergence.severity)


def _aligned(comparison: Comparison, rows: Mapping[str, int]) -> list[DiffRow]:
    found: list[DiffRow] = []
    sources = comparison.rows
    index = 0
    while index < len(sources):
        source = sources[index]
        end = index + 1
        while end < len(sources) and sources[end].depth > source.depth:
            end += 1
        hidden = end - index - 1 if _is_dull(source, sources[index + 1 : end]) else 0
        identifier = source.recorded.side.id if source.recorded else None
        found.append(
            DiffRow(
                source.depth,
                source.recorded,
                source.replayed,
                source.divergence,
                source.shift != 0,
                rows.get(identifier) if identifier else None,
                hidden,
            )
        )
        index = end if hidden else index + 1
    return found


def of_report(report: ReplayReport) -> Comparison:
    """Convert a replay report to a comparison: its rows, with the report's severity for each difference."""
    judged: dict[Hashable, list[Divergence]] = defaultdict(list)
    for each in report.divergences:
        judged[_key(each)].append(each)
    of_rows: dict[int, Divergence] = {}
    for is_root in (True, False):  # the search for a cause can find that a root follows from a different one
        for index, row in enumerate(report.rows):
            divergence = row.divergence if index not in of_rows else None
            known = judged.get(_key(divergence, is_root=divergence.is_root and is_root)) if divergence else None
            if known:
                of_rows[index] = known.pop(0)
    found: list[Row] = []
    for index, row in enumerate(report.rows):
        divergence = row.divergence
        if index in of_rows:
            divergence = of_rows[index]
        elif divergence is not None and divergence.kind is DivergenceKind.INPUT:
            divergence = None  # the report does not blame the code for it
        if divergence is not None and divergence.kind is DivergenceKind.INSERTED and row.recorded and row.replayed:
            found += [Row(row.depth, None, row.replayed, divergence), Row(row.depth, row.recorded, None)]
            continue
        found.append(replace(row, divergence=divergence))
    placed = [row.divergence for row in found if row.divergence is not None]
    return Comparison(tuple(found), (*placed, *(each for rest in judged.values() for each in rest)))


def _key(divergence: Divergence, *, is_root: bool | None = None) -> Hashable:
    """What a row and a report say of one difference. A report can know that a call is new or skipped, where a row has it renamed."""
    recorded = divergence.recorded.id if divergence.recorded else None
    kind = None if divergence.kind in TAKES_PLACE else divergence.kind
    return kind, divergence.path, divergence.position, recorded, divergence.is_root if is_root is None else is_root


def _is_dull(source: Row, below: Sequence[Row]) -> bool:
    """Whether the calls below a call add no information: all are equal, or all exist on the call's side only."""
    has = (source.recorded is not None, source.replayed is not None)
    return all(
        each.divergence is None and (each.recorded is not None, each.replayed is not None) == has for each in below
    )


def _by_position(aligned: Sequence[DiffRow]) -> list[DiffRow]:
    """Pair the calls of each context by number; the calls inside a pair follow it."""
    found: list[DiffRow] = []
    stack = [list(aligned)]
    while stack:
        block = stack.pop()
        if not block:
            continue
        depth = block[0].depth
        ends = [index for index, row in enumerate(block) if row.depth == depth] + [len(block)]
        children = {start: block[start + 1 : end] for start, end in pairwise(ends)}
        left = [start for start in children if block[start].recorded is not None]
        right = [start for start in children if block[start].replayed is not None]
        for number in range(max(len(left), len(right))):
            one = block[left[number]] if number < len(left) else None
            other = block[right[number]] if number < len(right) else None
            is_same = one is other
            found.append(
                DiffRow(
                    depth,
                    one.recorded if one else None,
                    other.replayed if other else None,
                    one.divergence if one is not None and is_same else None,
                    not is_same,
                    one.row if one else None,
                    one.hidden if one else 0,
                )
            )
            if one is not None and is_same:
                found += children[left[number]]
    return found


def divergence_at_run_time(execution: RecordedExecution) -> tuple[Divergence | None, int | None]:
    """Return the first difference that an execution's own invocations found, and the invocation; None for none."""
    found = runtime_differences(execution, {})
    return (found.first, found.invocation) if found is not None else (None, None)


def runtime_differences(execution: RecordedExecution, rows: Mapping[str, int]) -> Differences | None:
    """Return what an execution's own invocations found; None when none of them met a difference.

    Args:
        execution: The recorded execution.
        rows: Row of each operation by id.
    """
    trace = next((each for each in reversed(execution.traces) if each.divergences), None)
    if trace is not None:
        name = f"invocation {trace.invocation}"
        found = _located(execution, trace.divergences)
        sharpened = tuple(_sharpened(each, execution) for each in found)
        comparison = _comparison(execution, _entries(trace), sharpened)
        return Differences(comparison, rows, replayed_by=name, invocation=trace.invocation)
    divergence = divergence_of_error(execution)
    if divergence is None:
        return None
    number = execution.invocations[-1].number if execution.invocations else None
    name = f"invocation {number}" if number is not None else "its last invocation"
    comparison = _comparison(execution, {}, (_sharpened(divergence, execution),))
    return Differences(comparison, rows, replayed_by=name, invocation=number)


def _located(execution: RecordedExecution, divergences: Sequence[Divergence]) -> Iterator[Divergence]:
    """Yield differences with what earlier invocations recorded about the recorded call: its line, and who made it."""
    known = execution.by_id()
    for each in divergences:
        operation = known.get(each.recorded.id or "") if each.recorded is not None else None
        if operation is None or each.recorded is None:
            yield each
            continue
        made = node_of(operation).side
        site, invocation = each.recorded.call_site or made.call_site, each.recorded.invocation or made.invocation
        yield replace(each, recorded=replace(each.recorded, call_site=site, invocation=invocation))


def _sharpened(divergence: Divergence, execution: RecordedExecution) -> Divergence:
    """Return a difference with the edit or the line that decides it, where the code that ran is on this computer."""
    if not divergence.is_root:
        return divergence
    from durable_execution.replay.cause.edits import edit_at_call, recorded_sources
    from durable_execution.replay.cause.explained import applied

    cause = edit_at_call(divergence, recorded_sources(execution)) if divergence.cause is None else None
    return applied(replace(divergence, cause=cause or divergence.cause))


def divergence_of_error(execution: RecordedExecution) -> Divergence | None:
    """Read the difference from the error that ended the execution; None when it ended differently."""
    error = execution.error
    if error is None or (error.type or "").rpartition(".")[2] != NONDETERMINISM:
        return None
    first, *rest = (error.message or "").splitlines() or [""]
    head = HEADLINE.match(first)
    if head is None or head["kind"] not in {kind.value for kind in TITLES}:
        return None
    lines = lines_of(rest)
    short = SHORT_ID.search(lines.get("recorded", ""))
    recorded = next((each for each in execution.operations if short is not None and each.id.startswith(short[1])), None)
    position = int(head["position"]) if head["position"] else None
    return Divergence(
        kind=DivergenceKind(head["kind"]),
        severity=Severity.ERROR,
        handler=head["context"].partition("/")[0],
        path=recorded.path if recorded else head["context"],
        context_path=head["context"],
        position=position,
        recorded=_recorded_side(recorded, lines.get("recorded")),
        replayed=_side(lines.get("replayed")),
        effect=lines.get("effect", "the execution cannot continue"),
        fix=lines.get("fix", "replay the execution to see what to change"),
        likely=lines.get("likely"),
    )


def _recorded_side(operation: RecordedOperation | None, text: str | None) -> Side | None:
    return node_of(operation).side if operation is not None else _side(text)


def _side(text: str | None) -> Side | None:
    if text is None or text.startswith("nothing"):
        return None
    call, site = CALL.match(call_of(text)), SITE.search(text)
    at = CallSite(site["file"], int(site["line"]), site["function"]) if site is not None else None
    if call is None:
        return Side(type="", call_site=at, detail=call_of(text))
    type_, subtype = TYPES.get(call["kind"], (call["kind"].upper(), None))
    return Side(type=type_, subtype=subtype, name=call["name"], call_site=at, detail=call[0])


def _entries(trace: InvocationTrace) -> dict[str, TraceEntry]:
    return {entry.id: entry for entry in trace.entries if entry.happened != "diverged"}


def _comparison(
    execution: RecordedExecution, entries: Mapping[str, TraceEntry], divergences: tuple[Divergence, ...]
) -> Comparison:
    """Pair each recorded call with the diverging invocation's call, and place the differences."""
    at: dict[str, list[Divergence]] = {}
    for each in divergences:
        if each.recorded is not None and each.recorded.id is not None:
            at.setdefault(each.recorded.id, []).append(each)
    early = _called_early(execution, divergences)
    found: list[Row] = []
    answered: set[str] = set()
    for operation in execution.operations:
        taken_by = early.get(operation.id)
        if taken_by is not None and taken_by.replayed is not None:
            found.append(Row(operation.depth, node_of(operation), CallNode(taken_by.replayed)))
            continue
        entry = entries.get(operation.id)
        is_inside = operation.parent_id in answered
        if is_inside or (entry is not None and entry.happened == "replayed"):
            answered.add(operation.id)
        found += _rows(operation, entry, at.pop(operation.id, []), early.values(), is_inside=is_inside)
    left = [each for each in divergences if not any(row.divergence is each for row in found)]
    found += [Row(0, None, CallNode(each.replayed) if each.replayed else None, each) for each in left]
    return Comparison(tuple(found), tuple(row.divergence for row in found if row.divergence is not None))


def _called_early(execution: RecordedExecution, divergences: Iterable[Divergence]) -> dict[str, Divergence]:
    """Return the skipped calls in whose place the code made a call that is recorded later, by the id of that call."""
    found: dict[str, Divergence] = {}
    known = execution.by_id()
    for each in divergences:
        skipped = known.get(each.recorded.id or "") if each.recorded is not None else None
        if each.kind is not DivergenceKind.SKIPPED or each.replayed is None or skipped is None:
            continue
        made = each.replayed
        later = (
            one
            for one in execution.operations
            if (one.parent_id, one.type, one.name) == (skipped.parent_id, made.type, made.name)
            and (one.position or 0) > (skipped.position or 0)
        )
        taken = next(later, None)
        if taken is not None:
            found[taken.id] = each
    return found


def _rows(
    operation: RecordedOperation,
    entry: TraceEntry | None,
    divergences: list[Divergence],
    early: Collection[Divergence],
    *,
    is_inside: bool,
) -> list[Row]:
    node = node_of(operation)
    if not divergences:
        partner = node if is_inside else CallNode(_side_of(entry)) if entry is not None else None
        return [Row(operation.depth, node, partner)]
    found: list[Row] = []
    for each in divergences:
        replayed = CallNode(each.replayed) if each.replayed is not None else None
        if each.kind is DivergenceKind.INSERTED:
            found.append(Row(operation.depth, None, replayed, each))
        elif each.kind is DivergenceKind.SKIPPED and any(each is one for one in early):
            found.append(Row(operation.depth, node, None, each))
        else:
            found.append(Row(operation.depth, node, replayed, each))
    has_recorded = any(row.recorded is not None for row in found)
    return found if has_recorded else [*found, Row(operation.depth, node, None)]


def _side_of(entry: TraceEntry) -> Side:
    return Side(
        type=entry.type,
        subtype=entry.subtype,
        name=entry.name,
        id=entry.id,
        position=entry.position,
        call_site=entry.call_site,
        configuration=entry.configuration,
        path=entry.path,
    )


def differences_of(report: ReplayReport, execution: RecordedExecution) -> Differences:
    """Return a report's differences, for the rows of its own execution."""
    execution = report.execution or execution
    rows = {operation.id: row for row, operation in enumerate(execution.operations)}
    return Differences(
        of_report(report),
        rows,
        operations=execution.operations,
        remark=remark_of(report),
        is_failure=report.verdict is not Verdict.SAME,
    )


RESULTS = {
    Verdict.STUCK: "Your code is stuck",
    Verdict.HUNG: "Your code is stuck",
    Verdict.UNREADABLE: "The recording does not hold enough to tell",
    Verdict.UNSTABLE: "Unstable",
    Verdict.INTERRUPTED: "The replay was interrupted",
}
"""What a replay without a difference says where it did not simply fail."""


def remark_of(report: ReplayReport) -> str:
    """Return the result of a replay that found no difference, in one sentence."""
    calls = counted(report.calls, "call")
    if report.verdict is Verdict.SAME:
        failed = f", and fails as it did: {report.error}" if report.error else ""
        return f"Same: your code makes the {calls} of the recording{failed}"
    if report.verdict is Verdict.EFFECTS:
        first = f": {report.effects[0]}" if report.effects else ""
        return f"Your code attempts a side effect outside a step{first}"
    told = f": {report.error}" if report.error else ""
    return f"{RESULTS.get(report.verdict, 'Your code failed')}{told}"

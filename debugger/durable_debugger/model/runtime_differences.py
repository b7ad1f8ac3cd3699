"""The differences that an execution met while it ran, in the form of a replay's.

An invocation that reaches a call which does not match the recording stops there. Its replay trace holds the calls up to
that point and the difference; without a trace, the error that ended the execution explains the difference in its text.
"""

import re
from collections.abc import Mapping

from durable_debugger.model.differences import Differences
from durable_execution.comparison.call_tree import CallNode, node_of
from durable_execution.comparison.comparison import Comparison, Row
from durable_execution.divergence import TITLES, Divergence, DivergenceKind, Severity, Side
from durable_execution.history.recorded import RecordedExecution, RecordedOperation
from durable_execution.replay.deciding_line import with_deciding_line
from durable_execution.trace.schema import InvocationTrace, TraceEntry

HEADLINE = re.compile(r"^Nondeterminism in (?P<context>.+?)(?: at call (?P<position>\d+))?: (?P<kind>\w+)$")
LINE = re.compile(r"^ {2}(recorded|replayed|likely|effect|fix) +(.*)$")
SHORT_ID = re.compile(r"\bid (\w+)…")
ERROR = "NondeterminismError"


def runtime_differences(execution: RecordedExecution, rows: Mapping[str, int]) -> Differences | None:
    """Return what an execution's own invocations found; None when none of them met a difference.

    Args:
        execution: The recorded execution.
        rows: Row of each operation by id.
    """
    trace = next((each for each in reversed(execution.traces) if each.divergences), None)
    if trace is not None:
        name = f"invocation {trace.invocation}"
        comparison = _comparison(execution, _entries(trace), tuple(map(_sharpened, trace.divergences)))
        return Differences(comparison, rows, replayed_by=name, invocation=trace.invocation)
    divergence = divergence_of_error(execution)
    if divergence is None:
        return None
    number = execution.invocations[-1].number if execution.invocations else None
    name = f"invocation {number}" if number is not None else "its last invocation"
    return Differences(_comparison(execution, {}, (divergence,)), rows, replayed_by=name, invocation=number)


def _sharpened(divergence: Divergence) -> Divergence:
    """Return a difference with the line that decides it, where the code that ran is on this computer."""
    return with_deciding_line(divergence) if divergence.is_root else divergence


def divergence_of_error(execution: RecordedExecution) -> Divergence | None:
    """Read the difference from the error that ended the execution; None when it ended differently."""
    error = execution.error
    if error is None or (error.type or "").rpartition(".")[2] != ERROR:
        return None
    first, *rest = (error.message or "").splitlines() or [""]
    head = HEADLINE.match(first)
    if head is None or head["kind"] not in {kind.value for kind in TITLES}:
        return None
    lines = {match[1]: match[2] for match in map(LINE.match, rest) if match is not None}
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
    call, *_ = re.split(r" {2,}", text)
    return Side(type="", detail=call)


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
    found: list[Row] = []
    answered: set[str] = set()
    for operation in execution.operations:
        entry = entries.get(operation.id)
        is_inside = operation.parent_id in answered
        if is_inside or (entry is not None and entry.happened == "replayed"):
            answered.add(operation.id)
        found += _rows(operation, entry, at.pop(operation.id, []), is_inside=is_inside)
    left = [each for each in divergences if not any(row.divergence is each for row in found)]
    found += [Row(0, None, CallNode(each.replayed) if each.replayed else None, each) for each in left]
    return Comparison(tuple(found), tuple(row.divergence for row in found if row.divergence is not None))


def _rows(
    operation: RecordedOperation, entry: TraceEntry | None, divergences: list[Divergence], *, is_inside: bool
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
        elif each.kind is DivergenceKind.SKIPPED:
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

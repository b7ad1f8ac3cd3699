"""Draws spans as a text tree for a terminal or a log: nesting, start, duration and status."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from durable_execution.counts import counted
from durable_execution.telemetry import vocabulary as names
from durable_execution.telemetry.bounded import bounded_name
from durable_execution.telemetry.spans import SpanRecord, SpanStatus

MARKS = {SpanStatus.OK: "✓", SpanStatus.ERROR: "✗", SpanStatus.UNSET: "·"}
STATUS_ATTRIBUTES = (
    names.EXECUTION_STATUS,
    names.INVOCATION_STATUS,
    names.OPERATION_STATUS,
    names.ATTEMPT_OUTCOME,
)
NAME_WIDTH = 56
UNITS = ((86_400_000_000_000, "d"), (3_600_000_000_000, "h"), (60_000_000_000, "min"), (1_000_000_000, "s"))


class _Row(NamedTuple):
    span: SpanRecord
    branches: tuple[bool, ...]


def render_tree(records: Iterable[SpanRecord], *, limit: int | None = None) -> str:
    """Draw the spans of one or more traces.

    Args:
        records: The spans, in any order. A span whose parent is missing is drawn at the left margin.
        limit: Maximum number of lines for each trace.

    Returns:
        One line per span, with its offset from the start of its trace, its duration and its status. A blank line
        separates traces. Latencies below a millisecond are omitted.
    """
    traces: dict[str, list[SpanRecord]] = {}
    for record in records:
        if names.WAITING_FOR in record.attributes and record.end_ns - record.start_ns < 1_000_000:
            continue
        traces.setdefault(record.trace_id, []).append(record)
    ordered = sorted(traces.values(), key=lambda spans: min(span.start_ns for span in spans))
    return "\n\n".join("\n".join(_trace_lines(spans, limit)) for spans in ordered)


def _trace_lines(spans: list[SpanRecord], limit: int | None) -> Iterator[str]:
    began = min(span.start_ns for span in spans)
    yield f"trace {spans[0].trace_id}"
    for number, row in enumerate(_rows(spans)):
        if limit is not None and number >= limit:
            yield f"… {counted(len(spans) - number, 'more span')}"
            return
        yield _line(row, began)


def _rows(spans: list[SpanRecord]) -> Iterator[_Row]:
    """Walk depth first, children by start. Iterative, since a trace can have any depth."""
    known = {span.span_id for span in spans}
    children: dict[str | None, list[SpanRecord]] = {}
    for span in sorted(spans, key=_order):
        parent = span.parent_id if span.parent_id in known and span.parent_id != span.span_id else None
        children.setdefault(parent, []).append(span)
    seen: set[str] = set()
    stack = [_Row(span, ()) for span in reversed(children.get(None, []))]
    while stack:
        row = stack.pop()
        if row.span.span_id in seen:
            continue
        seen.add(row.span.span_id)
        yield row
        below = children.get(row.span.span_id, [])
        stack.extend(_Row(span, (*row.branches, span is not below[-1])) for span in reversed(below))


def _order(span: SpanRecord) -> tuple[int, int, str]:
    """Sort by start. Recorded starts are whole milliseconds, so equal starts sort by end."""
    return span.start_ns // 1_000_000, span.end_ns, span.name


def _line(row: _Row, began: int) -> str:
    span = row.span
    left = f"{_guides(row.branches)}{MARKS[span.status]} {_name(span)}"
    status = next((str(span.attributes[key]) for key in STATUS_ATTRIBUTES if key in span.attributes), "")
    error = (
        _in_one_line(f"{span.attributes[names.ERROR_TYPE]}: {span.message}")
        if names.ERROR_TYPE in span.attributes
        else ""
    )
    times = f"+{duration(span.start_ns - began):<9} {duration(span.end_ns - span.start_ns):>9}"
    return f"{left:<{NAME_WIDTH}} {times}  {status}  {bounded_name(error) if error else ''}".rstrip()


def _name(span: SpanRecord) -> str:
    """Return the name to show: the path for a span that has no name but its id."""
    identity, path = str(span.attributes.get(names.OPERATION_ID, "")), str(span.attributes.get(names.PATH, ""))
    place = path.rpartition("/")[2]
    return _in_one_line(bounded_name(span.name.replace(identity, place) if identity and place else span.name))


def _guides(branches: tuple[bool, ...]) -> str:
    if not branches:
        return ""
    return "".join("│  " if is_open else "   " for is_open in branches[:-1]) + ("├─ " if branches[-1] else "└─ ")


def duration(nanoseconds: int) -> str:
    """Render a duration in its largest unit, with one decimal."""
    for size, unit in UNITS:
        if nanoseconds >= size:
            return f"{nanoseconds / size:.1f} {unit}"
    return f"{nanoseconds / 1_000_000:.1f} ms" if nanoseconds else "0"


def _in_one_line(text: str) -> str:
    """Remove characters that a terminal would treat as line ends or commands."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)

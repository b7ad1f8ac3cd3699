"""The timeline view: a bar per row over an axis with folded idle time."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from durable_debugger.model import facts
from durable_debugger.model.facts import State
from durable_debugger.model.outline import ROOT
from durable_debugger.model.session import Session
from durable_debugger.model.timebase import Timebase, busy_times, critical_path, longest
from durable_debugger.text import durations, glyphs
from durable_debugger.text.cells import pad, pad_left, safe
from durable_debugger.text.segments import Line, Part, fit
from durable_execution.counts import counted
from durable_execution.protocol import OperationType

LABEL_SHARE = 0.38
MIN_TICK_CELLS = 9
TICKS = (1, 2, 5)

MAX_ZOOM = 256.0


@dataclass(slots=True)
class Chart:
    """The settings of the timeline.

    Attributes:
        zoom: Width of the axis relative to the pane.
        pan: First visible column of the axis.
        is_folding: Whether idle time is folded.
        is_critical: Whether the critical path is marked.
        has_labels: Whether to draw names before the bars.
    """

    zoom: float = 1.0
    pan: int = 0
    is_folding: bool = True
    is_critical: bool = False
    has_labels: bool = True
    _base: Timebase | None = None
    _key: tuple[int, int, float, bool] | None = None
    _path: tuple[int, ...] | None = None
    _on_path: frozenset[int] = field(default_factory=frozenset)
    _path_of: int = 0

    def base(self, session: Session, cells: int) -> Timebase:
        """Return the axis for a width, cached until its inputs change."""
        key = (id(session.execution), cells, self.zoom, self.is_folding)
        if self._base is None or key != self._key:
            end = span(session)
            busy = busy_times(session.execution, end)
            self._base = Timebase(busy, end, round(cells * self.zoom), is_folding=self.is_folding)
            self._key = key
        self.pan = max(0, min(self.pan, self._base.cells - cells))
        return self._base

    def zoom_by(self, session: Session, factor: float) -> None:
        """Widen or narrow the axis. The selected call keeps its place, if it can be seen; else the middle does."""
        zoom = max(1.0, min(self.zoom * factor, MAX_ZOOM))
        if self._key is None:
            self.zoom = zoom
            return
        cells = self._key[1]
        base, middle = self.base(session, cells), self.pan + cells / 2
        began = session.operations[session.cursor].started_at if session.cursor != ROOT else None
        start = durations.between(session.execution.started_at, began)
        column = base.column(start) if start is not None else -1.0
        if start is None or not self.pan - 1 <= column < self.pan + cells:
            start, column = base.seconds(middle), middle
        self.zoom = zoom
        self.pan, offset = 0, column - self.pan
        self.pan = max(0, int(self.base(session, cells).column(start) - offset))

    def folded(self, session: Session) -> float:
        """Return the seconds of idle time that are folded."""
        return self.base(session, self._key[1] if self._key is not None else MIN_TICK_CELLS).idle

    def path(self, session: Session) -> tuple[int, ...]:
        """Return the critical path, cached until the execution changes."""
        if self._path is None or self._path_of != id(session.execution):
            self._path = tuple(critical_path(session.recorded))
            self._path_of = id(session.execution)
            self._on_path = frozenset(self._path)
        return self._path

    def is_on_path(self, session: Session, row: int) -> bool:
        """Whether a row is on the critical path, while the path is shown."""
        return self.is_critical and bool(self.path(session)) and row in self._on_path


def span(session: Session) -> float:
    """Return the seconds from the start of the execution to its end or latest known time."""
    execution = session.execution
    return durations.between(execution.started_at, execution.ended_at or session.as_of) or 0.0


def label_width(cells: int) -> int:
    """Return the width of the names before the bars."""
    return max(22, min(round(cells * LABEL_SHARE), 48))


def axis_line(session: Session, chart: Chart, cells: int) -> Line:
    """Draw the ticks of the axis."""
    left = label_width(cells) if chart.has_labels else 0
    room = cells - left - 1
    base = chart.base(session, room)
    marks = [" "] * base.cells
    for column, text in _ticks(base):
        place = max(0, min(column, base.cells - len(text)))
        around = marks[max(place - 1, 0) : place + len(text) + 1]
        if all(cell == " " for cell in around):
            marks[place : place + len(text)] = text
    shown = "".join(marks)[chart.pan : chart.pan + room]
    head = pad(f"{'Timeline':>{max(left - 4, 8)}}", left) if chart.has_labels else ""
    return [Part(head, "dim"), Part(glyphs.PIPE, "dim"), Part(shown, "dim")]


def timeline_line(session: Session, chart: Chart, row: int, cells: int, *, is_cursor: bool = False) -> Line:
    """Draw one row: name, duration and bar; the execution's row shows its invocations."""
    left = label_width(cells) if chart.has_labels else 0
    room = cells - left - 1
    base = chart.base(session, room)
    paint = _Paint(base.cells)
    _paint_folds(paint, base)
    if row == ROOT:
        _paint_invocations(paint, session, base)
    else:
        _paint_row(paint, session, chart, base, row)
    label = _label(session, chart, row, left, is_cursor=is_cursor) if chart.has_labels else []
    return fit([*label, Part(glyphs.PIPE, "dim"), *paint.parts(chart.pan, room)], cells)


def timeline_legend(session: Session, chart: Chart, cells: int) -> list[Line]:
    """Return the legend: the selected call's times, the critical path, the signs."""
    execution = session.execution
    path = chart.path(session)
    names = " → ".join(
        f"{facts.label(session.operations[row])} {durations.short(facts.duration(session.operations[row]))}"
        for row in longest(path, session.recorded, 3)
    )
    idle = chart.base(session, max(cells - label_width(cells) - 1, 1)).idle
    lines: list[Line] = []
    if session.cursor != ROOT:
        operation = session.shown(session.cursor)
        start = durations.between(execution.started_at, operation.started_at)
        end = durations.between(execution.started_at, operation.ended_at)
        shown = durations.short(facts.duration(operation))
        runs = f"   {counted(len(operation.attempts), 'attempt')}" if len(operation.attempts) > 1 else ""
        lines.append([Part(f" {durations.offset(start)} → {durations.offset(end)}   {shown}{runs}")])
    lines.append(
        [Part(" critical path  ", "key"), Part(names or "no calls"), Part(f"   idle {durations.short(idle)}", "dim")]
    )
    lines.append([Part(" █ run   · between attempts   ░ wait   ┆ folded idle", "dim")])
    return lines


class _Paint:
    """A row of cells with roles; later strokes cover earlier ones."""

    def __init__(self, cells: int) -> None:
        self.chars = [" "] * cells
        self.roles = ["dim"] * cells

    def stroke(self, start: float, end: float, char: str, role: str) -> None:
        """Draw a stroke of at least one cell; a stroke shorter than half a cell is half a block."""
        first = max(0, min(int(start), len(self.chars) - 1))
        last = max(first, min(int(end - 1e-9), len(self.chars) - 1))
        is_short = first == last and end - start < 0.5 and char == glyphs.RUN
        for column in range(first, last + 1):
            self.chars[column] = glyphs.HALF if is_short else char
            self.roles[column] = role

    def text(self, column: int, text: str, role: str) -> None:
        """Draw text over existing cells."""
        for offset, char in enumerate(text):
            if 0 <= column + offset < len(self.chars):
                self.chars[column + offset], self.roles[column + offset] = char, role

    def parts(self, pan: int, cells: int) -> Line:
        """Return the visible window as segments."""
        line: Line = []
        start = pan
        end = min(pan + cells, len(self.chars))
        while start < end:
            stop = start
            while stop < end and self.roles[stop] == self.roles[start]:
                stop += 1
            line.append(Part("".join(self.chars[start:stop]), self.roles[start]))
            start = stop
        return line


def _paint_folds(paint: _Paint, base: Timebase) -> None:
    for column in base.folds:
        paint.text(column, glyphs.IDLE, "dim")


def _paint_invocations(paint: _Paint, session: Session, base: Timebase) -> None:
    origin = session.execution.started_at
    for invocation in session.execution.invocations:
        start = durations.between(origin, invocation.started_at)
        if start is None:
            continue
        ended = durations.between(origin, invocation.ended_at)
        first = base.column(start)
        last = base.column(span(session) if ended is None else ended)
        width = max(int(last) - int(first), 1)
        role = "fail" if invocation.outcome in ("RETRY", "FAILED") else "recorded"
        name = f" inv {invocation.number} " if width > 10 else str(invocation.number)
        body = name.center(width - 2, "─") if width - 2 >= len(name) else name[:width].ljust(width, "─")
        closed = "┤" if ended is not None else "─"
        paint.text(int(first), f"├{body}{closed}" if width - 2 >= len(name) else body, role)


def _paint_row(paint: _Paint, session: Session, chart: Chart, base: Timebase, row: int) -> None:
    mark = session.mark(row)
    for start, end, char, role in _strokes(session, row):
        shown = "accent" if chart.is_on_path(session, row) else role
        if mark is not None:
            shown = "divergence" if mark.is_root else "follow_on"
        paint.stroke(base.column(start), base.column(end), char, shown)


def _strokes(session: Session, row: int) -> Iterator[tuple[float, float, str, str]]:
    """Yield start, end, character and role of each stroke of a row."""
    operation = session.operations[row]
    origin = session.execution.started_at
    start = durations.between(origin, operation.started_at)
    if start is None:
        return
    ended = durations.between(origin, operation.ended_at)
    end = span(session) if ended is None else ended
    if operation.type is OperationType.CONTEXT:
        yield start, end, glyphs.SPAN, "dim"
        return
    if operation.type is not OperationType.STEP:
        yield start, end, glyphs.WAIT, "wait"
        return
    yield start, end, glyphs.GAP, "dim"
    for attempt in operation.attempts or ():
        ran_until = durations.between(origin, attempt.ended_at)
        began = durations.between(origin, attempt.started_at)
        stop = end if ran_until is None else ran_until
        role = "fail" if attempt.outcome == "FAILED" else facts.state(operation).role
        yield (stop if began is None else began), stop, glyphs.RUN, role
    if not operation.attempts:
        yield start, end, glyphs.RUN, facts.state(operation).role


def _label(session: Session, chart: Chart, row: int, cells: int, *, is_cursor: bool) -> Line:
    cursor = Part(glyphs.CURSOR if is_cursor else " ", "accent")
    if row == ROOT:
        count = len(session.execution.invocations)
        return fit([cursor, Part("  invocations", "title"), Part(pad_left(str(count), cells - 16), "dim")], cells)
    operation = session.operations[row]
    mark = session.mark(row)
    sign = (
        Part(" ")
        if mark is None
        else Part(glyphs.ROOT if mark.is_root else glyphs.FOLLOW_ON, "divergence" if mark.is_root else "follow_on")
    )
    indent = "  " * min(session.outline.depths[row], 5)
    fold = ""
    if session.outline.has_children(row):
        fold = f"{glyphs.CLOSED if session.outline.is_folded(row) else glyphs.OPEN} "
    state = session.state(row)
    shown = durations.short(facts.duration(operation)) if state is not State.NOT_REACHED else ""
    name_cells = cells - 3 - len(indent) - len(fold) - 2 - 9
    role = "accent" if chart.is_on_path(session, row) else "name"
    return [
        cursor,
        sign,
        Part(f" {indent}{fold}"),
        Part(f"{state.glyph} ", state.role),
        Part(pad(safe(facts.label(operation)), max(name_cells, 4)), role),
        Part(f"{shown:>8} ", "dim"),
    ]


def _ticks(base: Timebase) -> Iterator[tuple[int, str]]:
    """Yield column and text of the ticks, most important first: folded stretches, ends, round times."""
    for stretch in base.stretches:
        if stretch.is_folded and stretch.cells >= 5:
            text = durations.short(stretch.end - stretch.start).strip()
            text = f"{text} idle" if stretch.cells >= len(text) + 7 else text
            middle = stretch.column + (stretch.cells - len(text)) / 2
            yield round(middle), text
    yield 0, "0s"
    yield base.cells, durations.tick(base.end)
    for stretch in base.stretches:
        if not stretch.is_folded and stretch.cells >= 2:
            yield int(stretch.column), durations.tick(stretch.start)
            yield int(stretch.column + stretch.cells) - len(durations.tick(stretch.end)), durations.tick(stretch.end)
    for stretch in base.stretches:
        if not stretch.is_folded and stretch.cells >= 2 * MIN_TICK_CELLS:
            step = _step((stretch.end - stretch.start) / stretch.cells * MIN_TICK_CELLS)
            at = (int(stretch.start / step) + 1) * step
            while at < stretch.end:
                yield round(base.column(at)), durations.tick(at)
                at += step


def _step(least: float) -> float:
    """Return the smallest round number of seconds that is at least `least`."""
    size = 0.001
    while True:
        for factor in TICKS:
            if size * factor >= least:
                return size * factor
        size *= 10

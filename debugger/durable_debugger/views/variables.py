"""The variables at the current line or call. A value that does not fit on its line can be expanded in place."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from durable_debugger.model.line_playback import LinePlayback
from durable_debugger.model.outline import ROOT
from durable_debugger.model.session import Session
from durable_debugger.text import glyphs
from durable_debugger.text.cells import cut, safe, width
from durable_debugger.text.payloads import members
from durable_debugger.text.segments import Line, Part, fit, line_width
from durable_execution.replay.lines.line_recording import EventKind
from durable_execution.trace.schema import TraceEntry

Path = tuple[str, ...]
"""A variable, or a member of one: the names on the way to it."""

MAX_TEXT = 20_000
"""Longest text of a value whose members are looked for at every key."""


class VariableRow(NamedTuple):
    """A line of the variables.

    Attributes:
        line: What is drawn.
        path: What it shows; empty for anything but a value.
        can_expand: Whether that can be expanded or folded.
    """

    line: Line
    path: Path = ()
    can_expand: bool = False


def locals_lines(session: Session, cells: int) -> list[Line]:
    """Return the local variables at the current line or call, none of them expanded."""
    return [row.line for row in locals_rows(session, cells)]


def locals_rows(session: Session, cells: int, opened: Collection[Path] = ()) -> list[VariableRow]:
    """Return the local variables at the current line or call; a star marks what the step before changed.

    Args:
        session: The session.
        cells: Width.
        opened: What is expanded.
    """
    if session.lines is not None and session.line_site() is not None:
        return _line_rows(session.lines, cells, opened)
    entry, before = _entries(session)
    if entry is None or not entry.locals:
        return [VariableRow(line) for line in _no_locals(session)]
    known = before.locals if before is not None else entry.locals
    changed = [name for name, text in entry.locals.items() if known.get(name) != text]
    return [*_variables(entry.locals, entry.locals, changed, cells, opened, known)]


def variables(session: Session) -> tuple[Mapping[str, str], frozenset[str]]:
    """Return the variables at the current line or call, and the names of those that the step before changed."""
    if session.lines is not None and session.line_site() is not None:
        return session.lines.locals(), session.lines.changed()
    entry, before = _entries(session)
    if entry is None:
        return {}, frozenset()
    known = before.locals if before is not None else entry.locals
    return entry.locals, frozenset(name for name, text in entry.locals.items() if known.get(name) != text)


def _line_rows(lines: LinePlayback, cells: int, opened: Collection[Path]) -> list[VariableRow]:
    """Return the variables before the current line runs, those that the previous line changed first."""
    values, changed = lines.locals(), lines.changed()
    raised = lines.event.text if lines.event.kind is EventKind.EXCEPTION else None
    rows = [VariableRow(fit([Part(" raised  ", "key"), Part(safe(raised), "fail")], cells))] if raised else []
    rows += _expressions(lines, cells, opened)
    rows += _variables(values, sorted(values, key=lambda name: name not in changed), changed, cells, opened)
    return rows or [VariableRow([Part(" no variables yet", "dim")])]


def _expressions(lines: LinePlayback, cells: int, opened: Collection[Path]) -> Iterator[VariableRow]:
    """Yield what was evaluated here, and the watched expressions with their values at this line."""
    shown: list[tuple[str, str, str | None]] = [(glyphs.WATCH, *each) for each in lines.watched()]
    once = lines.evaluated()
    for sign, expression, value in [(":", *once), *shown] if once is not None else shown:
        head = [Part(f"{sign} ", "accent"), Part(f"{safe(expression)}  ", "key")]
        if value is None:
            yield VariableRow(fit([Part(" "), *head, Part("not known at this line", "dim")], cells), (sign, expression))
        else:
            yield from _value((sign, expression), head, value, cells, opened)


def _variables(
    values: Mapping[str, str],
    order: Iterable[str],
    changed: Collection[str],
    cells: int,
    opened: Collection[Path],
    before: Mapping[str, str] | None = None,
) -> Iterator[VariableRow]:
    longest = min(max(map(width, values), default=1), 20)
    for name in order:
        sign = Part("* " if name in changed else "  ", "accent")
        head = [sign, Part(f"{cut(safe(name), longest):<{longest}}  ", "key")]
        was = before.get(name) if before is not None and name in changed else None
        tail = [Part(f"   was {safe(was[: cells * 4])}", "dim")] if was is not None and was != glyphs.HIDDEN else []
        yield from _value((name,), head, values[name], cells, opened, tail)


def _value(
    path: Path, head: Line, text: str, cells: int, opened: Collection[Path], tail: Iterable[Part] = ()
) -> Iterator[VariableRow]:
    """Yield a value on one line, and the members of one that is expanded."""
    if text == glyphs.HIDDEN:
        yield VariableRow(fit([Part(" "), *head, Part(f"{glyphs.HIDDEN} hidden", "dim")], cells), path)
        return
    is_long = cells - line_width(head) - 1 < len(text) <= MAX_TEXT
    parts = members(text) if is_long or path in opened else None
    is_open = parts is not None and path in opened
    marker = (glyphs.OPEN if is_open else glyphs.CLOSED) if parts is not None else " "
    line = fit([Part(marker, "accent"), *head, Part(safe(text[: cells * 4])), *tail], cells)
    yield VariableRow(line, path, parts is not None)
    for number, (name, value) in enumerate(parts[1] if is_open and parts is not None else []):
        label = name.strip().rstrip(":=") or f"[{number}]"
        inner = [Part("  " * (len(path) + 1)), Part(f"{safe(label)}  ", "key")]
        yield from _value((*path, label), inner, value, cells, opened)


def _entries(session: Session) -> tuple[TraceEntry | None, TraceEntry | None]:
    """Return the trace entry of the current call, or of the call around it, and of the previous call in the same function."""
    moment = session.moment
    row = moment.row if moment is not None else session.cursor
    if row == ROOT and moment is not None:
        row = session.playback.last_called()
    number = moment.invocation if moment is not None else None
    while row >= 0:
        entry, before = _entry_of(session, session.operations[row].id, number)
        if entry is not None and entry.locals:
            return entry, before
        row = session.outline.parent(row)
    return None, None


def _entry_of(session: Session, wanted: str, number: int | None) -> tuple[TraceEntry | None, TraceEntry | None]:
    """Return a call's latest trace entry up to an invocation, and the entry before it in the same function."""
    for trace in reversed(session.execution.traces):
        if number is not None and trace.invocation > number:
            continue
        before: dict[str, TraceEntry] = {}
        for entry in trace.entries:
            function = entry.call_site.function if entry.call_site else ""
            if entry.id == wanted:
                return entry, before.get(function)
            before[function] = entry
    return None, None


def _no_locals(session: Session) -> list[Line]:
    if not session.execution.traces:
        return [
            [Part(" no replay trace: source and locals are unknown;", "dim")],
            [Part(" stepping by calls still works", "dim")],
        ]
    return [
        [Part(" locals are not recorded", "dim")],
        [Part(" to record them: DURABLE_REPLAY_TRACE_LOCALS=1", "dim")],
    ]

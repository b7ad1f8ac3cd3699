"""The tree view: a line per operation."""

from durable_debugger.model import facts
from durable_debugger.model.outline import ROOT
from durable_debugger.model.session import Session
from durable_debugger.text import durations, glyphs
from durable_debugger.text.cells import cut, safe, width
from durable_debugger.text.segments import Line, Part, column, fit, line_width

MAX_GUIDES = 12
"""Levels drawn as guides; deeper rows show their depth as a number."""

MARK_WIDTH = 3
DURATION_WIDTH = 9
KIND_WIDTH = 10
SHOW_KIND_FROM = 64
SHOW_NOTE_FROM = 48


def outline_line(session: Session, row: int, cells: int, *, is_cursor: bool = False) -> Line:
    """Draw one row of the tree.

    Args:
        session: The session.
        row: The row.
        cells: Width of the line.
        is_cursor: Whether the row is selected.
    """
    tail = _tail(session, row, cells)
    room = cells - line_width(tail)
    head = [*_gutter(session, row, is_cursor=is_cursor), *_guides(session, row), *_name(session, row)]
    if cells >= SHOW_NOTE_FROM:
        at = max(_note_column(room), line_width(head) + 2)
        note = _note(session, row, room - at)
        head = [*column(head, _note_column(room)), note] if note else head
    return [*fit(head, room), *tail]


def fold_marker_column(session: Session, row: int) -> int:
    """Return the column of a row's fold marker."""
    return MARK_WIDTH + width("".join(part.text for part in _guides(session, row))) - 2


def _note_column(room: int) -> int:
    return max(28, min(room * 45 // 100, 44))


def _gutter(session: Session, row: int, *, is_cursor: bool) -> Line:
    cursor = Part(glyphs.CURSOR if is_cursor else " ", "accent")
    mark = session.mark(row) if row != ROOT else None
    moment = session.moment
    if mark is not None:
        sign = Part(glyphs.ROOT, "divergence") if mark.is_root else Part(glyphs.FOLLOW_ON, "follow_on")
    elif moment is not None and moment.row == row:
        sign = Part(glyphs.POINTER, "accent")
    elif row != ROOT and facts.label(session.operations[row]) in session.breakpoints:
        sign = Part(glyphs.BREAKPOINT, "fail")
    else:
        sign = Part(" ")
    return [cursor, sign, Part(" ")]


def _guides(session: Session, row: int) -> Line:
    """Draw the guides of the ancestors, the row's own guide and its fold marker."""
    outline = session.outline
    marker = _fold_marker(session, row)
    if row == ROOT:
        return [Part(f"{marker} ", "dim")]
    depth = outline.depths[row]
    own = glyphs.LAST if outline.is_last(row) else glyphs.TEE
    if depth > MAX_GUIDES:
        return [Part(f"{glyphs.TEE}{depth:>4}{glyphs.DOT}{own} {marker} ", "dim")]
    above = [" " if outline.is_last(each) else glyphs.PIPE for each in outline.ancestors(row)]
    prefix = "".join(f"{guide} " for guide in reversed(above))
    return [Part(f"{prefix}{own} {marker} ", "dim")]


def _fold_marker(session: Session, row: int) -> str:
    if not session.outline.has_children(row):
        return " "
    return glyphs.CLOSED if session.outline.is_folded(row) else glyphs.OPEN


def _name(session: Session, row: int) -> Line:
    state = session.state(row)
    is_reached = session.is_reached(row)
    role = state.role if is_reached else "dim"
    if row == ROOT:
        return [Part(f"{state.glyph} ", role), Part(safe(session.handler), "title")]
    name = facts.label(session.operations[row])
    return [Part(f"{state.glyph} ", role), Part(name, "name" if is_reached else "dim")]


def _note(session: Session, row: int, cells: int) -> Part | None:
    if row == ROOT:
        return None
    mark = session.mark(row)
    operation = session.operations[row]
    if mark is not None and mark.note:
        text = mark.short if mark.short and width(mark.note) > cells else mark.note
        return Part(text, "divergence" if mark.is_root else "follow_on")
    if session.is_travelling:
        return _travel_note(session, row)
    text = facts.note(operation, session.tally(row), session.as_of)
    return Part(text, _note_role(session, row)) if text else None


def _note_role(session: Session, row: int) -> str:
    state = facts.state(session.operations[row])
    return state.role if state.role in ("fail", "wait") else "dim"


def _travel_note(session: Session, row: int) -> Part | None:
    moment = session.moment
    if moment is None or moment.row != row:
        return None
    attempt = f" {moment.attempt}" if moment.attempt > 1 else ""
    return Part(f"{moment.kind.value}{attempt}", "accent")


def _tail(session: Session, row: int, cells: int) -> Line:
    if row == ROOT:
        kind, shown = "execution", durations.offset(session.elapsed())
    else:
        operation = session.operations[row]
        kind, shown = facts.kind(operation), durations.short(facts.duration(operation))
        if not session.is_reached(row) or (session.is_travelling and not _is_over(session, row)):
            shown = ""
    right = Part(f"{shown:>{DURATION_WIDTH}} ", "dim" if row == ROOT else "text")
    if cells < SHOW_KIND_FROM:
        return [right]
    return [Part(f" {cut(kind, KIND_WIDTH):<{KIND_WIDTH}} ", "dim"), right]


def _is_over(session: Session, row: int) -> bool:
    return session.state(row) is facts.state(session.operations[row])

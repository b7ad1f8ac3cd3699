"""The source view: the code around a call, with the results of each line's calls.

Syntax highlighting of Python source by Pygments, which Textual depends on.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import NamedTuple, TypeAlias

from durable_debugger.model import facts
from durable_debugger.model.facts import State
from durable_debugger.model.line_playback import LinePlayback
from durable_debugger.model.moments import MomentKind
from durable_debugger.model.outline import ROOT
from durable_debugger.model.session import Session
from durable_debugger.sources.code import TAB
from durable_debugger.text import durations, glyphs
from durable_debugger.text.cells import cut, safe
from durable_debugger.text.segments import Line, Part, fit, flush, line_width
from durable_debugger.views.results import result_summary
from durable_execution.call_site import CallSite
from durable_execution.counts import counted
from durable_execution.divergence import Side

NUMBER_WIDTH = 6
MINUTE = 60
NOTE_SHARE = 0.4
TASKS = 6
"""Tasks shown around the current one."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A source file as shown.

    Attributes:
        file: Its path in call sites.
        lines: Its lines, with or without colors.
        title: File and function, and whether the file changed.
    """

    file: str
    lines: list[Line]
    title: str


def current_site(session: Session) -> CallSite | None:
    """Return the call site to show: of the current moment, the selected call, or the nearest enclosing call."""
    line = session.line_site()
    if line is not None:
        return line
    moment = session.moment
    row = session.cursor
    if moment is not None:
        row = moment.row if moment.row != ROOT else session.playback.last_called()
    is_failure = moment is None or (moment.kind is MomentKind.INVOCATION_ENDED and moment.state.is_failure)
    if is_failure and session.headline.site is not None and (moment is not None or row < 0):
        return session.headline.site
    while row >= 0:
        site = session.site(row)
        if site is not None:
            return site
        row = session.outline.parent(row)
    return next((each.call_site for each in session.recorded if each.call_site is not None), None)


Parting: TypeAlias = tuple[str, str, str]
"""Glyph, role and remark of a line on which the two sides part."""


class PartingLines(NamedTuple):
    """The lines on which the two sides part, by number.

    Attributes:
        recorded: Of the recorded source: where it made the call that differs.
        today: Of today's source: where it makes a different call, and where the recorded call is now.
    """

    recorded: Mapping[int, Parting]
    today: Mapping[int, Parting]


def calls_by_line(session: Session, file: str, moved: Mapping[int, int] | None = None) -> dict[int, list[int]]:
    """Return the rows of the calls on each line of a file as it is today.

    Args:
        session: The session.
        file: The file.
        moved: Today's line for each recorded one; None if the file was not edited since the recording.
    """
    found: dict[int, list[int]] = defaultdict(list)
    for row in range(len(session.recorded)):
        site = session.site_today(row, moved)
        if site is not None and site.file == file:
            found[site.line].append(row)
    return found


def parting_lines(session: Session, file: str, moved: Mapping[int, int] | None = None) -> PartingLines:
    """Return the lines on which the two sides diverge; see `calls_by_line`."""
    before: dict[int, Parting] = {}
    today: dict[int, Parting] = {}
    differences = session.differences
    for index in differences.roots if differences is not None else ():
        rows = differences.aligned[index:] if differences is not None else []
        known = rows[0].divergence
        recorded = (known and known.recorded) or next((row.recorded.side for row in rows if row.recorded), None)
        replayed = (known and known.replayed) or next((row.replayed.side for row in rows if row.replayed), None)
        was, now = _line_in(recorded, file), _line_in(replayed, file)
        place = was if moved is None or was is None else moved.get(was)
        is_shared = place is not None and place == now
        if was is not None and recorded is not None:
            words = _parting(glyphs.RECORDED, "recorded", "recorded", recorded)
            before.setdefault(was, words)
            if place is not None:
                today.setdefault(place, (glyphs.ROOT, "divergence", "both sides call here") if is_shared else words)
        if now is not None and replayed is not None and not is_shared:
            today.setdefault(now, _parting(glyphs.REPLAYED, "replayed", "your", replayed))
    return PartingLines(before, today)


def _line_in(side: Side | None, file: str) -> int | None:
    site = side.call_site if side is not None else None
    return site.line if site is not None and site.file == file else None


def _parting(glyph: str, role: str, word: str, side: Side) -> Parting:
    return glyph, role, f"{word} call {side.position}" if side.position is not None else f"{word} call"


def edited_lines(recorded: str, today: Sequence[str]) -> dict[int, str]:
    """Return today's lines that differ from the recorded source, each with what it was; empty for a new line.

    Args:
        recorded: The recorded text of the file.
        today: The lines of the file today.
    """
    before = [line.expandtabs(TAB) for line in recorded.splitlines()]
    found: dict[int, str] = {}
    for kind, first, last, start, end in SequenceMatcher(None, before, today, autojunk=False).get_opcodes():
        if kind == "equal":
            continue
        for at in range(start, end):
            was = first + at - start
            found[at + 1] = before[was].strip() if was < last else ""
        gone = [line.strip() for line in before[first + end - start : last] if line.strip()]
        if gone and start < len(today):
            at = min(end, len(today) - 1) + 1
            found[at] = f"{found.get(at, '')} removed above: {gone[0]}{' …' if len(gone) > 1 else ''}".strip()
    return found


class LinePair(NamedTuple):
    """A row of two sources side by side.

    Attributes:
        was: Index of the recorded line; None where only today's source has one.
        now: Index of today's line; None where only the recorded source has one.
        is_changed: Whether they differ.
    """

    was: int | None
    now: int | None
    is_changed: bool


def paired_lines(recorded: Sequence[str], today: Sequence[str]) -> list[LinePair]:
    """Return the rows of two sources side by side."""
    found: list[LinePair] = []
    for kind, first, last, start, end in SequenceMatcher(None, recorded, today, autojunk=False).get_opcodes():
        pairs = zip_longest(range(first, last), range(start, end))
        found += [LinePair(was, now, kind != "equal") for was, now in pairs]
    return found


def recorded_line(
    recorded: Sequence[str], index: int | None, cells: int, *, is_changed: bool, parting: Parting | None = None
) -> Line:
    """Draw a line of the recorded source, exactly as wide as its column; with a remark where it made a call that differs."""
    if index is None:
        return [Part(" " * cells)]
    mark, role = (glyphs.RECORDED, "recorded") if is_changed or parting else (" ", "text")
    number = Part(f" {index + 1:>{NUMBER_WIDTH - 1}} ", "dim")
    left: Line = [number, Part(f"{mark} ", role), Part(safe(recorded[index]), role if is_changed else "text")]
    return fit(left, cells) if parting is None else _beside(left, [Part(f"{parting[2]} ", parting[1])], cells)


def _beside(left: Line, note: Line, cells: int) -> Line:
    return [*fit(left, max(cells - line_width(note) - 1, 0)), Part(" "), *note]


def source_line(
    session: Session,
    listing: Listing,
    calls: dict[int, list[int]],
    index: int,
    cells: int,
    *,
    current: int | None,
    chosen: int | None = None,
    parting: Parting | None = None,
    edited: dict[int, str] | None = None,
    is_changed: bool = False,
) -> Line:
    """Draw a line of source; beside an edited line, what it was when it was recorded.

    Args:
        session: The session.
        listing: The file.
        calls: Calls by line.
        index: The line, from 0.
        cells: Width.
        current: Number of the current line.
        chosen: Number of the line that the user chose instead.
        parting: What `parting_lines` says of the line.
        edited: `edited_lines` of the file.
        is_changed: Whether the recorded line beside it is different.
    """
    number = index + 1
    rows = calls.get(number, [])
    is_current = number == current
    pointer = glyphs.POINTER if is_current else " "
    mark, mark_role = _mark(session, rows)
    if parting is not None:
        mark, mark_role, _ = parting
    stop = session.line_settings.breakpoints.get((listing.file, number))
    if stop is not None:
        mark, mark_role = glyphs.LOGGING if stop.log else glyphs.BREAKPOINT, "fail"
    left: Line = [
        Part(f"{glyphs.CURSOR if number == (chosen or current) else ' '} {pointer}", "accent"),
        Part(f"{number:>{NUMBER_WIDTH - 1}} ", "accent" if is_current else "dim"),
        Part(mark, mark_role),
        Part(glyphs.EDITED if is_changed or number in (edited or {}) else " ", "accent"),
        *listing.lines[index],
    ]
    note = [Part(parting[2], parting[1])] if parting else _note(session, rows, int(cells * NOTE_SHARE))
    was = (edited or {}).get(number)
    if was is not None:
        share = int(cells * NOTE_SHARE)
        words = f"{glyphs.RECORDED} {safe(was)}" if was else f"{glyphs.REPLAYED} not recorded"
        note = [Part(cut(words, share), "recorded" if was else "replayed"), *([Part("  "), *note] if parting else [])]
    note = _logged(session, (listing.file, number), int(cells * NOTE_SHARE)) or note
    if not note:
        return left
    return _beside(left, note, cells)


def _logged(session: Session, place: tuple[str, int], cells: int) -> Line:
    """The last value of a line's log expression, and how often it ran; the condition of a breakpoint."""
    stop = session.line_settings.breakpoints.get(place)
    if stop is None or session.lines is None or not (stop.log or stop.condition):
        return []
    if stop.condition:
        return [Part(cut(f"if {safe(stop.condition)}", cells), "fail")]
    found = session.line_settings.logged(place, session.lines.position)
    count, last = found if found is not None else (0, "")
    text = f"{safe(stop.log)} = {safe(last)}  ({count}×)" if count else f"{safe(stop.log)}: not reached yet"
    return [Part(cut(text, cells), "accent")]


def _mark(session: Session, rows: list[int]) -> tuple[str, str]:
    if any((mark := session.mark(row)) is not None and mark.is_root for row in rows):
        return glyphs.ROOT, "divergence"
    shown = [row for row in rows if session.is_reached(row) and session.state(row) is not State.NOT_REACHED]
    if not shown:
        return " ", "dim"
    states = [session.state(row) for row in shown]
    worst = next((state for state in states if state.is_failure), None)
    state = worst or states[-1]
    return state.glyph, state.role


def _note(session: Session, rows: list[int], cells: int) -> Line:
    """Summarise the results of a line's calls."""
    shown = [row for row in rows if session.is_reached(row) and session.state(row) is not State.NOT_REACHED]
    if not shown:
        return []
    if len(shown) > 1:
        good = sum(session.state(row) is State.SUCCEEDED for row in shown)
        return [Part(f"{glyphs.ARROW} {good} of {counted(len(shown), 'call')}", "dim")]
    row = shown[0]
    operation, state = session.operations[row], session.state(row)
    if operation.error is not None and state.is_failure:
        return [Part(cut(f"{glyphs.ARROW} {safe(str(operation.error))}", cells), "fail")]
    if state is not State.SUCCEEDED:
        return [Part(cut(f"{glyphs.ARROW} {state.word}", cells), state.role)]
    tally = session.tally(row)
    text = (
        tally.text if tally is not None else result_summary(operation, cells - 2, absent=_without_result(session, row))
    )
    return [Part(f"{glyphs.ARROW} {cut(text, cells - 2)}", "dim")]


def _without_result(session: Session, row: int) -> str:
    operation = session.operations[row]
    seconds = facts.duration(operation)
    if operation.type != "WAIT" or seconds is None:
        return State.SUCCEEDED.word
    return f"{seconds:.1f} s" if seconds < MINUTE else durations.short(seconds)


def source_title(site: CallSite | None, note: str = "") -> str:
    """Return file and function, with a remark."""
    if site is None:
        return "Source"
    name = site.file.replace("\\", "/").rpartition("/")[2]
    return " · ".join(part for part in (safe(name), safe(site.function), note) if part)


def stack_lines(session: Session, cells: int) -> list[Line]:
    """Return the frames of the current task, the running one first, and the other tasks."""
    if session.lines is None:
        return []
    found: list[Line] = []
    stack = session.lines.stack()
    for depth, frame in enumerate(reversed(stack)):
        inner = stack[len(stack) - depth] if depth else None
        line = session.lines.event.line if inner is None else session.lines.recording.caller_line(inner)
        name = safe(frame.file.replace("\\", "/").rpartition("/")[2])
        pointer = glyphs.POINTER if not depth else " "
        left: Line = [Part(f" {pointer} ", "accent"), Part(safe(frame.function), "title" if not depth else "dim")]
        found.append(flush(left, [Part(f"{name}:{line} ", "dim")], cells))
    return found + _task_lines(session.lines, cells)


def _task_lines(lines: LinePlayback, cells: int) -> list[Line]:
    """Return the tasks around the current one, each with the line at which it stands."""
    tasks = lines.tasks()
    if len(tasks) < 2:
        return []
    here = tasks.index(lines.frame.task)
    head = flush([Part(f" Tasks  {here + 1} of {len(tasks)}", "key")], [Part("[ ] other tasks ", "dim")], cells)
    found: list[Line] = [head]
    first = max(0, min(here - 2, len(tasks) - TASKS))
    for number, task in enumerate(tasks[first : first + TASKS], start=first):
        event = lines.line_of_task(task)
        file = lines.recording.frames[event.frame].file
        name = safe(file.replace("\\", "/").rpartition("/")[2])
        pointer = glyphs.POINTER if number == here else " "
        role = "title" if number == here else "dim"
        found.append(
            flush(
                [Part(f" {pointer} ", "accent"), Part(safe(task), role)], [Part(f"{name}:{event.line} ", "dim")], cells
            )
        )
    return found


def highlighted(lines: Sequence[str]) -> list[Line]:
    """Return the lines with a role for every token.

    Args:
        lines: Lines of Python source.
    """
    from pygments.lexers.python import PythonLexer  # loaded when source is shown  # pyright: ignore[reportMissingTypeStubs]
    from pygments.token import Comment, Keyword, Name, Number, String

    roles = (
        (Comment, "code_comment"),
        (String, "code_string"),
        (Keyword, "code_keyword"),
        (Number, "code_number"),
        (Name.Decorator, "code_keyword"),
        (Name.Function, "code_name"),
        (Name.Class, "code_name"),
    )
    found: list[Line] = [[]]
    for token, text in PythonLexer(stripnl=False, ensurenl=False).get_tokens("\n".join(lines)):
        role = next((role for kind, role in roles if token in kind), "text")  # type: ignore[comparison-overlap]
        for index, piece in enumerate(text.split("\n")):
            if index:
                found.append([])
            if piece:
                found[-1].append(Part(safe(piece), role))
    return found

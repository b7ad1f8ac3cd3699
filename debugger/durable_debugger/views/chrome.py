"""The lines around the views: status, tabs, titles and the current moment."""

from durable_debugger.model import facts
from durable_debugger.model.facts import State
from durable_debugger.model.headline import name_of
from durable_debugger.model.moments import Moment, MomentKind
from durable_debugger.model.outline import ROOT
from durable_debugger.model.session import Session
from durable_debugger.text import durations, glyphs
from durable_debugger.text.cells import cut, safe, wrap_most
from durable_debugger.text.segments import Line, Part, flush
from durable_execution.counts import counted

VIEWS = ("tree", "timeline", "step", "diff", "events")
NARROW = 100
MAX_HEADLINE = 3
"""Lines of a headline at most."""


def status_line(session: Session, cells: int, *, follow: str = "") -> Line:
    """Return the status line: execution, state, size, divergences, following."""
    execution, state = session.execution, session.status
    waiting = session.waiting_for()
    word = "WAITING" if state is State.WAITING and execution.status == "RUNNING" else execution.status
    above = session.rows.get(waiting.parent_id or "") if waiting is not None else None
    what = f" {name_of(waiting, None if above is None else session.operations[above])}" if waiting is not None else ""
    left = [
        Part(f" {cut(safe(session.title), max(12, cells // 3))}  ", "title"),
        Part(f"{state.glyph} {word}", state.role),
        Part(f"{cut(what, 24)}   "),
        Part(_size(session, cells), "dim"),
    ]
    right = [*_divergences(session), Part(f"  {follow}" if follow else "", "dim"), Part(" ")]
    return flush(left, right, cells)


def tab_line(view: str, cells: int, right: str, *, role: str = "dim") -> tuple[Line, dict[str, tuple[int, int]]]:
    """Return the tab line with a remark at the right, and the columns of each tab."""
    parts: Line = [Part(" ")]
    columns: dict[str, tuple[int, int]] = {}
    at = 1
    for number, name in enumerate(VIEWS, start=1):
        label = f"{number} {name.capitalize()}"
        text = f"[{label}] " if name == view else f" {label}  "
        columns[name] = (at, at + len(text) - 1)
        at += len(text)
        parts.append(Part(text, "title" if name == view else "dim"))
    return flush(parts, [Part(f"{right} ", role)], cells), columns


def position_remark(session: Session) -> str:
    """Return the position in the recording."""
    total = len(session.execution.invocations)
    moment = session.moment
    if moment is None:
        count = counted(total, "invocation")
        return f"{hit_count(len(session.hits))} · {count}" if session.hits is not None else count
    if session.lines is not None:
        return f"line {session.lines.number:,}/{len(session.lines):,} of the replay"
    playback = session.playback
    return f"moment {playback.position + 1}/{len(playback)} · inv {moment.invocation}/{total}"


def headline_lines(session: Session, cells: int) -> list[Line]:
    """Return the headline of the execution, wrapped to a width."""
    found = session.headline
    room = max(cells - 2, 1)
    is_too_long = len(wrap_most(f"{found.glyph} {found.text}", room, MAX_HEADLINE + 1)) > MAX_HEADLINE
    text = found.short if is_too_long and found.short else found.text
    lines = wrap_most(f"{found.glyph} {text}", room, MAX_HEADLINE)
    return [[Part(" "), Part(text, found.role)] for text in lines]


def hit_count(count: int) -> str:
    """Format the number of search hits."""
    return counted(count, "hit")


def inspector_title(session: Session) -> str:
    """Return name and position of the selected call."""
    operation = session.operation(session.cursor)
    if operation is None:
        return f"{safe(session.handler)} · execution"
    parent = session.outline.parent(session.cursor)
    around = session.handler if parent == ROOT else facts.label(session.operations[parent])
    siblings = sum(1 for _ in session.outline.children(parent)) if len(session.outline) < 5000 else None
    if operation.position is None:
        return f"{facts.label(operation)} · in {safe(around)}"
    if operation.is_branch:
        return f"{facts.label(operation)} · branch {operation.position} of {safe(around)}"
    of = f" of {siblings}" if siblings and operation.position <= siblings else ""
    return f"{facts.label(operation)} · call {operation.position}{of} in {safe(around)}"


def moment_words_of_run(moment: Moment) -> str:
    """Return a run of replayed calls as a sentence."""
    return f"{counted(moment.calls, 'call')} replayed from the record"


def moment_words(session: Session) -> str:
    """Return the current moment as a sentence."""
    moment = session.moment
    if moment is None:
        return "the end of the recording"
    if moment.kind is MomentKind.REPLAYED_RUN:
        return moment_words_of_run(moment)
    if moment.kind is MomentKind.EXECUTION_ENDED:
        return f"the execution ends: {session.execution.status}"
    if moment.row == ROOT:
        ends = f" ends: {_outcome(session, moment.invocation)}" if moment.kind is MomentKind.INVOCATION_ENDED else ""
        return f"invocation {moment.invocation}{ends or ' starts'}"
    operation = session.operations[moment.row]
    mark = session.mark(moment.row)
    if moment.kind is MomentKind.DIVERGED and mark is not None:
        return f"{facts.kind(operation)} {facts.label(operation)}: {mark.note}"
    attempt = f" {moment.attempt}" if moment.attempt and moment.kind.value.startswith("attempt") else ""
    words = moment.kind.value.replace("attempt", f"attempt{attempt}", 1)
    if moment.kind in (MomentKind.ANSWERED, MomentKind.SETTLED):
        words = f"{words}: {moment.state.word}"
    return f"{facts.kind(operation)} {facts.label(operation)} {words}"


def _outcome(session: Session, number: int) -> str:
    outcome = next((each.outcome for each in session.execution.invocations if each.number == number), None)
    return {"PENDING": "suspended", "RETRY": "failed, Lambda retries it"}.get(
        outcome or "", (outcome or "still running").lower()
    )


def _size(session: Session, cells: int) -> str:
    count = len(session.operations)
    text = counted(count, "op").replace(",", " ")
    if cells < NARROW:
        return text
    execution = session.execution
    end = execution.ended_at or session.as_of
    seconds = durations.between(execution.started_at, end)
    invocations = len(execution.invocations)
    return f"{safe(session.handler)}   {text} · {counted(invocations, 'invocation')} · {durations.offset(seconds)}"


def _divergences(session: Session) -> Line:
    marks = session.marks
    if not marks.root_count:
        return []
    parts = [Part(f"{glyphs.ROOT} {counted(marks.root_count, 'difference')}", "divergence")]
    if marks.follow_on_count:
        parts.append(Part(f" · {marks.follow_on_count} follow-on", "follow_on"))
    return parts

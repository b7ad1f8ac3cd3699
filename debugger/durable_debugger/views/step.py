"""The step view: the current moment and the track of all calls."""

from bisect import bisect_right

from durable_debugger.model import facts
from durable_debugger.model.facts import State
from durable_debugger.model.moments import CALLS, Moment, MomentKind
from durable_debugger.model.outline import ROOT
from durable_debugger.model.session import Session
from durable_debugger.text import durations, glyphs, payloads
from durable_debugger.text.cells import safe
from durable_debugger.text.segments import Line, Part, fit, flush, line_width
from durable_debugger.views.chrome import moment_words, moment_words_of_run
from durable_debugger.views.results import result_words

NOWHERE = -1
ANSWERS = frozenset({MomentKind.REPLAYED, MomentKind.ANSWERED, MomentKind.SETTLED, MomentKind.ATTEMPT_ENDED})


def moment_lines(session: Session, cells: int) -> list[Line]:
    """Return the current moment with the moments before and after it."""
    playback = session.playback
    position = playback.position
    lines: list[Line] = []
    for index in range(max(0, position - 1), min(len(playback), position + 3)):
        lines.append(_neighbour(session, index, cells, is_current=index == position))
        if index == position:
            lines += _answer(session, playback.moments[index], cells)
    return lines


def _neighbour(session: Session, index: int, cells: int, *, is_current: bool) -> Line:
    moment = session.playback.moments[index]
    at = durations.offset(durations.between(session.execution.started_at, moment.at)) if moment.at else ""
    glyph = glyphs.POINTER if is_current else " "
    words = moment_words(session) if is_current else _phrase(session, moment)
    left = [
        Part(f" {glyph} ", "accent"),
        Part(f"{moment.state.glyph} ", moment.state.role if is_current else "dim"),
        Part(words, "title" if is_current else "dim"),
    ]
    return flush(left, [Part(f"{at}  inv {moment.invocation} ", "dim")], cells)


def _phrase(session: Session, moment: Moment) -> str:
    """Return a moment that is not the current one as a sentence."""
    if moment.kind is MomentKind.REPLAYED_RUN:
        return moment_words_of_run(moment)
    if moment.row == ROOT:
        if moment.kind is MomentKind.EXECUTION_ENDED:
            return f"the execution ends: {session.execution.status}"
        return f"invocation {moment.invocation} {moment.kind.value}"
    return f"{facts.label(session.operations[moment.row])} {moment.kind.value}"


def _answer(session: Session, moment: Moment, cells: int) -> list[Line]:
    """Return the value an operation returned at this moment, if any."""
    if moment.row == ROOT and moment.kind is MomentKind.INVOCATION_ENDED and moment.state.is_failure:
        error = session.execution.error
        return [fit([Part("       raised   ", "key"), Part(safe(str(error)), "fail")], cells)] if error else []
    if moment.row == ROOT or moment.kind not in ANSWERS:
        return []
    operation = session.operations[moment.row]
    attempt = next((each for each in operation.attempts if each.number == moment.attempt), None)
    if moment.kind is MomentKind.ATTEMPT_ENDED and attempt is not None:
        error, result = attempt.error, attempt.result
    else:
        error, result = operation.error, operation.result
    if error is not None:
        return [fit([Part("       raised   ", "key"), Part(safe(str(error)), "fail")], cells)]
    words = result_words(operation)
    if result is None and not words:
        return []
    shown = words or payloads.summary(result, cells - 17)
    return [fit([Part("       returned ", "key"), Part(shown)], cells)]


def track_lines(session: Session, cells: int) -> tuple[list[Line], dict[int, int]]:
    """Draw all calls as glyphs, grouped by invocation, windowed around the cursor.

    Returns:
        Two lines, and the moment at each column of the first.
    """
    playback = session.playback
    shown, columns = _window(session, cells - 2)
    current = playback.current
    offset = durations.offset(durations.between(session.execution.started_at, current.at)) if current else ""
    left = [Part(f" call {playback.call_number()} of {playback.call_count(playback.invocation)}", "text")]
    left.append(Part(f" in invocation {playback.invocation}   {offset}", "dim"))
    right = [Part(f"{moment_words(session)} ", "accent")]
    return [[Part(" "), *shown], flush(left, right, cells)], columns


def _window(session: Session, cells: int) -> tuple[Line, dict[int, int]]:
    """Return the part of the track around the cursor, and the moment at each column. Only what is visible is built."""
    playback = session.playback
    if not len(playback):
        return [], {}
    last_call = bisect_right(playback.calls, playback.position) - 1
    current = playback.calls[last_call] if last_call >= 0 else -1
    before: list[tuple[Part, int]] = []
    used, at = 0, max(playback.position, 0)
    while at >= 0 and used < cells * 2 // 3:
        part = _glyph(session, at, is_current=at == current)
        if part is not None:
            before.append((part, at))
            used += line_width([part])
        at -= 1
    found = before[::-1]
    at = max(playback.position, 0) + 1
    while at < len(playback) and used <= cells:
        part = _glyph(session, at, is_current=at == current)
        if part is not None:
            found.append((part, at))
            used += line_width([part])
        at += 1
    if at >= len(playback):
        found += _replayed(session)
    return _laid_out(found, cells)


def _laid_out(parts: list[tuple[Part, int]], cells: int) -> tuple[Line, dict[int, int]]:
    shown: Line = []
    columns: dict[int, int] = {}
    used = 0
    for part, index in parts:
        size = line_width([part])
        if used + size > cells:
            break
        if index != NOWHERE:
            columns.update({used + 1 + column: index for column in range(size)})
        shown.append(part)
        used += size
    return shown, columns


def _glyph(session: Session, index: int, *, is_current: bool) -> Part | None:
    """Return what the track shows of a moment; None for moments between calls."""
    moment = session.playback.moments[index]
    if moment.kind is MomentKind.INVOCATION_STARTED:
        return Part(f"{'    ' if index else ''}inv {moment.invocation} ", "dim")
    if moment.kind is MomentKind.REPLAYED_RUN:
        return Part(f"{glyphs.DOT}{moment.calls}{glyphs.DOT}", "dim")
    if moment.kind in CALLS:
        return _call_part(session, index, moment, is_current=is_current)
    if moment.kind is MomentKind.INVOCATION_ENDED:
        return Part(f" {moment.state.glyph}", moment.state.role)
    return None


def _replayed(session: Session) -> list[tuple[Part, int]]:
    """The root calls of the replayed side; they have no moments to travel to."""
    if session.differences is None:
        return []
    found = [(Part("    replay ", "dim"), NOWHERE)]
    for row in session.differences.aligned:
        if row.depth:
            continue
        if row.is_root:
            found.append((Part(f" {glyphs.ROOT}", "divergence"), NOWHERE))
        elif row.is_follow_on:
            found.append((Part(f" {glyphs.FOLLOW_ON}", "follow_on"), NOWHERE))
        elif row.replayed is not None:
            found.append((Part(f" {State.SUCCEEDED.glyph}", "replayed"), NOWHERE))
    return found


def _call_part(session: Session, index: int, moment: Moment, *, is_current: bool) -> Part:
    mark = session.mark(moment.row)
    glyph, role = moment.state.glyph, moment.state.role
    if moment.kind is MomentKind.CALLED:
        is_past = index <= session.playback.position
        state = session.state(moment.row) if is_past else facts.state(session.operations[moment.row])
        glyph, role = state.glyph, state.role
    if mark is not None and mark.invocation in (None, moment.invocation):
        glyph, role = (glyphs.ROOT, "divergence") if mark.is_root else (glyphs.FOLLOW_ON, "follow_on")
    if is_current:
        return Part(f"[{glyph}]", role)
    return Part(f" {glyph}", role if index <= session.playback.position else "dim")

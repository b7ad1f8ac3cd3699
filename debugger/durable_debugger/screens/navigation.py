"""Actions that move the cursor and fold the tree.

Actions of the step view: travelling through the moments of a recording.
"""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from durable_debugger.model import facts
from durable_debugger.model.line_playback import LinePlayback
from durable_debugger.model.line_settings import Breakpoint
from durable_debugger.model.moments import CALLS
from durable_debugger.model.outline import ROOT
from durable_debugger.model.session import Session
from durable_debugger.screens.handlers import HANDLERS, handles
from durable_debugger.text.cells import safe
from durable_debugger.widgets.diff_pane import DiffPane
from durable_debugger.widgets.lines import LineView
from durable_debugger.widgets.panes import OutlinePane, TimelinePane
from durable_debugger.widgets.source_pane import LocalsPane, SourcePane
from durable_execution.replay.lines.probes import UnusableExpressionError, checked

if TYPE_CHECKING:
    from durable_debugger.screens.main import MainScreen

FAR = 10**9


def _move(screen: "MainScreen", rows: int) -> None:
    pane = screen.focused_pane
    if isinstance(pane, LineView):
        pane.move(rows)
        screen.show()


def _page(screen: "MainScreen", direction: int) -> None:
    pane = screen.focused_pane
    if isinstance(pane, LineView):
        _move(screen, direction * max(pane.size.height - 1, 1))


HANDLERS["cursor_up"] = lambda screen: _move(screen, -1)
HANDLERS["cursor_down"] = lambda screen: _move(screen, 1)
HANDLERS["page_up"] = lambda screen: _page(screen, -1)
HANDLERS["page_down"] = lambda screen: _page(screen, 1)
HANDLERS["top"] = lambda screen: _move(screen, -FAR)
HANDLERS["bottom"] = lambda screen: _move(screen, FAR)


def _to_end(screen: "MainScreen", *, first: bool) -> None:
    session = screen.session
    if session.lines is not None:
        session.seek_line(session.lines.first() if first else session.lines.last())
    else:
        session.seek(0 if first else len(session.playback) - 1)
    screen.show()


@handles("first")
def first(screen: "MainScreen") -> None:
    """Go to the first row; in the step view, to the first moment."""
    if screen.view == "step":
        _to_end(screen, first=True)
    else:
        _move(screen, -FAR)


@handles("last")
def last(screen: "MainScreen") -> None:
    """Go to the last row; in the step view, to the last moment."""
    if screen.view == "step":
        _to_end(screen, first=False)
    else:
        _move(screen, FAR)


@handles("fold")
def fold(screen: "MainScreen") -> None:
    """Fold an open row; on a folded row, go to its parent."""
    session = screen.session
    row = session.cursor
    if session.outline.has_children(row) and not session.outline.is_folded(row):
        session.outline.fold(row)
    elif row == ROOT:
        screen.say("it is folded: → unfolds it")
        return
    else:
        session.select(session.outline.parent(row))
    screen.show()


@handles("unfold")
def unfold(screen: "MainScreen") -> None:
    """Unfold a folded row; on an open row, go to its first call."""
    session = screen.session
    row = session.cursor
    if _is_leaf(screen):
        return
    if session.outline.is_folded(row):
        session.outline.unfold(row)
    else:
        session.move(1)
    screen.show()


@handles("toggle_fold")
def toggle_fold(screen: "MainScreen") -> None:
    """Fold or unfold the selected row; in the pane of variables, expand or fold the selected one."""
    pane = screen.focused_pane
    if isinstance(pane, LocalsPane):
        if not pane.toggle():
            screen.say("all of it is shown")
        return
    if _is_leaf(screen):
        return
    screen.session.outline.toggle(screen.session.cursor)
    screen.show()


def _is_hidden(screen: "MainScreen") -> bool:
    """Whether there are no rows to fold on the screen, and say so."""
    if any(isinstance(pane, (OutlinePane, TimelinePane)) for pane in screen.panes):
        return False
    screen.say("the tree is hidden: O shows it")
    return True


def _is_leaf(screen: "MainScreen") -> bool:
    """Whether the selected call has nothing to fold, and say so."""
    if _is_hidden(screen):
        return True
    session = screen.session
    if session.outline.has_children(session.cursor):
        return False
    what = "the execution" if session.cursor == ROOT else facts.label(session.operations[session.cursor])
    screen.say(f"{what} has no calls inside")
    return True


@handles("unfold_chain")
def unfold_chain(screen: "MainScreen") -> None:
    """Unfold down a chain of only children."""
    if _is_leaf(screen):
        return
    screen.session.outline.unfold_chain(screen.session.cursor)
    screen.show()


@handles("fold_all")
def fold_all(screen: "MainScreen") -> None:
    """Fold every context and move the cursor to a visible row."""
    if _is_hidden(screen):
        return
    session = screen.session
    before = len(session.outline.visible)
    session.outline.fold_all()
    session.cursor = session.outline.visible[session.outline.index_of(session.cursor)]
    screen.show()
    if len(session.outline.visible) == before:
        screen.say("everything is folded")


@handles("unfold_all")
def unfold_all(screen: "MainScreen") -> None:
    """Unfold everything."""
    if _is_hidden(screen):
        return
    outline = screen.session.outline
    before = len(outline.visible)
    outline.unfold_all()
    screen.show()
    if len(outline.visible) == before:
        screen.say("everything is unfolded")


def _sibling(screen: "MainScreen", direction: int) -> None:
    session = screen.session
    if screen.view == "step" and session.lines is not None and session.is_travelling:
        if not session.seek_line(session.lines.other_task(direction)):
            screen.say("no further task")
        screen.show()
        return
    row = session.outline.sibling(session.cursor, direction)
    if row in (session.cursor, ROOT):
        screen.say("no further sibling")
        return
    session.select(row)
    screen.show()


HANDLERS["next_sibling"] = lambda screen: _sibling(screen, 1)
HANDLERS["previous_sibling"] = lambda screen: _sibling(screen, -1)


@handles("jump_to_pane")
def jump_to_pane(screen: "MainScreen") -> None:
    """Ask which pane to focus; the first letters of its name are enough."""
    names = ", ".join(str(pane.id) for pane in screen.panes)
    screen.ask("pane", names, _focus_named)


def _focus_named(screen: "MainScreen", text: str) -> None:
    found = [pane for pane in screen.panes if str(pane.id).startswith(text.strip().casefold())]
    if found:
        found[0].focus()
    else:
        screen.say(f"no visible pane starts with {text.strip()!r}")


HANDLERS["next_pane"] = lambda screen: screen.focus_pane(1)
HANDLERS["previous_pane"] = lambda screen: screen.focus_pane(-1)
TIME = re.compile(r"(?:(\d+):)?(\d+(?:\.\d+)?)s?")


def _travel(
    screen: "MainScreen",
    find: Callable[[Session], int | None],
    at_end: str,
    find_line: Callable[[LinePlayback], int | None] | None = None,
) -> None:
    session = screen.session
    if session.lines is not None and find_line is not None and session.is_travelling:
        if not session.seek_line(find_line(session.lines)):
            task = session.lines.branch
            edge = "end" if at_end == END else "start"
            screen.say(f"this is the {edge} of {safe(task)}" if task and at_end in (END, START) else at_end)
        screen.show()
        return
    if not session.is_travelling:
        session.seek(len(session.playback) - 1)
    if not session.seek(find(session)):
        screen.say(at_end)
    screen.show()


def _register(
    action_id: str,
    find: Callable[[Session], int | None],
    at_end: str,
    find_line: Callable[[LinePlayback], int | None],
) -> None:
    HANDLERS[action_id] = lambda screen: _travel(screen, find, at_end, find_line)


END, START = "this is the end of the recording", "this is the start of the recording"
OUTERMOST = "nothing in your code called this function: n goes on, N goes back"
_register("step_over", lambda session: session.playback.over(1), END, lambda lines: lines.over(1))
_register("step_into", lambda session: session.playback.into(1), END, lambda lines: lines.into(1))
_register("back_over", lambda session: session.playback.over(-1), START, lambda lines: lines.over(-1))
_register("back_into", lambda session: session.playback.into(-1), START, lambda lines: lines.into(-1))


def _out(screen: "MainScreen", direction: int) -> None:
    """Leave the function, forwards or backwards."""
    lines = screen.session.lines if screen.session.is_travelling else None
    is_outermost = lines is not None and lines.frame.parent is None and not lines.branch
    edge = END if direction > 0 else START
    at_end = OUTERMOST if is_outermost else edge
    _travel(screen, lambda session: session.playback.out(direction), at_end, lambda lines: lines.out(direction))


HANDLERS["step_out"] = lambda screen: _out(screen, 1)
HANDLERS["back_out"] = lambda screen: _out(screen, -1)
_register(
    "step_to_stop",
    lambda session: session.playback.to_next(1, session.is_stop),
    "no further stops",
    lambda lines: lines.to_stop(1),
)
_register(
    "back_to_stop",
    lambda session: session.playback.to_next(-1, session.is_stop),
    "no further stops",
    lambda lines: lines.to_stop(-1),
)


def _by_one(session: Session, direction: int) -> int | None:
    position = session.playback.position + direction
    return position if 0 <= position < len(session.playback) else None


_register("next_moment", lambda session: _by_one(session, 1), END, lambda lines: lines.by_one(1))
_register("previous_moment", lambda session: _by_one(session, -1), START, lambda lines: lines.by_one(-1))


@handles("step_here")
def step_here(screen: "MainScreen") -> None:
    """Open the step view at the first call of the selected operation; at a difference, in the invocation that met it."""
    session = screen.session
    selected = screen.query_one(DiffPane).selected if screen.view == "diff" else None
    if selected is not None and selected.row is None and selected.divergence is not None:
        row = session.marks.row_of(selected.divergence)  # it exists only in today's code: step to its place
        session.select(session.cursor if row is None else row)
    mark = session.mark(session.cursor) if session.cursor != ROOT else None
    if mark is not None and mark.is_root and mark.invocation is not None:
        at = session.playback.first_call_of(session.cursor, invocation=mark.invocation)
        if session.seek(at):
            screen.open_view("step")
            return
    if screen.session.travel_to_cursor():
        screen.open_view("step")
    else:
        screen.say("the recording has no calls to step through")


@handles("breakpoint")
def breakpoint_here(screen: "MainScreen") -> None:
    """Toggle a breakpoint on calls with the selected name."""
    session = screen.session
    chosen = screen.query_one(SourcePane).line_choice()
    if screen.view == "step" and session.lines is not None and chosen is not None:
        is_set = session.line_settings.toggle(chosen)
        screen.say(f"c stops at line {chosen[1]}" if is_set else f"no longer stops at line {chosen[1]}")
        screen.show()
        return
    if session.cursor == ROOT:
        screen.say("select a call first")
        return
    name = facts.label(session.operations[session.cursor])
    is_set = session.toggle_breakpoint(session.cursor)
    screen.say(f"c stops at {name}" if is_set else f"no longer stops at {name}")
    screen.show()


@handles("breakpoint_settings")
def breakpoint_settings(screen: "MainScreen") -> None:
    """Ask for the condition or the log expression of the breakpoint on the chosen line."""
    session, chosen = screen.session, screen.query_one(SourcePane).line_choice()
    if session.lines is None or chosen is None:
        screen.say("conditions need the lines of a replay: press d")
        return
    known = session.line_settings.breakpoints.get(chosen)
    value = "" if known is None else f"{LOG}{known.log}" if known.log else known.condition

    def accept(screen: "MainScreen", text: str) -> None:
        is_log, expression = text.startswith(LOG), text.removeprefix(LOG).strip()
        try:
            found = checked(expression) if expression else ""
        except UnusableExpressionError as error:
            screen.say(str(error))
            return
        stop = Breakpoint("" if is_log else found, found if is_log else "")
        session.line_settings.breakpoints[chosen] = stop
        screen.replays.evaluate(chosen)
        if not found:
            screen.say(f"line {chosen[1]} {stop.words}")

    screen.ask(f"line {chosen[1]}", f"stop only if this is true; or: {LOG}EXPRESSION", accept, value=value)


LOG = "log "


@handles("watch")
def watch(screen: "MainScreen") -> None:
    """Ask for an expression to watch; one that is watched is removed."""
    settings = screen.session.line_settings

    def accept(screen: "MainScreen", text: str) -> None:
        try:
            is_watched = settings.toggle_watch(checked(text))
        except UnusableExpressionError as error:
            screen.say(str(error))
            return
        if is_watched:
            screen.replays.evaluate()
        else:
            screen.say(f"no longer watches {text.strip()}")
            screen.show()

    _ask_expression(
        screen, "watch", f"expression; now: {', '.join(settings.watches)}" if settings.watches else "", accept
    )


@handles("evaluate")
def evaluate(screen: "MainScreen") -> None:
    """Ask for an expression, and evaluate it at the line at which the step view stands."""

    def accept(screen: "MainScreen", text: str) -> None:
        try:
            screen.replays.evaluate_once(checked(text))
        except UnusableExpressionError as error:
            screen.say(str(error))

    _ask_expression(screen, "evaluate", "", accept)


def _ask_expression(screen: "MainScreen", label: str, hint: str, accept: "Callable[[MainScreen, str], None]") -> None:
    if screen.session.line_site() is None:
        screen.say("expressions need the lines of a replay: press d")
        return
    screen.ask(label, hint or "a Python expression, evaluated by replaying up to this line", accept)


@handles("tree_or_source")
def tree_or_source(screen: "MainScreen") -> None:
    """Switch between tree and source in a narrow step view."""
    if not screen.has_class("-narrow"):
        screen.say("tree and source are both shown")
        return
    screen.toggle_class("-show-tree")
    screen.call_after_refresh(screen.settle)


def _run_to_line(screen: "MainScreen", direction: int) -> bool:
    """Run to the chosen line of the source; False where stepping goes by calls."""
    session = screen.session
    chosen = screen.query_one(SourcePane).line_choice()
    if session.lines is None or not session.is_travelling or chosen is None:
        return False
    if not session.seek_line(session.lines.to_line(*chosen, direction)):
        screen.say(f"line {chosen[1]} does not run {'after' if direction > 0 else 'before'} this")
    screen.show()
    return True


@handles("run_back_to")
def run_back_to(screen: "MainScreen") -> None:
    """Go back to the chosen line."""
    if not _run_to_line(screen, -1):
        screen.say("going back to a line needs a replay: press d")


@handles("run_to")
def run_to(screen: "MainScreen") -> None:
    """Go to the chosen line, or to the next call of the selected operation."""
    if _run_to_line(screen, 1):
        return
    row = screen.session.cursor
    _travel(
        screen,
        lambda session: session.playback.to_next(1, lambda moment: moment.row == row and moment.kind in CALLS),
        "not called again: N, R and C step back",
    )


@handles("go_to")
def go_to(screen: "MainScreen") -> None:
    """Ask for a position to go to."""
    screen.ask("go to", "call number, i2 for invocation 2, 41.2s or 01:30 for a time", jump)


def jump(screen: "MainScreen", text: str) -> None:
    """Go to the position typed."""
    session = screen.session
    target = target_of(session, text.strip())
    if target is None:
        screen.say(f"nothing at {text.strip()!r}: type a call number, i2 or 41.2s")
        return
    session.seek(target)
    screen.show()


def target_of(session: Session, text: str) -> int | None:
    """Return the moment for a position: `12` a call, `i2` an invocation, `41.2s` or `01:30` a time."""
    playback = session.playback
    if text.startswith("i") and text[1:].isdigit():
        return playback.start_of(int(text[1:]))
    if text.isdigit():
        number = int(text)
        return playback.calls[number - 1] if 0 < number <= len(playback.calls) else None
    match = TIME.fullmatch(text)
    started = session.execution.started_at
    if match is None or started is None:
        return None
    seconds = int(match[1] or 0) * 60 + float(match[2])
    before = [
        index
        for index, moment in enumerate(playback.moments)
        if moment.at is not None and (moment.at - started).total_seconds() <= seconds
    ]
    return before[-1] if before else None

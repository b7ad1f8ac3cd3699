"""Actions of the step view: travelling through the moments of a recording."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from durable_debugger.model import facts
from durable_debugger.model.moments import CALLS
from durable_debugger.model.outline import ROOT
from durable_debugger.model.session import Session
from durable_debugger.screens.handlers import HANDLERS, handles

if TYPE_CHECKING:
    from durable_debugger.screens.main import MainScreen

TIME = re.compile(r"(?:(\d+):)?(\d+(?:\.\d+)?)s?")


def _travel(screen: "MainScreen", find: Callable[[Session], int | None], at_end: str) -> None:
    session = screen.session
    if not session.is_travelling:
        session.seek(len(session.playback) - 1)
    if not session.seek(find(session)):
        screen.say(at_end)
    screen.show()


def _register(action_id: str, find: Callable[[Session], int | None], at_end: str) -> None:
    HANDLERS[action_id] = lambda screen: _travel(screen, find, at_end)


END, START = "this is the end of the recording", "this is the start of the recording"
_register("step_over", lambda session: session.playback.over(1), END)
_register("step_into", lambda session: session.playback.into(1), END)
_register("step_out", lambda session: session.playback.out(1), END)
_register("back_over", lambda session: session.playback.over(-1), START)
_register("back_into", lambda session: session.playback.into(-1), START)
_register("back_out", lambda session: session.playback.out(-1), START)
_register("step_to_stop", lambda session: session.playback.to_next(1, session.is_stop), "no further stops")
_register("back_to_stop", lambda session: session.playback.to_next(-1, session.is_stop), "no further stops")


def _by_one(session: Session, direction: int) -> int | None:
    position = session.playback.position + direction
    return position if 0 <= position < len(session.playback) else None


_register("next_moment", lambda session: _by_one(session, 1), END)
_register("previous_moment", lambda session: _by_one(session, -1), START)


@handles("step_here")
def step_here(screen: "MainScreen") -> None:
    """Open the step view at the first call of the selected operation."""
    if screen.session.travel_to_cursor():
        screen.open_view("step")
    else:
        screen.say("the recording has no calls to step through")


@handles("breakpoint")
def breakpoint_here(screen: "MainScreen") -> None:
    """Toggle a breakpoint on calls with the selected name."""
    session = screen.session
    if session.cursor == ROOT:
        screen.say("select a call first")
        return
    name = facts.label(session.operations[session.cursor])
    is_set = session.toggle_breakpoint(session.cursor)
    screen.say(f"c stops at {name}" if is_set else f"no longer stops at {name}")
    screen.show()


@handles("tree_or_source")
def tree_or_source(screen: "MainScreen") -> None:
    """Switch between tree and source in a narrow step view."""
    screen.toggle_class("-show-tree")
    screen.call_after_refresh(screen.settle)


@handles("run_to")
def run_to(screen: "MainScreen") -> None:
    """Go to the next call of the selected operation."""
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

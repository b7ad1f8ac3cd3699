"""Actions that move the cursor and fold the tree."""

from typing import TYPE_CHECKING

from durable_debugger.model.outline import ROOT
from durable_debugger.screens.handlers import HANDLERS, handles
from durable_debugger.widgets.lines import LineView

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


@handles("first")
def first(screen: "MainScreen") -> None:
    """Go to the first row; in the step view, to the first moment."""
    if screen.view == "step":
        screen.session.seek(0)
        screen.show()
    else:
        _move(screen, -FAR)


@handles("last")
def last(screen: "MainScreen") -> None:
    """Go to the last row; in the step view, to the last moment."""
    if screen.view == "step":
        screen.session.seek(len(screen.session.playback) - 1)
        screen.show()
    else:
        _move(screen, FAR)


@handles("fold")
def fold(screen: "MainScreen") -> None:
    """Fold an open row; on a folded row, go to its parent."""
    session = screen.session
    row = session.cursor
    if session.outline.has_children(row) and not session.outline.is_folded(row):
        session.outline.fold(row)
    else:
        session.select(session.outline.parent(row))
    screen.show()


@handles("unfold")
def unfold(screen: "MainScreen") -> None:
    """Unfold a folded row; on an open row, go to its first call."""
    session = screen.session
    row = session.cursor
    if not session.outline.has_children(row):
        return
    if session.outline.is_folded(row):
        session.outline.unfold(row)
    else:
        session.move(1)
    screen.show()


@handles("toggle_fold")
def toggle_fold(screen: "MainScreen") -> None:
    """Fold or unfold the selected row."""
    screen.session.outline.toggle(screen.session.cursor)
    screen.show()


@handles("unfold_chain")
def unfold_chain(screen: "MainScreen") -> None:
    """Unfold down a chain of only children."""
    screen.session.outline.unfold_chain(screen.session.cursor)
    screen.show()


@handles("fold_all")
def fold_all(screen: "MainScreen") -> None:
    """Fold every context and move the cursor to a visible row."""
    session = screen.session
    session.outline.fold_all()
    session.cursor = session.outline.visible[session.outline.index_of(session.cursor)]
    screen.show()


@handles("unfold_all")
def unfold_all(screen: "MainScreen") -> None:
    """Unfold everything."""
    screen.session.outline.unfold_all()
    screen.show()


def _sibling(screen: "MainScreen", direction: int) -> None:
    session = screen.session
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

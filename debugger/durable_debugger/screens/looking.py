"""Actions that change what is shown: views, search, values, help."""

from typing import TYPE_CHECKING

from durable_debugger.model import search
from durable_debugger.screens.handlers import HANDLERS, handles
from durable_debugger.views.chrome import VIEWS, hit_count, inspector_title
from durable_debugger.views.value import value_lines

if TYPE_CHECKING:
    from durable_debugger.screens.main import MainScreen


def _opens(view: str) -> None:
    HANDLERS[f"view_{view}"] = lambda screen: screen.open_view(view)


for _view in VIEWS:
    _opens(_view)


@handles("search")
def start_search(screen: "MainScreen") -> None:
    """Ask for a search and show hits while the user types."""
    session = screen.session
    before = session.cursor

    def preview(screen: "MainScreen", text: str) -> str:
        query = search.parse(text)
        session.search(query)
        session.outline.filter(session.hits or None)
        if session.hits:
            session.cursor = next((hit for hit in session.hits if hit >= before), session.hits[0])
        screen.show()
        if query.problem:
            return query.problem
        return hit_count(len(session.hits)) if session.hits is not None else "kind: status: >2s attempt:>1 file: inv:"

    def accept(screen: "MainScreen", text: str) -> None:
        query = search.parse(text)
        is_filter = any(term.key != "text" for term in query.terms)
        if not session.hits:
            screen.say(f"no hits for {text}")
            forget(screen)
            return
        if not is_filter:
            session.outline.filter(None)
        session.select(session.cursor)
        screen.show()

    def forget(screen: "MainScreen") -> None:
        session.search(None)
        session.outline.filter(None)
        session.select(before)
        screen.show()

    screen.ask("/", "name, error, value, kind:step status:failed >2s", accept, preview=preview, cancelled=forget)


def _hit(screen: "MainScreen", direction: int) -> None:
    session = screen.session
    row = session.next_hit(direction)
    if row is None:
        screen.say("no search yet: press / to search" if session.hits is None else "no hits")
        return
    session.select(row)
    screen.show()


HANDLERS["next_hit"] = lambda screen: _hit(screen, 1)
HANDLERS["previous_hit"] = lambda screen: _hit(screen, -1)


@handles("next_failure")
def next_failure(screen: "MainScreen") -> None:
    """Select the next call that failed."""
    row = screen.session.next_failure()
    if row is None:
        screen.say("no call failed")
        return
    screen.session.select(row)
    screen.show()


@handles("expand_value")
def expand_value(screen: "MainScreen") -> None:
    """Show the full values of the selected call."""
    screen.open_document(inspector_title(screen.session), value_lines(screen.session))


@handles("maximise")
def maximise(screen: "MainScreen") -> None:
    """Maximise the focused pane, or restore it."""
    if screen.maximized is not None:
        screen.minimize()
    elif screen.focused_pane is not None:
        screen.maximize(screen.focused_pane)


@handles("back")
def back(screen: "MainScreen") -> None:
    """Close the innermost open state: maximised pane, search, view, time travel."""
    session = screen.session
    if screen.maximized is not None:
        screen.minimize()
    elif session.hits is not None:
        session.search(None)
        session.outline.filter(None)
        session.select(session.cursor)
        screen.show()
    elif screen.view != "tree":
        screen.go_back()
    elif session.is_travelling:
        session.leave_travel()
        screen.show()


HANDLERS["commands"] = lambda screen: screen.app.action_command_palette()
HANDLERS["help"] = lambda screen: screen.open_help()
HANDLERS["quit"] = lambda screen: screen.app.exit()

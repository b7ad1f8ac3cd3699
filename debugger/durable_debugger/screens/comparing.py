"""Actions of the diff view."""

from typing import TYPE_CHECKING

from durable_debugger.screens.handlers import HANDLERS, handles
from durable_debugger.widgets.diff import DiffPane

if TYPE_CHECKING:
    from durable_debugger.screens.main import MainScreen


@handles("diff_here")
def diff_here(screen: "MainScreen") -> None:
    """Open the comparison at the selected call."""
    screen.open_view("diff")


@handles("by_position")
def by_position(screen: "MainScreen") -> None:
    """Switch between aligned rows and rows paired by position."""
    pane = screen.query_one(DiffPane)
    pane.mode.is_by_position = not pane.mode.is_by_position
    screen.show()


@handles("values")
def values(screen: "MainScreen") -> None:
    """Switch between recorded results and remarks."""
    pane = screen.query_one(DiffPane)
    pane.mode.is_with_values = not pane.mode.is_with_values
    screen.show()


def _difference(screen: "MainScreen", direction: int) -> None:
    if screen.view == "diff":
        found = screen.query_one(DiffPane).next_root(direction)
    else:
        row = screen.session.next_mark(direction)
        found = row is not None
        if row is not None:
            screen.session.select(row)
    if found:
        screen.show()
        return
    has_some = screen.session.marks.root_count > 0
    screen.say("no further differences" if has_some else "no differences found")


HANDLERS["next_difference"] = lambda screen: _difference(screen, 1)
HANDLERS["previous_difference"] = lambda screen: _difference(screen, -1)

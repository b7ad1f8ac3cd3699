"""A fleet on the screen: its groups by kind, the executions of a group, and from there an execution."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.screen import Screen

from durable_debugger.model.cost import CostTerms
from durable_debugger.model.fleet_facts import Facts
from durable_debugger.model.fleet_groups import KINDS, TITLES, Fleet, Group
from durable_debugger.text.cells import safe
from durable_debugger.text.segments import Line, Part
from durable_debugger.views.fleet_table import HEAD, group_line, member_line, summary_lines
from durable_debugger.widgets.lines import LineView, StaticLines

Row = tuple[Line, Group | Facts | None]
"""A line, and what it opens."""

HINTS = "Tab Kind  Enter Open  Esc Back  q Quit"


class FleetList(LineView):
    """Rows of groups, or of the executions of one group.

    Attributes:
        rows: The rows.
        index: The selected one.
    """

    TITLE = "Groups"

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  # Textual's word
        super().__init__(id=id)
        self.rows: list[Row] = []
        self.index = 0

    def put(self, rows: list[Row], index: int = 0) -> None:
        """Show rows."""
        self.rows = rows
        self.index = max(0, min(index, len(rows) - 1))
        if rows and rows[self.index][1] is None:
            self.move(1)
        self.show(len(rows))

    def cursor_index(self) -> int | None:
        """The selected row."""
        return self.index

    def move(self, rows: int) -> None:
        """Move the selection to the next row that opens something."""
        step = 1 if rows > 0 else -1
        here = max(0, min(self.index + rows, len(self.rows) - 1))
        while 0 <= here < len(self.rows) and self.rows[here][1] is None:
            here += step
        if 0 <= here < len(self.rows):
            self.index = here
        self.show(len(self.rows))

    def line(self, index: int, cells: int) -> Line:
        """Draw a row."""
        return [Part("▌" if index == self.index else " ", "accent"), *self.rows[index][0]]


class FleetScreen(Screen[None]):
    """Shows a fleet.

    Args:
        fleet: The fleet.
        terms: What its costs assume.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", show=False, priority=True),
        Binding("down,j", "move(1)", show=False, priority=True),
        Binding("pageup", "move(-15)", show=False, priority=True),
        Binding("pagedown", "move(15)", show=False, priority=True),
        Binding("tab", "kind(1)", show=False, priority=True),
        Binding("shift+tab", "kind(-1)", show=False, priority=True),
        Binding("enter,right,l", "open", show=False, priority=True),
        Binding("escape,left,h", "back", show=False, priority=True),
        Binding("q,ctrl+c,ctrl+q", "app.quit", show=False, priority=True),
    ]
    DEFAULT_CSS = """
    FleetScreen { background: $background; }
    FleetScreen #summary { background: $panel; }
    FleetScreen #groups { height: 1fr; border-top: solid $secondary 60%; border-title-color: $text-muted; }
    FleetScreen #hints { height: 1; background: $panel; }
    """

    class Chosen(Message):
        """An execution was chosen.

        Attributes:
            reference: What opens it.
        """

        def __init__(self, reference: str) -> None:
            super().__init__()
            self.reference = reference

    def __init__(self, fleet: Fleet, terms: CostTerms) -> None:
        super().__init__()
        self._fleet, self._terms = fleet, terms
        self._kinds = [kind for kind in KINDS if fleet.groups.get(kind)] or [KINDS[0]]
        if "divergences" in self._kinds:  # with a handler, what would break comes first
            self._kinds = ["divergences", *(kind for kind in self._kinds if kind != "divergences")]
        self.kind = self._kinds[0]
        self.group: Group | None = None
        self._at = 0

    def compose(self) -> ComposeResult:
        """Create the summary, the list and the hints."""
        summary = StaticLines(id="summary")
        summary.can_focus = False
        yield summary
        yield FleetList(id="groups")
        hints = StaticLines(id="hints")
        hints.can_focus = False
        yield hints

    def on_mount(self) -> None:
        """Show the first kind of group."""
        summary, lines = self.query_one("#summary", StaticLines), list(summary_lines(self._fleet, self._terms))
        summary.styles.height = len(lines)
        summary.show_lines(lines)
        self.query_one("#hints", StaticLines).show_lines([[Part(f" {HINTS}", "dim")]])
        self._draw()

    def action_move(self, rows: int) -> None:
        """Move the selection."""
        self.query_one(FleetList).move(rows)

    def action_kind(self, step: int) -> None:
        """Show the next kind of group."""
        self.kind = self._kinds[(self._kinds.index(self.kind) + step) % len(self._kinds)]
        self.group, self._at = None, 0
        self._draw()

    def action_open(self) -> None:
        """Show the executions of a group, or open an execution."""
        groups = self.query_one(FleetList)
        if not groups.rows:
            return
        chosen = groups.rows[groups.index][1]
        if isinstance(chosen, Group):
            self._at, self.group = groups.index, chosen
            self._draw()
        elif chosen is not None:
            self.post_message(self.Chosen(chosen.reference))

    def action_back(self) -> None:
        """Return from a group to all groups."""
        if self.group is None:
            return
        self.group = None
        self._draw(self._at)

    def _draw(self, index: int = 0) -> None:
        groups = self.query_one(FleetList)
        if self.group is not None:
            groups.border_title = Content(f"{TITLES[self.kind]}: {safe(self.group.key)}")
            groups.put([(member_line(one), one) for one in self.group.members])
            return
        others = "  ".join(TITLES[kind] for kind in self._kinds if kind != self.kind)
        title = TITLES[self.kind]
        groups.border_title = Content(f"{title}  (Tab: {others})" if others else title)
        rows: list[Row] = [([Part(HEAD, "key")], None)]
        for group in self._fleet.groups.get(self.kind, ()):
            rows.append((group_line(group, len(self._fleet.executions), self._terms), group))
            rows.append(([Part(f"         {safe(group.key)}", "name")], None))
            if group.leaves:
                rows.append(([Part(f"         {safe(group.leaves)}", "wait")], None))
        groups.put(rows, index)

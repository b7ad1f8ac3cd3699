"""The panes of the diff view."""

from collections.abc import Sequence

from durable_debugger.model.diff_rows import DiffRow
from durable_debugger.model.differences import Differences
from durable_debugger.model.session import Session
from durable_debugger.text.segments import Line, Part
from durable_debugger.views.diff import DiffMode, diff_header, diff_line, diff_rows, remark_lines, why_lines, why_title
from durable_debugger.widgets.lines import LineView, StaticLines
from durable_execution.call_site import CallSite
from durable_execution.divergence import Divergence

NOTHING = (
    " No second side to compare this recording with.",
    "",
    " To replay it with today's code:        press d, or durable-debug replay EXECUTION MODULE:HANDLER",
    " To compare it with another execution:  durable-debug diff EXECUTION OTHER",
)


class DiffPane(LineView):
    """The two sides, call by call."""

    HEADER = 1

    def __init__(self, session: Session, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self.session = session
        self.mode = DiffMode()
        self.index = 0
        self._rows: Sequence[DiffRow] = ()
        self._chosen: int | None = None
        self._left: tuple[DiffRow, DiffRow] | None = None

    def update(self, session: Session) -> None:
        """Show the comparison at the selected call."""
        self.session = session
        differences = session.differences
        rows = diff_rows(differences, self.mode) if differences else []
        is_new = rows is not self._rows
        selected = self.selected
        self._rows = rows
        if differences and is_new and selected is not None:
            # a pair by position stands for two rows: the way back leads to the one that was left
            way_back = self._left[0] if self._left is not None and self._left[1] is selected else selected
            self.index = _place_of(way_back, rows)
            self._left = (selected, rows[self.index]) if rows else None
        if differences and not self._is_at_cursor():
            self.index = self._index_of_cursor(differences)
        self.index = max(0, min(self.index, len(self._rows) - 1))
        self.show(len(self._rows) if differences else len(NOTHING))

    def cursor_index(self) -> int | None:
        """The selected row."""
        return self.index if self._rows else None

    def header_line(self, number: int, cells: int) -> Line:
        """Draw the heading that names the two sides."""
        return diff_header(self.session.differences, cells) if self.session.differences else []

    def line(self, index: int, cells: int) -> Line:
        """Draw a row."""
        if not self._rows:
            return [Part(NOTHING[index], "dim")]
        return diff_line(self.session, self.mode, self._rows[index], cells, is_cursor=index == self.index)

    def move(self, rows: int) -> None:
        """Move the selection, and select the row's call."""
        self.select(self.index + rows)

    def select(self, index: int) -> None:
        """Select a row and its call."""
        if not self._rows:
            return
        self.index = max(0, min(index, len(self._rows) - 1))
        row = self._rows[self.index].row
        if row is not None:
            self.session.select(row)
        self._chosen = self.session.cursor

    def next_root(self, direction: int) -> bool:
        """Select the next or previous root difference.

        Returns:
            Whether a root difference was found.
        """
        at = self.index + direction
        while 0 <= at < len(self._rows):
            if self._rows[at].is_root:
                self.select(at)
                return True
            at += direction
        return False

    def why(self) -> tuple[Divergence | None, DiffRow | None]:
        """Return the difference that explains the selected row."""
        differences = self.session.differences
        if not self._rows or differences is None:
            return None, None
        row = self._rows[self.index]
        if row.divergence is not None and row.is_root:
            return row.divergence, row
        place = differences.index_of(row.row) if row.row is not None else None
        return (differences.why(place) if place is not None else row.divergence), row

    @property
    def selected(self) -> DiffRow | None:
        """The selected row."""
        return self._rows[self.index] if 0 <= self.index < len(self._rows) else None

    @property
    def new_site(self) -> CallSite | None:
        """Where today's code makes the selected call, if only today's code makes it."""
        selected = self.selected
        if selected is None or selected.row is not None or selected.replayed is None:
            return None
        return selected.replayed.side.call_site

    def _index_of_cursor(self, differences: Differences) -> int:
        """Return the index of the session's row: of the difference that marks it, else of the row itself."""
        mark = self.session.mark(self.session.cursor)
        if mark is not None and mark.divergence is not None:
            at = next((at for at, each in enumerate(self._rows) if each.divergence is mark.divergence), None)
            if at is not None:
                return at
        wanted = differences.index_of(self.session.cursor)
        if wanted is not None:
            return _place_of(differences.aligned[wanted], self._rows)
        of_the_whole = (at for at, each in enumerate(self._rows) if each.is_root and each.row is None)
        return next(of_the_whole, 0)

    def _is_at_cursor(self) -> bool:
        if not 0 <= self.index < len(self._rows):
            return False
        row = self._rows[self.index].row
        if row is None:
            return self._chosen == self.session.cursor
        return row == self.session.cursor


def _place_of(row: DiffRow, rows: Sequence[DiffRow]) -> int:
    """Return the index of a row in a different arrangement: of the row that shows the same call."""
    for at, each in enumerate(rows):
        if (row.row is not None and each.row == row.row) or (row.row is None and each.replayed is row.replayed):
            return at
    return 0


class WhyPane(StaticLines):
    """The explanation of a difference."""

    def update(self, divergence: Divergence | None, row: DiffRow | None, differences: Differences | None) -> None:
        """Show an explanation.

        Args:
            divergence: The difference; None for equal calls.
            row: The row to explain.
            differences: The comparison; None where there is no second side.
        """
        self.explains = divergence is not None
        self.set_title(why_title(divergence) if differences is not None else "Why")
        if differences is None:
            self.show_made(lambda _: [[Part(" nothing to compare with yet", "dim")]], is_new=True)
        elif divergence is None and row is None and differences.is_failure:
            self.show_made(lambda cells: remark_lines(differences, cells), is_new=True)
        else:
            self.show_made(lambda cells: why_lines(divergence, row, cells), is_new=True)

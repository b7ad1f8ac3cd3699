"""The base of all panes: a scrollable list of lines, built when they are drawn."""

from collections.abc import Callable
from dataclasses import dataclass
from traceback import format_exception
from typing import ClassVar, TypeAlias

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.content import Content
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from durable_debugger.text.cells import safe
from durable_debugger.text.glyphs import to_ascii
from durable_debugger.text.segments import Line, Part, fit
from durable_debugger.themes import BLURRED_CURSOR, CURSOR, palette

PLAIN = Style()
MIN_CELLS = 20
"""Lines are never built narrower than this."""

Look: TypeAlias = tuple[Line, bool]
"""A line and whether it is selected. A pane redraws the lines whose look changed."""


class LineView(ScrollView, can_focus=True, inherit_bindings=False):
    """Lines over a flat model. Subclasses define their number and content.

    Attributes:
        is_ascii: Whether to draw with ASCII only.
        failure: Traceback of the first drawing error.
        TITLE: Title in the top border.
        HEADER: Number of lines at the top that do not scroll.
    """

    DEFAULT_CSS = """
    LineView { scrollbar-size-vertical: 1; scrollbar-size-horizontal: 0; overflow-x: hidden; }
    """

    is_ascii: bool = False
    TITLE: ClassVar[str] = ""
    HEADER: ClassVar[int] = 0

    @dataclass
    class Picked(Message):
        """A line was clicked.

        Attributes:
            view: The pane.
            index: The line.
            column: The column in the line.
            is_double: Whether it was a double click.
        """

        view: "LineView"
        index: int
        column: int
        is_double: bool

        @property
        def control(self) -> "LineView":
            """The pane."""
            return self.view

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002  # Textual's word
        super().__init__(id=id, classes=classes)
        self.count = 0
        self.failure = ""
        self._words = ""
        self._title: tuple[str, bool] | None = None
        self._looks: list[Look] = []
        self._looks_from: tuple[int, Size] | None = None
        if self.TITLE:
            self.set_title(self.TITLE)

    def set_title(self, title: str) -> None:
        """Set the title in the top border."""
        self._words = title
        shown = to_ascii(title) if self.is_ascii else title
        has_corner = bool(self.styles.border_left[0])  # beside a corner, Textual adds a blank itself
        if self._title != (shown, has_corner):  # Textual redraws the pane even for the same title
            self._title = shown, has_corner
            self.border_title = Content(f"{shown} " if has_corner else f" {shown} ")

    def line(self, index: int, cells: int) -> Line:
        """Return the line at an index for a width."""
        raise NotImplementedError

    def header_line(self, number: int, cells: int) -> Line:
        """Return a header line."""
        raise NotImplementedError

    def cursor_index(self) -> int | None:
        """Return the selected line; None when no line is selected."""
        return None

    def show(self, count: int) -> None:
        """Redraw after a change of the model, keeping the cursor visible."""
        if self._words:
            self.set_title(self._words)  # the border depends on view and window size
        self._measure(count)
        cursor = self.cursor_index()
        if cursor is not None:
            self.keep_visible(cursor)
        self._draw_changes()

    def _draw_changes(self) -> None:
        """Redraw only the lines that changed: a key press changes few lines, and drawing is slow."""
        before, before_from = self._looks, self._looks_from
        size = self.scrollable_content_region.size
        self._looks_from = self.scroll_offset.y, size
        cursor = self.cursor_index()
        self._looks = [self._look(y, size.width, cursor) for y in range(size.height)]
        if before_from != self._looks_from:
            self.refresh()
            return
        changed = [Region(0, y, size.width, 1) for y, look in enumerate(self._looks) if look != before[y]]
        if changed:
            self.refresh(*changed)

    def _look(self, y: int, cells: int, cursor: int | None) -> Look:
        if y < self.HEADER:
            return self._drawn(self.header_line, y, cells), False
        index = y - self.HEADER + self.scroll_offset.y
        return (self._drawn(self.line, index, cells), index == cursor) if 0 <= index < self.count else ([], False)

    def _measure(self, count: int) -> None:
        """Set the scrollable size. It stays zero while all lines fit, because each new size lays out the whole screen."""
        self.count = count
        rows, room = count + self.HEADER, self.scrollable_content_region.height
        self.virtual_size = Size(0, rows if rows > room > 0 else 0)

    def keep_visible(self, index: int) -> None:
        """Scroll as little as needed to show a line."""
        height = self.scrollable_content_region.height - self.HEADER
        top = self.scroll_offset.y
        if height <= 0:
            return
        if index < top:
            self.scroll_to(y=index, animate=False, force=True)
        elif index >= top + height:
            self.scroll_to(y=index - height + 1, animate=False, force=True)

    def move(self, rows: int) -> None:
        """Move the cursor, or scroll when there is no cursor."""
        self.scroll_to(y=max(0, min(self.scroll_offset.y + rows, self.max_scroll_y)), animate=False, force=True)

    def render_line(self, y: int) -> Strip:
        """Draw a row of the screen."""
        size = self.scrollable_content_region.size
        is_known = self._looks_from == (self.scroll_offset.y, size) and y < len(self._looks)
        line, is_cursor = self._looks[y] if is_known else self._look(y, size.width, self.cursor_index())
        base = self.rich_style
        if is_cursor:
            base += self._style(CURSOR if self.has_focus else BLURRED_CURSOR)
        return self._strip(line, size.width, base)

    def watch_show_vertical_scrollbar(self, is_shown: bool) -> None:
        """Set the scroll bar's position; Textual updates it only while it is visible."""
        if is_shown:
            self.vertical_scrollbar.position = self.scroll_y

    def on_resize(self, event: events.Resize) -> None:
        """Redraw for the new size."""
        self.show_again()

    def show_again(self) -> None:
        """Redraw after a change of size."""
        self.show(self.count)

    def on_click(self, event: events.Click) -> None:
        """Report the line that was clicked."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        index = offset.y - self.HEADER + self.scroll_offset.y
        if offset.y >= self.HEADER and 0 <= index < self.count:
            event.stop()
            self.post_message(self.Picked(self, index, offset.x, event.chain > 1))

    def _drawn(self, draw: Callable[[int, int], Line], index: int, cells: int) -> Line:
        """Return a line, or its drawing error: one faulty line must not crash the app."""
        try:
            return draw(index, cells)
        except Exception as error:  # noqa: BLE001  # any error: the other lines can still be drawn
            self.failure = self.failure or "".join(format_exception(error))
            return [Part(f" cannot draw this line: {safe(repr(error))} (y copies the report)", "fail")]

    def _strip(self, line: Line, cells: int, base: Style) -> Strip:
        segments = [
            Segment(to_ascii(part.text) if self.is_ascii else part.text, base + self._style(part.role))
            for part in fit(line, cells)
            if part.text
        ]
        return Strip(segments, cells)

    def _style(self, role: str) -> Style:
        return palette(self.app.current_theme).get(role, PLAIN)


class StaticLines(LineView):
    """A pane whose lines are built all at once: an inspector, an explanation.

    Attributes:
        lines: The lines shown.
        explains: Whether they explain a difference or a failure, and so should be visible as a whole.
    """

    explains = False

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self.lines: list[Line] = []
        self._make: MakeLines | None = None
        self._made_for = Size(0, 0)
        self._rows: int | None = None

    def line(self, index: int, cells: int) -> Line:
        """Return a line."""
        return self.lines[index]

    def show_lines(self, lines: list[Line], *, is_new: bool = False) -> None:
        """Show new lines, scrolled to the top when they have a new subject."""
        if is_new:
            self.scroll_to(y=0, animate=False, force=True)
        self.lines = lines
        self.show(len(lines))

    def needed(self, cells: int) -> int:
        """Return the number of lines for a width."""
        return len(self._make(max(cells, MIN_CELLS))) if self._make is not None else len(self.lines)

    @property
    def given_rows(self) -> int | None:
        """Number of lines that fit, where the height is set; None where the style sheet sets it."""
        return None if self._rows is None else max(self._rows - self.gutter.height - self.HEADER, 0)

    def set_height(self, rows: int | None) -> None:
        """Set the height of the pane, or leave it to the style sheet. Only a new height lays out the screen."""
        if rows != self._rows:
            self._rows = rows
            self.styles.height = rows

    def show_made(self, make: "MakeLines", *, is_new: bool = False) -> None:
        """Show lines that depend on the width, and rebuild them when it changes.

        Args:
            make: Builds the lines for a width in cells.
            is_new: Whether they have a new subject, so that they are shown from the top.
        """
        self._make = make
        self.show_lines(self._made(make), is_new=is_new)

    def _made(self, make: "MakeLines") -> list[Line]:
        width, height = self._made_for = self.size
        lines = make(max(width, MIN_CELLS)) if width else []
        return make(max(width - self.styles.scrollbar_size_vertical, MIN_CELLS)) if len(lines) > height else lines

    def _look(self, y: int, cells: int, cursor: int | None) -> Look:
        """Draw a line; rebuild the lines first when they were built for a different size."""
        if self._make is not None and self._made_for != self.size:
            self.lines = self._made(self._make)
            self.count = len(self.lines)
        return super()._look(y, cells, cursor)

    def show_again(self) -> None:
        """Rebuild the lines for the new width."""
        if self._make is None:
            super().show_again()
        else:
            self.show_made(self._make)


MakeLines: TypeAlias = Callable[[int], list[Line]]

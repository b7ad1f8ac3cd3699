"""The base of all panes: a scrollable list of lines that are made when they are drawn."""

from collections.abc import Callable
from dataclasses import dataclass
from traceback import format_exception
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from durable_debugger.text.cells import safe
from durable_debugger.text.glyphs import to_ascii
from durable_debugger.text.lines import Line, Part, fit
from durable_debugger.themes import BLURRED_CURSOR, CURSOR, palette

PLAIN = Style()


class LineView(ScrollView, can_focus=True, inherit_bindings=False):
    """Lines over a flat model. Subclasses say how many there are and what each looks like.

    Attributes:
        is_ascii: Whether to draw with ASCII only.
        failure: Traceback of the first line that could not be drawn.
        TITLE: Text in the line above.
        HEADER: How many lines at the top do not scroll.
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
            column: Where in the line.
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
        if self.TITLE:
            self.set_title(self.TITLE)

    def set_title(self, title: str) -> None:
        """The text in the line above."""
        shown = to_ascii(title) if self.is_ascii else title
        has_corner = bool(self.styles.border_left[0])  # beside a corner, Textual puts a blank itself
        self.border_title = Content(f"{shown} " if has_corner else f" {shown} ")

    def line(self, index: int, cells: int) -> Line:
        """The line at an index, for a width."""
        raise NotImplementedError

    def header_line(self, number: int, cells: int) -> Line:
        """A line that does not scroll."""
        raise NotImplementedError

    def cursor_index(self) -> int | None:
        """The selected line; None when nothing is selected."""
        return None

    def show(self, count: int) -> None:
        """The model changed: draw again, keeping the cursor in sight."""
        self.count = count
        self.virtual_size = Size(self.size.width, count + self.HEADER)
        cursor = self.cursor_index()
        if cursor is not None:
            self.keep_visible(cursor)
        self.refresh()

    def keep_visible(self, index: int) -> None:
        """Scroll as little as needed to have a line in sight."""
        height = self.scrollable_content_region.height - self.HEADER
        top = self.scroll_offset.y
        if height <= 0:
            return
        if index < top:
            self.scroll_to(y=index, animate=False, force=True)
        elif index >= top + height:
            self.scroll_to(y=index - height + 1, animate=False, force=True)

    def move(self, rows: int) -> None:
        """Move the cursor; without one, scroll."""
        self.scroll_to(y=max(0, min(self.scroll_offset.y + rows, self.max_scroll_y)), animate=False, force=True)

    def render_line(self, y: int) -> Strip:
        """Draw the line at a row of the screen."""
        width = self.scrollable_content_region.width
        index = y - self.HEADER + self.scroll_offset.y
        base = self.rich_style
        if y < self.HEADER:
            return self._strip(self._drawn(self.header_line, y, width), width, base)
        if not 0 <= index < self.count:
            return Strip.blank(width, base)
        is_cursor = index == self.cursor_index()
        if is_cursor:
            base += self._style(CURSOR if self.has_focus else BLURRED_CURSOR)
        return self._strip(self._drawn(self.line, index, width), width, base)

    def on_resize(self, event: events.Resize) -> None:
        """Keep the cursor in sight when the room changes."""
        self.show(self.count)

    def on_click(self, event: events.Click) -> None:
        """Say which line was clicked."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        index = offset.y - self.HEADER + self.scroll_offset.y
        if offset.y >= self.HEADER and 0 <= index < self.count:
            event.stop()
            self.post_message(self.Picked(self, index, offset.x, event.chain > 1))

    def _drawn(self, draw: Callable[[int, int], Line], index: int, cells: int) -> Line:
        """A line, or what went wrong with it: one that cannot be drawn must not take the app down."""
        try:
            return draw(index, cells)
        except Exception as error:  # noqa: BLE001  # whatever it is, the other lines can be drawn
            self.failure = self.failure or "".join(format_exception(error))
            return [Part(f" this line cannot be drawn: {safe(repr(error))} (y copies the report)", "fail")]

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
    """Lines that are all there at once: an inspector, an explanation.

    Attributes:
        lines: What is shown.
    """

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self.lines: list[Line] = []

    def line(self, index: int, cells: int) -> Line:
        """A line as it was given."""
        return self.lines[index]

    def show_lines(self, lines: list[Line], *, is_new: bool = False) -> None:
        """Show other lines; from the top when they are about something else."""
        self.lines = lines
        if is_new:
            self.scroll_to(y=0, animate=False, force=True)
        self.show(len(lines))

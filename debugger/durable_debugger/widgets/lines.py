"""The base of all panes: a scrollable list of lines that are made when they are drawn."""

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
from durable_debugger.text.lines import Line, Part, fit
from durable_debugger.themes import BLURRED_CURSOR, CURSOR, palette

PLAIN = Style()
MIN_CELLS = 20
"""Lines are not made narrower than this, however little room there is."""

Look: TypeAlias = tuple[Line, bool]
"""A line and whether it is the selected one: what is drawn again when it differs."""


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
        self._words = ""
        self._title: tuple[str, bool] | None = None
        self._looks: list[Look] = []
        self._looks_from: tuple[int, Size] | None = None
        if self.TITLE:
            self.set_title(self.TITLE)

    def set_title(self, title: str) -> None:
        """The text in the line above."""
        self._words = title
        shown = to_ascii(title) if self.is_ascii else title
        has_corner = bool(self.styles.border_left[0])  # beside a corner, Textual puts a blank itself
        if self._title != (shown, has_corner):  # Textual draws all of it again, even for the same title
            self._title = shown, has_corner
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
        if self._words:
            self.set_title(self._words)  # the border, and with it the room for a blank, depends on view and window
        self._measure(count)
        cursor = self.cursor_index()
        if cursor is not None:
            self.keep_visible(cursor)
        self._draw_changes()

    def _draw_changes(self) -> None:
        """Draw the lines that look different: a key press changes few, and drawing is what takes time."""
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
        """Make room for the lines: none as long as all fit, for each other size lays out the whole screen again."""
        self.count = count
        rows, room = count + self.HEADER, self.scrollable_content_region.height
        self.virtual_size = Size(0, rows if rows > room > 0 else 0)

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
        size = self.scrollable_content_region.size
        is_known = self._looks_from == (self.scroll_offset.y, size) and y < len(self._looks)
        line, is_cursor = self._looks[y] if is_known else self._look(y, size.width, self.cursor_index())
        base = self.rich_style
        if is_cursor:
            base += self._style(CURSOR if self.has_focus else BLURRED_CURSOR)
        return self._strip(line, size.width, base)

    def watch_show_vertical_scrollbar(self, is_shown: bool) -> None:
        """Textual tells a scroll bar where it is only while it is shown."""
        if is_shown:
            self.vertical_scrollbar.position = self.scroll_y

    def on_resize(self, event: events.Resize) -> None:
        """Use the new room."""
        self.show_again()

    def show_again(self) -> None:
        """The room changed, not the model."""
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
        self._make: MakeLines | None = None
        self._made_for = Size(0, 0)

    def line(self, index: int, cells: int) -> Line:
        """A line as it was given."""
        return self.lines[index]

    def show_lines(self, lines: list[Line], *, is_new: bool = False) -> None:
        """Show other lines; from the top when they are about something else."""
        if is_new:
            self.scroll_to(y=0, animate=False, force=True)
        self.lines = lines
        self.show(len(lines))

    def show_made(self, make: "MakeLines", *, is_new: bool = False) -> None:
        """Show lines that depend on the width; they are made again whenever it changes.

        Args:
            make: Makes the lines for a number of cells.
            is_new: Whether they are about something else, so that they are shown from the top.
        """
        self._make = make
        self.show_lines(self._made(make), is_new=is_new)

    def _made(self, make: "MakeLines") -> list[Line]:
        width, height = self._made_for = self.size
        lines = make(max(width, MIN_CELLS)) if width else []
        return make(max(width - self.styles.scrollbar_size_vertical, MIN_CELLS)) if len(lines) > height else lines

    def _look(self, y: int, cells: int, cursor: int | None) -> Look:
        """As the base draws it; lines made for another room, or for none yet, are made again first."""
        if self._make is not None and self._made_for != self.size:
            self.lines = self._made(self._make)
            self.count = len(self.lines)
        return super()._look(y, cells, cursor)

    def show_again(self) -> None:
        """Make the lines for the new width."""
        if self._make is None:
            super().show_again()
        else:
            self.show_made(self._make)


MakeLines: TypeAlias = Callable[[int], list[Line]]

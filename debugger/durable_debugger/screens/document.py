"""A window of text over the screen: a full value or a report."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import ModalScreen

from durable_debugger.text.lines import Line, plain
from durable_debugger.widgets.lines import StaticLines

READING_KEYS: list[BindingType] = [
    Binding("escape,q,v", "dismiss", "Close", show=False),
    Binding("up,k", "scroll_lines(-1)", "Up", show=False),
    Binding("down,j", "scroll_lines(1)", "Down", show=False),
    Binding("pageup", "scroll_pages(-1)", "Page up", show=False),
    Binding("pagedown,space", "scroll_pages(1)", "Page down", show=False),
    Binding("home,g", "scroll_lines(-1000000)", "Top", show=False),
    Binding("end,G", "scroll_lines(1000000)", "Bottom", show=False),
]


class DocumentScreen(ModalScreen[None]):
    """Lines in a window.

    Args:
        title: Title of the window.
        lines: Its text.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*READING_KEYS, Binding("y", "copy", "Copy", show=False)]
    DEFAULT_CSS = """
    DocumentScreen { align: center middle; }
    DocumentScreen > StaticLines {
        width: 90%; height: 85%; border: round $accent; background: $surface;
        border-title-color: $accent; border-subtitle-color: $text-muted;
    }
    """

    def __init__(self, title: str, lines: list[Line]) -> None:
        super().__init__()
        self._title, self._lines = title, lines

    def compose(self) -> ComposeResult:
        """Create the window."""
        window = StaticLines(id="document")
        window.border_title = Content(self._title)
        window.border_subtitle = "y Copy  Esc Close"
        yield window

    def on_mount(self) -> None:
        """Show the lines."""
        self.query_one(StaticLines).show_lines(self._lines)

    def action_scroll_lines(self, rows: int) -> None:
        """Scroll by lines."""
        self.query_one(StaticLines).move(rows)

    def action_scroll_pages(self, pages: int) -> None:
        """Scroll by pages."""
        window = self.query_one(StaticLines)
        window.move(pages * max(window.size.height - 1, 1))

    def action_copy(self) -> None:
        """Copy the whole text."""
        self.app.copy_to_clipboard("\n".join(plain(line) for line in self._lines))
        self.notify("copied", timeout=2)

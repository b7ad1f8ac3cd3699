"""A window of text over the screen: a full value or a report.

The help screen: the keys of a view, from the list of actions.
"""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.command import CommandList, CommandPalette
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList

from durable_debugger.actions import actions_of, key_text
from durable_debugger.text.cells import pad, wrap
from durable_debugger.text.segments import Line, Part, plain
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


class Menu(OptionList):
    """Options to choose from. In a window without room for them, page keys do nothing: Textual's list raises `KeyError`."""

    def action_page_up(self) -> None:
        """Move up by a page."""
        if self.scrollable_content_region:
            super().action_page_up()  # type: ignore[no-untyped-call]  # as Textual has it

    def action_page_down(self) -> None:
        """Move down by a page."""
        if self.scrollable_content_region:
            super().action_page_down()  # type: ignore[no-untyped-call]  # as Textual has it


class Palette(CommandPalette):
    """The command palette, with the same care for its list."""

    def _action_command_list(self, action: str) -> None:
        if self.query_one(CommandList).scrollable_content_region:
            super()._action_command_list(action)


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


KEY_WIDTH = 8
LABEL_WIDTH = 20
MIN_HELP = 24
"""Cells of a description, below which it is cut and not wrapped further."""


class HelpScreen(DocumentScreen):
    """Keys by group.

    Args:
        view: The view.
        keymap: The user's keys by action id.
    """

    def __init__(self, view: str, keymap: dict[str, str] | None = None) -> None:
        self._view, self._keymap = view, keymap or {}
        super().__init__(f"Keys of the {view} view", help_lines(view, self._keymap))

    def on_resize(self) -> None:
        """Wrap the descriptions to the width of the window."""
        window = self.query_one(StaticLines)
        cells = window.scrollable_content_region.width
        window.show_lines(help_lines(self._view, self._keymap, cells=cells))


def help_lines(view: str, keymap: dict[str, str], *, cells: int | None = None) -> list[Line]:
    """Return the actions, grouped, each with its description.

    Args:
        view: The view.
        keymap: The user's keys by action id.
        cells: Width to wrap the descriptions to; None does not wrap them.
    """
    lines: list[Line] = []
    actions = actions_of(view)
    before = 2 + KEY_WIDTH + LABEL_WIDTH
    room = max(cells - before - 1, MIN_HELP) if cells is not None else None
    for group in dict.fromkeys(action.group for action in actions):
        lines.append([Part(f" {group}", "title")])
        for action in actions:
            if action.group == group:
                keys = key_text(keymap[action.id]) if action.id in keymap else action.shown_key or key_text(action.keys)
                first, *rest = wrap(action.help, room) if room is not None else [action.help]
                start = [Part(f"  {pad(keys, KEY_WIDTH)}", "accent"), Part(pad(action.label, LABEL_WIDTH), "name")]
                lines += [[*start, Part(first, "dim")], *([Part(" " * before), Part(one, "dim")] for one in rest)]
        lines.append([])
    return lines

"""The lines around the panes: status, tabs, prompt and footer. Each item is clickable."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input, Label

from durable_debugger.actions import BY_ID, Action, footer_of, key_text
from durable_debugger.model.session import Session
from durable_debugger.text.cells import width
from durable_debugger.text.segments import Line, Part, flush, line_width
from durable_debugger.views.chrome import headline_lines, position_remark, status_line, tab_line
from durable_debugger.widgets.lines import MIN_CELLS, StaticLines


class StatusBar(StaticLines, can_focus=False):
    """The status line: execution, state, divergences."""

    def update(self, session: Session, *, follow: str = "") -> None:
        """Show a session."""
        self.show_made(lambda cells: [status_line(session, cells, follow=follow)])


class HeadlineBar(StaticLines, can_focus=False):
    """How the execution stands, in one sentence.

    Attributes:
        rows: Its height, which is what the sentence needs.
    """

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.rows = 0

    def update(self, session: Session) -> None:
        """Show a session."""
        cells = max(self.size.width or self.app.size.width, MIN_CELLS)
        height = len(headline_lines(session, cells))
        if self.rows != height:  # a new height lays out the screen
            self.rows = height
            self.styles.height = height
        self.show_made(lambda cells: headline_lines(session, cells))


class TabBar(StaticLines, can_focus=False):
    """The tabs of the views."""

    @dataclass
    class Chosen(Message):
        """A tab was clicked."""

        view: str

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._columns: dict[str, tuple[int, int]] = {}

    def update(self, session: Session, view: str, remark: str = "", *, is_new: bool = True) -> None:
        """Show the open view with a remark, or with the position in the recording."""
        role = "accent" if remark and is_new else "dim"
        text = remark or position_remark(session)

        def make(cells: int) -> list[Line]:
            line, self._columns = tab_line(view, cells, text, role=role)
            return [line]

        self.show_made(make)

    def on_click(self, event: events.Click) -> None:
        """Report the tab that was clicked."""
        for view, (start, end) in self._columns.items():
            if start <= event.x < end:
                self.post_message(self.Chosen(view))


ALWAYS = ("help", "quit", "commands")
"""Actions at the right of every footer."""


class FooterBar(StaticLines, can_focus=False):
    """The footer: the most useful keys of the view."""

    @dataclass
    class Chosen(Message):
        """An action was clicked."""

        action_id: str

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._columns: list[tuple[int, int, str]] = []

    def update(self, view: str) -> None:
        """Show the keys of a view."""
        self.show_made(lambda cells: [self._line(view, cells)])

    def _line(self, view: str, cells: int) -> Line:
        keymap = getattr(self.app, "shown_keys", {})
        right, self._columns = self._always(cells)
        room = cells - line_width(right)
        left: Line = [Part(" ")]
        at = 1
        for action in footer_of(view):
            key = _shown_key(action, keymap)
            size = width(key) + 1 + width(action.label) + 2
            if at + size > room:
                break
            left += [Part(f"{key} ", "accent"), Part(f"{action.label}  ", "dim")]
            self._columns.append((at, at + size - 2, action.id))
            at += size
        return flush(left, right, cells)

    def _always(self, cells: int) -> tuple[Line, list[tuple[int, int, str]]]:
        """Return the keys that are shown in every view and window: help, quit, and all other actions."""
        keymap = getattr(self.app, "shown_keys", {})
        parts: Line = []
        columns: list[tuple[int, int, str]] = []
        texts = [(_shown_key(BY_ID[name], keymap), BY_ID[name].label, name) for name in ALWAYS]
        at = cells - sum(width(key) + width(label) + 2 for key, label, _ in texts)
        for key, label, name in texts:
            size = width(key) + width(label) + 2
            parts += [Part(f"{key} ", "accent"), Part(f"{label} ", "dim")]
            columns.append((at, at + size, name))
            at += size
        return parts, columns

    def on_click(self, event: events.Click) -> None:
        """Report the action that was clicked."""
        for start, end, action_id in self._columns:
            if start <= event.x < end:
                self.post_message(self.Chosen(action_id))
                return


def _shown_key(action: Action, keymap: dict[str, str]) -> str:
    keys = keymap.get(action.id, action.keys)
    if action.id == "commands" and action.id not in keymap:
        return key_text("ctrl+p")
    return key_text(keys.split(",")[0]) if action.id in keymap or not action.shown_key else action.shown_key


class Prompt(Horizontal):
    """The prompt above the footer."""

    DEFAULT_CSS = """
    Prompt { display: none; height: 1; background: $panel; }
    Prompt.-open { display: block; layout: horizontal; }
    Prompt #prompt-label { width: auto; padding: 0 1; color: $accent; text-style: bold; }
    Prompt Input { width: 1fr; background: $panel; }
    Prompt #prompt-remark { width: 45%; padding: 0 1; text-align: right; color: $text-muted; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "Back", show=False)]

    class Closed(Message):
        """The prompt was closed."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._accept: Callable[[str], None] | None = None
        self._preview: Callable[[str], str] | None = None
        self._cancelled: Callable[[], None] | None = None

    @property
    def is_open(self) -> bool:
        """Whether the prompt is open."""
        return self.has_class("-open")

    def compose(self) -> ComposeResult:
        """Create label, input and remark."""
        yield Label("", id="prompt-label", markup=False)
        yield Input(compact=True, select_on_focus=False)
        yield Label("", id="prompt-remark", markup=False)

    def open(
        self,
        label: str,
        hint: str,
        *,
        accept: Callable[[str], None],
        preview: Callable[[str], str] | None,
        cancelled: Callable[[], None] | None,
        value: str = "",
    ) -> None:
        """Ask for a line of text."""
        self._accept, self._preview, self._cancelled = accept, preview, cancelled
        self.query_one("#prompt-label", Label).update(label)
        remark = self.query_one("#prompt-remark", Label)
        remark.update("", layout=False)
        remark.display = preview is not None
        field = self.query_one(Input)
        field.placeholder = hint
        field.value = value
        self.add_class("-open")
        field.focus()
        field.select_all()  # so that typing replaces a suggestion

    def accept(self, text: str) -> None:
        """Close the prompt and submit its text; an empty text cancels."""
        self.remove_class("-open")
        if text.strip() and self._accept is not None:
            self._accept(text)
        elif self._cancelled is not None:
            self._cancelled()
        self.post_message(self.Closed())

    def on_input_changed(self, event: Input.Changed) -> None:
        """Update the preview."""
        event.stop()
        if self.is_open and self._preview is not None:
            self.query_one("#prompt-remark", Label).update(self._preview(event.value), layout=False)

    def action_cancel(self) -> None:
        """Close the prompt and discard its text."""
        self.remove_class("-open")
        if self._cancelled is not None:
            self._cancelled()
        self.post_message(self.Closed())

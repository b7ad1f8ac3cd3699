"""The Textual app: themes, command palette, and the screen to start with."""

from collections.abc import Iterable
from functools import partial
from typing import ClassVar

from textual.app import App, SystemCommand
from textual.screen import Screen

from durable_debugger.model.session import Session
from durable_debugger.screens.main import MainScreen
from durable_debugger.sources.code import SourceTexts
from durable_debugger.themes import DEFAULT_THEME, DURABLE_SAFE, DURABLE_SAFE_LIGHT, ROLE_COLOURS
from durable_debugger.widgets.lines import LineView


class DebuggerApp(App[int]):
    """Looks at one execution.

    Args:
        session: The execution.
        view: Which view to open.
        theme: Name of a theme.
        is_ascii: Whether to draw with ASCII only.
        texts: Finds source files.
    """

    TITLE = "durable-debug"
    COMMAND_PALETTE_BINDING = "ctrl+backslash"  # the registry of actions binds the palette
    ENABLE_COMMAND_PALETTE: ClassVar[bool] = True

    def __init__(
        self,
        session: Session,
        *,
        view: str = "tree",
        theme: str | None = None,
        is_ascii: bool = False,
        texts: SourceTexts | None = None,
    ) -> None:
        super().__init__()
        self.session = session
        self._first_view = view
        self._texts = texts
        self._theme_name = theme or DEFAULT_THEME
        self._is_ascii = is_ascii

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Colours of roles for themes that do not know them."""
        return ROLE_COLOURS

    def on_mount(self) -> None:
        """Open the execution."""
        self.register_theme(DURABLE_SAFE)
        self.register_theme(DURABLE_SAFE_LIGHT)
        self.theme = self._theme_name
        LineView.is_ascii = self._is_ascii
        _ = self.push_screen(MainScreen(self.session, view=self._first_view, texts=self._texts))

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Every action of the view that is open, and Textual's own for themes and screenshots."""
        main = next((each for each in self.screen_stack if isinstance(each, MainScreen)), None)
        if main is not None:
            for action in main.available():
                yield SystemCommand(action.label, action.help, partial(main.action_perform, action.id))
        yield SystemCommand("Theme", "Change the colours.", self.action_change_theme)
        yield SystemCommand("Screenshot", "Save the screen as SVG.", self.deliver_screenshot)

"""The Textual app: themes, command palette and first screen."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from textual import on, work
from textual.app import App, SystemCommand
from textual.screen import Screen

from durable_debugger.model.secrets import Secrets
from durable_debugger.model.session import HIDDEN, Session
from durable_debugger.screens.dialogs import Palette
from durable_debugger.screens.loading import LoadingScreen, LoadSession
from durable_debugger.screens.main import MainScreen
from durable_debugger.screens.reach import ActionProvider
from durable_debugger.sources.code import SourceTexts
from durable_debugger.sources.found import Loaded, NotFoundError
from durable_debugger.sources.places import Library
from durable_debugger.themes import DEFAULT_THEME, DURABLE_SAFE, DURABLE_SAFE_LIGHT
from durable_debugger.widgets.lines import LineView
from durable_execution.clock import SystemClock
from durable_execution.errors import DurableError
from durable_execution.private_files import write_private

if TYPE_CHECKING:  # an execution is on the screen sooner without the screens that it does not need
    from durable_debugger.model.cost import CostTerms
    from durable_debugger.model.fleet_groups import Fleet
    from durable_debugger.screens.fleet_screen import FleetScreen
    from durable_debugger.screens.opener import OpenerScreen


class DebuggerApp(App[int]):
    """Shows one execution, or asks which one to open.

    Args:
        session: The execution; None opens the list of executions.
        loaded: Its source, used to follow a running execution.
        load: Reads a large execution in the app, with a description of it; None when `session` has it.
        library: The executions offered in the list.
        missing: The reference that was not found.
        fleet: A fleet to show, and what its costs assume; an execution opens from it.
        view: The view to open.
        at: Position in the recording to open the step view at, in the syntax of its `g` key; None opens `view`.
        target: The handler to replay with; None until the user names it.
        theme: Name of a theme.
        is_ascii: Whether to draw with ASCII only.
        keymap: The user's keys by action id.
        texts: Finds source files.
        secrets: Redacts the execution chosen from the list.
        painted: Called after the first paint.
    """

    TITLE = "durable-debug"
    COMMANDS = App.COMMANDS | {ActionProvider}
    CSS_PATH = "screens/main.tcss"
    COMMAND_PALETTE_BINDING = "ctrl+backslash"  # the registry of actions binds the palette

    def __init__(
        self,
        session: Session | None = None,
        *,
        loaded: Loaded | None = None,
        load: tuple[LoadSession, str] | None = None,
        library: Library | None = None,
        missing: NotFoundError | None = None,
        fleet: "tuple[Fleet, CostTerms] | None" = None,
        view: str = "tree",
        at: str | None = None,
        target: str | None = None,
        theme: str | None = None,
        is_ascii: bool = False,
        keymap: dict[str, str] | None = None,
        texts: SourceTexts | None = None,
        secrets: Secrets | None = HIDDEN,
        painted: Callable[[], None] | None = None,
    ) -> None:
        super().__init__()
        self.shown_keys = keymap or {}
        self._session, self._loaded, self._load_session = session, loaded, load
        self.failure: Exception | None = None
        self._library, self._missing = library or Library(()), missing
        self._target, self._fleet = target, fleet
        self.painted = painted
        self._first_view, self._first_at, self._texts, self._secrets = view, at, texts, secrets
        self.register_theme(DURABLE_SAFE)
        self.register_theme(DURABLE_SAFE_LIGHT)
        self.theme = theme or DEFAULT_THEME
        LineView.is_ascii = is_ascii

    def get_default_screen(self) -> Screen[None]:
        """The execution or the list of executions, as the first screen, so that no empty screen is painted before it."""
        if self._load_session is not None:
            return LoadingScreen(*self._load_session)
        if self._fleet is not None:
            from durable_debugger.screens.fleet_screen import FleetScreen

            return FleetScreen(*self._fleet)
        if self._session is None:
            return self._opener(self._missing)
        return self._main(self._session, self._loaded)

    def on_mount(self) -> None:
        """Apply the user's key map."""
        self.set_keymap(self.shown_keys)
        if self.painted is not None:
            self.call_after_refresh(self.painted)

    @on(LoadingScreen.Done)
    def read(self, event: LoadingScreen.Done) -> None:
        """Show the execution that was read."""
        self._open(event.session, event.loaded)

    @on(LoadingScreen.Failed)
    def unreadable(self, event: LoadingScreen.Failed) -> None:
        """Offer other executions if there is none of that name; leave any other error to the command line."""
        if isinstance(event.error, NotFoundError):
            self._missing = event.error
            _ = self.push_screen(self._opener(event.error))
            return
        self.failure = event.error
        self.exit(1)

    def on_opener_screen_chosen(self, event: "OpenerScreen.Chosen") -> None:
        """Read the chosen execution."""
        if any(isinstance(each, MainScreen) for each in self.screen_stack):
            _ = self.pop_screen()  # the list, over the execution that it was opened from
        self._load(event.execution.arn)

    @on(MainScreen.OpenOther)
    def open_other(self, event: MainScreen.OpenOther) -> None:
        """Open a different execution over this one: escape comes back."""
        if event.arn is not None:
            self.notify("opening the invoked execution …", timeout=2)
            self._load(event.arn)
        else:
            _ = self.push_screen(self._opener(is_over=True))

    def action_command_palette(self) -> None:
        """Open the command palette."""
        if not isinstance(self.screen, Palette):
            _ = self.push_screen(Palette(id="--command-palette"))

    def on_fleet_screen_chosen(self, event: "FleetScreen.Chosen") -> None:
        """Read an execution of the fleet."""
        self._load(event.reference)

    @work(thread=True, exclusive=True, exit_on_error=False)
    def _load(self, arn: str) -> None:
        try:
            loaded = self._library.load(arn)
        except DurableError as error:
            self.call_from_thread(self.notify, str(error), severity="error", markup=False)
            return
        session = Session(
            loaded.execution,
            as_of=loaded.as_of,
            origin=loaded.origin,
            title=loaded.title,
            secrets=self._secrets,
        )
        self.call_from_thread(self._open, session, loaded)

    def _open(self, session: Session, loaded: Loaded | None) -> None:
        _ = self.push_screen(self._main(session, loaded))

    def _opener(self, missing: NotFoundError | None = None, *, is_over: bool = False) -> "OpenerScreen":
        from durable_debugger.screens.opener import OpenerScreen

        return OpenerScreen(self._library, missing, is_over=is_over)

    def _main(self, session: Session, loaded: Loaded | None) -> MainScreen:
        return MainScreen(
            session, view=self._first_view, at=self._first_at, texts=self._texts, loaded=loaded, target=self._target
        )

    def save_screen(self) -> None:
        """Save the screen in the working directory. Only its owner can read the file: it shows recorded data."""
        file = Path(f"{self.TITLE}-{SystemClock().now():%Y-%m-%d-%H%M%S}.svg")
        try:
            write_private(file, self.export_screenshot())
        except OSError as error:
            self.notify(f"cannot write {file}: {error.strerror}", severity="error", markup=False)
            return
        self.notify(f"wrote {file}", timeout=3, markup=False)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Textual's own commands for themes and screenshots; `ActionProvider` has those of the view."""
        yield SystemCommand("Theme", "Change the colors.", self.action_change_theme)
        yield SystemCommand("Screenshot", "Save the screen as SVG.", self.save_screen)

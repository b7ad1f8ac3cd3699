"""The screen shown while a large recording is read, so that the terminal is never blank."""

from collections.abc import Callable
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.screen import Screen
from textual.timer import Timer

from durable_debugger.model.session import Session
from durable_debugger.sources.found import Loaded
from durable_debugger.text import glyphs
from durable_debugger.text.cells import safe
from durable_debugger.text.segments import Part
from durable_debugger.widgets.lines import StaticLines

LoadSession = Callable[[], tuple[Session, Loaded | None]]
"""Reads an execution. Runs in a thread."""

FIRST_PAINT_SECONDS = 0.05
"""Reading starts after the first paint: parsing JSON keeps Python's other threads waiting."""
TICK_SECONDS, BAR = 0.5, 20


class LoadingScreen(Screen[None]):
    """Reads an execution in a thread, and says so.

    Args:
        load: Reads the execution.
        words: What is read: `order.history.json, 72.4 MiB`.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("q,escape,ctrl+c", "app.quit", "Quit", show=False)]
    DEFAULT_CSS = """
    LoadingScreen StaticLines { height: 1fr; }
    """

    class Done(Message):
        """The execution was read.

        Attributes:
            session: The session on it.
            loaded: Its source.
        """

        def __init__(self, session: Session, loaded: Loaded | None) -> None:
            super().__init__()
            self.session, self.loaded = session, loaded

    class Failed(Message):
        """The execution cannot be read.

        Attributes:
            error: Why.
        """

        def __init__(self, error: Exception) -> None:
            super().__init__()
            self.error = error

    def __init__(self, load: LoadSession, words: str) -> None:
        super().__init__()
        self._load = load
        self._words = words
        self._ticks = 0
        self._timer: Timer | None = None

    def compose(self) -> ComposeResult:
        """Create the text."""
        yield StaticLines()

    def on_mount(self) -> None:
        """Say what is read, then read it."""
        self._show()
        self._timer = self.set_interval(TICK_SECONDS, self._tick)
        self.set_timer(FIRST_PAINT_SECONDS, self._read)

    def on_screen_suspend(self) -> None:
        """Stop counting: the execution is shown."""
        if self._timer is not None:
            self._timer.stop()

    def _tick(self) -> None:
        self._ticks += 1
        self._show()

    def _show(self) -> None:
        seconds = f"   {self._ticks * TICK_SECONDS:.1f} s" if self._ticks else ""
        bar = glyphs.WAIT * (self._ticks % BAR + 1)
        lines = [
            [],
            [Part(f"   Reading {safe(self._words)}", "title")],
            [],
            [Part(f"   {bar:<{BAR}}", "wait"), Part(seconds, "dim")],
            [],
            [Part("   q  Quit", "dim")],
        ]
        self.query_one(StaticLines).show_lines(lines)

    @work(thread=True, exclusive=True, exit_on_error=False)
    def _read(self) -> None:
        try:
            session, loaded = self._load()
        except Exception as error:  # noqa: BLE001  # the command line explains it
            self.post_message(self.Failed(error))
            return
        self.post_message(self.Done(session, loaded))

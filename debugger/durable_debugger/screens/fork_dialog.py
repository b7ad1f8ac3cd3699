"""Forks the execution at the cursor: an editor for the call's outcome, then a process of its own, then the fork on the screen."""

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from durable_debugger.model.session import Session
from durable_debugger.screens.handlers import handles
from durable_debugger.sources.found import Loaded
from durable_debugger.sources.local import DEFAULT_STORE, LocalExecutions
from durable_debugger.text.cells import safe
from durable_debugger.text.segments import Line, Part
from durable_debugger.text.stored_values import is_restored_untagged, untagged
from durable_execution.errors import DurableError
from durable_execution.history.documents import bundle_of
from durable_execution.history.recorded import RecordedOperation

if TYPE_CHECKING:  # an editor takes long to load, and an execution is on the screen without one
    from textual.widgets import TextArea

    from durable_debugger.screens.main import MainScreen

STORE_WORDS = "local store "


@dataclass(frozen=True, slots=True)
class ForkRequest:
    """What a user wants to happen at a call.

    Attributes:
        result: Its result as JSON text, as it was edited.
        error: `TYPE:MESSAGE` of the error it raises instead; empty for none.
        target: The handler whose code goes on.
        is_edited: Whether the result differs from the recorded one.
    """

    result: str
    error: str
    target: str
    is_edited: bool

    def words(self, call: RecordedOperation) -> list[str]:
        """The options of `durable-debug fork`."""
        words = ["--at", call.id]
        if self.error:
            return [*words, "--error", self.error]
        return [*words, "--result", self.result] if self.is_edited else words


class ForkScreen(ModalScreen[ForkRequest | None]):
    """Asks how a call ends.

    Args:
        call: The call.
        target: The handler; empty until the user names it.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "fork", "Fork", show=False, priority=True),
        Binding("escape", "cancel", "Cancel", show=False, priority=True),
    ]
    DEFAULT_CSS = """
    ForkScreen { align: center middle; }
    ForkScreen > Vertical {
        width: 90%; height: 85%; border: round $accent; background: $surface;
        border-title-color: $accent; border-subtitle-color: $text-muted;
    }
    ForkScreen Static { height: auto; padding: 0 1; color: $text-muted; }
    ForkScreen TextArea { height: 1fr; }
    ForkScreen Input { height: 1; border: none; padding: 0 1; }
    ForkScreen #problem { color: $warning; }
    """

    def __init__(self, call: RecordedOperation, target: str) -> None:
        super().__init__()
        self._call, self._target = call, target
        self._recorded = _pretty(call.result)
        self._editor: TextArea | None = None

    def compose(self) -> ComposeResult:
        """Create the editor and the two inputs."""
        from textual.widgets import TextArea

        self._editor = TextArea(self._recorded, id="result")
        window = Vertical()
        window.border_title = f"Fork at {safe(self._call.path)}"
        window.border_subtitle = "Ctrl+S Fork  Tab Next field  Esc Cancel"
        with window:
            yield Static("What would have happened if this call had returned", markup=False)
            yield self._editor
            yield Static("or raised, as TYPE:MESSAGE", markup=False)
            yield Input(id="error", compact=True)
            yield Static("with the code of, as MODULE:HANDLER or FILE.py:HANDLER", markup=False)
            yield Input(self._target, id="target", compact=True)
            yield Static("", id="problem", markup=False)

    def action_fork(self) -> None:
        """Check the fields, and fork."""
        text = self._editor.text if self._editor is not None else self._recorded
        error, target = (self.query_one(name, Input).value.strip() for name in ("#error", "#target"))
        problem = "name the handler whose code goes on" if not target else ""
        if not error and text != self._recorded:
            try:
                json.loads(text)
            except ValueError as found:
                problem = f"the result is not JSON: {found}"
        if problem:
            self.query_one("#problem", Static).update(problem)
            return
        _ = self.dismiss(ForkRequest(text, error, target, text != self._recorded))

    def action_cancel(self) -> None:
        """Close without a fork."""
        _ = self.dismiss(None)


def _pretty(result: str | None) -> str:
    """Indent a result. Its type tags stay where plain JSON would restore a different value."""
    try:
        value = json.loads(result or "null")
        shown = untagged(value) if is_restored_untagged(value) else value
        return json.dumps(shown, indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return result or ""


@handles("fork_here")
def fork_here(screen: "MainScreen") -> None:
    """Ask how the selected call ends, and fork the execution there."""
    session = screen.session
    if session.cursor < 0:
        screen.say("select the call to fork at")
        return
    call = session.recorded[session.cursor]
    shown = session.operations[session.cursor]

    def fork(request: ForkRequest | None) -> None:
        if request is not None:
            screen.replays.target = request.target
            screen.say(f"forking at {call.path} …")
            screen.run_worker(lambda: _fork(screen, session, call, request), thread=True, exit_on_error=False)

    _ = screen.app.push_screen(ForkScreen(shown, screen.replays.target or screen.replays.guess()), fork)


def store_of(session: Session) -> Path:
    """The store that a fork goes to: the one the execution is from, else the default one."""
    origin = session.origin or ""
    return Path(origin.removeprefix(STORE_WORDS)) if origin.startswith(STORE_WORDS) else DEFAULT_STORE


def _fork(screen: "MainScreen", session: Session, call: RecordedOperation, request: ForkRequest) -> None:
    """Fork in a process of its own, with today's files, and open the fork."""
    store = store_of(session)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "origin.bundle.json"
        path.write_text(json.dumps(bundle_of(session.raw), default=str), encoding="utf-8")
        command = [sys.executable, "-m", "durable_debugger", "fork", str(path), request.target, "--json"]
        command += ["--store", str(store), *request.words(call)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        found = json.loads(done.stdout)
        local = LocalExecutions(store)
        loaded = local.load(found["arn"])
    except (ValueError, KeyError, DurableError) as error:
        said = (done.stderr.strip() or str(error)).removeprefix("durable-debug: ")
        lines: list[Line] = [[Part(f" {safe(line)}")] for line in said.splitlines()]
        screen.app.call_from_thread(screen.open_document, "No fork", lines)
        return
    waits = found["waits_for"]
    text = f"it waits for {', '.join(waits)}" if waits else f"the fork {str(found['status']).lower()}"
    opened = Session(loaded.execution, as_of=loaded.as_of, origin=loaded.origin, secrets=session.secrets)
    screen.app.call_from_thread(_open, screen, opened, loaded, text)


def _open(screen: "MainScreen", session: Session, loaded: Loaded, text: str) -> None:
    opened = type(screen)(session, texts=screen.texts, loaded=loaded, target=screen.replays.target)
    _ = screen.app.push_screen(opened)
    opened.call_after_refresh(opened.say, text)

"""Other executions and acting on this one, without leaving the debugger.

Acting changes an execution, so each act asks first, and names the execution. Only sources with the Lambda API offer any.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from durable_debugger.actions import Action, key_text
from durable_debugger.model import facts
from durable_debugger.model.outline import ROOT
from durable_debugger.screens.dialogs import Menu
from durable_debugger.screens.handlers import handles
from durable_debugger.text.cells import safe, wrap
from durable_debugger.text.segments import Part
from durable_debugger.widgets.lines import StaticLines
from durable_execution.history.recorded import RecordedOperation
from durable_execution.protocol import OperationType

if TYPE_CHECKING:
    from durable_debugger.screens.main import MainScreen

OPEN_STATUSES = frozenset({"RUNNING", "PAUSED", "PAUSING"})


@dataclass(frozen=True, slots=True)
class Act:
    """Something that can be done to the execution.

    Attributes:
        id: Its name.
        label: What it does, in the imperative.
        perform: Does it, with the text that was asked for.
        asks: What to ask for first; empty asks nothing.
    """

    id: str
    label: str
    perform: Callable[[str], object]
    asks: str = ""


def acts(screen: "MainScreen") -> list[Act]:
    """Return what can be done to the execution now, most specific first."""
    session, loaded = screen.session, screen.loaded
    client: Any = loaded.client if loaded is not None else None
    arn, status = session.execution.arn, session.execution.status
    if client is None or arn is None or status not in OPEN_STATUSES:
        return []
    found = _answers(session.operation(session.cursor), client)
    waiting = session.waiting_for()
    if not found and waiting is not None:
        found = _answers(waiting, client)
    if status == "RUNNING" and hasattr(client, "pause_durable_execution"):
        found.append(Act("pause", "Pause it", lambda _: client.pause_durable_execution(DurableExecutionArn=arn)))
    if status in ("PAUSED", "PAUSING") and hasattr(client, "resume_durable_execution"):
        found.append(Act("resume", "Resume it", lambda _: client.resume_durable_execution(DurableExecutionArn=arn)))
    found.append(Act("stop", "Stop it permanently", lambda _: client.stop_durable_execution(DurableExecutionArn=arn)))
    return found


def _answers(operation: RecordedOperation | None, client: Any) -> list[Act]:
    """The ways to answer an open callback."""
    if operation is None or operation.type is not OperationType.CALLBACK or operation.status.is_terminal:
        return []
    callback = operation.details.get("callback_id")
    if not callback:
        return []
    name = facts.label(operation)
    return [
        Act(
            "succeed",
            f"Complete callback {name} with a result",
            lambda text: client.send_durable_execution_callback_success(CallbackId=callback, Result=text.encode()),
            "the result, as JSON",
        ),
        Act(
            "fail",
            f"Complete callback {name} with an error",
            lambda text: client.send_durable_execution_callback_failure(
                CallbackId=callback, Error={"ErrorMessage": text, "ErrorType": "CallbackFailed"}
            ),
            "the error's message",
        ),
        Act(
            "heartbeat",
            f"Restart the heartbeat timeout of callback {name}",
            lambda _: client.send_durable_execution_callback_heartbeat(CallbackId=callback),
        ),
    ]


@handles("act")
def act(screen: "MainScreen") -> None:
    """Choose what to do to the execution."""
    found = acts(screen)
    if not found:
        loaded = screen.loaded
        has_client = loaded is not None and loaded.client is not None
        screen.say("the execution has ended" if has_client else "a recording can only be looked at: open it by its id")
        return
    _ = screen.app.push_screen(ChoiceScreen("Act", found), lambda chosen: _chosen(screen, chosen))


def _chosen(screen: "MainScreen", chosen: Act | None) -> None:
    if chosen is None:
        return
    if not chosen.asks:
        _confirm(screen, chosen, "")
        return
    screen.ask(chosen.id, chosen.asks, lambda screen, text: _check(screen, chosen, text))


def _check(screen: "MainScreen", chosen: Act, text: str) -> None:
    if chosen.id == "succeed":
        try:
            json.loads(text)
        except ValueError as error:
            screen.say(f"not JSON: {error}")
            return
    _confirm(screen, chosen, text)


def _confirm(screen: "MainScreen", chosen: Act, text: str) -> None:
    session = screen.session
    words = [f"{chosen.label}?", "", session.title, session.execution.arn or "", f"on {session.origin}"]
    words += ["", f"with {text}"] if text else []

    def answered(is_sure: bool | None) -> None:
        if is_sure:
            _perform(screen, chosen, text)

    _ = screen.app.push_screen(ConfirmScreen(words), answered)


def _perform(screen: "MainScreen", chosen: Act, text: str) -> None:
    """Act in a thread: the service may take its time."""

    def work() -> None:
        try:
            chosen.perform(text)
        except Exception as error:  # noqa: BLE001  # what the client raises depends on the source; it is shown
            screen.app.call_from_thread(screen.say, f"{chosen.id} failed: {safe(str(error))}")
            return
        screen.app.call_from_thread(screen.say, f"{chosen.id}: accepted")

    screen.run_worker(work, thread=True, group="act", exit_on_error=False)


class ChoiceScreen(ModalScreen[Act | None]):
    """A list to choose an act from.

    Args:
        title: Title of the window.
        found: The acts.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q", "dismiss(None)", show=False)]
    DEFAULT_CSS = """
    ChoiceScreen { align: center middle; }
    ChoiceScreen > OptionList {
        width: 95%; max-width: 60; height: auto; max-height: 80%; border: round $accent; background: $surface;
        border-title-color: $accent; border-subtitle-color: $text-muted;
    }
    """

    def __init__(self, title: str, found: list[Act]) -> None:
        super().__init__()
        self._title, self._found = title, found

    def compose(self) -> ComposeResult:
        """Create an option for each act."""
        menu = Menu(*(Option(each.label, id=each.id) for each in self._found), markup=False)
        menu.border_title, menu.border_subtitle = self._title, "Enter Choose  Esc Close"
        yield menu

    @on(OptionList.OptionSelected)
    def selected(self, event: OptionList.OptionSelected) -> None:
        """Return the act."""
        _ = self.dismiss(next((each for each in self._found if each.id == event.option.id), None))


class ConfirmScreen(ModalScreen[bool | None]):
    """Asks before something is changed.

    Args:
        words: What will be done, and to which execution.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "dismiss(True)", show=False),
        Binding("n,escape,q,enter", "dismiss(False)", show=False),
    ]
    DEFAULT_CSS = """
    ConfirmScreen { align: center middle; }
    ConfirmScreen > StaticLines {
        width: 70; max-width: 95%; max-height: 90%; border: round $warning; background: $surface;
        border-title-color: $warning; border-subtitle-color: $text-muted;
    }
    """

    def __init__(self, words: list[str]) -> None:
        super().__init__()
        self._words = words

    def compose(self) -> ComposeResult:
        """Create the window."""
        window = StaticLines(id="question")
        window.border_title, window.border_subtitle = Content("Are you sure?"), "y Yes  n No"
        yield window

    def on_mount(self) -> None:
        """Show the question."""
        cells = max(min(70, self.app.size.width) - 6, 10)
        lines = [[Part(f" {piece}")] for word in self._words for piece in wrap(safe(word), cells)]
        window = self.query_one(StaticLines)
        window.styles.height = len(lines) + 2
        window.show_lines([*lines])


@handles("open_other")
def open_other(screen: "MainScreen") -> None:
    """Show the list of executions, to open a different one."""
    screen.post_message(screen.OpenOther())


@handles("open_invoked")
def open_invoked(screen: "MainScreen") -> None:
    """Open the execution that the selected invoke started; escape comes back."""
    session = screen.session
    operation = None if session.cursor == ROOT else session.operations[session.cursor]
    arn = operation.details.get("child_execution_arn") if operation is not None else None
    if operation is None or operation.type is not OperationType.CHAINED_INVOKE:
        screen.say("select an invoke to open the execution that it started")
    elif not arn:
        screen.say("the history does not say which execution it started")
    else:
        screen.post_message(screen.OpenOther(str(arn)))


class ActionProvider(Provider):
    """The actions of the open view for the command palette, with their keys, the most used first."""

    async def discover(self) -> Hits:
        """Every action, those of the footer first."""
        for action, perform in self._actions():
            yield DiscoveryHit(_shown(action), perform, text=action.label, help=action.help)

    async def search(self, query: str) -> Hits:
        """The actions that match, best first: a label that starts as typed, then any label, then the help."""
        matcher = self.matcher(query)
        typed = query.casefold()
        for action, perform in self._actions():
            label = action.label.casefold()
            ranks = (
                label == typed,
                label.startswith(typed),
                typed in label,
                matcher.match(label) > 0,
                typed in action.help.casefold(),
            )
            rank = next((len(ranks) - at for at, is_match in enumerate(ranks) if is_match), 0)
            if rank:
                yield Hit(rank / len(ranks), _shown(action), perform, text=action.label, help=action.help)

    def _actions(self) -> "list[tuple[Action, Callable[[], None]]]":
        main = self.screen
        available: Callable[[], list[Action]] | None = getattr(main, "available", None)
        perform: Callable[[str], None] | None = getattr(main, "action_perform", None)
        if available is None or perform is None:
            return []
        ranked = sorted(available(), key=lambda action: (not action.footer, action.footer))
        return [(action, _bound(perform, action.id)) for action in ranked]


def _bound(perform: Callable[[str], None], action_id: str) -> Callable[[], None]:
    return lambda: perform(action_id)


def _shown(action: Action) -> Content:
    keys = action.shown_key or key_text(action.keys)
    return Content.assemble((f"{keys:<8}", "bold"), action.label)

"""Actions that change what is shown: views, search, values, help.

Actions of the diff view.

Opening the code of a call in the user's editor.

The copy menu.
"""

import os
import shlex
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from textual import on
from textual.app import ComposeResult, SuspendNotSupported
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from durable_debugger.model import search
from durable_debugger.model.outline import ROOT
from durable_debugger.model.session import Session
from durable_debugger.screens.dialogs import Menu
from durable_debugger.screens.handlers import HANDLERS, handles
from durable_debugger.text import payloads
from durable_debugger.text.payloads import size
from durable_debugger.text.segments import plain
from durable_debugger.views.chrome import VIEWS, hit_count, inspector_title
from durable_debugger.views.inspector import inspector_lines
from durable_debugger.views.source import current_site
from durable_debugger.views.value import value_lines, variable_lines
from durable_debugger.widgets.diff_pane import DiffPane
from durable_debugger.widgets.source_pane import SourcePane
from durable_execution.divergence import Divergence, explanation
from durable_execution.private_files import write_private

if TYPE_CHECKING:
    from durable_debugger.screens.main import MainScreen


def _opens(view: str) -> None:
    HANDLERS[f"view_{view}"] = lambda screen: screen.open_view(view)


for _view in VIEWS:
    _opens(_view)


@handles("search")
def start_search(screen: "MainScreen") -> None:
    """Ask for a search and show hits while the user types."""
    session = screen.session
    before = session.cursor

    def preview(screen: "MainScreen", text: str) -> str:
        query = search.parse(text)
        session.search(query)
        session.outline.filter(session.hits or None)
        if session.hits:
            session.cursor = next((hit for hit in session.hits if hit >= before), session.hits[0])
        screen.show()
        if query.problem:
            return query.problem
        return hit_count(len(session.hits)) if session.hits is not None else "kind: status: >2s attempt:>1 file: inv:"

    def accept(screen: "MainScreen", text: str) -> None:
        query = search.parse(text)
        is_filter = any(term.key != "text" for term in query.terms)
        if not session.hits:
            screen.say(f"no hits for {text}")
            forget(screen)
            return
        if not is_filter:
            session.outline.filter(None)
        session.select(session.cursor)
        screen.show()

    def forget(screen: "MainScreen") -> None:
        session.search(None)
        session.outline.filter(None)
        session.select(before)
        screen.show()

    screen.ask("/", "name, error, value, kind:step status:failed >2s", accept, preview=preview, cancelled=forget)


def _hit(screen: "MainScreen", direction: int) -> None:
    session = screen.session
    row = session.next_hit(direction)
    if row is None:
        screen.say("no search yet: press / to search" if session.hits is None else "no hits")
        return
    session.select(row)
    screen.show()


HANDLERS["next_hit"] = lambda screen: _hit(screen, 1)
HANDLERS["previous_hit"] = lambda screen: _hit(screen, -1)


@handles("next_failure")
def next_failure(screen: "MainScreen") -> None:
    """Select the next call that failed."""
    row = screen.session.next_failure()
    if row is None:
        screen.say("no call failed")
        return
    screen.session.select(row)
    if row == ROOT:
        screen.say("the handler failed outside any step")
    screen.show()


@handles("expand_value")
def expand_value(screen: "MainScreen") -> None:
    """Show the full values of the selected call; in the step view, the variables first."""
    made = variable_lines if screen.view == "step" else value_lines
    screen.open_document(inspector_title(screen.session), made(screen.session))


@handles("maximise")
def maximise(screen: "MainScreen") -> None:
    """Maximise the focused pane, or restore it."""
    if screen.maximized is not None:
        screen.minimize()
    elif screen.focused_pane is not None:
        screen.maximize(screen.focused_pane)


@handles("back")
def back(screen: "MainScreen") -> None:
    """Close the innermost open state: maximised pane, search, view, time travel."""
    session = screen.session
    if screen.replays.is_running:
        screen.replays.cancel()
        screen.say("replay cancelled")
    elif screen.maximized is not None:
        screen.minimize()
    elif session.hits is not None:
        session.search(None)
        session.outline.filter(None)
        session.select(session.cursor)
        screen.show()
    elif screen.view != "tree":
        screen.go_back()
    elif session.is_travelling:
        session.leave_travel()
        screen.show()
    elif sum(isinstance(each, type(screen)) for each in screen.app.screen_stack) > 1:
        _ = screen.app.pop_screen()  # back to the execution that this one was opened from


HANDLERS["commands"] = HANDLERS["find_command"] = lambda screen: screen.app.action_command_palette()
HANDLERS["help"] = lambda screen: screen.open_help()
HANDLERS["quit"] = lambda screen: screen.app.exit()


@handles("by_position")
def by_position(screen: "MainScreen") -> None:
    """Switch between aligned rows and rows paired by position."""
    pane = screen.query_one(DiffPane)
    pane.mode.is_by_position = not pane.mode.is_by_position
    screen.show()


@handles("values")
def values(screen: "MainScreen") -> None:
    """Switch between recorded results and remarks."""
    pane = screen.query_one(DiffPane)
    pane.mode.is_with_values = not pane.mode.is_with_values
    screen.show()


def _difference(screen: "MainScreen", direction: int) -> None:
    if screen.view == "diff":
        found = screen.query_one(DiffPane).next_root(direction)
    else:
        row = screen.session.next_mark(direction)
        found = row is not None
        if row is not None:
            screen.session.select(row)
    if found:
        screen.show()
        return
    has_some = screen.session.marks.root_count > 0
    screen.say("no further differences" if has_some else "no differences found")


HANDLERS["next_difference"] = lambda screen: _difference(screen, 1)
HANDLERS["previous_difference"] = lambda screen: _difference(screen, -1)
FALLBACK = "vi"


@handles("edit")
def edit(screen: "MainScreen") -> None:
    """Open the file at the line of the selected call."""
    chosen = screen.query_one(SourcePane).line_choice() if screen.view == "step" else None
    new_site = screen.query_one(DiffPane).new_site if screen.view == "diff" else None
    site = new_site or screen.query_one(SourcePane).site or current_site(screen.session)
    if chosen is not None and site is not None:
        site = site._replace(file=chosen[0], line=chosen[1])
    if site is None:
        screen.say("no call site was recorded")
        return
    text = screen.texts.get(site.file)
    if text is None:
        screen.say(f"{site.file} is not on this computer")
        return
    command = [
        *shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or FALLBACK),
        f"+{site.line}",
        str(text.path),
    ]
    try:
        with screen.app.suspend():
            subprocess.run(command, check=False)
    except SuspendNotSupported:
        screen.say("an editor needs a terminal")
    except OSError as error:
        screen.say(f"cannot start {command[0]}: {error.strerror}")
    screen.refresh()


WIDE = 4000


class Copyable(NamedTuple):
    """An entry of the copy menu.

    Attributes:
        key: The letter that selects it.
        label: Its description.
        text: The text to copy.
    """

    key: str
    label: str
    text: str


def copyables(session: Session, failure: str = "") -> list[Copyable]:
    """Return what can be copied about the selected call."""
    execution, operation = session.execution, session.operation(session.cursor)
    mark = session.mark(session.cursor) if session.cursor != ROOT else None
    subject = operation or execution
    found = [
        Copyable("a", "all facts", facts_text(session)),
        Copyable(
            "e", "explanation, as Markdown", explanation_text(mark.divergence) if mark and mark.divergence else ""
        ),
        Copyable(
            "d", "operation id" if operation else "execution id", (operation.id if operation else execution.id) or ""
        ),
        Copyable("p", "path", operation.path if operation else ""),
        Copyable("n", "execution ARN", execution.arn or ""),
        Copyable("r", "result", payloads.one_line(subject.result or "")),
        Copyable("i", "input", payloads.one_line(subject.input or "")),
        Copyable("x", "error", str(subject.error) if subject.error else ""),
        Copyable("c", "callback id", str(operation.details.get("callback_id") or "") if operation else ""),
        Copyable("t", "drawing error report", failure),
    ]
    return [each for each in found if each.text]


def facts_text(session: Session) -> str:
    """Return the inspector's facts as text."""
    lines = [plain(line).rstrip() for line in inspector_lines(session, WIDE)]
    return "\n".join([inspector_title(session), *lines])


def explanation_text(divergence: Divergence) -> str:
    """Return the explanation as Markdown."""
    lines = [f"- **{word.capitalize()}**: {text}" for word, text in explanation(divergence)]
    return "\n".join([f"**{divergence.headline}**", "", *lines])


class CopyScreen(ModalScreen[None]):
    """The copy menu; `w` writes the text to a file, for terminals without a clipboard.

    Args:
        found: The entries.
        name: Stem of the file name.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,y", "dismiss", show=False),
        Binding("w", "write", show=False),
        *(Binding(key, f"pick('{key}')", show=False) for key in "aedpnrixct"),
    ]
    DEFAULT_CSS = """
    CopyScreen { align: center middle; }
    CopyScreen > OptionList {
        width: 95%; max-width: 60; height: auto; max-height: 80%; border: round $accent; background: $surface;
        border-title-color: $accent; border-subtitle-color: $text-muted;
    }
    """

    def __init__(self, found: list[Copyable], name: str) -> None:
        super().__init__()
        self._found = found
        self._file = Path(f"{name}.txt")

    def compose(self) -> ComposeResult:
        """Create an option for each entry."""
        options = [Option(f"{each.key}  {each.label}  ({size(len(each.text))})", id=each.key) for each in self._found]
        menu = Menu(*options, markup=False)
        menu.border_title, menu.border_subtitle = "Copy", "w Write to a file  Esc Close"
        yield menu

    @on(OptionList.OptionSelected)
    def selected(self, event: OptionList.OptionSelected) -> None:
        """Copy the selected entry."""
        self.action_pick(str(event.option.id))

    def action_pick(self, key: str) -> None:
        """Copy the entry with a letter."""
        for each in self._found:
            if each.key == key:
                self.app.copy_to_clipboard(each.text)
                self.notify(f"copied {each.label}", timeout=2, markup=False)
                _ = self.dismiss()

    def action_write(self) -> None:
        """Write the highlighted entry to a file."""
        index = self.query_one(OptionList).highlighted or 0
        try:
            write_private(self._file, self._found[index].text)
        except OSError as error:
            self.notify(f"cannot write {self._file}: {error.strerror}", severity="error", markup=False)
            return
        self.notify(f"wrote {self._file}", timeout=3, markup=False)
        _ = self.dismiss()


@handles("copy")
def copy(screen: "MainScreen") -> None:
    """Open the copy menu."""
    pane = screen.focused_pane
    found = copyables(screen.session, pane.failure if pane is not None else "")
    _ = screen.app.push_screen(CopyScreen(found, screen.session.title.replace("/", "-").replace(" ", "-")))

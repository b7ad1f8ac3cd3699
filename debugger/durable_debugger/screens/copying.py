"""The copy menu."""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from durable_debugger.model.outline import ROOT
from durable_debugger.model.session import Session
from durable_debugger.screens.handlers import handles
from durable_debugger.text.lines import plain
from durable_debugger.text.payloads import size
from durable_debugger.views.chrome import inspector_title
from durable_debugger.views.inspector import inspector_lines
from durable_execution.replay.divergence import Divergence, explanation

if TYPE_CHECKING:
    from durable_debugger.screens.main import MainScreen

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
        Copyable("r", "result", subject.result or ""),
        Copyable("i", "input", subject.input or ""),
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
        width: 60; max-width: 95%; height: auto; max-height: 80%; border: round $accent; background: $surface;
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
        menu = OptionList(*options, markup=False)
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
            self._file.write_text(self._found[index].text, encoding="utf-8")
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

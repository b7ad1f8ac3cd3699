"""The list of executions to open, and the report when an execution was not found."""

import re
from dataclasses import dataclass, replace
from datetime import datetime
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Input
from textual.worker import get_current_worker

from durable_debugger.model.facts import state_of
from durable_debugger.sources.found import Listed, NotFoundError
from durable_debugger.sources.places import Library
from durable_debugger.text.cells import pad, pad_left, safe
from durable_debugger.text.durations import age, between, short
from durable_debugger.text.segments import Line, Part
from durable_debugger.widgets.lines import LineView, StaticLines
from durable_execution.clock import Clock, SystemClock

TITLE = " durable-debug"
REFRESH_SECONDS = 5.0


class ExecutionList(LineView):
    """A list of executions, one line each.

    Attributes:
        shown: The executions that match the filter.
        index: The selected one.
    """

    TITLE = "Executions"

    def __init__(self, clock: Clock, *, id: str | None = None) -> None:  # noqa: A002  # Textual's word
        super().__init__(id=id)
        self._clock = clock
        self.shown: list[Listed] = []
        self.index = 0

    def put(self, executions: list[Listed]) -> None:
        """Show a list of executions."""
        self.shown = executions
        self.index = max(0, min(self.index, len(executions) - 1))
        self.show(len(executions))

    def cursor_index(self) -> int | None:
        """The selected execution."""
        return self.index

    def move(self, rows: int) -> None:
        """Move the selection."""
        self.index = max(0, min(self.index + rows, self.count - 1))
        self.show(self.count)

    def line(self, index: int, cells: int) -> Line:
        """Draw an execution."""
        each = self.shown[index]
        state = state_of(each.status)
        now = self._clock.now()
        name = each.name if each.name != each.id else f"{each.function} {each.id[:8]}"
        took = short(between(each.started_at, each.ended_at)) if each.ended_at else ""
        return [
            Part("▌ " if index == self.index else "  ", "accent"),
            Part(f"{state.glyph} {each.status:<10} ", state.role),
            Part(pad(safe(name), max(cells - 44, 16)) + " ", "name"),
            Part(pad_left(took, 8) + "  "),
            Part(age(each.started_at, now) if each.started_at else "", "dim"),
        ]


class FilterLine(Input):
    """The filter input. While it is empty, the screen may handle `q`.

    Attributes:
        leaves_q: Whether an empty input leaves `q` to the screen.
    """

    leaves_q = False

    def check_consume_key(self, key: str, character: str | None = None) -> bool:
        """Whether the input consumes a key."""
        is_left = self.leaves_q and key == "q" and not self.value
        return not is_left and super().check_consume_key(key, character)


class OpenerScreen(Screen[None]):
    """Asks which execution to open.

    Args:
        library: Source of the executions.
        missing: The reference that was not found.
        is_over: Whether an execution is open below: leaving the list returns to it.
        clock: Source of the current time.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", show=False, priority=True),
        Binding("down", "move(1)", show=False, priority=True),
        Binding("pageup", "move(-15)", show=False, priority=True),
        Binding("pagedown", "move(15)", show=False, priority=True),
        Binding("ctrl+r", "refresh_list", show=False),
        Binding("escape,ctrl+q,ctrl+c", "leave", show=False, priority=True),
        Binding("q", "leave_at_once", show=False, priority=True),
    ]
    DEFAULT_CSS = """
    OpenerScreen { background: $background; }
    OpenerScreen #heading { height: 1; background: $panel; }
    OpenerScreen #report { height: auto; max-height: 50%; }
    OpenerScreen #list { height: 1fr; border-top: solid $secondary 60%; border-title-color: $text-muted; }
    OpenerScreen Input { height: 1; background: $panel; }
    OpenerScreen #hints { height: 1; background: $panel; }
    """

    class Chosen(Message):
        """An execution was chosen.

        Attributes:
            execution: The execution.
        """

        def __init__(self, execution: Listed) -> None:
            super().__init__()
            self.execution = execution

    def __init__(
        self,
        library: Library,
        missing: NotFoundError | None = None,
        *,
        is_over: bool = False,
        clock: Clock | None = None,
    ) -> None:
        super().__init__()
        self._is_over = is_over
        self._library = library
        self._missing = missing
        self._clock = clock or SystemClock()
        self._all: list[Listed] = []

    def compose(self) -> ComposeResult:
        """Create heading, report, list and filter input."""
        yield StaticLines(id="heading")
        report = StaticLines(id="report")
        report.can_focus = False
        yield report
        executions = ExecutionList(self._clock, id="list")
        executions.can_focus = False
        yield executions
        line = FilterLine(placeholder="type to filter: a name, status:failed, function:orders, <1h", compact=True)
        line.leaves_q = self._missing is not None
        yield line
        yield StaticLines(id="hints")

    def on_mount(self) -> None:
        """Read the list."""
        self.query_one("#heading", StaticLines).show_lines([[Part(TITLE, "title")]])
        hints: Line = []
        for key, word in (("enter", "Open"), ("^r", "Refresh"), ("esc", "Back" if self._is_over else "Quit")):
            hints += [Part(f" {key} ", "accent"), Part(f"{word}  ", "dim")]
        self.query_one("#hints", StaticLines).show_lines([hints])
        lines = _missing_lines(self._missing)
        report = self.query_one("#report", StaticLines)
        report.styles.height = len(lines)
        report.show_lines(lines)
        self.query_one(Input).focus()
        self.action_refresh_list()
        if self._library.places:
            self.set_interval(REFRESH_SECONDS, self.action_refresh_list)

    def action_refresh_list(self) -> None:
        """Read the list again."""
        self._read()

    def action_move(self, rows: int) -> None:
        """Move the selection."""
        self.query_one(ExecutionList).move(rows)

    def action_leave(self) -> None:
        """Quit, or return to the execution below."""
        if self._is_over:
            _ = self.app.pop_screen()
        else:
            self.app.exit(2 if self._missing else 0)

    def action_leave_at_once(self) -> None:
        """Quit while the filter is empty."""
        self.action_leave()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Leave `q` to the input once it has text."""
        if action == "leave_at_once":
            return self._missing is not None and not self.query_one(Input).value
        return True

    @on(Input.Changed)
    def narrow(self, event: Input.Changed) -> None:
        """Filter the list."""
        self._show(event.value)

    @on(Input.Submitted)
    def choose(self) -> None:
        """Open the selected execution."""
        listed = self.query_one(ExecutionList)
        if listed.shown:
            self.post_message(self.Chosen(listed.shown[listed.index]))

    @on(LineView.Picked, "#list")
    def picked(self, event: LineView.Picked) -> None:
        """Select on a click, open on a double click."""
        listed = self.query_one(ExecutionList)
        listed.move(event.index - listed.index)
        if event.is_double:
            self.choose()

    @work(thread=True, exclusive=True, exit_on_error=False)
    def _read(self) -> None:
        found = self._library.executions()
        if not get_current_worker().is_cancelled:
            self.app.call_from_thread(self._take, found)

    def _take(self, found: list[Listed]) -> None:
        near = list(self._missing.nearest) if self._missing else []
        known = {each.arn for each in near}
        self._all = [*near, *(each for each in found if each.arn not in known)]
        self._show(self.query_one(Input).value)

    def _show(self, text: str) -> None:
        listed = self.query_one(ExecutionList)
        wanted = selection(text)
        now = self._clock.now()
        listed.put([each for each in self._all if wanted.has(each, now)])
        listed.set_title("closest first" if self._missing and self._missing.nearest else "latest executions")
        if not self._all:
            listed.set_title("no executions yet: durable-debug run MODULE:HANDLER --input JSON")


@dataclass(frozen=True, slots=True)
class Selection:
    """Which executions the filter shows.

    Attributes:
        words: Texts that name, id, function and status together must contain.
        status: Start of the status.
        function: Part of the function's name.
        seconds: Most seconds since it started.
    """

    words: tuple[str, ...] = ()
    status: str = ""
    function: str = ""
    seconds: float | None = None

    def has(self, each: Listed, now: datetime) -> bool:
        """Whether an execution is shown."""
        if self.seconds is not None:
            since = between(each.started_at, now)
            if since is None or since > self.seconds:
                return False
        if not each.status.casefold().startswith(self.status) or self.function not in each.function.casefold():
            return False
        return all(word in _haystack(each) for word in self.words)


UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
AGE = re.compile(r"<(\d+)([smhd])")


def selection(text: str) -> Selection:
    """Read a filter: words, `status:failed`, `function:orders`, and `<2h` for those that started in the last two hours."""
    found = Selection()
    for word in text.casefold().split():
        key, colon, value = word.partition(":")
        match = AGE.fullmatch(word)
        if match is not None:
            found = replace(found, seconds=int(match[1]) * UNITS[match[2]])
        elif colon and key == "status":
            found = replace(found, status=value)
        elif colon and key == "function":
            found = replace(found, function=value)
        else:
            found = replace(found, words=(*found.words, word))
    return found


def _haystack(each: Listed) -> str:
    return f"{each.name} {each.id} {each.function} {each.status}".casefold()


def _missing_lines(missing: NotFoundError | None) -> list[Line]:
    if missing is None:
        return [[]]
    lines: list[Line] = [[], [Part(f"   No execution found for {safe(missing.reference)}", "fail")], []]
    for index, (place, finding) in enumerate(missing.looked_in):
        label = "   Looked in" if not index else ""
        lines.append([Part(f"{label:<15}", "key"), Part(pad(safe(place), 32) + " "), Part(safe(finding), "dim")])
    return [*lines, []]

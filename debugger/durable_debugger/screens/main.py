"""The main screen: the panes of an execution, their arrangement and the available actions."""

from collections.abc import Callable
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Input, Static

from durable_debugger.actions import ACTIONS, BY_ID, MOVE, STEP, Action
from durable_debugger.model.outline import ROOT
from durable_debugger.model.session import Session
from durable_debugger.screens.dialogs import DocumentScreen, HelpScreen
from durable_debugger.screens.following import Follower
from durable_debugger.screens.handlers import HANDLERS, load_handlers
from durable_debugger.screens.navigation import jump
from durable_debugger.screens.replaying import Replays
from durable_debugger.sources.code import SourceTexts
from durable_debugger.sources.found import Loaded
from durable_debugger.text.segments import Line
from durable_debugger.widgets.bars import FooterBar, HeadlineBar, Prompt, StatusBar, TabBar
from durable_debugger.widgets.diff_pane import DiffPane, WhyPane
from durable_debugger.widgets.lines import LineView, StaticLines
from durable_debugger.widgets.panes import (
    EventPane,
    EventsPane,
    InspectorPane,
    LegendPane,
    MomentPane,
    OutlinePane,
    TimelinePane,
    TrackPane,
)
from durable_debugger.widgets.source_pane import LocalsPane, SourcePane

MAIN_PANE = {"tree": "outline", "timeline": "timeline", "step": "outline", "diff": "diff", "events": "events"}
MIN_WIDTH, MIN_HEIGHT = 60, 16
CHROME = 3
"""Rows of status, tabs and footer."""

LEAST_TREE, LEAST_EXPLANATION = 4, 9
"""Rows that a pane keeps when an explanation needs the others."""

BESIDE = {"tree": 38, "diff": 45}
"""Width of the explanation beside a tree or a comparison in a wide window, in percent, as in the style sheet."""

LEAST_SOURCE, TALL = 8, 40
"""Rows from which the source is worth showing below a tree or a comparison, and of a window that always has them."""

LEAVES_FOLLOWING = frozenset({MOVE, STEP})
"""Groups of actions that leave the end of the execution, and so stop following."""


def _bindings() -> list[BindingType]:
    return [
        Binding(action.keys, f"perform('{action.id}')", action.label, id=action.id, show=False) for action in ACTIONS
    ]


class MainScreen(Screen[None]):
    """Shows an execution.

    Args:
        session: The session to show.
        view: The view to open.
        at: Position in the recording to open the step view at, in the syntax of its `g` key; None opens `view`.
        texts: Finds source files.
        loaded: Source of the execution, used to follow it.
        target: The handler to replay with; None until the user names it.
    """

    BINDINGS: ClassVar[list[BindingType]] = _bindings()
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-normal"), (140, "-wide")]  # noqa: RUF012  # as Screen types it
    VERTICAL_BREAKPOINTS = [(0, "-flat"), (24, "-high"), (40, "-tall")]  # noqa: RUF012  # as Screen types it
    AUTO_FOCUS = "#outline"

    class OpenOther(Message):
        """A different execution was asked for.

        Attributes:
            arn: Its ARN; None asks which one.
        """

        def __init__(self, arn: str | None = None) -> None:
            super().__init__()
            self.arn = arn

    def __init__(
        self,
        session: Session,
        *,
        view: str = "tree",
        at: str | None = None,
        texts: SourceTexts | None = None,
        loaded: Loaded | None = None,
        target: str | None = None,
    ) -> None:
        super().__init__(classes=f"-{view}")
        self.loaded = loaded
        self.follower = Follower(self, loaded) if loaded is not None else None
        self.texts = texts or SourceTexts()
        self.session = session
        self.replays = Replays(self, target)
        self.view = view
        self._at = at
        self.remark = ""
        self._views_before: list[str] = []
        self._code_rows: int | None = None

    def compose(self) -> ComposeResult:
        """Create status, tabs, panes, prompt and footer."""
        yield Static("make the window larger (60x16)", id="too-small")
        yield StatusBar(id="status")
        yield TabBar(id="tabs")
        yield HeadlineBar(id="headline")
        with Container(id="body"):
            with Container(id="upper"):
                yield OutlinePane(self.session, id="outline", classes="pane")
                yield TimelinePane(self.session, id="timeline", classes="pane")
                yield EventsPane(self.session, id="events", classes="pane")
                yield DiffPane(self.session, id="diff", classes="pane")
                yield WhyPane(id="why", classes="pane")
                yield EventPane(id="event", classes="pane")
                yield InspectorPane(self.session, self.texts, id="inspector", classes="pane")
            with Container(id="middle"):
                yield SourcePane(self.session, self.texts, id="source", classes="pane")
                yield LocalsPane(self.session, id="locals", classes="pane")
            yield LegendPane(id="legend", classes="pane")
            yield MomentPane(id="moment", classes="pane")
            yield TrackPane(id="track")
        yield Prompt(id="prompt")
        yield FooterBar(id="footer")

    def on_mount(self) -> None:
        """Open the first view."""
        load_handlers()
        self.set_class(LineView.is_ascii, "-ascii")
        self._fit_window()
        self.watch(self.query_one(OutlinePane), "scroll_y", self.sync_timeline, init=False)
        self.query_one("#track").add_class("pane")
        if self._at is None and self.session.cursor == ROOT:
            self.session.select_answer()
        self.open_view(self.view)
        self._views_before.clear()
        if self.follower is not None:
            self.follower.start()
            self.show()
        if self._at is not None:
            self._open_at(self._at)

    def _fit_window(self) -> None:
        """Apply the layout for this window size at once; Textual applies it only after the first paint."""
        wide, high = self.HORIZONTAL_BREAKPOINTS or [], self.VERTICAL_BREAKPOINTS or []
        classes = dict.fromkeys((name for _, name in [*wide, *high]), False)
        for points, cells in ((wide, self.app.size.width), (high, self.app.size.height)):
            classes[[name for least, name in points if least <= cells][-1]] = True
        self.update_classes(classes, animate=False)

    def _open_at(self, at: str) -> None:
        if self.follower is not None:
            self.follower.leave()
        HANDLERS["step_here"](self)
        jump(self, at)

    def sync_timeline(self) -> None:
        """Keep the bars beside the rows of the tree."""
        if self.view == "tree":
            self.query_one(TimelinePane).scroll_to(
                y=self.query_one(OutlinePane).scroll_offset.y, animate=False, force=True
            )

    def on_click(self) -> None:
        """Clear the remark."""
        self.remark = ""

    def on_resize(self) -> None:
        """Redraw for the new width once all panes know it."""
        self.set_class(self.size.width < MIN_WIDTH or self.size.height < MIN_HEIGHT, "-tiny")
        self.call_after_refresh(self.show)

    @property
    def focused_pane(self) -> LineView | None:
        """The focused pane."""
        return self.focused if isinstance(self.focused, LineView) else None

    @property
    def panes(self) -> list[LineView]:
        """The visible panes in focus order."""
        return [pane for pane in self.query(LineView).filter(".pane") if pane.display and pane.size.height > 0]

    def show(self) -> None:
        """Redraw the visible panes."""
        session, view = self.session, self.view
        self.query_one(StatusBar).update(session, follow=self.follower.words if self.follower else "")
        remark = self.remark or (self.query_one(DiffPane).mode.words if view == "diff" else "")
        self.query_one(TabBar).update(session, view, remark, is_new=bool(self.remark))
        self.query_one(FooterBar).update(view)
        self.query_one(HeadlineBar).update(session)
        self.query_one(OutlinePane).update(session)
        if view in ("tree", "timeline"):
            timeline = self.query_one(TimelinePane)
            timeline.update(session, has_labels=view != "tree")
            if view == "timeline":
                self.query_one(LegendPane).update(session, timeline.chart)
        if view == "events":
            events = self.query_one(EventsPane)
            events.update(session)
            self.query_one(EventPane).update(session, events.index)
        if view == "diff":
            diff = self.query_one(DiffPane)
            diff.update(session)
            self.query_one(WhyPane).update(*diff.why(), session.differences)
        has_code = session.has_call_sites
        self.set_class(has_code, "-sourced")
        if has_code:
            self.query_one(SourcePane).update(session, self.query_one(DiffPane).new_site if view == "diff" else None)
            self.query_one(LocalsPane).update(session)
        if view == "step":
            self.query_one(MomentPane).update(session)
            self.query_one(TrackPane).update(session)
        self._give_room()
        self.query_one(InspectorPane).update(session)

    def _give_room(self) -> None:
        """Divide the rows of a tree or a comparison: its explanation whole, then the code, and no row left empty."""
        panes: dict[str, StaticLines] = {"tree": self.query_one(InspectorPane), "diff": self.query_one(WhyPane)}
        is_stacked = self.has_class("-narrow") or self.has_class("-normal")
        for view, other in panes.items():
            if view != self.view or not is_stacked:  # a height of its own belongs to one arrangement
                other.set_height(None)
        pane = panes.get(self.view)
        if pane is None:
            self._give_code(None)
            return
        body = self.size.height - CHROME - self.query_one(HeadlineBar).rows
        listed = self.query_one(OutlinePane) if self.view == "tree" else self.query_one(DiffPane)
        rows = listed.count + 1
        cells = self.size.width if is_stacked else self.size.width * BESIDE[self.view] // 100 - 1
        wanted = max(pane.needed(cells) + 1 if pane.explains else 0, LEAST_EXPLANATION)
        used = max(rows, LEAST_TREE) + wanted if is_stacked else max(rows, wanted)
        if not is_stacked:
            is_tall = self.size.height >= TALL
            code = min(max(body - used, LEAST_SOURCE if is_tall else 0), body // 2)
            self._give_code(code)
            return
        code = self._give_code(body - used)
        tree = min(LEAST_TREE, rows) if not code else max(rows, LEAST_TREE)
        pane.set_height(max(min(max(wanted, body - code - rows), body - code - tree), LEAST_EXPLANATION))

    def _give_code(self, rows: int | None) -> int:
        """Show the source below a tree or a comparison if it has rows enough; None leaves it to the style sheet.

        Returns:
            The rows it has.
        """
        has_code = rows is not None and rows >= LEAST_SOURCE and self.session.has_call_sites
        self.set_class(has_code, "-coded")
        self.set_class(has_code and not self.session.has_locals, "-bare")
        height = rows if has_code else None
        if height != self._code_rows:  # only a new height lays out the screen
            self._code_rows = height
            self.query_one("#middle").styles.height = height
        return height or 0

    def open_view(self, view: str) -> None:
        """Open a view and keep the selected call."""
        if view != self.view:
            self._views_before.append(self.view)
        if view == "step" and not self.session.is_travelling:
            self.session.travel_to_cursor()
        if view == "step":
            self.replays.record_lines()
        self.view = view
        others = [name for name in self.classes if name.removeprefix("-") not in MAIN_PANE]
        self.set_classes([*others, f"-{view}"])  # at once: each change styles every pane again
        self.call_after_refresh(self.settle)
        self.show()

    def go_back(self) -> None:
        """Return to the previous view."""
        view = self._views_before.pop() if self._views_before else "tree"
        self.open_view(view)
        if self._views_before:
            self._views_before.pop()

    def focus_pane(self, direction: int) -> None:
        """Focus the next or previous pane."""
        panes = self.panes
        if panes:
            current = panes.index(self.focused_pane) if self.focused_pane in panes else -direction
            panes[(current + direction) % len(panes)].focus()

    def say(self, text: str) -> None:
        """Show a short remark until the next action."""
        self.remark = text
        self.query_one(TabBar).update(self.session, self.view, text)

    def ask(
        self,
        label: str,
        hint: str,
        accept: "Callable[[MainScreen, str], None]",
        *,
        preview: "Callable[[MainScreen, str], str] | None" = None,
        cancelled: "Callable[[MainScreen], None] | None" = None,
        value: str = "",
    ) -> None:
        """Ask for a line of text above the footer.

        Args:
            label: Text before the input.
            hint: Text shown while the input is empty.
            accept: Called with the submitted text.
            preview: Called on each change; returns the remark to show beside the input.
            cancelled: Called on escape.
            value: Text to start with.
        """
        self.query_one(Prompt).open(
            label,
            hint,
            accept=lambda text: accept(self, text),
            preview=None if preview is None else lambda text: preview(self, text),
            cancelled=None if cancelled is None else lambda: cancelled(self),
            value=value,
        )

    def open_help(self) -> None:
        """Open the help of this view."""
        _ = self.app.push_screen(HelpScreen(self.view, getattr(self.app, "shown_keys", {})))

    def open_document(self, title: str, lines: list[Line]) -> None:
        """Show text in a window."""
        _ = self.app.push_screen(DocumentScreen(title, lines))

    def action_perform(self, action_id: str) -> None:
        """Perform an action."""
        self.remark = ""
        if self.follower is not None and BY_ID[action_id].group in LEAVES_FOLLOWING:
            self.follower.leave()
        HANDLERS[action_id](self)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Whether an action belongs to this view."""
        if action != "perform":
            return True
        found = BY_ID.get(str(parameters[0]))
        return found is not None and self.view in found.views and found.id in HANDLERS

    def available(self) -> list[Action]:
        """Return the actions of this view."""
        return [action for action in ACTIONS if self.view in action.views]

    @on(LineView.Picked, "#outline")
    def outline_picked(self, event: LineView.Picked) -> None:
        """Select a row; fold it when its marker was clicked or on a double click."""
        if self.follower is not None:
            self.follower.leave()
        self.query_one(OutlinePane).pick(event.index, event.column, is_double=event.is_double)
        self.show()

    @on(LineView.Picked, "#timeline")
    def bar_picked(self, event: LineView.Picked) -> None:
        """Select a row."""
        self.session.cursor = self.session.outline.visible[event.index]
        if event.is_double:
            self.session.outline.toggle(self.session.cursor)
        self.show()

    @on(LineView.Picked, "#source")
    def source_picked(self, event: LineView.Picked) -> None:
        """Select the call on a line."""
        self.query_one(SourcePane).choose(event.index)
        rows = self.query_one(SourcePane).calls_at(event.index)
        if self.session.line_site() is not None:
            self.show()
        elif rows:
            self.session.select(rows[0])
            self.show()

    @on(LineView.Picked, "#locals")
    def variable_picked(self, event: LineView.Picked) -> None:
        """Expand or fold a variable."""
        _ = self.query_one(LocalsPane).toggle(event.index)

    @on(LineView.Picked, "#diff")
    def difference_picked(self, event: LineView.Picked) -> None:
        """Select a row of the comparison."""
        self.query_one(DiffPane).select(event.index)
        self.show()

    @on(LineView.Picked, "#events")
    def event_picked(self, event: LineView.Picked) -> None:
        """Select an event."""
        pane = self.query_one(EventsPane)
        pane.move(event.index - pane.index)
        self.show()

    @on(LineView.Picked, "#track")
    def track_picked(self, event: LineView.Picked) -> None:
        """Go to the moment under the mouse."""
        position = self.query_one(TrackPane).columns.get(event.column)
        if event.index == 0 and position is not None:
            self.session.seek(position)
            self.show()

    @on(TabBar.Chosen)
    def tab_chosen(self, event: TabBar.Chosen) -> None:
        """Open the view whose tab was clicked."""
        self.open_view(event.view)

    @on(FooterBar.Chosen)
    def footer_chosen(self, event: FooterBar.Chosen) -> None:
        """Perform the action clicked in the footer."""
        self.action_perform(event.action_id)

    @on(Input.Submitted)
    def prompt_submitted(self, event: Input.Submitted) -> None:
        """Submit the prompt."""
        event.stop()
        self.query_one(Prompt).accept(event.value)
        self.settle()

    def on_prompt_closed(self, event: Prompt.Closed) -> None:
        """Return the focus to the panes."""
        self.settle()

    def settle(self) -> None:
        """Focus a visible pane."""
        if self.query_one(Prompt).is_open:
            return
        panes = self.panes
        wanted = next((pane for pane in panes if pane.id == MAIN_PANE[self.view]), panes[0] if panes else None)
        if self.focused not in panes:
            self.set_focus(wanted)
        self.show()

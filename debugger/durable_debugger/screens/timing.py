"""Actions of the timeline."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from durable_debugger.model.session import Session
from durable_debugger.screens.handlers import HANDLERS
from durable_debugger.widgets.panes import TimelinePane
from durable_execution.counts import counted

if TYPE_CHECKING:
    from durable_debugger.screens.main import MainScreen

ZOOM = 1.5
WHOLE = "the whole execution is shown: + widens the axis"


def _register(action_id: str, change: Callable[[TimelinePane, Session], str]) -> None:
    """Register an action that changes the chart, and returns what to say about it."""

    def perform(screen: "MainScreen") -> None:
        said = change(screen.query_one(TimelinePane), screen.session)
        screen.show()
        if said:
            screen.say(said)

    HANDLERS[action_id] = perform


def _zoom(factor: float) -> Callable[[TimelinePane, Session], str]:
    def change(pane: TimelinePane, _: Session) -> str:
        before = pane.chart.zoom
        pane.zoom(factor)
        if pane.chart.zoom != before:
            return ""
        return "the axis cannot be wider" if factor > 1 else WHOLE

    return change


def _pan(direction: int) -> Callable[[TimelinePane, Session], str]:
    def change(pane: TimelinePane, _: Session) -> str:
        if pane.chart.zoom == 1:
            return WHOLE
        pane.pan(direction)
        return ""

    return change


def _fit(pane: TimelinePane, _: Session) -> str:
    said = WHOLE if pane.chart.zoom == 1 else ""
    pane.chart.zoom, pane.chart.pan = 1.0, 0
    return said


def _fold_idle(pane: TimelinePane, session: Session) -> str:
    pane.chart.is_folding = not pane.chart.is_folding
    if not pane.chart.is_folding:
        return "true scale"
    return "idle time is folded" if pane.chart.folded(session) else "no idle time is long enough to fold"


def _critical(pane: TimelinePane, session: Session) -> str:
    pane.chart.is_critical = not pane.chart.is_critical
    if not pane.chart.is_critical:
        return "the critical path is no longer marked"
    count = len(pane.chart.path(session))
    return f"{counted(count, 'call')} on the critical path" if count else "no call determines the duration"


_register("zoom_in", _zoom(ZOOM))
_register("zoom_out", _zoom(1 / ZOOM))
_register("zoom_fit", _fit)
_register("pan_left", _pan(-1))
_register("pan_right", _pan(1))
_register("fold_idle", _fold_idle)
_register("critical", _critical)

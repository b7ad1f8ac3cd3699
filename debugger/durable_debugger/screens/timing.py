"""Actions of the timeline."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from durable_debugger.screens.handlers import HANDLERS
from durable_debugger.widgets.panes import TimelinePane

if TYPE_CHECKING:
    from durable_debugger.screens.main import MainScreen

ZOOM = 1.5


def _register(action_id: str, change: Callable[[TimelinePane], None]) -> None:
    def perform(screen: "MainScreen") -> None:
        change(screen.query_one(TimelinePane))
        screen.show()

    HANDLERS[action_id] = perform


def _fit(pane: TimelinePane) -> None:
    pane.chart.zoom, pane.chart.pan = 1.0, 0


def _fold_idle(pane: TimelinePane) -> None:
    pane.chart.is_folding = not pane.chart.is_folding


def _critical(pane: TimelinePane) -> None:
    pane.chart.is_critical = not pane.chart.is_critical


_register("zoom_in", lambda pane: pane.zoom(ZOOM))
_register("zoom_out", lambda pane: pane.zoom(1 / ZOOM))
_register("zoom_fit", _fit)
_register("pan_left", lambda pane: pane.pan(-1))
_register("pan_right", lambda pane: pane.pan(1))
_register("fold_idle", _fold_idle)
_register("critical", _critical)

"""Every view at every size, as text; and what must always be on the screen."""

from collections.abc import Callable

import pytest
from textual.pilot import Pilot

from durable_debugger.app import DebuggerApp
from durable_debugger.model.session import Session
from durable_debugger.screens.main import MainScreen
from durable_debugger.widgets.lines import LineView
from tests.tui.conftest import Drive, screen_text, settled

pytestmark = pytest.mark.acceptance

SIZES = [(60, 16), (80, 24), (100, 30), (140, 40), (160, 48), (220, 60)]
VIEWS = ["tree", "timeline", "step", "diff", "events"]


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_every_view_looks_as_it_should(
    size: tuple[int, int], order: Session, drive: Drive, golden: Callable[[str, str], None]
) -> None:
    async def look(app: DebuggerApp, pilot: Pilot[int]) -> None:
        await pilot.press("full_stop")
        for number, view in enumerate(VIEWS, start=1):
            await pilot.press(str(number))
            await settled(app, pilot)
            text = screen_text(app)
            lines = text.splitlines()
            assert "order-7f3a9c" in lines[0]
            assert "1 difference · 3 follow-on" in lines[0]
            assert "Commands" in lines[-1]
            assert len(lines) == size[1]
            golden(f"order/{view}-{size[0]}x{size[1]}", text)

    drive(order, look, size=size)


def test_a_window_of_another_size_shows_what_one_opened_at_that_size_shows(
    order: Session, drive: Drive, golden: Callable[[str, str], None]
) -> None:
    async def look(app: DebuggerApp, pilot: Pilot[int]) -> None:
        await pilot.press("full_stop")
        for number, view in enumerate(VIEWS[:4], start=1):  # how far the events are scrolled depends on the way there
            await pilot.press(str(number))
            for size in ((160, 48), (80, 24)):
                await pilot.resize_terminal(*size)
                await settled(app, pilot)
                golden(f"order/{view}-{size[0]}x{size[1]}", screen_text(app))

    drive(order, look, size=(100, 30))


@pytest.mark.parametrize("size", [(80, 24), (160, 48)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_the_first_thing_painted_is_arranged_for_the_window(
    size: tuple[int, int], order: Session, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    painted: list[tuple[set[str], str]] = []
    real = MainScreen._compositor_refresh

    def paint(screen: MainScreen) -> None:
        real(screen)
        seen = {str(pane.id) for pane in screen.query(LineView) if pane.display and pane.size.height}
        painted.append((seen, screen_text(screen.app).splitlines()[0]))  # type: ignore[arg-type]

    monkeypatch.setattr(MainScreen, "_compositor_refresh", paint)

    async def look(app: DebuggerApp, pilot: Pilot[int]) -> None:
        await settled(app, pilot)

    drive(order, look, size=size)
    shown = [(panes, status) for panes, status in painted if panes]
    assert shown[0][0] == shown[-1][0]
    assert "WAITING" in shown[0][1]

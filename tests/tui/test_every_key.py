"""Every key of every view does something that can be read without colours, or says why not."""

import pytest
from textual.pilot import Pilot

from durable_debugger.actions import MOVE, actions_of
from durable_debugger.app import DebuggerApp
from durable_debugger.screens.main import MainScreen
from durable_debugger.sources.places import Library
from tests.tui.conftest import Drive, main_of, order_session, screen_text, settled
from tests.tui.test_fuzz import session_of

pytestmark = pytest.mark.acceptance

VIEWS = {"tree": "1", "timeline": "2", "step": "3", "diff": "4", "events": "5"}
SILENT = {"next_pane", "previous_pane", "edit", "quit", "back"}
"""A pane with the focus has a bold title; an editor takes the whole terminal; escape has nothing to close."""


@pytest.mark.timeout(180)
@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("size", [(80, 24), (160, 48)])
@pytest.mark.parametrize("name", ["order", "lines"])
def test_every_key_of_a_view(name: str, size: tuple[int, int], view: str, drive: Drive) -> None:
    quiet: list[str] = []
    session = session_of(name)
    is_empty = view == "diff" and session.differences is None

    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        for action in actions_of(view):
            if action.id in SILENT or action.id == f"view_{view}" or (is_empty and action.group == MOVE):
                continue
            for key in action.keys.split(","):
                await pilot.press(VIEWS[view])
                main_of(app).remark = ""
                main_of(app).show()
                await settled(app, pilot)
                before = screen_text(app)
                await pilot.press(key)
                await settled(app, pilot)
                remark = app.screen.remark if isinstance(app.screen, MainScreen) else "a window"
                if screen_text(app) == before and not remark:
                    quiet.append(f"{key} {action.id}")
                while not isinstance(app.screen, MainScreen) or app.screen.maximized:
                    await pilot.press("escape")
                    await settled(app, pilot)
                if action.id in (
                    "search",
                    "go_to",
                    "watch",
                    "evaluate",
                    "breakpoint_settings",
                    "jump_to_pane",
                    "diff_here",
                ):
                    await pilot.press("escape")

    drive(session, script, size=size, library=Library(()))
    assert quiet == []


def test_the_chosen_line_of_the_source_has_a_sign(drive: Drive) -> None:
    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        await pilot.press("3", "home", "down", "down")
        await settled(app, pilot)
        (chosen,) = [line for line in screen_text(app).splitlines() if line.startswith("▌")]
        (current,) = [line for line in screen_text(app).splitlines() if line.startswith("  ▸ ")]
        assert int(chosen.split()[1]) == int(current.split()[1]) + 2

    drive(order_session(), script)

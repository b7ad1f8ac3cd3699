"""Forking from inside the app, and a fleet on the screen."""

from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import TextArea

from durable_debugger.app import DebuggerApp
from durable_debugger.cli import main
from durable_debugger.model.cost import CostTerms
from durable_debugger.model.fleet_groups import fleet_of
from durable_debugger.model.session import Session
from durable_debugger.screens.fleet_screen import FleetScreen
from durable_debugger.screens.fork_dialog import ForkScreen
from durable_debugger.screens.main import MainScreen
from durable_debugger.sources.fleet_source import Wanted, store_source
from durable_debugger.sources.local import LocalExecutions
from durable_debugger.sources.places import Library
from tests.tui.conftest import Drive, main_of, screen_text, until

pytestmark = [pytest.mark.real_time, pytest.mark.acceptance]

SHOP = """
import pathlib
from durable_execution import durable_execution

async def score(step):
    return 12

async def charge(step):
    pathlib.Path("charged").write_text("yes")
    return "p-1"

@durable_execution
async def order(event, ctx):
    found = await ctx.step(score, "score")
    if found > 80:
        return await ctx.step(charge, "review")
    return await ctx.step(charge, "charge")
"""


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalExecutions:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop.py").write_text(SHOP)
    assert main(["run", "shop.py:order", "--time", "skip", "--name", "o1"]) == 0
    (tmp_path / "charged").unlink()
    return LocalExecutions()


def session_on(store: LocalExecutions) -> Session:
    (listed,) = store.executions()
    loaded = store.load(listed.arn)
    store.close()
    return Session(loaded.execution, as_of=loaded.as_of, origin=loaded.origin)


def test_f_forks_at_the_cursor_with_an_edited_result(drive: Drive, store: LocalExecutions) -> None:
    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        await pilot.press("home", "down", "F")
        assert isinstance(app.screen, ForkScreen)
        assert "Fork at order/score" in screen_text(app)
        editor = app.screen.query_one("#result", TextArea)
        assert editor.text == "12", "the recorded result"
        editor.text = "{"
        await pilot.press("ctrl+s")
        assert "the result is not JSON" in screen_text(app)
        editor.text = "99"
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(app.screen, MainScreen) and len(app.screen_stack) > 1)
        await until(pilot, lambda: "it waits for review" in screen_text(app))
        fork = main_of(app).session.raw
        assert fork.forked_from is not None
        assert (fork.forked_from.call, fork.forked_from.is_edited) == ("order/score", True)

    drive(session_on(store), script, size=(120, 40))
    assert not Path("charged").exists()


def test_a_refused_fork_says_why_and_escape_cancels(drive: Drive, store: LocalExecutions) -> None:
    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        await pilot.press("home", "F")
        assert "select the call to fork at" in screen_text(app)
        await pilot.press("down", "F", "escape")
        assert isinstance(app.screen, MainScreen)
        await pilot.press("F", "ctrl+s")
        await until(pilot, lambda: "leaves the recording" in screen_text(app))

    session = session_on(store)
    Path("shop.py").write_text(SHOP.replace('"score"', '"points"'))
    drive(session, script, size=(120, 40))


def test_a_fleet_opens_a_group_and_an_execution(drive: Drive, store: LocalExecutions) -> None:
    source = store_source(store.path, Wanted())
    fleet = fleet_of("local store", list(source.read()))
    source.close()

    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        assert isinstance(app.screen, FleetScreen)
        text = screen_text(app)
        assert "1 execution  local store" in text
        assert "score, charge" in text
        await pilot.press("tab")
        assert "$LATEST" in screen_text(app)
        await pilot.press("shift+tab", "enter")
        assert "Shapes: score, charge" in screen_text(app)
        await pilot.press("escape")
        assert "Tab: Versions" in screen_text(app)
        await pilot.press("enter", "enter")
        await until(pilot, lambda: isinstance(app.screen, MainScreen))
        await until(pilot, lambda: "charge" in screen_text(app))

    drive(None, script, size=(120, 30), fleet=(fleet, CostTerms()), library=Library([store]))
    store.close()

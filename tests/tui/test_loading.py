"""Opening a large recording: the app is on the screen while it is read."""

from pathlib import Path
from threading import Event

import pytest
from textual.pilot import Pilot

from durable_debugger.app import DebuggerApp
from durable_debugger.model.session import Session
from durable_debugger.screens.loading import LoadingScreen
from durable_debugger.screens.main import MainScreen
from durable_debugger.screens.opener import OpenerScreen
from durable_debugger.sources.found import Loaded, LookedIn, NotFoundError, UnreadableError
from tests.tui.conftest import Drive, order_session, screen_text, until


def test_a_large_file_is_announced_while_it_is_read(drive: Drive) -> None:
    go = Event()

    def load() -> tuple[Session, Loaded | None]:
        assert go.wait(30)
        return order_session(), None

    async def look(app: DebuggerApp, pilot: Pilot[int]) -> None:
        assert isinstance(app.screen, LoadingScreen)
        assert "Reading big.json, 72.4 MiB" in screen_text(app)
        go.set()
        await until(pilot, lambda: isinstance(app.screen, MainScreen))
        await pilot.pause()
        assert "≠ Diverged" in screen_text(app)

    drive(None, look, load=(load, "big.json, 72.4 MiB"))


def test_an_error_while_reading_is_left_to_the_command_line(drive: Drive, tmp_path: Path) -> None:
    def load() -> tuple[Session, Loaded | None]:
        raise UnreadableError("big.json holds no execution")

    async def look(app: DebuggerApp, pilot: Pilot[int]) -> None:
        await until(pilot, lambda: app.failure is not None)

    app = drive(None, look, load=(load, "big.json"))
    assert isinstance(app.failure, UnreadableError)
    assert app.return_value == 1


@pytest.mark.parametrize("key", ["q", "escape"])
def test_reading_can_be_left(drive: Drive, key: str) -> None:
    go = Event()

    def load() -> tuple[Session, Loaded | None]:
        go.wait(30)
        return order_session(), None

    async def look(app: DebuggerApp, pilot: Pilot[int]) -> None:
        await pilot.press(key)
        go.set()

    drive(None, look, load=(load, "big.json"))


def test_a_name_that_is_not_found_offers_the_nearest(drive: Drive) -> None:
    def load() -> tuple[Session, Loaded | None]:
        raise NotFoundError("nope-404", looked_in=(LookedIn("files", "no file nope-404"),))

    async def look(app: DebuggerApp, pilot: Pilot[int]) -> None:
        await until(pilot, lambda: isinstance(app.screen, OpenerScreen))
        await pilot.pause()
        assert "No execution found for nope-404" in screen_text(app)
        await pilot.press("q")

    assert drive(None, look, load=(load, "nope-404")).return_value == 2

"""Following an execution that goes on, and choosing one."""

from collections.abc import Iterator
from datetime import timedelta

from textual.pilot import Pilot

from durable_debugger.app import DebuggerApp
from durable_debugger.model import facts
from durable_debugger.model.session import Session
from durable_debugger.screens.opener import ExecutionList
from durable_debugger.sources.found import Listed, Loaded, LookedIn, NotFoundError
from durable_debugger.sources.places import Library
from durable_execution.history.reading import read_history
from tests.tui.conftest import Drive, main_of, screen_text, settled, until
from tests.tui.recordings import START, Recording


class Growing:
    """An execution to which a test adds steps."""

    def __init__(self) -> None:
        self.recording = Recording()
        self.recording.add("ExecutionStarted", 0, Id="x", Name="growing")
        self.steps = 0
        self.has_news = True
        self.is_over = False

    def add(self, count: int) -> None:
        for _ in range(count):
            self.recording.step(f"step-{self.steps}", self.steps, self.steps + 0.5)
            self.steps += 1
        self.has_news = True

    def load(self) -> Loaded:
        self.has_news = False
        if self.is_over:
            self.recording.invocation(0, self.steps, 1)
            self.recording.add("ExecutionSucceeded", self.steps, {"Result": {"Payload": "1"}}, Id="x", Name="growing")
        execution = read_history(self.recording.events)
        as_of = START + timedelta(seconds=self.steps)
        return Loaded(execution, "a test", as_of, reload=None if self.is_over else self.again, poll_seconds=0.01)

    def again(self) -> Loaded | None:
        return self.load() if self.has_news else None


def name(app: DebuggerApp) -> str:
    session = main_of(app).session
    return facts.label(session.operations[session.cursor])


def test_following_stays_at_the_end_and_moving_leaves_it(drive: Drive) -> None:
    growing = Growing()
    growing.add(3)
    loaded = growing.load()

    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        assert name(app) == "step-2"
        assert "● following" in screen_text(app)
        growing.add(40)
        await until(pilot, lambda: len(main_of(app).session.operations) == 43)
        assert name(app) == "step-42"
        assert "step-42" in screen_text(app)
        await pilot.press("k")
        assert name(app) == "step-41"
        growing.add(7)
        await until(pilot, lambda: "○ follow off · 7 new" in screen_text(app))
        assert name(app) == "step-41"
        await pilot.press("f")
        assert name(app) == "step-49"
        growing.is_over = True
        growing.add(1)
        await until(pilot, lambda: "growing succeeded" in screen_text(app))
        assert len(main_of(app).session.operations) == 51
        assert "following" not in screen_text(app).splitlines()[0]
        await pilot.press("f")
        assert "this recording cannot change" in screen_text(app)

    drive(Session(loaded.execution, as_of=loaded.as_of), script, loaded=loaded)


def test_a_source_that_fails_is_said_and_asked_again(drive: Drive) -> None:
    growing = Growing()
    growing.add(1)
    loaded = growing.load()

    def broken() -> Loaded | None:
        if growing.steps == 1:
            raise OSError("connection lost")
        return growing.load()

    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        await until(pilot, lambda: "reconnecting: connection lost" in screen_text(app))
        assert "step-0" in screen_text(app)
        growing.add(1)
        await until(pilot, lambda: "step-1" in screen_text(app))
        await until(pilot, lambda: "reconnecting" not in screen_text(app))

    from dataclasses import replace

    drive(Session(loaded.execution, as_of=loaded.as_of), script, size=(100, 30), loaded=replace(loaded, reload=broken))


class Shelf:
    """A place with two executions."""

    words = "a shelf"

    def __init__(self, growing: Growing) -> None:
        self._growing = growing

    def find(self, reference: str, arn: str | None) -> Loaded:
        return self._growing.load()

    def executions(self) -> Iterator[Listed]:
        for number in (1, 2):
            yield Listed(
                f"arn:{number}", f"order-{number}", f"id-{number}", "orders", "SUCCEEDED", START, START, "a shelf"
            )


def test_an_execution_is_chosen_by_typing_some_of_its_name(drive: Drive) -> None:
    growing = Growing()
    growing.add(2)
    growing.is_over = True

    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        await settled(app, pilot)
        assert [each.name for each in app.screen.query_one(ExecutionList).shown] == ["order-1", "order-2"]
        await pilot.press("down", "up", *"r-2")
        assert [each.name for each in app.screen.query_one(ExecutionList).shown] == ["order-2"]
        await pilot.press("enter")
        await until(pilot, lambda: "step-1" in screen_text(app))

    drive(None, script, library=Library([Shelf(growing)]))


def test_what_was_not_found_is_told_with_what_is_close(drive: Drive) -> None:
    missing = NotFoundError(
        "order-3",
        [LookedIn("files", "no file order-3"), LookedIn("a shelf", "2 executions, none match")],
        list(Shelf(Growing()).executions()),
    )

    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        await settled(app, pilot)
        text = screen_text(app)
        assert "No execution found for order-3" in text
        assert "2 executions, none match" in text
        assert "closest first" in text
        await pilot.press("q")

    app = drive(None, script, library=Library([Shelf(Growing())]), missing=missing)
    assert app.return_value == 2

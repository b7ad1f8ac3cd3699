"""Other executions and acting, without leaving the debugger."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from textual.pilot import Pilot

from durable_debugger.app import DebuggerApp
from durable_debugger.model.session import Session
from durable_debugger.screens.main import MainScreen
from durable_debugger.screens.opener import OpenerScreen, selection
from durable_debugger.screens.reach import ConfirmScreen
from durable_debugger.sources.found import Listed, Loaded, LookedIn
from durable_debugger.sources.places import Library
from durable_execution.history.recorded import RecordedExecution
from durable_execution.protocol import OperationType
from tests.tui.conftest import Drive, main_of, order_session, screen_text, settled, until
from tests.tui.recordings import START, order_execution

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
CHILD = "arn:aws:lambda:eu-west-1:123456789012:function:child:1/durable-execution/child-1/00000000-0000-0000-0000-00000000c41d"


class Shelf:
    """A place with two executions."""

    words = "a shelf"

    def __init__(self, *executions: RecordedExecution) -> None:
        self._known = {each.arn or "": each for each in executions}

    def find(self, reference: str, arn: str | None) -> Loaded | LookedIn:
        found = self._known.get(arn or reference)
        return LookedIn(self.words, "none match") if found is None else Loaded(found, self.words, START)

    def executions(self) -> Any:
        for arn, each in self._known.items():
            yield Listed(arn, each.name or "", each.id or "", "orders", each.status, each.started_at, None, self.words)


def child() -> RecordedExecution:
    return replace(order_execution(), arn=CHILD, name="child-1", id="c41d", status="SUCCEEDED")


def invoking() -> Session:
    """An execution whose first call invokes a different function."""
    execution = order_execution()
    first = replace(
        execution.operations[0],
        type=OperationType.CHAINED_INVOKE,
        subtype="ChainedInvoke",
        details={"function_name": "child", "child_execution_arn": CHILD},
    )
    return Session(replace(execution, operations=(first, *execution.operations[1:])), as_of=START)


class Client:
    """Keeps what it was asked to do."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda **arguments: self.asked.append((name, arguments))


def test_a_different_execution_is_opened_and_left_again(order: Session, drive: Drive) -> None:
    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        await pilot.press("o")
        await until(pilot, lambda: "child-1" in screen_text(app))
        assert isinstance(app.screen, OpenerScreen)
        await pilot.press(*"child", "enter")
        await until(pilot, lambda: isinstance(app.screen, MainScreen) and main_of(app).session.title == "child-1")
        await settled(app, pilot)
        assert "child-1" in screen_text(app).splitlines()[0]
        await pilot.press("escape")
        assert main_of(app).session is order
        await pilot.press("o", "escape")
        assert main_of(app).session is order, "leaving the list returns to the execution"

    drive(order, script, library=Library((Shelf(child()),)))


def test_an_invoke_leads_to_the_execution_it_started_and_back(drive: Drive) -> None:
    session = invoking()

    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        session.select(0)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, MainScreen) and main_of(app).session is not session)
        assert main_of(app).session.title == "child-1"
        await pilot.press("escape")
        assert main_of(app).session is session
        session.select(1)
        await pilot.press("enter")
        assert "select an invoke" in screen_text(app)

    drive(session, script, library=Library((Shelf(child()),)))


def live() -> tuple[Session, Loaded, Client]:
    client = Client()
    session = order_session(with_differences=False)
    loaded = Loaded(session.execution, "a shelf", START, client=client)
    return session, loaded, client


@pytest.mark.parametrize(("answer", "is_done"), [("n", False), ("escape", False), ("enter", False), ("y", True)])
def test_an_execution_is_stopped_only_after_a_question_that_names_it(drive: Drive, answer: str, is_done: bool) -> None:
    session, loaded, client = live()

    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        await pilot.press("a", "end", "enter")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await settled(app, pilot)
        text = screen_text(app)
        assert "Stop it permanently?" in text
        assert "order-7f3a9c" in text
        await pilot.press(answer)
        await app.workers.wait_for_complete()
        assert ([name for name, _ in client.asked] == ["stop_durable_execution"]) is is_done
        assert bool(client.asked) is is_done

    drive(session, script, loaded=loaded)


def test_a_callback_is_completed_with_json(drive: Drive) -> None:
    session, loaded, client = live()
    assert any(each.type is OperationType.CALLBACK and not each.status.is_terminal for each in session.recorded)

    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        await pilot.press("a", "enter")
        await pilot.press(*"nope", "enter")
        assert "not JSON" in screen_text(app)
        await pilot.press("a", "enter", "4", "2", "enter")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        assert "with 42" in screen_text(app)
        await pilot.press("y")
        await app.workers.wait_for_complete()
        assert client.asked[0][0] == "send_durable_execution_callback_success"
        assert client.asked[0][1]["Result"] == b"42"

    drive(session, script, loaded=loaded)


def test_a_file_cannot_be_acted_on(order: Session, drive: Drive) -> None:
    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        await pilot.press("a")
        assert "a recording can only be looked at" in screen_text(app)

    drive(order, script)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", True),
        ("order status:fail", True),
        ("status:succ", False),
        ("function:ord <2h", True),
        ("function:other", False),
        ("<30m", False),
    ],
)
def test_the_list_is_filtered(text: str, shown: bool) -> None:
    listed = Listed("arn", "order-1", "id-1", "orders", "FAILED", NOW - timedelta(hours=1), None, "here")
    assert selection(text).has(listed, NOW) is shown

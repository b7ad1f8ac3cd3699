"""Random keys, clicks and sizes: nothing that a user does may end the app.

The suite tries two seeds; `DURABLE_FUZZ_SEEDS=20` tries the first twenty, and `DURABLE_FUZZ_SEEDS=300-319` others.
"""

import os
import random
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

import pytest
from textual.errors import TextualError
from textual.pilot import OutOfBounds, Pilot

from durable_debugger.actions import ACTIONS
from durable_debugger.app import DebuggerApp
from durable_debugger.model.cost import CostTerms
from durable_debugger.model.fleet_facts import FactReader
from durable_debugger.model.fleet_groups import fleet_of
from durable_debugger.model.session import Session
from durable_debugger.screens.handlers import HANDLERS, load_handlers
from durable_debugger.sources.places import Library
from durable_debugger.widgets.lines import LineView
from durable_execution.replay.lines.line_recording import EventKind, Frame, LineEvent, LineRecording
from tests.tui.conftest import Drive, order_session
from tests.tui.recordings import order_execution
from tests.tui.test_hostile import HOSTILE, hostile_session
from tests.tui.test_live import Growing
from tests.tui.test_reach import Shelf

FIRST, _, LAST = os.environ.get("DURABLE_FUZZ_SEEDS", "2").rpartition("-")
SEEDS = range(int(FIRST), int(LAST) + 1) if FIRST else range(int(LAST))
STEPS = 40
SIZES = [(80, 24), (100, 30), (160, 48), (220, 60), (60, 16), (5, 24), (80, 3), (1, 1), (2, 2), (20, 5), (40, 10)]
LEAVES = {"quit", "edit"}
KEYS = [
    *(key for action in ACTIONS if action.id not in LEAVES for key in action.keys.split(",")),
    "enter", "escape", "backspace", "a", "0", "7", "left", "right", "tab", "w", "x",
]  # fmt: skip


@pytest.mark.acceptance
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", ["order", "lines", "hostile"])
def test_random_input_does_not_end_the_app(
    name: str, seed: int, drive: Drive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    load_handlers()
    for action in LEAVES:  # the footer and the palette offer them too
        monkeypatch.setitem(HANDLERS, action, lambda screen: None)
    chance = random.Random(f"{name} {seed}")  # a test repeats it

    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        done: list[str] = []
        for _ in range(STEPS):
            done.append(await act(app, pilot, chance))
            assert app.is_running, f"the app ended after {done[-8:]}"
            assert app._exception is None, f"{app._exception!r} after {done[-8:]}"
            for pane in app.screen.query(LineView):
                assert not pane.failure, f"after {done[-8:]}:\n{pane.failure}"

    drive(session_of(name), script, size=(80, 24), library=Library(()))


MORE_KEYS = [
    *KEYS,
    "ctrl+r",
    "ctrl+s",
    "f5",
    "up",
    "down",
    "pagedown",
    "end",
    "1",
    "2",
    "3",
    "4",
    "d",
    "s",
    "colon",
    "y",
    "n",
]


@pytest.mark.acceptance
@pytest.mark.timeout(180)
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", ["opener", "fleet", "fork", "live"])
def test_random_input_does_not_end_the_screens_beside_a_session(
    name: str, seed: int, drive: Drive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    load_handlers()
    for action in LEAVES:
        monkeypatch.setitem(HANDLERS, action, lambda screen: None)
    monkeypatch.setattr(DebuggerApp, "exit", lambda *_, **__: None)  # escape leaves the opener
    chance = random.Random(f"{name} {seed}")
    growing = Growing()
    growing.add(2)
    loaded = growing.load()

    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        done: list[str] = []
        if name == "fork":
            await pilot.press("home", "down", "F")
        for _ in range(STEPS):
            if name == "live" and not growing.is_over:
                growing.add(chance.choice([0, 0, 1, 30]))
                growing.is_over = chance.random() < 0.02
            done.append(await act(app, pilot, chance, MORE_KEYS))
            assert app.is_running, f"the app ended after {done[-8:]}"
            assert app._exception is None, f"{app._exception!r} after {done[-8:]}"
            for pane in app.screen.query(LineView):
                assert not pane.failure, f"after {done[-8:]}:\n{pane.failure}"

    shelf = Library([Shelf(order_execution(), hostile_session().raw)])
    match name:
        case "opener":
            drive(None, script, library=shelf)
        case "fleet":
            raws = [order_execution(), hostile_session().raw]
            facts = [FactReader().read(each.events, reference=each.arn or "", arn=each.arn) for each in raws]
            drive(None, script, fleet=(fleet_of("a test \x1b[31m\udc80", facts), CostTerms()), library=shelf)
        case "fork":
            drive(order_session(), script, target="flow.py:process_order", library=shelf)
        case _:
            drive(Session(loaded.execution, as_of=loaded.as_of), script, loaded=loaded, library=shelf)


@pytest.mark.parametrize(("key", "size"), [("y", (1, 1)), ("y", (5, 24)), ("a", (2, 2)), ("ctrl+p", (1, 1))])
def test_a_window_over_the_screen_opens_at_any_size(
    key: str, size: tuple[int, int], drive: Drive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        await pilot.resize_terminal(*size)
        await pilot.press(key)
        assert app.is_running
        assert app._exception is None

    drive(session_of("order"), script, size=(80, 24), library=Library(()))


@pytest.mark.parametrize("key", ["y", "a", "ctrl+p"])
def test_page_keys_do_nothing_in_a_window_without_room(
    key: str, drive: Drive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
        await pilot.resize_terminal(80, 3)
        await pilot.press(key, "pageup", "pagedown")
        await pilot.resize_terminal(1, 1)
        await pilot.press("pageup", "pagedown")
        assert app.is_running
        assert app._exception is None

    drive(session_of("order"), script, size=(80, 24), library=Library(()))


async def act(app: DebuggerApp, pilot: Pilot[int], chance: random.Random, keys: Sequence[str] = KEYS) -> str:
    """Do something at random, and say what."""
    width, height = app.size
    match chance.choice(["key", "key", "key", "key", "click", "size"]):
        case "key":
            key = chance.choice(keys)
            await pilot.press(key)
            return key
        case "click":
            at = chance.randrange(max(width, 1)), chance.randrange(max(height, 1))
            try:
                await pilot.click(offset=at, times=chance.choice([1, 1, 2]))
            except (OutOfBounds, TextualError):
                return f"click beside the window at {at}"
            return f"click at {at}"
        case _:
            size = chance.choice([*SIZES, (chance.randint(1, 200), chance.randint(1, 60))])
            await pilot.resize_terminal(*size)
            return f"resize to {size}"


def session_of(name: str) -> Session:
    if name == "hostile":
        return hostile_session()
    session = order_session(with_differences=name == "order")
    if name == "lines":
        session.use_lines(line_recording())
        session.line_settings.watches.append("order")
    return session


def line_recording() -> LineRecording:
    """Two tasks that run some lines of the order's code, with values that do not belong on a screen."""
    frames = [Frame(n, "flow.py", f"task_{n}\x1b[31m\udc80", 34, None, None, f"process_order~{n}") for n in range(2)]
    kinds = [EventKind.CALL, *[EventKind.LINE] * 8, EventKind.EXCEPTION, EventKind.UNWIND]
    events = [
        LineEvent(kind, frame, 35 + at % 12, {f"name_{at}": each}, text="ValueError('\udc80')")
        for at, (kind, each) in enumerate(zip(kinds, cycle(HOSTILE), strict=False))
        for frame in range(2)
    ]
    return LineRecording(frames, events)

"""The app, driven without a terminal, and its screens as text that a reviewer can read."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from textual.css.stylesheet import Stylesheet
from textual.pilot import Pilot

from durable_debugger.app import DebuggerApp
from durable_debugger.model.differences import Differences
from durable_debugger.model.session import Session
from durable_debugger.screens.main import MainScreen
from durable_debugger.sources.code import SourceTexts
from durable_execution.comparison.call_tree import tree_of
from durable_execution.comparison.comparison import Comparison, compare
from tests.tui.quiet import quiet
from tests.tui.recordings import FLOW_TEXT, START, order_execution

GOLDENS = Path(__file__).parent / "goldens"
UPDATE = "DURABLE_UPDATE_GOLDENS"

WORDS: dict[str, Any] = {
    "likely": "flow.py:41 branches on flags.fast_lane(), which is not in a step",
    "effect": "ship_parcel would receive what reserve_courier gave; 3 later calls shift by 1",
    "fix": "await ctx.step(flags.fast_lane) and branch on its result, or restore the old branch until running executions finish",
}

Script = Callable[[DebuggerApp, Pilot[int]], Awaitable[None]]
Drive = Callable[..., DebuggerApp]


@pytest.fixture
def texts(tmp_path: Path) -> SourceTexts:
    """Finds the order's source."""
    (tmp_path / "flow.py").write_text(FLOW_TEXT)
    return SourceTexts((tmp_path,))


@pytest.fixture
def order() -> Session:
    """The order, compared with changed code that skips the courier."""
    return order_session()


def order_session(*, with_differences: bool = True, with_traces: bool = True) -> Session:
    """A session on the order, two minutes after its last event."""
    execution = order_execution(with_traces=with_traces)
    rows = {operation.id: row for row, operation in enumerate(execution.operations)}
    differences = None
    if with_differences:
        differences = Differences(_order_comparison(with_traces=with_traces), rows)
    return Session(execution, as_of=START + timedelta(seconds=161.2), origin="order.json", differences=differences)


@cache
def _order_comparison(*, with_traces: bool) -> Comparison:
    sides = [order_execution(with_courier=is_old, with_traces=with_traces) for is_old in (True, False)]
    return _in_our_words(compare(tree_of(sides[0]), tree_of(sides[1]), handler="flow:process_order"))


def _in_our_words(comparison: Comparison) -> Comparison:
    """The comparison with an explanation that does not change when the wording of explanations does."""
    rows = [
        replace(row, divergence=replace(row.divergence, **WORDS)) if row.divergence else row for row in comparison.rows
    ]
    return Comparison(tuple(rows), tuple(row.divergence for row in rows if row.divergence))


@pytest.fixture(scope="session", autouse=True)
def parsed_once() -> Iterator[None]:
    """Every app parses the same style sheets: parse them in the first one only."""
    parse, known = Stylesheet._parse_rules, dict[Any, Any]()

    def parse_rules(self: Stylesheet, *arguments: Any, **options: Any) -> Any:
        key = (arguments, *options.items(), *self._variables.items())
        if key not in known:
            known[key] = parse(self, *arguments, **options)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stylesheet, "_parse_rules", parse_rules)
        yield


@pytest.fixture
def drive(texts: SourceTexts, monkeypatch: pytest.MonkeyPatch) -> Callable[..., DebuggerApp]:
    """Runs the app on a session and lets a script press keys, each when all that the one before it caused is done."""

    def run(
        session: Session | None, script: Script, *, size: tuple[int, int] = (80, 24), **options: object
    ) -> DebuggerApp:
        app = DebuggerApp(session, texts=texts, **options)  # type: ignore[arg-type]

        async def idle(*_: object) -> None:
            await quiet(app)

        monkeypatch.setattr("textual.app.wait_for_idle", idle)
        monkeypatch.setattr("textual.pilot.wait_for_idle", idle)

        async def go() -> None:
            async with app.run_test(size=size) as pilot:
                if session is None:
                    await pilot.pause()
                else:
                    await settled(app, pilot)
                await script(app, pilot)

        asyncio.run(go())
        return app

    return run


async def settled(app: DebuggerApp, pilot: Pilot[int]) -> None:
    """Wait until nothing more is drawn by itself."""
    await pilot.pause()
    await app.workers.wait_for_complete()
    await pilot.pause()


async def until(pilot: Pilot[int], condition: Callable[[], bool]) -> None:
    """Wait for what happens in its own time: a thread that reads, a list that is searched."""
    for _ in range(500):
        if condition():
            return
        await pilot.pause(0.02)
    raise AssertionError("it did not happen")


def main_of(app: DebuggerApp) -> MainScreen:
    """The screen that shows the session."""
    assert isinstance(app.screen, MainScreen)
    return app.screen


def screen_text(app: DebuggerApp) -> str:
    """What is on the screen."""
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in strips)


@pytest.fixture
def golden() -> Callable[[str, str], None]:
    """Compares text with a file beside the tests; DURABLE_UPDATE_GOLDENS=1 writes it."""

    def check(name: str, text: str) -> None:
        path = GOLDENS / f"{name}.txt"
        if os.environ.get(UPDATE):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + "\n", encoding="utf-8")
        assert path.is_file(), f"there is no golden {name}: look at the text, then run with {UPDATE}=1\n{text}"
        assert text == path.read_text(encoding="utf-8").removesuffix("\n"), f"differs from goldens/{name}.txt"

    return check

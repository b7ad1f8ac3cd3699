"""Every key of the step view over the lines of a replay: in an `async` and a plain handler, in a map and in a gather."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot

from durable_debugger.app import DebuggerApp
from durable_debugger.model.line_playback import LinePlayback
from durable_debugger.model.session import Session
from durable_debugger.sources.files import load_file
from tests.tui.broken import Broken, record
from tests.tui.conftest import Drive, main_of, screen_text, settled, until

pytestmark = [pytest.mark.real_time, pytest.mark.acceptance]

ADD = """
def add(prices: list[int]) -> int:
    total = 0
    for price in prices:
        total += price
    return total


"""
ASYNC = """
def check(total: int) -> None:
    if total > 4:
        raise ValueError("too much")


@durable_execution
async def handler(order: dict, ctx: DurableContext) -> object:
    basket = {"lines": [{"sku": "A1", "note": "x" * 60}, {"sku": "B2", "note": "y" * 60}], "card": {"password": "swordfish"}}
    stock = await ctx.step(reserve("A1"))
    total = add([2, 3])
    try:
        check(total)
    except ValueError:
        total = 0
    basket["total"] = total
    return await ctx.step(ship(stock))
"""
PLAIN = """
@durable_execution
def handler(order: dict, ctx: DurableContext) -> object:
    stock = ctx.step(reserve("A1"))
    total = add([2, 3])
    ctx.wait(timedelta(minutes=1), name="pause")
    return ctx.step(ship(f"{stock} {total}"))
"""
MAP = """
@durable_execution
async def handler(order: dict, ctx: DurableContext) -> object:
    async def one(ctx: DurableContext, sku: str) -> str:
        stock = await ctx.step(reserve(sku))
        await ctx.wait(timedelta(minutes=1), name="hold")
        label = stock.upper()
        return label
    labels = (await ctx.map(["A1", "B2"], one, name="all")).get_results()
    return await ctx.step(ship(labels[0]))
"""
GATHER = """
@durable_execution
async def handler(order: dict, ctx: DurableContext) -> object:
    async def leg(sku: str) -> str:
        stock = await ctx.step(reserve(sku), name=f"reserve_{sku}")
        label = stock.upper()
        return label
    labels = await asyncio.gather(leg("A1"), leg("B2"))
    return await ctx.step(ship(labels[0]))
"""

Steps = Callable[["Stepping"], Awaitable[None]]


class Stepping:
    """The step view over the lines of a replay, driven by keys."""

    def __init__(self, app: DebuggerApp, pilot: Pilot[int]) -> None:
        self.app, self.pilot = app, pilot

    @property
    def session(self) -> Session:
        return main_of(self.app).session

    @property
    def lines(self) -> LinePlayback:
        assert self.session.lines is not None
        return self.session.lines

    @property
    def code(self) -> str:
        """The line at which the arrow is."""
        shown = next(line for line in screen_text(self.app).splitlines() if line.startswith("▌ ▸"))
        return shown[10:70].split("  ")[0].strip() or shown

    async def press(self, *keys: str) -> "Stepping":
        await self.pilot.press(*keys)
        return self

    def at(self, text: str, task: str = "handler") -> None:
        """Check where it stands."""
        line = self.lines.event.line
        source = Path(self.lines.frame.file).read_text().splitlines()[line - 1]
        assert text in source, f"it stands at line {line}: {source}"
        assert text in screen_text(self.app)
        assert self.lines.frame.task == task


@pytest.fixture
def step(drive: Drive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Steps], None]:
    """Records a handler, opens the step view over the lines of its replay, and runs a script."""
    monkeypatch.chdir(tmp_path)

    def run(text: str, steps: Steps) -> None:
        case = record(Broken("stepped", f"import asyncio\n{ADD}{text.strip()}", payload={"id": 7}), tmp_path)
        loaded = load_file(str(case.history))
        session = Session(loaded.execution, as_of=loaded.as_of, title=loaded.title)

        async def script(app: DebuggerApp, pilot: Pilot[int]) -> None:
            await pilot.press("3")
            await until(pilot, lambda: main_of(app).session.lines is not None)
            await settled(app, pilot)
            await pilot.press("home")
            await steps(Stepping(app, pilot))

        drive(session, script, target=case.target, size=(120, 40))

    return run


def test_an_async_handler(step: Callable[[str, Steps], None]) -> None:
    async def steps(go: Stepping) -> None:
        go.at("basket = {")
        (await go.press("n", "n")).at("total = add")
        (await go.press("s")).at("total = 0")
        assert go.lines.frame.function == "add"
        assert [frame.function for frame in go.lines.stack()] == ["handler", "add"]
        (await go.press("n", "n")).at("total += price")
        assert go.lines.locals()["price"] == "2"
        (await go.press("r")).at("try:")
        (await go.press("S")).at("return total")
        assert go.lines.frame.function == "add"
        (await go.press("R")).at("total = add")
        (await go.press("c")).at('raise ValueError("too much")')
        (await go.press("n", "n")).at("except ValueError")
        (await go.press("C")).at('raise ValueError("too much")')
        (await go.press("end")).at("return await ctx.step(ship")
        (await go.press("n")).at("return await ctx.step(ship")
        assert "this is the end of the recording" in screen_text(go.app)
        (await go.press("home", "N")).at("basket = {")
        assert "this is the start of the recording" in screen_text(go.app)
        (await go.press("right", "right", "left")).at("stock = await")

    step(ASYNC, steps)


def test_a_plain_handler(step: Callable[[str, Steps], None]) -> None:
    async def steps(go: Stepping) -> None:
        go.at("stock = ctx.step")
        (await go.press("n", "n")).at("ctx.wait(")
        assert go.lines.locals()["total"] == "5"
        (await go.press("N")).at("total = add")
        assert "total" not in go.lines.locals(), "nothing from the future"
        (await go.press("s", "r")).at("ctx.wait(")
        (await go.press("n")).at("return ctx.step(ship")
        (await go.press("N", "N", "N")).at("stock = ctx.step")

    step(PLAIN, steps)


def test_a_map_is_entered_and_left_and_its_branches_are_tasks(step: Callable[[str, Steps], None]) -> None:
    async def steps(go: Stepping) -> None:
        (await go.press("n")).at("ctx.map(")
        (await go.press("n")).at("return await ctx.step(ship")
        (await go.press("N", "s")).at("stock = await", "handler/all#0")
        (await go.press("n", "n")).at("label = stock.upper()", "handler/all#0")
        assert go.lines.locals()["sku"] == "'A1'"
        (await go.press("n", "n")).at("return label", "handler/all#0")
        assert "this is the end of handler/all#0" in screen_text(go.app)
        (await go.press("N", "N", "N", "N")).at("stock = await", "handler/all#0")
        assert "this is the start of handler/all#0" in screen_text(go.app)
        await go.press("right_square_bracket")
        assert go.lines.frame.task == "handler/all#1"
        assert go.lines.locals()["sku"] == "'B2'"
        await go.press("left_square_bracket")
        assert go.lines.frame.task == "handler/all#0"
        (await go.press("r")).at("return await ctx.step(ship")
        (await go.press("S")).at("return label", "handler/all#1")
        (await go.press("R")).at("ctx.map(")

    step(MAP, steps)


def test_a_coroutine_of_gather_is_entered_and_left(step: Callable[[str, Steps], None]) -> None:
    async def steps(go: Stepping) -> None:
        (await go.press("n")).at("asyncio.gather(")
        (await go.press("s")).at("stock = await", "handler~1")
        (await go.press("n", "n", "n")).at("return label", "handler~1")
        assert "this is the end of handler~1" in screen_text(go.app)
        await go.press("right_square_bracket")
        assert go.lines.frame.task == "handler~2"
        (await go.press("r")).at("return await ctx.step(ship")
        (await go.press("N")).at("asyncio.gather(")

    step(GATHER, steps)


def test_breakpoints_on_calls_stop_between_lines(step: Callable[[str, Steps], None]) -> None:
    async def steps(go: Stepping) -> None:
        await go.press("1", "end", "b")
        assert "c stops at ship" in screen_text(go.app)
        await go.press("3", "home")
        (await go.press("c")).at('raise ValueError("too much")')
        (await go.press("c")).at("return await ctx.step(ship")
        (await go.press("c")).at("return await ctx.step(ship")
        assert "no further stops" in screen_text(go.app)

    step(ASYNC, steps)


def test_going_to_a_call_goes_to_its_line(step: Callable[[str, Steps], None]) -> None:
    async def steps(go: Stepping) -> None:
        (await go.press("g", "2", "enter")).at("return await ctx.step(ship")
        (await go.press("g", "1", "enter")).at("stock = await ctx.step(reserve")
        (await go.press("g", "i", "1", "enter")).at("basket = {")
        await go.press("1", "end", "s")
        go.at("return await ctx.step(ship")

    step(ASYNC, steps)


def test_running_to_a_line_that_is_chosen(step: Callable[[str, Steps], None]) -> None:
    async def steps(go: Stepping) -> None:
        await go.press("ctrl+o", "s", "o", "u", "enter", "down", "down", "t")
        go.at("total = add")
        await go.press("up", "T")
        go.at("stock = await ctx.step(reserve")

    step(ASYNC, steps)


def test_variables_are_shown_whole_and_without_secrets(step: Callable[[str, Steps], None]) -> None:
    async def steps(go: Stepping) -> None:
        await go.press("n", "v")
        text = screen_text(go.app)
        assert "* basket  {" in text
        assert "      {'sku': 'A1', 'note': 'xxx" in text
        assert "'password': <redacted>" in text
        assert "swordfish" not in text
        assert "total" not in text.partition("input")[0], "nothing from the future"

    step(ASYNC, steps)


def test_a_variable_is_expanded_in_place_and_stays_so(step: Callable[[str, Steps], None]) -> None:
    def shown(go: Stepping) -> list[str]:
        text = screen_text(go.app).partition("Locals")[2].splitlines()
        return [" ".join(line.rpartition("│")[2].split()) for line in text]

    async def steps(go: Stepping) -> None:
        await go.press("n", "ctrl+o", "l", "o", "c", "enter")
        assert any(line.startswith("▸* basket {'lines':") for line in shown(go)), shown(go)
        await go.press("space")
        assert any(line.startswith("▾* basket {'lines':") for line in shown(go)), shown(go)
        assert any(line.startswith("▸ 'lines' [{'sku': 'A1'") for line in shown(go)), shown(go)
        await go.press("down", "space", "down", "space")
        assert "'sku' 'A1'" in shown(go)
        assert "swordfish" not in screen_text(go.app)
        await go.press("n")
        assert "'sku' 'A1'" in shown(go), "it stays expanded at the next line"
        await go.press("up", "space")
        assert "'sku' 'A1'" not in shown(go), "the selection stays with its value, wherever that is listed"
        await go.press("up", "up", "space")
        assert "all of it is shown" in screen_text(go.app)
        line = next(
            y for y, text in enumerate(screen_text(go.app).splitlines()) if "▾ basket" in text.replace("  ", " ")
        )
        await go.pilot.click(offset=(85, line))
        assert any(line.startswith("▸ basket {'lines':") for line in shown(go)), "a click folds it"

    step(ASYNC, steps)

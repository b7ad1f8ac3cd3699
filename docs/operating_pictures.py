"""Makes the pictures of a fleet and of a fork from real executions: `python docs/operating_pictures.py`.

A store with 160 orders is recorded on the local engine, some of them with planted faults; one is forked. The pictures are
what the debugger shows of them.
"""

import argparse
import asyncio
import contextlib
import os
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

from durable_debugger.app import DebuggerApp
from durable_debugger.model.cost import CostTerms
from durable_debugger.model.differences import Differences
from durable_debugger.model.fleet_groups import fleet_of
from durable_debugger.model.session import Session
from durable_debugger.sources.fleet_source import Wanted, store_source
from durable_debugger.sources.local import LocalExecutions
from durable_execution import DurableContext, StepConfig, durable_execution
from durable_execution.comparison.call_tree import tree_of
from durable_execution.comparison.comparison import compare
from durable_execution.local import CountingIds, LocalEngine
from durable_execution.retry import RetryPresets

IMAGES = Path(__file__).parent / "images"
SIZE = (132, 32)
ORDERS = 160
ONCE = StepConfig(retry_strategy=RetryPresets.none())


async def declined(_: Any) -> None:
    """The card of every fortieth order is declined."""
    raise ValueError("card declined")


async def value(_: Any) -> str:
    """A result of no interest."""
    return "ok"


async def score(_: Any) -> int:
    """The score of an order that no one doubts."""
    return 12


@durable_execution
async def process_order(order: dict[str, Any], ctx: DurableContext) -> str:
    """Check, reserve, charge, ship; every twentieth order waits for an approval."""
    number = order["id"]
    fraud = await ctx.step(score, "check_fraud")
    if fraud > 80:
        return await ctx.step(value, "review")
    await ctx.step(value, "reserve_stock")
    if number % 20 == 3:
        await (await ctx.create_callback("approval")).result()
    await ctx.wait(timedelta(minutes=10), "cool_off")
    await ctx.step(declined if number % 40 == 7 else value, "charge", config=ONCE)
    if number % 50 == 9:
        await ctx.wait(timedelta(days=3), "backorder")
    await ctx.map([1, 2], lambda child, item, _: child.step(value, f"parcel-{item}"), "ship")
    return "shipped"


def record(store: Path) -> tuple[str, str]:
    """Record the orders and a fork; returns the ARNs of the fork's origin and of the fork."""
    with LocalEngine(store, time="skip", ids=CountingIds(), trace_sink=False) as engine:
        engine.register("process_order", process_order)
        for number in range(ORDERS):
            engine.start("process_order", {"id": number}, name=f"order-{1000 + number}")
        engine.run_until_idle()
        engine.advance(timedelta(hours=1))
        origin = engine.run("process_order", {"id": 500}, name="order-1500").arn
        fork = engine.fork(
            origin, at="check_fraud", function="process_order", result=91, answers={"review": "rejected"}
        )
        engine.run_until_idle()
        return origin, fork


async def take(app: DebuggerApp, name: str, *keys: str) -> None:
    """Press the keys, and keep what the app shows."""
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause(0.5)
        await pilot.press(*keys)
        await app.workers.wait_for_complete()
        await pilot.pause(0.5)
        (IMAGES / name).write_text(app.export_screenshot(title="durable-debug"), encoding="utf-8")
    print(f"wrote {IMAGES / name}", file=sys.stderr)


def main() -> None:
    """Make both pictures."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        store = Path("orders.db")
        origin, fork = record(store)
        with contextlib.closing(store_source(store, Wanted())) as source:
            fleet = fleet_of("local store orders.db", list(source.read()))
        asyncio.run(take(DebuggerApp(fleet=(fleet, CostTerms())), "fleet.svg"))
        local = LocalExecutions(store)
        sides = [local.load(arn).execution for arn in (origin, fork)]
        rows = {operation.id: row for row, operation in enumerate(sides[0].operations)}
        trees = [tree_of(side, with_outcomes=True) for side in sides]
        compared = compare(trees[0], trees[1], handler="process_order")
        titles = ("order-1500", "the fork with a score of 91")
        differences = Differences(compared, rows, replayed_by="", labels=titles)
        session = Session(sides[0], as_of=sides[0].ended_at, origin="local store orders.db", differences=differences)
        asyncio.run(take(DebuggerApp(session, view="diff"), "fork.svg"))
        local.close()


if __name__ == "__main__":
    main()

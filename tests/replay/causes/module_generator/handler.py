"""Loads an order at the next free door."""

from typing import Any

from durable_execution import DurableContext, StepContext, durable_execution, durable_step
from tests.replay.causes.common.actions import archive, charge, notify, reserve, summary, validate
from tests.replay.causes.common.model import EVENT as BASE
from tests.replay.causes.common.model import Order
from tests.replay.causes.common.timing import Stopwatch, note
from tests.replay.causes.module_generator.docks import Door, free_door, loading_minutes

EVENT = BASE
WARM = 2


@durable_step
def load(step: StepContext, order_id: str, door: str) -> str:
    return f"{door}:{order_id}"


def pallets(order: Order) -> int:
    bulky = [line for line in order.lines if "bulky" in line.tags]
    return max(1, len(bulky))


async def load_truck(ctx: DurableContext, order: Order, door: Door) -> str:
    minutes = loading_minutes(pallets(order), door)
    note("loading", minutes=minutes)
    if minutes > 60:
        await ctx.step(notify("dock", order.id), name="call_help")
    return await ctx.step(load(order.id, door.name), name=f"load_at_{door.name}")


@durable_execution
async def handler(event: dict[str, Any], ctx: DurableContext) -> dict[str, Any]:
    watch = Stopwatch("loading")
    order = Order.parse(event)
    await ctx.step(validate(order.id), name="validate")
    await ctx.step(charge(order.id, order.total), name="charge")
    for line in order.lines:
        await ctx.step(reserve(line.sku, line.quantity), name=f"reserve_{line.sku}")
    watch.lap("reserved")
    door = free_door()
    slip = await load_truck(ctx, order, door)
    await ctx.step(notify(order.customer, slip), name="notify")
    await ctx.step(archive(order.id), name="archive")
    watch.lap("done")
    return {**summary(order), "slip": slip}

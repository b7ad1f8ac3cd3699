"""Picks the lines of an order along a route."""

from typing import Any

from durable_execution import DurableContext, StepContext, durable_execution, durable_step
from tests.replay.causes.common.actions import archive, charge, notify, ship, summary, validate
from tests.replay.causes.common.model import EVENT as BASE
from tests.replay.causes.common.model import Order
from tests.replay.causes.common.timing import Stopwatch, note
from tests.replay.causes.identity_sort.sorting import route

EVENT = {
    **BASE,
    "lines": [
        {"sku": sku, "quantity": number + 1, "cents": 100 * (number + 1)}
        for number, sku in enumerate(["lamp", "desk", "plant", "rug", "chair", "shelf", "stool", "mirror"])
    ],
}


@durable_step
def pick(step: StepContext, sku: str, quantity: int) -> int:
    return quantity


async def walk(ctx: DurableContext, order: Order) -> int:
    picked = 0
    for number, stop in enumerate(route(order.lines), start=1):
        note("stop", number=number)
        picked += await ctx.step(pick(stop.line.sku, stop.line.quantity), name=f"pick_{stop.label}")
    return picked


@durable_execution
async def handler(event: dict[str, Any], ctx: DurableContext) -> dict[str, Any]:
    watch = Stopwatch("route")
    order = Order.parse(event)
    await ctx.step(validate(order.id), name="validate")
    await ctx.step(charge(order.id, order.total), name="charge")
    watch.lap("charged")
    picked = await walk(ctx, order)
    if picked > 100:
        await ctx.step(notify("desk", order.id), name="notify_desk")
    label = await ctx.step(ship(order.id, "swift"), name="ship")
    await ctx.step(notify(order.customer, label), name="notify")
    await ctx.step(archive(order.id), name="archive")
    return {**summary(order), "picked": picked}

"""Ships an order, by express when it is late."""

from typing import Any

from durable_execution import DurableContext, durable_execution
from tests.replay.causes.common.actions import archive, charge, notify, reserve, ship, summary, validate
from tests.replay.causes.common.model import EVENT as BASE
from tests.replay.causes.common.model import Order
from tests.replay.causes.common.timing import Stopwatch, note
from tests.replay.causes.late_order.deadlines import carrier_for, deadline_of

EVENT = {**BASE, "placed_at": "now"}
RECORDED_SECONDS_AGO = 30 * 86_400


async def collect(ctx: DurableContext, order: Order) -> int:
    count = 0
    for line in order.lines:
        count += await ctx.step(reserve(line.sku, line.quantity), name=f"reserve_{line.sku}")
    note("collected", count=count)
    return count


async def send(ctx: DurableContext, order: Order) -> str:
    deadline = deadline_of(order)
    carrier = carrier_for(order, deadline)
    label = await ctx.step(ship(order.id, carrier), name=f"ship_{carrier}")
    if carrier == "express":
        await ctx.step(notify("desk", label), name="report_late")
    return label


@durable_execution
async def handler(event: dict[str, Any], ctx: DurableContext) -> dict[str, Any]:
    watch = Stopwatch("order")
    order = Order.parse(event)
    await ctx.step(validate(order.id), name="validate")
    payment = await ctx.step(charge(order.id, order.total), name="charge")
    watch.lap("charged")
    count = await collect(ctx, order)
    label = await send(ctx, order)
    if payment["risk"] > 50 or count > 100:
        await ctx.step(notify("desk", order.id), name="notify_desk")
    await ctx.step(notify(order.customer, label), name="notify")
    await ctx.step(archive(order.id), name="archive")
    watch.lap("archived")
    return {**summary(order), "label": label}

"""Sends an order with the cheapest carrier."""

from typing import Any

from durable_execution import DurableContext, durable_execution
from tests.replay.causes.cheapest_offer.offers import cheapest, price_of
from tests.replay.causes.common.actions import archive, charge, notify, reserve, ship, summary, validate
from tests.replay.causes.common.model import EVENT as BASE
from tests.replay.causes.common.model import Order
from tests.replay.causes.common.timing import Stopwatch, note

EVENT = BASE
KILOS_PER_LINE = 1


async def prepare(ctx: DurableContext, order: Order) -> int:
    count = 0
    for line in order.lines:
        count += await ctx.step(reserve(line.sku, line.quantity), name=f"reserve_{line.sku}")
    note("prepared", count=count)
    return count


async def send(ctx: DurableContext, order: Order) -> str:
    carrier = cheapest(order.country, len(order.lines) * KILOS_PER_LINE)
    cents = price_of(carrier, len(order.lines))
    if cents > 1000:
        await ctx.step(notify(order.customer, "expensive shipping"), name="warn_price")
    return await ctx.step(ship(order.id, carrier), name=f"ship_{carrier}")


@durable_execution
async def handler(event: dict[str, Any], ctx: DurableContext) -> dict[str, Any]:
    watch = Stopwatch("order")
    order = Order.parse(event)
    await ctx.step(validate(order.id), name="validate")
    payment = await ctx.step(charge(order.id, order.total), name="charge")
    watch.lap("charged")
    count = await prepare(ctx, order)
    label = await send(ctx, order)
    watch.lap("sent")
    if payment["risk"] > 50 or count > 50:
        await ctx.step(notify("desk", label), name="notify_desk")
    await ctx.step(notify(order.customer, label), name="notify")
    await ctx.step(archive(order.id), name="archive")
    return {**summary(order), "label": label}

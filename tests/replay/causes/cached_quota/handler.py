"""Takes an order when the customer's quota allows it."""

from typing import Any

from durable_execution import DurableContext, StepContext, durable_execution, durable_step
from tests.replay.causes.cached_quota.quota import is_within, quota_of
from tests.replay.causes.common.actions import archive, charge, notify, reserve, ship, summary, validate
from tests.replay.causes.common.model import EVENT as BASE
from tests.replay.causes.common.model import Order
from tests.replay.causes.common.timing import Stopwatch, note

EVENT = BASE
RECORDED_ON = "saturday"


@durable_step
def ask_for_release(step: StepContext, customer: str) -> bool:
    return customer.startswith("c-")


async def admit(ctx: DurableContext, order: Order) -> bool:
    if is_within(order.country, order.customer):
        note("admitted", quota=quota_of(order.country).kind)
        return True
    return await ctx.step(ask_for_release(order.customer), name="ask_for_release")


@durable_execution
async def handler(event: dict[str, Any], ctx: DurableContext) -> dict[str, Any]:
    watch = Stopwatch("order")
    order = Order.parse(event)
    await ctx.step(validate(order.id), name="validate")
    if not await admit(ctx, order):
        await ctx.step(notify(order.customer, "not today"), name="refuse")
        return {"id": order.id, "refused": True}
    watch.lap("admitted")
    await ctx.step(charge(order.id, order.total), name="charge")
    for line in order.lines:
        await ctx.step(reserve(line.sku, line.quantity), name=f"reserve_{line.sku}")
    label = await ctx.step(ship(order.id, "swift"), name="ship")
    if order.total > 5_000_000:
        await ctx.step(notify("desk", label), name="notify_desk")
    await ctx.step(notify(order.customer, label), name="notify")
    await ctx.step(archive(order.id), name="archive")
    return {**summary(order), "label": label}

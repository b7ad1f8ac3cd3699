"""Packs an order in the day or the night shift."""

from typing import Any

from durable_execution import DurableContext, StepContext, durable_execution, durable_step
from tests.replay.causes.common.actions import archive, charge, notify, reserve, ship, summary, validate
from tests.replay.causes.common.model import EVENT as BASE
from tests.replay.causes.common.model import Order
from tests.replay.causes.common.timing import Stopwatch, note
from tests.replay.causes.local_hour.calendar import shift_at

EVENT = {**BASE, "placed_at": 1_700_040_000.0}
RECORDED_IN = {"TZ": "Pacific/Kiritimati"}
REPLAYED_IN = {"TZ": "UTC"}


@durable_step
def call_night_team(step: StepContext, order_id: str) -> str:
    return f"night-{order_id}"


async def pack(ctx: DurableContext, order: Order) -> int:
    shift = shift_at(order.placed_at)
    if shift.surcharge:
        await ctx.step(call_night_team(order.id), name="call_night_team")
    for line in order.lines:
        await ctx.step(reserve(line.sku, line.quantity), name=f"reserve_{line.sku}")
    note("packed", shift=shift.name)
    return shift.surcharge


@durable_execution
async def handler(event: dict[str, Any], ctx: DurableContext) -> dict[str, Any]:
    watch = Stopwatch("packing")
    order = Order.parse(event)
    await ctx.step(validate(order.id), name="validate")
    surcharge = await pack(ctx, order)
    watch.lap("packed")
    payment = await ctx.step(charge(order.id, order.total + surcharge), name="charge")
    if payment["risk"] > 50:
        await ctx.step(notify("desk", order.id), name="notify_desk")
    label = await ctx.step(ship(order.id, "swift"), name="ship")
    await ctx.step(notify(order.customer, label), name="notify")
    await ctx.step(archive(order.id), name="archive")
    return {**summary(order), "surcharge": surcharge}

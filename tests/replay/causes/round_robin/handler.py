"""Ships an order with the carrier whose turn it is."""

from typing import Any

from durable_execution import DurableContext, durable_execution
from tests.replay.causes.common.actions import archive, charge, notify, reserve, ship, summary, validate
from tests.replay.causes.common.model import EVENT as BASE
from tests.replay.causes.common.model import Order
from tests.replay.causes.common.timing import note, timed
from tests.replay.causes.round_robin.carriers import Carrier, next_carrier

EVENT = BASE
WARM = 1
KILOS = {"lamp": 2, "desk": 22, "plant": 1, "rug": 4}


def weight(order: Order) -> int:
    kilos = 0
    for line in order.lines:
        kilos += KILOS.get(line.sku, 1) * line.quantity
    return min(kilos, 30)


async def dispatch(ctx: DurableContext, order: Order, carrier: Carrier) -> str:
    note("dispatching", carrier=carrier.name)
    label = await ctx.step(ship(order.id, carrier.name), name=f"ship_{carrier.name}")
    await ctx.step(notify(order.customer, label), name="send_tracking")
    return label


@durable_execution
async def handler(event: dict[str, Any], ctx: DurableContext) -> dict[str, Any]:
    order = Order.parse(event)
    with timed("validation"):
        await ctx.step(validate(order.id), name="validate")
    payment = await ctx.step(charge(order.id, order.total), name="charge")
    if payment["risk"] > 50:
        await ctx.step(notify("fraud-desk", order.id), name="review")
    results = await ctx.map(
        order.lines,
        lambda child, line: child.step(reserve(line.sku, line.quantity), name="reserve"),
        name="reserve_all",
    )
    note("reserved", count=results.success_count)
    carrier = next_carrier(order.country, weight(order))
    label = await dispatch(ctx, order, carrier)
    await ctx.step(archive(order.id), name="archive")
    return {**summary(order), "label": label}

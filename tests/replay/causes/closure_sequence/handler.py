"""Packs an order into parcels and ships each."""

from datetime import timedelta
from typing import Any

from durable_execution import DurableContext, durable_execution
from tests.replay.causes.closure_sequence.numbering import packed
from tests.replay.causes.common.actions import archive, charge, notify, ship, summary, validate
from tests.replay.causes.common.model import EVENT as BASE
from tests.replay.causes.common.model import Order
from tests.replay.causes.common.timing import Stopwatch, note

EVENT = BASE
WARM = 1


class Shipment:
    """Parcels on their way."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.labels: list[str] = []

    async def send(self, ctx: DurableContext, size: int) -> None:
        skus = [line.sku for line in self.order.lines]
        for number, content in packed(skus, size):
            note("sending", number=number, content=",".join(content))
            self.labels.append(await ctx.step(ship(self.order.id, number), name=f"ship_{number}"))

    @property
    def is_split(self) -> bool:
        return len(self.labels) > 1


@durable_execution
async def handler(event: dict[str, Any], ctx: DurableContext) -> dict[str, Any]:
    watch = Stopwatch("shipment")
    order = Order.parse(event)
    is_valid = await ctx.step(validate(order.id), name="validate")
    if not is_valid:
        return {"id": order.id, "refused": True}
    await ctx.step(charge(order.id, order.total), name="charge")
    watch.lap("charged")
    shipment = Shipment(order)
    await shipment.send(ctx, size=3)
    if shipment.is_split:
        await ctx.step(notify(order.customer, "several parcels"), name="notify_split")
    await ctx.wait(timedelta(seconds=2), name="settle")
    await ctx.step(archive(order.id), name="archive")
    return {**summary(order), "labels": shipment.labels}

"""Prepares the goods of an order, one instruction after the other."""

from typing import Any

from durable_execution import DurableContext, StepContext, durable_execution, durable_step
from tests.replay.causes.common.actions import archive, charge, notify, ship, summary, validate
from tests.replay.causes.common.model import EVENT as BASE
from tests.replay.causes.common.model import Order
from tests.replay.causes.common.timing import Stopwatch, note, timed
from tests.replay.causes.tag_order.handling import handling_cost, instructions, is_special

EVENT = BASE


@durable_step
def prepare(step: StepContext, order_id: str, handling: str) -> str:
    return f"{handling}:{order_id}"


class Preparation:
    """The preparation of one order."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.todo = instructions(order.lines)
        self.done: list[str] = []

    @property
    def cost(self) -> int:
        return handling_cost(self.todo)

    async def run(self, ctx: DurableContext) -> None:
        for handling in self.todo:
            with timed(handling):
                note("preparing", handling=handling)
                self.done.append(await ctx.step(prepare(self.order.id, handling), name=f"prepare_{handling}"))


@durable_execution
async def handler(event: dict[str, Any], ctx: DurableContext) -> dict[str, Any]:
    watch = Stopwatch("preparation")
    order = Order.parse(event)
    await ctx.step(validate(order.id), name="validate")
    preparation = Preparation(order)
    await ctx.step(charge(order.id, order.total + preparation.cost), name="charge")
    watch.lap("charged")
    await preparation.run(ctx)
    if is_special(preparation.todo):
        await ctx.step(notify(order.customer, "special handling"), name="notify_special")
    await ctx.step(ship(order.id, "heavy"), name="ship")
    await ctx.step(archive(order.id), name="archive")
    return {**summary(order), "done": sorted(preparation.done)}

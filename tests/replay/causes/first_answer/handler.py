"""Buys missing goods from the supplier that answers first."""

from typing import Any

from durable_execution import DurableContext, StepContext, durable_execution, durable_step
from tests.replay.causes.common.actions import archive, charge, notify, ship, summary, validate
from tests.replay.causes.common.model import EVENT as BASE
from tests.replay.causes.common.model import Order
from tests.replay.causes.common.timing import Stopwatch, note
from tests.replay.causes.first_answer.suppliers import SUPPLIERS, first_of, markup

EVENT = BASE
TRIES = 12


@durable_step
async def ask(step: StepContext, supplier: str, cents: int) -> int:
    return cents + len(supplier)


@durable_step
def buy(step: StepContext, supplier: str, cents: int) -> str:
    return f"{supplier}:{cents}"


async def restock(ctx: DurableContext, order: Order) -> str:
    offers = {name: ctx.step(ask(name, order.total), name=f"ask_{name}") for name in SUPPLIERS}
    supplier, cents = await first_of(offers)
    note("buying", supplier=supplier)
    return await ctx.step(buy(supplier, cents + markup(supplier, cents)), name=f"buy_from_{supplier}")


@durable_execution
async def handler(event: dict[str, Any], ctx: DurableContext) -> dict[str, Any]:
    watch = Stopwatch("restock")
    order = Order.parse(event)
    await ctx.step(validate(order.id), name="validate")
    await ctx.step(charge(order.id, order.total), name="charge")
    watch.lap("charged")
    bought = await restock(ctx, order)
    label = await ctx.step(ship(order.id, "swift"), name="ship")
    if order.total > 5_000_000:
        await ctx.step(notify("desk", label), name="notify_desk")
    await ctx.step(notify(order.customer, bought), name="notify")
    await ctx.step(archive(order.id), name="archive")
    return {**summary(order), "bought": bought}

"""Takes an order, with a person to look at suspicious ones."""

from typing import Any

from durable_execution import DurableContext, StepContext, durable_execution, durable_step
from tests.replay.causes.common.actions import archive, charge, notify, reserve, summary, validate
from tests.replay.causes.common.model import EVENT as BASE
from tests.replay.causes.common.model import Order
from tests.replay.causes.common.timing import Stopwatch, note
from tests.replay.causes.default_argument.checks import warnings_for

EVENT = BASE
WARM = 1
TOLERATED = 1


@durable_step
def open_ticket(step: StepContext, order_id: str, reasons: list[str]) -> str:
    return f"ticket-{order_id}-{len(reasons)}"


async def examine(ctx: DurableContext, order: Order) -> str | None:
    """Open a ticket for an order with more warnings than are tolerated."""
    warnings = warnings_for(order)
    note("examined", warnings=len(warnings))
    if len(warnings) <= TOLERATED:
        return None
    return await ctx.step(open_ticket(order.id, warnings), name="open_ticket")


async def take_goods(ctx: DurableContext, order: Order) -> None:
    for line in sorted(order.lines, key=lambda one: one.sku):
        await ctx.step(reserve(line.sku, line.quantity), name=f"reserve_{line.sku}")


@durable_execution
async def handler(event: dict[str, Any], ctx: DurableContext) -> dict[str, Any]:
    watch = Stopwatch("order")
    order = Order.parse(event)
    await ctx.step(validate(order.id), name="validate")
    ticket = await examine(ctx, order)
    watch.lap("examined")
    await ctx.step(charge(order.id, order.total), name="charge")
    await take_goods(ctx, order)
    if ticket is not None:
        await ctx.step(notify("desk", ticket), name="notify_desk")
    await ctx.step(archive(order.id), name="archive")
    return {**summary(order), "ticket": ticket}

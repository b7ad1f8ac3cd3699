"""Picks the goods of an order in several warehouses."""

from typing import Any

from durable_execution import DurableContext, StepContext, durable_execution, durable_step
from tests.replay.causes.common.actions import archive, charge, notify, ship, summary, validate
from tests.replay.causes.common.model import EVENT as BASE
from tests.replay.causes.common.model import Order
from tests.replay.causes.common.timing import Stopwatch, note
from tests.replay.causes.warehouse_plan.planning import Plan, plan_for

EVENT = BASE


@durable_step
def pick(step: StepContext, warehouse: str, skus: list[str]) -> int:
    return len(skus)


@durable_step
def merge(step: StepContext, order_id: str, parts: int) -> str:
    return f"{order_id}/{parts}"


async def pick_all(ctx: DurableContext, plan: Plan) -> dict[str, int]:
    picked: dict[str, int] = {}
    for warehouse, skus in plan.parts.items():
        if not skus:
            note("nothing to pick", warehouse=warehouse)
            continue
        picked[warehouse] = await ctx.step(pick(warehouse, skus), name=f"pick_{warehouse}")
    return picked


@durable_execution
async def handler(event: dict[str, Any], ctx: DurableContext) -> dict[str, Any]:
    watch = Stopwatch("picking")
    order = Order.parse(event)
    await ctx.step(validate(order.id), name="validate")
    await ctx.step(charge(order.id, order.total), name="charge")
    plan = plan_for(order.lines)
    watch.lap("planned")
    picked = await pick_all(ctx, plan)
    if len(picked) > 1:
        await ctx.step(merge(order.id, len(picked)), name="merge")
    label = await ctx.step(ship(order.id, "swift"), name="ship")
    await ctx.step(notify(order.customer, label), name="notify")
    await ctx.step(archive(order.id), name="archive")
    watch.lap("done")
    return {**summary(order), "picked": sum(picked.values())}

"""Handles an order in the pipeline of its group."""

from typing import Any

from durable_execution import DurableContext, StepContext, durable_execution, durable_step
from tests.replay.causes.common.actions import archive, charge, notify, reserve, ship, summary, validate
from tests.replay.causes.common.model import EVENT as BASE
from tests.replay.causes.common.model import Order
from tests.replay.causes.common.timing import Stopwatch, note
from tests.replay.causes.import_time.rollout import Pipeline, pipeline_for

EVENT = BASE
RECORDED_WITH_SEED = 3
REPLAYED_WITH_SEED = 8


@durable_step
def work(step: StepContext, order_id: str, what: str) -> str:
    return f"{what}:{order_id}"


async def run_pipeline(ctx: DurableContext, order: Order, pipeline: Pipeline) -> list[str]:
    done: list[str] = []
    for what in pipeline.steps:
        note("running", step=what)
        done.append(await ctx.step(work(order.id, what), name=what))
    return done


@durable_execution
async def handler(event: dict[str, Any], ctx: DurableContext) -> dict[str, Any]:
    watch = Stopwatch("order")
    order = Order.parse(event)
    await ctx.step(validate(order.id), name="validate")
    payment = await ctx.step(charge(order.id, order.total), name="charge")
    for line in order.lines:
        await ctx.step(reserve(line.sku, line.quantity), name=f"reserve_{line.sku}")
    watch.lap("reserved")
    done = await run_pipeline(ctx, order, pipeline_for(order.country))
    if payment["risk"] > 50:
        await ctx.step(notify("desk", order.id), name="notify_desk")
    label = await ctx.step(ship(order.id, "swift"), name="ship")
    await ctx.step(notify(order.customer, label), name="notify")
    await ctx.step(archive(order.id), name="archive")
    return {**summary(order), "done": done}

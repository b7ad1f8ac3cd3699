"""Takes an order; some are checked by hand."""

from typing import Any

from durable_execution import DurableContext, StepContext, durable_execution, durable_step
from tests.replay.causes.common.actions import archive, charge, notify, reserve, ship, summary, validate
from tests.replay.causes.common.model import EVENT as BASE
from tests.replay.causes.common.model import Order
from tests.replay.causes.common.timing import Stopwatch, note
from tests.replay.causes.spot_check.sampling import SAMPLER, trace_number

EVENT = BASE
RECORDED_WITH_SEED = 1
REPLAYED_WITH_SEED = 2


@durable_step
def inspect(step: StepContext, order_id: str) -> str:
    return f"inspected {order_id}"


async def quality(ctx: DurableContext, order: Order) -> bool:
    note("quality", trace=trace_number())
    if SAMPLER.wants(order):
        await ctx.step(inspect(order.id), name="inspect")
        return True
    return False


@durable_execution
async def handler(event: dict[str, Any], ctx: DurableContext) -> dict[str, Any]:
    watch = Stopwatch("order")
    order = Order.parse(event)
    trace = trace_number()
    note("trace", number=trace)
    await ctx.step(validate(order.id), name="validate")
    await ctx.step(charge(order.id, order.total), name="charge")
    for line in order.lines:
        await ctx.step(reserve(line.sku, line.quantity), name=f"reserve_{line.sku}")
    watch.lap("reserved")
    is_checked = await quality(ctx, order)
    label = await ctx.step(ship(order.id, "swift"), name="ship")
    if order.total > 5_000_000:
        await ctx.step(notify("desk", label), name="notify_desk")
    await ctx.step(notify(order.customer, label), name="notify")
    await ctx.step(archive(order.id), name="archive")
    return {**summary(order), "checked": is_checked}

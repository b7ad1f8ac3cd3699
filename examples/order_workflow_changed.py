"""The order workflow as somebody changed it while executions were in flight: a fraud check before the cooling-off.

Replaying a recorded execution of `order_workflow` against this shows what a deploy would have broken. The safe way to write
the change is in the last lines of the explanation: `if ctx.patched("fraud-check"): ...`
"""

from datetime import timedelta
from decimal import Decimal

from durable_execution import DurableContext, StepContext, durable_execution, durable_step
from order_workflow import (
    UNTIL_THE_GATEWAY_ANSWERS,
    Order,
    approval_of,
    charge_card,
    notify,
    reserve_goods,
    ship,
    validate,
)


@durable_step
async def check_fraud(_step: StepContext, total: Decimal) -> bool:
    return total < 10_000


@durable_execution
async def process_order(order: Order, ctx: DurableContext) -> str:
    """Take an order from payment to delivery, unless it looks like fraud."""
    total = await ctx.step(validate(order))
    await ctx.step(charge_card(order, total), config=UNTIL_THE_GATEWAY_ANSWERS)
    await ctx.step(check_fraud(total))
    await ctx.wait(timedelta(seconds=3), name="cooling_off")
    await notify(order, ctx)
    await reserve_goods(order, ctx)
    await approval_of(ctx)
    return await ship(order, ctx)

"""The order workflow after a change while executions were in flight: a fraud check before the cooling-off.

Replay a recorded execution of `order_workflow` against this module to see what a deployment would have broken. With
`if ctx.patched("fraud-check"):`, executions that have not reached the check run it, and the others stay on the recorded path.
"""

from datetime import timedelta
from decimal import Decimal

from durable_execution import DurableContext, StepContext, durable_execution, durable_step
from order_workflow import UNTIL_THE_GATEWAY_ANSWERS, Delivery, Order, charge_card, deliver, validate


@durable_step
async def check_fraud(_step: StepContext, total: Decimal) -> bool:
    return total < 10_000


@durable_execution
async def process_order(order: Order, ctx: DurableContext) -> Delivery:
    """Take an order from payment to delivery, with a fraud check after the payment."""
    total = await ctx.step(validate(order))
    payment_id = await ctx.step(charge_card(order, total), config=UNTIL_THE_GATEWAY_ANSWERS)
    await ctx.step(check_fraud(total))
    await ctx.wait(timedelta(seconds=3), name="cooling_off")
    return await deliver(order, total, payment_id, ctx)

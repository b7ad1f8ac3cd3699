"""An order in three operations: validate it, charge for it, wait for the payment to be confirmed.

As a script it runs on this machine, without an AWS account: `python examples/simple_workflow.py`.
On Lambda the handler is `simple_workflow.process_order`.
"""

from datetime import timedelta

from pydantic import BaseModel

from durable_execution import (
    DurableContext,
    ExecutionError,
    StepConfig,
    StepContext,
    StepSemantics,
    durable_execution,
    durable_step,
)


class Order(BaseModel):
    """What the caller sends."""

    order_id: str
    amount: float


class Receipt(BaseModel):
    """What the caller gets."""

    status: str
    order_id: str
    payment_id: str


@durable_step
async def validate(_step: StepContext, order: Order) -> bool:
    return order.amount > 0


@durable_step
async def charge(step: StepContext, order: Order) -> str:
    # Pass this key to the payment provider: it is the same in every attempt and replay, and different in every execution.
    step.logger.info("charging %.2f, idempotency key %s", order.amount, step.idempotency_key)
    return f"pay_{order.order_id}"


@durable_execution
async def process_order(order: Order, ctx: DurableContext) -> Receipt:
    """Process one order."""
    if not await ctx.step(validate(order)):
        # Fails the execution permanently: a retry cannot make an invalid order valid.
        raise ExecutionError(f"order {order.order_id} has no amount to charge")
    # A card must not be charged twice, even if the process dies during the call to the provider.
    once = StepConfig(step_semantics=StepSemantics.AT_MOST_ONCE_PER_RETRY)
    payment_id = await ctx.step(charge(order), config=once)
    # Nothing runs, and nothing is billed, during this wait.
    await ctx.wait(timedelta(seconds=5), name="payment_confirmation")
    return Receipt(status="completed", order_id=order.order_id, payment_id=payment_id)


if __name__ == "__main__":
    from durable_execution.local import run

    print(run(process_order, {"order_id": "A-17", "amount": 42.5}).result)

"""Add a step to a workflow while executions are in flight. Older executions keep the recorded path."""

from datetime import timedelta

from durable_execution import DurableContext, StepContext, durable_execution, durable_step

PAYLOAD = {"order_id": "A-17"}
RESULT = "shipped A-17"


@durable_step
async def charge(step: StepContext, order_id: str) -> str:
    return f"pay_{order_id}"


@durable_step
async def check_fraud(step: StepContext, payment: str) -> bool:
    return False


@durable_step
async def ship(step: StepContext, order_id: str) -> str:
    return f"shipped {order_id}"


@durable_execution
async def handler(order: dict[str, str], ctx: DurableContext) -> str:
    payment = await ctx.step(charge(order["order_id"]))
    # Remove the `if` when every execution that was recorded without the change has ended.
    if ctx.patched("fraud-check") and await ctx.step(check_fraud(payment)):
        return "rejected"
    await ctx.wait(timedelta(hours=1), name="cooling off")
    return await ctx.step(ship(order["order_id"]))


if __name__ == "__main__":
    from durable_execution.local import run

    print(run(handler, PAYLOAD, time="skip").result)

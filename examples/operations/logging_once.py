"""Log from a workflow without repeating lines on replay, with the execution and operation on every record."""

import logging
from datetime import timedelta

from durable_execution import DurableContext, StepContext, durable_execution, durable_step

PAYLOAD = {"order_id": "A-17"}
RESULT = "pay_A-17"


@durable_step
async def charge(step: StepContext, order_id: str) -> str:
    step.logger.info("charging order %s", order_id)  # carries operation and attempt
    return f"pay_{order_id}"


@durable_execution
async def handler(order: dict[str, str], ctx: DurableContext) -> str:
    ctx.logger.info("order received")  # written by the first invocation only
    payment = await ctx.step(charge(order["order_id"]))
    await ctx.wait(timedelta(minutes=10), name="cooling off")
    ctx.logger.info("order completed")  # written by the second invocation
    return payment


if __name__ == "__main__":
    from durable_execution.local import run

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    print(run(handler, PAYLOAD, time="skip").result)

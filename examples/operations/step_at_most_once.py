"""Make sure that a side effect never happens twice, even if the process dies while it runs."""

from durable_execution import (
    DurableContext,
    RetryPresets,
    StepConfig,
    StepContext,
    StepSemantics,
    durable_execution,
    durable_step,
)
from durable_execution.errors import StepInterruptedError

PAYLOAD = {"order_id": "A-17", "amount": 42.5}
RESULT = {"payment": "pay_A-17", "state": "charged"}

NEVER_TWICE = StepConfig(
    step_semantics=StepSemantics.AT_MOST_ONCE_PER_RETRY,  # the start is stored before the body runs
    retry_strategy=RetryPresets.none(),  # an interrupted attempt is not repeated either
)


@durable_step
async def charge(step: StepContext, order_id: str, amount: float) -> str:
    step.logger.info("charging %.2f", amount)
    return f"pay_{order_id}"


@durable_step
async def look_up_payment(step: StepContext, order_id: str) -> str | None:
    return None  # for real: ask the payment provider whether the charge went through


@durable_execution
async def handler(order: dict[str, str], ctx: DurableContext) -> dict[str, str | None]:
    try:
        payment = await ctx.step(charge(order["order_id"], float(order["amount"])), config=NEVER_TWICE)
    except StepInterruptedError:  # the process died during the call: find out what happened
        found = await ctx.step(look_up_payment(order["order_id"]))
        return {"payment": found, "state": "charged" if found else "unclear"}
    return {"payment": payment, "state": "charged"}


if __name__ == "__main__":
    from durable_execution.local import run

    print(run(handler, PAYLOAD, time="skip").result)

"""Catch the error of a failed step by its original class, on the first run and on every replay."""

from durable_execution import (
    DurableContext,
    RetryPresets,
    StepConfig,
    StepContext,
    durable_execution,
    durable_step,
)

PAYLOAD = {"quantity": "many"}
RESULT = "ordered 1 (default, because the quantity was not a number)"

ONE_ATTEMPT = StepConfig(retry_strategy=RetryPresets.none())


@durable_step
async def parse_quantity(step: StepContext, text: str) -> int:
    return int(text)


@durable_step
async def order(step: StepContext, quantity: int) -> str:
    return f"ordered {quantity}"


@durable_execution
async def handler(request: dict[str, str], ctx: DurableContext) -> str:
    try:
        quantity = await ctx.step(parse_quantity(request["quantity"]), config=ONE_ATTEMPT)
    except ValueError:  # a StepError that is also a ValueError
        return await ctx.step(order(1)) + " (default, because the quantity was not a number)"
    return await ctx.step(order(quantity))


if __name__ == "__main__":
    from durable_execution.local import run

    print(run(handler, PAYLOAD, time="skip").result)

"""Wait for days without running: remind a customer after a week, and close the case after two."""

from datetime import timedelta

from durable_execution import DurableContext, StepContext, durable_execution, durable_step

PAYLOAD = {"customer": "Ada"}
RESULT = "case closed after 14 days"


@durable_step
async def remind(step: StepContext, customer: str) -> None:
    step.logger.info("reminding %s", customer)


@durable_execution
async def handler(request: dict[str, str], ctx: DurableContext) -> str:
    opened = await ctx.now()
    await ctx.wait(timedelta(days=7), name="first week")
    await ctx.step(remind(request["customer"]))
    await ctx.wait(timedelta(days=7), name="second week")
    return f"case closed after {(await ctx.now(name='closed') - opened).days} days"


if __name__ == "__main__":
    from durable_execution.local import run

    print(run(handler, PAYLOAD, time="skip").result)

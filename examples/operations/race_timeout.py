"""Limit the time of an operation: race it against a wait. The winner is recorded."""

from datetime import timedelta

from durable_execution import CallbackConfig, DurableContext, StepContext, durable_execution, durable_step

PAYLOAD = {"customer": "Ada"}
RESULT = "standard offer"


@durable_step
async def ask_for_discount(step: StepContext, customer: str, callback_id: str) -> None:
    """Send the sales team a link that completes the callback."""


@durable_execution
async def handler(request: dict[str, str], ctx: DurableContext) -> str:
    callback = await ctx.create_callback("discount", config=CallbackConfig(timeout=timedelta(days=7)))
    await ctx.step(ask_for_discount(request["customer"], callback.callback_id))

    async def too_late() -> str:
        await ctx.wait(timedelta(hours=4), name="four hours")
        return "standard offer"

    return str(await ctx.race(callback.result(), too_late(), name="offer"))


if __name__ == "__main__":
    from durable_execution.local import run

    print(run(handler, PAYLOAD, time="skip").result)

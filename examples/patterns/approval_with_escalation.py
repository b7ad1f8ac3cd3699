"""Ask a person for approval; remind after a day, and escalate to a manager after three."""

from datetime import timedelta

from pydantic import BaseModel

from durable_execution import CallbackConfig, DurableContext, StepContext, durable_execution, durable_step

PAYLOAD = {"expense": "chair", "amount": "240"}
RESULT = "approved by manager"
CALLBACKS = {"approval": '{"approved": true, "by": "manager"}'}


class Decision(BaseModel):
    """What the approver sends."""

    approved: bool
    by: str


@durable_step
async def ask(step: StepContext, who: str, callback_id: str) -> None:
    """Send a message with a link that completes the callback."""


@durable_execution
async def handler(expense: dict[str, str], ctx: DurableContext) -> str:
    callback = await ctx.create_callback(
        "approval", config=CallbackConfig(timeout=timedelta(days=14), result_type=Decision)
    )

    async def remind() -> Decision:
        await ctx.step(ask("team lead", callback.callback_id), name="ask team lead")
        await ctx.wait(timedelta(days=1), name="a day")
        await ctx.step(ask("team lead", callback.callback_id), name="remind team lead")
        await ctx.wait(timedelta(days=2), name="two more days")
        await ctx.step(ask("manager", callback.callback_id), name="ask manager")
        answer: Decision = await callback.result()
        return answer

    decision = await ctx.race(callback.result(), remind(), name="decision")
    return f"{'approved' if decision.approved else 'rejected'} by {decision.by}"

"""A person decides: the workflow sends out a callback ID and waits until the callback is completed.

As a script it runs on this machine, without an AWS account: `python examples/callback_workflow.py`. There the script
plays the approver; on Lambda any program with permission can call `SendDurableExecutionCallbackSuccess`.
On Lambda the handler is `callback_workflow.approve_expense`.
"""

from datetime import timedelta

from pydantic import BaseModel

from durable_execution import (
    CallbackConfig,
    DurableContext,
    StepContext,
    durable_execution,
    durable_step,
)
from durable_execution.errors import CallbackFailedError, CallbackTimeoutError


class Expense(BaseModel):
    """What the caller sends."""

    employee: str
    amount: float


class ApprovalResponse(BaseModel):
    """What the approver sends."""

    approved: bool
    approver: str


@durable_step
async def notify_approver(step: StepContext, callback_id: str, expense: Expense) -> None:
    # For real: send an e-mail with a link, a ticket or a chat message that carries the ID to the approver.
    step.logger.info("%s asks for %.2f, answer with %s", expense.employee, expense.amount, callback_id)


@durable_execution
async def approve_expense(expense: Expense, ctx: DurableContext) -> str:
    """Ask for an approval and return the outcome."""
    callback = await ctx.create_callback(
        "approval",
        config=CallbackConfig(timeout=timedelta(hours=24), result_type=ApprovalResponse),
    )
    await ctx.step(notify_approver(callback.callback_id, expense))
    try:
        approval: ApprovalResponse = await callback.result()
    except CallbackTimeoutError:
        return "no answer within a day"
    except CallbackFailedError as error:
        return f"could not be decided: {error}"
    return f"{'approved' if approval.approved else 'rejected'} by {approval.approver}"


if __name__ == "__main__":
    from durable_execution.local import LocalEngine

    with LocalEngine(store=None) as engine:
        engine.register("approve_expense", approve_expense)
        execution = engine.start("approve_expense", {"employee": "Ada", "amount": 120.0})
        # The approver, on Lambda: aws lambda send-durable-execution-callback-success --callback-id … --result …
        answer = ApprovalResponse(approved=True, approver="Grace").model_dump_json()
        engine.client.send_durable_execution_callback_success(
            CallbackId=engine.wait_for_callback_id(execution, "approval"), Result=answer
        )
        print(engine.wait(execution).result)

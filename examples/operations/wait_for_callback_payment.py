"""Hand a request to an external system and wait for its webhook, in one operation."""

from datetime import timedelta

from durable_execution import DurableContext, StepContext, WaitForCallbackConfig, durable_execution
from durable_execution.errors import CallbackTimeoutError

PAYLOAD = {"order_id": "A-17"}
RESULT = "paid with card"
CALLBACKS = {"payment page": '{"method": "card"}'}


@durable_execution
async def handler(order: dict[str, str], ctx: DurableContext) -> str:
    async def open_payment_page(callback_id: str, step: StepContext) -> None:
        """Create a page at the payment provider. Its webhook completes the callback with this ID."""

    try:
        payment = await ctx.wait_for_callback(
            open_payment_page,
            "payment page",
            config=WaitForCallbackConfig(timeout=timedelta(minutes=30), result_type=dict[str, str]),
        )
    except CallbackTimeoutError:
        return "not paid in time"
    return f"paid with {payment['method']}"

"""The workflow that every template here deploys: charge, ask for approval, ship.

On a laptop: `durable-debug run examples/deploy/app/orders.py:process_order --input '{"order_id": "A-17", "amount": 250}'`.
"""

import os
from datetime import timedelta

from pydantic import BaseModel

from durable_execution import CallbackConfig, DurableContext, StepContext, durable_execution, durable_step
from durable_execution.errors import CallbackTimeoutError
from durable_execution.telemetry import configure, correlate_logs

correlate_logs()  # adds execution, operation, trace and span to log records
if "OTEL_EXPORTER_OTLP_ENDPOINT" in os.environ:  # needs the extra [otlp]; a telemetry layer needs no call
    configure(service_name="orders")


class Order(BaseModel):
    """What the caller sends."""

    order_id: str
    amount: float


class Approval(BaseModel):
    """What the approval API sends."""

    approved: bool
    by: str


@durable_step
async def charge(step: StepContext, order: Order) -> str:
    step.logger.info("charging %.2f", order.amount)
    return f"pay_{order.order_id}"


@durable_step
async def ask_for_approval(step: StepContext, order: Order, callback_id: str) -> None:
    """Publish the callback ID on the topic of the approvers. Without a topic, log it."""
    topic = os.environ.get("APPROVAL_TOPIC")
    if topic is None:
        step.logger.info("approve order %s with callback %s", order.order_id, callback_id)
        return
    import boto3

    message = f"Order {order.order_id} over {order.amount:.2f} needs an approval. Callback: {callback_id}"
    boto3.client("sns").publish(TopicArn=topic, Message=message)


@durable_step
async def ship(step: StepContext, order: Order) -> str:
    return f"parcel for {order.order_id}"


@durable_execution
async def process_order(order: Order, ctx: DurableContext) -> dict[str, str]:
    """Process one order; a large one waits for an approval, at no cost."""
    payment = await ctx.step(charge(order))
    if order.amount > 100:
        callback = await ctx.create_callback(
            "approval", config=CallbackConfig(timeout=timedelta(days=3), result_type=Approval)
        )
        await ctx.step(ask_for_approval(order, callback.callback_id))
        try:
            approval: Approval = await callback.result()
        except CallbackTimeoutError:
            return {"status": "expired", "payment": payment}
        if not approval.approved:
            return {"status": "rejected", "payment": payment}
    await ctx.wait(timedelta(seconds=5), name="cooling_off")
    return {"status": "shipped", "payment": payment, "parcel": await ctx.step(ship(order))}

"""An order on Lambda, traced by AWS's layer: nothing about tracing is in the code.

The layer contains OpenTelemetry with a tracer provider, which the SDK uses. On a laptop there is no provider, and nothing is
sent: `python examples/xray/process_order.py`.
"""

from datetime import timedelta

from durable_execution import DurableContext, StepContext, durable_execution, durable_step
from durable_execution.telemetry import correlate_logs

correlate_logs()  # adds execution, operation, trace and span to log records


@durable_step
async def charge(step: StepContext, order: dict[str, str]) -> str:
    step.logger.info("charging")
    return f"pay_{order['order_id']}"


@durable_step
async def ship(step: StepContext, order: dict[str, str]) -> str:
    step.logger.info("shipping")
    return f"ship_{order['order_id']}"


@durable_execution
async def process_order(order: dict[str, str], ctx: DurableContext) -> dict[str, str]:
    """Process one order; nothing runs, and nothing is billed, while it cools off."""
    payment = await ctx.step(charge(order))
    await ctx.wait(timedelta(minutes=10), name="cooling_off")
    return {"payment": payment, "shipment": await ctx.step(ship(order))}


if __name__ == "__main__":
    from durable_execution.local import run

    print(run(process_order, {"order_id": "A-17"}, time="skip").result)

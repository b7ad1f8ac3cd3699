"""Three orders in a trace backend: one fails, one times out, one takes 40 days."""

import sys
from datetime import timedelta
from typing import Any

from durable_execution import DurableContext, RetryPresets, StepConfig, StepContext, durable_execution
from durable_execution.local import LocalEngine
from durable_execution.telemetry import configure

# Phoenix keeps the first version of a span, so the root is sent once, with status and duration.
telemetry = configure(service_name="orders", metrics=False, trace_root="once")

AGAIN = StepConfig(retry_strategy=RetryPresets.fixed(timedelta(seconds=30), attempts=3))


class CardDeclinedError(Exception):
    """The bank declined the card."""


async def reserve(_: StepContext) -> str:
    return "reserved"


async def charge(step: StepContext) -> str:
    if step.attempt < 3:
        raise TimeoutError("the payment provider did not answer")
    return "pay_A-17"


async def charge_declined(_: StepContext) -> str:
    raise CardDeclinedError("insufficient funds")


async def ship(_: StepContext) -> str:
    return "shipped"


@durable_execution
async def failed_order(_: dict[str, Any], ctx: DurableContext) -> str:
    """Fail after a cooling-off period."""
    await ctx.step(reserve, name="reserve_stock")
    await ctx.wait(timedelta(minutes=10), name="cooling_off")
    return await ctx.step(charge_declined, name="charge", config=StepConfig(retry_strategy=RetryPresets.none()))


@durable_execution
async def late_order(_: dict[str, Any], ctx: DurableContext) -> str:
    """Wait for a delivery that does not come before the execution times out."""
    await ctx.step(reserve, name="reserve_stock")
    await ctx.step(charge, name="charge", config=AGAIN)
    await ctx.wait(timedelta(days=2), name="delivery")
    return "delivered"


@durable_execution
async def long_order(_: dict[str, Any], ctx: DurableContext) -> str:
    """Take 40 days, in two traces."""
    await ctx.step(reserve, name="reserve_stock")
    await ctx.wait(timedelta(days=20), name="production")
    await ctx.step(charge, name="charge", config=AGAIN)
    await ctx.wait(timedelta(days=20), name="transport")
    return await ctx.step(ship, name="ship")


if __name__ == "__main__":
    with LocalEngine(sys.argv[1] if len(sys.argv) > 1 else "three-orders.db", time="skip") as engine:
        orders = {"failed_order": failed_order, "late_order": late_order, "long_order": long_order}
        for name, handler in orders.items():
            engine.register(name, handler)
            execution = engine.run(name, {}, timeout=timedelta(hours=1) if name == "late_order" else None)
            print(f"{name} {execution.status.value} {execution.arn}")
    telemetry.shutdown()  # not needed on Lambda, where every invocation flushes before it answers

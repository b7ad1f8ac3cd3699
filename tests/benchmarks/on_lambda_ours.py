"""The function of the rows about Lambda environments, for this SDK."""

from typing import Any

from durable_execution import DurableContext, StepContext, durable_execution


async def charge(step: StepContext) -> str:
    return "pay_17"


@durable_execution
async def handler(order: dict[str, Any], ctx: DurableContext) -> dict[str, Any]:
    """Two steps."""
    paid = await ctx.step(charge, "charge")
    return {"paid": paid, "shipped": await ctx.step(charge, "ship")}

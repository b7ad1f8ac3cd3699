"""Functions that tests run in a Lambda environment. Not a test."""

import os
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from durable_execution import DurableContext, RetryPresets, StepConfig, durable_execution


class Order(BaseModel):
    order_id: str
    amount: float


@durable_execution
async def shop(order: Order, ctx: DurableContext) -> dict[str, Any]:
    """A step, a wait and a step: two invocations."""
    paid = await ctx.step(lambda step: f"pay_{order.order_id}", "charge")
    await ctx.wait(timedelta(seconds=1), "pause")
    return {"paid": paid, "pid": await ctx.step(lambda step: os.getpid(), "pid")}


loaded_in_init = set(sys.modules)


@durable_execution
async def imports(_: Any, ctx: DurableContext) -> list[str]:
    """What the first invocation imports."""
    await ctx.step(lambda step: 1, "work")
    return sorted(set(sys.modules) - loaded_in_init)


@durable_execution
async def slow(_: Any, ctx: DurableContext) -> str:
    """Longer than the function may run, the first time."""
    attempts = StepConfig(retry_strategy=RetryPresets.fixed(timedelta(seconds=1)))
    await ctx.step(lambda step: 1, "before")
    await ctx.step(hang_at_first, "hangs", config=attempts)
    return "done"


def hang_at_first(step: Any) -> None:
    """Hang in the environment that the test names."""
    marker = Path(os.environ["HANGS_UNLESS"])
    if not marker.exists():
        marker.touch()
        time.sleep(3600)


@durable_execution
async def large(size: int, ctx: DurableContext) -> str:
    """A result beyond what a response can carry."""
    return "é" * size

"""Workflows for the command line to run."""

from datetime import timedelta
from typing import Any

from durable_execution import DurableContext, StepContext, durable_execution


@durable_execution
async def greet(event: dict[str, Any], ctx: DurableContext) -> str:
    """A step, a wait, a step."""
    name: str = await ctx.step(lambda _: event.get("name", "you"), name="look_up")
    await ctx.wait(timedelta(hours=1), name="sleep_on_it")
    return await ctx.step(lambda _: f"hello {name}", name="greet")


@durable_execution
async def greet_changed(event: dict[str, Any], ctx: DurableContext) -> str:
    """The same without the wait."""
    name: str = await ctx.step(lambda _: event.get("name", "you"), name="look_up")
    return await ctx.step(lambda _: f"hello {name}", name="greet")


@durable_execution
async def fail(event: dict[str, Any], ctx: DurableContext) -> None:
    """Fails."""
    raise ValueError("not today")


async def _ask(step: StepContext) -> str:
    return "asked"


@durable_execution
async def approve(event: dict[str, Any], ctx: DurableContext) -> Any:
    """Waits for somebody."""
    callback = await ctx.create_callback(name="approval")
    await ctx.step(_ask, name="ask")
    return await callback.result()


def not_durable(event: dict[str, Any]) -> None:
    """A plain function."""

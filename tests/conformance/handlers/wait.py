"""Waits."""

from datetime import timedelta
from typing import Any

from durable_execution import DurableContext, durable_execution
from tests.conformance.registry import requirement


@requirement("2-1")
@durable_execution
async def basic(_event: Any, ctx: DurableContext) -> None:
    await ctx.wait(timedelta(seconds=2))


@requirement("2-2")
@durable_execution
async def named(_event: Any, ctx: DurableContext) -> None:
    await ctx.wait(timedelta(seconds=2), name="pause")


@requirement("2-3")
@durable_execution
async def two(_event: Any, ctx: DurableContext) -> dict[str, int]:
    await ctx.wait(timedelta(seconds=2), name="wait-1")
    await ctx.wait(timedelta(seconds=2), name="wait-2")
    return {"completedWaits": 2}


@requirement("2-4")
@durable_execution
async def a_minute(_event: Any, ctx: DurableContext) -> None:
    await ctx.wait(timedelta(minutes=1))


@requirement("2-5")
@durable_execution
async def an_hour(_event: Any, ctx: DurableContext) -> None:
    await ctx.wait(timedelta(hours=1))

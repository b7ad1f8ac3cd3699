"""Handlers that are replayed in other worlds, in processes of their own."""

import asyncio
import os
import random
from datetime import UTC, datetime, timedelta
from typing import Any

from durable_execution import CompletionConfig, DurableContext, MapConfig, durable_execution

NAMES = ("alpha", "beta", "gamma", "delta", "epsilon")


async def work(_: Any) -> int:
    return 1


@durable_execution
async def by_set(event: Any, ctx: DurableContext) -> None:
    for name in set(NAMES):  # durable: ignore[DUR109]
        await ctx.step(work, name=name)


@durable_execution
async def by_clock(event: Any, ctx: DurableContext) -> None:
    await ctx.step(work, name=f"in-{datetime.now(UTC).year}")  # durable: ignore[DUR101]


@durable_execution
async def by_random(event: Any, ctx: DurableContext) -> None:
    await ctx.step(work, name=f"n-{random.randrange(10**9)}")  # durable: ignore[DUR102]


@durable_execution
async def by_mode(event: Any, ctx: DurableContext) -> None:
    workers = {"fast": 8, "safe": 1}[os.environ["DURABLE_TEST_MODE"]]  # durable: ignore[DUR103]
    await ctx.step(work, name="start")
    ctx.logger.info("with %d workers", workers)


@durable_execution
async def by_process(event: Any, ctx: DurableContext) -> None:
    await ctx.step(work, name=f"in-{os.getpid()}")


@durable_execution
async def many(event: Any, ctx: DurableContext) -> None:
    for number in range(8):
        await ctx.step(work, name=f"s{number}")
        await ctx.wait(timedelta(seconds=1), name=f"w{number}")


@durable_execution
async def many_renamed(event: Any, ctx: DurableContext) -> None:
    for number in range(8):
        await ctx.step(work, name=f"{'first' if number == 0 else 's'}{number}")
        await ctx.wait(timedelta(seconds=1), name=f"w{number}")


@durable_execution
async def concurrent(event: Any, ctx: DurableContext) -> None:
    async def worker(number: int) -> None:
        await ctx.wait(timedelta(seconds=5 - number), name=f"w{number}")
        await ctx.step(work, name=f"s{number}")

    await asyncio.gather(*(worker(number) for number in range(4)))
    await ctx.step(work, name="end")


@durable_execution
async def first_of_three(event: Any, ctx: DurableContext) -> None:
    async def each(inner: DurableContext, seconds: int) -> int:
        await inner.wait(timedelta(seconds=seconds), name="w")
        return seconds

    config = MapConfig(completion_config=CompletionConfig.first_successful())
    found = await ctx.map([3, 1, 2], each, "m", config=config)
    await ctx.step(work, name=f"won-{found.succeeded()[0].index}")


@durable_execution
async def fails_at_the_end(event: Any, ctx: DurableContext) -> None:
    await ctx.step(work, name="a")
    await ctx.step(work, name="b")
    raise ValueError("no")


@durable_execution
async def only_while_waiting(event: Any, ctx: DurableContext) -> None:
    slow = asyncio.ensure_future(ctx.wait(timedelta(seconds=2), name="slow"))
    await ctx.wait(timedelta(seconds=1), name="quick")
    await ctx.step(work, name="patient")
    await slow
    await ctx.step(work, name="end")


@durable_execution
async def only_while_waiting_changed(event: Any, ctx: DurableContext) -> None:
    slow = asyncio.ensure_future(ctx.wait(timedelta(seconds=2), name="slow"))
    await ctx.wait(timedelta(seconds=1), name="quick")
    await asyncio.sleep(0)
    await ctx.step(work, name="patient" if slow.done() else "impatient")
    await slow
    await ctx.step(work, name="end")

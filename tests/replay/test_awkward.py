"""Deterministic code that looks as if it were not; none of it is blamed."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from durable_execution import (
    BlockingContext,
    CompletionConfig,
    DurableContext,
    MapConfig,
    NestingType,
    RetryPresets,
    StepConfig,
    StepError,
    WithRetryConfig,
    durable_execution,
)
from durable_execution.errors import ChildContextError
from durable_execution.history.reading import read_history
from durable_execution.replay import Replayer, Verdict
from durable_execution.replay.check import replay_every_prefix
from durable_execution.retry import Jitter, exponential_backoff
from tests.replay.recording import history_of
from tests.replay.workflows import body

SECOND = timedelta(seconds=1)
ONCE = StepConfig(retry_strategy=RetryPresets.none())
MUCH_JITTER = exponential_backoff(initial_delay=timedelta(hours=1), max_delay=timedelta(hours=9), jitter=Jitter.FULL)

Flow = Callable[[Any, DurableContext], Awaitable[Any]]


async def fails(_: Any) -> None:
    raise ValueError("no")


def retried(*, is_named: bool, has_context: bool) -> Flow:
    async def flow(event: Any, ctx: DurableContext) -> None:
        async def block(inner: DurableContext, attempt: int) -> None:
            await inner.step(body("x"), name="x")
            if attempt < 3:
                raise ValueError("again")

        config = WithRetryConfig(retry_strategy=MUCH_JITTER, child_context=has_context)
        await ctx.with_retry(block, name="block" if is_named else None, config=config)
        await ctx.step(body("end"), name="end")

    return flow


async def enough_flat_branches_above_the_limit(event: Any, ctx: DurableContext) -> int:
    async def item(inner: DurableContext, number: int) -> str:
        await inner.wait((number + 1) * SECOND)
        await inner.step(body("more"), name="more")
        return "x" * 100_000

    config = MapConfig(nesting_type=NestingType.FLAT, completion_config=CompletionConfig(min_successful=4))
    batch = await ctx.map(range(7), item, name="big", config=config)
    await ctx.wait(20 * SECOND)
    return len(batch.get_results())


async def a_task_group(event: Any, ctx: DurableContext) -> list[str]:
    async def pipeline(seconds: int) -> str:
        await ctx.wait(seconds * SECOND, name=f"wait-{seconds}")
        return str(await ctx.step(body(f"step-{seconds}"), name=f"step-{seconds}"))

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(pipeline(seconds)) for seconds in (5, 1, 3)]
    await ctx.step(body("end"), name="end")
    return [task.result() for task in tasks]


async def failures_on_the_way(event: Any, ctx: DurableContext) -> None:
    async def child(inner: DurableContext) -> None:
        await inner.step(body("in"), name="in")
        raise KeyError("k")

    try:
        await ctx.run_in_child_context(child, name="child")
    except ChildContextError:
        await ctx.step(body("recover"), name="recover")
    gathered = await asyncio.gather(
        ctx.step(fails, name="bad", config=ONCE), ctx.wait(3 * SECOND, name="wait"), return_exceptions=True
    )
    await ctx.step(body("end"), name=type(gathered[0]).__name__)
    raise ValueError("final")


async def drawn_from_the_execution(event: Any, ctx: DurableContext) -> None:
    await ctx.step(body("drawn"), name="low" if ctx.random().random() < 0.5 else "high")
    await ctx.step(body("uuid"), name=f"step-{ctx.uuid().hex[:6]}")
    now = await ctx.now()
    await ctx.wait(SECOND)
    await ctx.step(body("year"), name=f"year-{now.year}")
    if ctx.patched("more"):
        await ctx.step(body("more"), name="more")


def blocking(event: Any, ctx: BlockingContext) -> None:
    def block(inner: BlockingContext, attempt: int) -> None:
        inner.step(lambda _: 1, name="x")
        if attempt < 3:
            raise ValueError("again")

    ctx.with_retry(block, name="block", config=WithRetryConfig(retry_strategy=MUCH_JITTER))

    def item(inner: BlockingContext, number: int, _: int) -> None:
        inner.wait(number * SECOND)
        inner.step(lambda _: number, name="n")

    ctx.map([1, 2], item, name="map")
    try:
        ctx.step(lambda _: 1 / 0, name="bad", config=ONCE)
    except StepError:
        ctx.step(lambda _: 1, name="recover")


FLOWS: dict[str, Any] = {
    "retried block": retried(is_named=True, has_context=True),
    "retried block without a name": retried(is_named=False, has_context=True),
    "retried block without a context": retried(is_named=True, has_context=False),
    "enough flat branches": enough_flat_branches_above_the_limit,
    "task group": a_task_group,
    "failures": failures_on_the_way,
    "random, uuid, now, patched": drawn_from_the_execution,
    "blocking": blocking,
}


@pytest.mark.parametrize("name", FLOWS)
def test_nothing_is_said_about_deterministic_code(name: str) -> None:
    handler = durable_execution(FLOWS[name])
    events, arn = history_of(handler)
    recording = read_history(events, arn=arn)
    assert recording.status in ("SUCCEEDED", "FAILED")
    report = Replayer(handler).replay(recording)
    assert (report.verdict, report.roots, report.effects) == (Verdict.SAME, (), ())
    every = replay_every_prefix(handler, recording, states=25)
    assert (every.verdict, every.roots) == (Verdict.SAME, ())

"""A recording that is still open: what today's code no longer calls, adds or raises is found, and nothing else is."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from durable_execution import (
    BlockingContext,
    CompletionConfig,
    DurableContext,
    MapConfig,
    NestingType,
    durable_execution,
)
from durable_execution.comparison import DivergenceKind, Severity
from durable_execution.replay import Replayer, Verdict
from durable_execution.replay.replayer import state_at
from tests.replay.recording import recorded

Handler = Callable[[Any, DurableContext], Any]
HOUR = timedelta(hours=1)


def one(_step: Any) -> int:
    return 1


def gathered(*names: str) -> Handler:
    async def flow(_event: Any, ctx: DurableContext) -> None:
        approval = await ctx.create_callback("approval")
        await asyncio.gather(approval.result(), *(ctx.step(one, name) for name in names))

    return flow


def in_task(*names: str) -> Handler:
    async def flow(_event: Any, ctx: DurableContext) -> None:
        async def pipeline() -> None:
            for name in names:
                await ctx.step(one, name)

        await asyncio.gather(ctx.wait(HOUR, "cool_down"), pipeline())

    return flow


def in_child(*names: str) -> Handler:
    async def flow(_event: Any, ctx: DurableContext) -> None:
        async def child(inner: DurableContext) -> None:
            approval = await inner.create_callback("approval")
            await asyncio.gather(approval.result(), *(inner.step(one, name) for name in names))

        await ctx.run_in_child_context(child, "prepare")

    return flow


def in_map(*names: str) -> Handler:
    async def flow(_event: Any, ctx: DurableContext) -> None:
        async def branch(inner: DurableContext, item: int, index: int) -> None:
            await asyncio.gather(inner.wait(HOUR, "rest"), *(inner.step(one, name) for name in names))

        await ctx.map([1, 2], branch, "each")

    return flow


def in_flat_map(*names: str) -> Handler:
    async def flow(_event: Any, ctx: DurableContext) -> None:
        async def branch(inner: DurableContext, item: int, index: int) -> None:
            await asyncio.gather(inner.wait(HOUR, "rest"), *(inner.step(one, name) for name in names))

        await ctx.map([1, 2], branch, "each", config=MapConfig(nesting_type=NestingType.FLAT))

    return flow


def in_parallel(*names: str) -> Handler:
    async def flow(_event: Any, ctx: DurableContext) -> None:
        async def branch(inner: DurableContext) -> None:
            await asyncio.gather(inner.wait(HOUR, "rest"), *(inner.step(one, name) for name in names))

        await ctx.parallel([branch, lambda inner: inner.wait(HOUR, "pause")], "both")

    return flow


def in_blocking_parallel(*names: str) -> Any:
    def flow(_event: Any, ctx: BlockingContext) -> None:
        async def branch(inner: DurableContext) -> None:
            await asyncio.gather(inner.wait(HOUR, "rest"), *(inner.step(one, name) for name in names))

        ctx.parallel([branch, lambda inner: inner.wait(HOUR, "pause")], "both")

    return flow


SHAPES = {
    "gathered": (gathered, "flow/b"),
    "in a task": (in_task, "flow~2/b"),
    "in a child context": (in_child, "flow/prepare/b"),
    "in a map": (in_map, "flow/each#0/b"),
    "in a virtual map": (in_flat_map, "flow/each#0/b"),
    "in a parallel": (in_parallel, "flow/both#0/b"),
    "in a plain function": (in_blocking_parallel, "flow/both#0/b"),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_call_removed_while_the_execution_rests_is_skipped(shape: str) -> None:
    made, path = SHAPES[shape]
    report = Replayer(durable_execution(made("a"))).replay(recorded(made("a", "b"), skips="nothing"))
    assert [(one.kind, one.path) for one in report.roots] == [(DivergenceKind.SKIPPED, path)]
    assert report.verdict is Verdict.DIVERGED


@pytest.mark.parametrize("shape", SHAPES)
def test_the_same_code_that_rests_is_not_blamed(shape: str) -> None:
    made, _ = SHAPES[shape]
    report = Replayer(durable_execution(made("a", "b"))).replay(recorded(made("a", "b"), skips="nothing"))
    assert report.roots == ()
    assert report.verdict is Verdict.SAME


@pytest.mark.parametrize("shape", SHAPES)
def test_a_call_added_behind_the_open_ones_is_not_blamed(shape: str) -> None:
    made, _ = SHAPES[shape]
    report = Replayer(durable_execution(made("a", "b", "c"))).replay(recorded(made("a", "b"), skips="nothing"))
    assert [one for one in report.roots if one.severity is Severity.ERROR] == []


async def early(_event: Any, ctx: DurableContext) -> None:
    async def branch(inner: DurableContext, item: int, index: int) -> None:
        for number in range(1 + 3 * index):
            await inner.step(one, f"part_{number}")
        if index:
            await inner.wait(HOUR)

    approval = await ctx.create_callback("approval")
    config = MapConfig(completion_config=CompletionConfig(min_successful=1))
    await asyncio.gather(approval.result(), ctx.map([1, 2], branch, "each", config=config))


def test_a_branch_that_its_batch_gave_up_is_not_blamed_at_any_event() -> None:
    execution = recorded(early, skips="nothing")
    for event in execution.events:
        report = Replayer(durable_execution(early)).replay(state_at(execution, event["EventId"]))
        assert report.roots == (), (event, report.roots)

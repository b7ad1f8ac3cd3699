"""A recording that is still open: what today's code no longer calls, adds or raises is found, and nothing else is."""

import asyncio
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from durable_execution import (
    BlockingContext,
    ChildConfig,
    CompletionConfig,
    DurableContext,
    MapConfig,
    NestingType,
    ParallelConfig,
    durable_execution,
)
from durable_execution.comparison import DivergenceKind, Severity, explain
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

        branches: list[Any] = [branch, lambda inner: inner.wait(HOUR, "pause")]
        ctx.parallel(branches, "both")

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


def raising(place: str, *, is_changed: bool) -> Any:
    """A handler that, once changed, raises in the middle of `place`."""

    def check() -> None:
        if is_changed:
            raise ValueError("no stock")

    async def sequence(ctx: DurableContext) -> None:
        await ctx.step(one, "first")
        check()
        await ctx.step(one, "second")
        await ctx.wait(HOUR, "cool_down")

    calls: dict[str, Callable[[DurableContext], Any]] = {
        "handler": sequence,
        "child": lambda ctx: ctx.run_in_child_context(sequence, "child"),
        "virtual": lambda ctx: ctx.run_in_child_context(sequence, "child", config=ChildConfig(is_virtual=True)),
        "map": lambda ctx: ctx.map([1], lambda inner, item, index: sequence(inner), "map"),
        "parallel": lambda ctx: ctx.parallel([sequence], "parallel"),
        "task": lambda ctx: asyncio.gather(sequence(ctx), ctx.wait(HOUR, "other")),
    }

    async def flow(_event: Any, ctx: DurableContext) -> None:
        await calls[place](ctx)

    def blocking(_event: Any, ctx: BlockingContext) -> None:
        ctx.step(one, "first")
        check()
        ctx.step(one, "second")
        ctx.wait(HOUR, "cool_down")

    blocking.__qualname__ = flow.__qualname__
    return blocking if place == "plain" else flow


PLACES = {
    "handler": "second",
    "plain": "second",
    "child": "child/second",
    "virtual": "child/second",
    "map": "map#0/second",
    "parallel": "parallel#0/second",
    "task": "~1/second",
}


@pytest.mark.parametrize("place", PLACES)
def test_a_handler_that_raises_where_a_running_recording_went_on_is_unfinished(place: str) -> None:
    execution = recorded(raising(place, is_changed=False), skips="nothing")
    report = Replayer(durable_execution(raising(place, is_changed=True))).replay(execution)
    (root,) = report.roots
    assert (root.kind, root.severity) == (DivergenceKind.UNFINISHED, Severity.ERROR), report
    assert root.path.endswith(PLACES[place])
    assert root.replayed is not None
    assert root.replayed.call_site is not None
    assert root.replayed.call_site.function.endswith("check")
    assert "ValueError: no stock" in explain(root)
    assert report.verdict is Verdict.DIVERGED


@pytest.mark.parametrize("place", ["handler", "plain", "task"])
def test_a_handler_that_raises_where_a_recording_succeeded_ends_differently(place: str) -> None:
    execution = recorded(raising(place, is_changed=False), skips="everything")
    report = Replayer(durable_execution(raising(place, is_changed=True))).replay(execution)
    (root,) = report.roots
    assert root.kind is DivergenceKind.OUTCOME
    assert root.replayed is not None
    assert root.replayed.call_site is not None
    assert root.replayed.call_site.function.endswith("check")
    assert report.verdict is Verdict.FAILED


@pytest.mark.parametrize("place", PLACES)
def test_the_same_code_that_does_not_raise_is_not_blamed(place: str) -> None:
    execution = recorded(raising(place, is_changed=False), skips="nothing")
    assert Replayer(durable_execution(raising(place, is_changed=False))).replay(execution).verdict is Verdict.SAME


def fan_out(count: int, *, shape: str) -> Any:
    async def rest(inner: DurableContext, *_: Any) -> None:
        await inner.step(one, "part")
        await inner.wait(HOUR, "rest")

    async def batch(ctx: DurableContext) -> None:
        nesting = NestingType.FLAT if "virtual" in shape else NestingType.NESTED
        if "map" in shape:
            await ctx.map(list(range(count)), rest, "each", config=MapConfig(nesting_type=nesting, max_concurrency=2))
        else:
            config = ParallelConfig(nesting_type=nesting, max_concurrency=2)
            await ctx.parallel([rest] * count, "each", config=config)

    async def flow(_event: Any, ctx: DurableContext) -> None:
        if "child" in shape:
            await ctx.run_in_child_context(batch, "child")
        else:
            await batch(ctx)

    def blocking(_event: Any, ctx: BlockingContext) -> None:
        child: Any = batch  # a coroutine function in a plain handler
        ctx.run_in_child_context(child, "child")

    blocking.__qualname__ = flow.__qualname__
    return blocking if "plain" in shape else flow


FAN_OUTS = ["map", "virtual map", "parallel", "virtual parallel", "map in a child", "map in a plain function"]


@pytest.mark.parametrize("shape", FAN_OUTS)
@pytest.mark.parametrize("count", [*(pytest.param(few, marks=pytest.mark.acceptance) for few in (1, 2)), 3, 5])
def test_an_open_batch_with_another_number_of_branches_is_found(shape: str, count: int) -> None:
    execution = recorded(fan_out(4, shape=shape), skips="nothing", traces=True)
    report = Replayer(durable_execution(fan_out(count, shape=shape))).replay(execution)
    assert [one.kind for one in report.roots] == [DivergenceKind.BRANCH_COUNT]
    assert report.roots[0].path.endswith("/each")
    now = f"{count} {'item' if 'map' in shape else 'branch'}"
    assert report.roots[0].sentence.startswith(f'your code runs "each" with {now}'), report.roots[0].sentence


@pytest.mark.parametrize("shape", FAN_OUTS)
@pytest.mark.parametrize("traces", [True, False])
def test_an_open_batch_with_as_many_branches_is_not_blamed(shape: str, traces: bool) -> None:
    execution = recorded(fan_out(4, shape=shape), skips="nothing", traces=traces)
    assert Replayer(durable_execution(fan_out(4, shape=shape))).replay(execution).verdict is Verdict.SAME


async def declined(_event: Any, ctx: DurableContext) -> None:
    await ctx.step(one, "first")
    approval = await ctx.create_callback("approval")
    await approval.result()
    await ctx.step(one, "last")


def test_an_execution_that_is_about_to_fail_as_its_code_says_is_not_blamed() -> None:
    execution = recorded(declined, callbacks={"approval": {"error": "no"}})
    (end,) = (event["EventId"] for event in execution.events if event["EventType"] == "CallbackFailed")
    report = Replayer(durable_execution(declined)).replay(state_at(execution, end))
    assert report.verdict is Verdict.SAME, report
    assert "CallbackFailedError" in " ".join(report.notes)


def with_effect(*, is_changed: bool) -> Any:
    async def flow(_event: Any, ctx: DurableContext) -> None:
        await ctx.step(one, "first")
        if not is_changed:
            await ctx.step(one, "second")
        await ctx.step(one, "third")
        if is_changed:
            Path("/tmp/never").write_text("x")  # noqa: ASYNC240  # refused: that is the point
        await ctx.wait(HOUR, "pause")

    return flow


@pytest.mark.parametrize("skips", ["nothing", "everything"])
def test_a_side_effect_is_reported_beside_the_divergence(skips: str) -> None:
    report = Replayer(durable_execution(with_effect(is_changed=True))).replay(
        recorded(with_effect(is_changed=False), skips=skips)
    )
    assert [(one.kind, one.path.rpartition("/")[2]) for one in report.roots] == [(DivergenceKind.SKIPPED, "second")]
    assert len(report.effects) == 1
    assert report.verdict is Verdict.DIVERGED


def test_a_virtual_context_whose_number_another_call_takes_is_skipped() -> None:
    async def before(_event: Any, ctx: DurableContext) -> None:
        await ctx.run_in_child_context(lambda inner: inner.step(one, "a"), "quiet", config=ChildConfig(is_virtual=True))
        await ctx.wait(HOUR, "pause")

    async def after(_event: Any, ctx: DurableContext) -> None:
        await ctx.wait(HOUR, "pause")

    report = Replayer(durable_execution(after)).replay(recorded(before, skips="nothing"))
    assert report.verdict is Verdict.DIVERGED
    assert DivergenceKind.SKIPPED in [root.kind for root in report.roots]


@pytest.mark.parametrize("kind", ["map", "parallel"])
@pytest.mark.parametrize("limit", [None, 2, 3])
def test_a_branch_that_an_open_recording_without_a_trace_does_not_have(kind: str, limit: int | None) -> None:
    def flow_of(number: int) -> Any:
        async def branch(inner: DurableContext) -> None:
            await inner.step(one, "load")
            await inner.wait(HOUR, "rest")

        async def flow(_event: Any, ctx: DurableContext) -> None:
            if kind == "map":
                config = MapConfig(max_concurrency=limit)
                await ctx.map(list(range(number)), lambda inner, item, index: branch(inner), "all", config=config)
            else:
                options = ParallelConfig(max_concurrency=limit)
                await ctx.parallel([branch] * number, "all", config=options)

        return flow

    history = recorded(flow_of(2), skips="nothing")
    assert Replayer(durable_execution(flow_of(2))).replay(history).is_same
    report = Replayer(durable_execution(flow_of(3))).replay(history)
    found = [(root.kind, root.path) for root in report.roots]
    assert found == ([] if limit == 2 else [(DivergenceKind.BRANCH_COUNT, "flow/all")])
    three = recorded(flow_of(3), skips="nothing")
    assert Replayer(durable_execution(flow_of(3))).replay(three).is_same


def test_calls_behind_a_refused_effect_are_compared(tmp_path: Path) -> None:
    def flow_of(*names: str, journal: bool = False) -> Any:
        def flow(_event: Any, ctx: BlockingContext) -> None:
            for name in names:
                if journal:
                    (tmp_path / "journal").write_text(name)
                ctx.step(one, name)

        return flow

    report = Replayer(durable_execution(flow_of("a", "c", journal=True))).replay(recorded(flow_of("a", "b", "c")))
    assert report.verdict is Verdict.DIVERGED
    assert [(root.kind, root.path) for root in report.roots] == [(DivergenceKind.SKIPPED, "flow/b")]
    assert [effect.what.partition(" ")[0] for effect in report.effects] == ["writing"]
    assert "the calls after a refused side effect were compared as if it had succeeded" in report.notes
    assert not (tmp_path / "journal").exists()
    unchanged = Replayer(durable_execution(flow_of("a", "b", journal=True))).replay(recorded(flow_of("a", "b")))
    assert unchanged.verdict is Verdict.EFFECTS


def test_an_effect_that_is_refused_and_then_skipped_is_reported_once() -> None:
    def flow_of(*, sends: bool) -> Any:
        def flow(_event: Any, ctx: BlockingContext) -> None:
            ctx.step(one, "a")
            if sends:
                os.kill(os.getpid(), 0)
            ctx.step(one, "b")

        return flow

    report = Replayer(durable_execution(flow_of(sends=True))).replay(recorded(flow_of(sends=False)))
    assert [effect.what.partition("(")[0] for effect in report.effects] == ["os.kill"]

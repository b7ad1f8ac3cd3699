"""Branches side by side. `max_concurrency=1` makes their order, and so the history, certain."""

import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

from durable_execution import (
    BatchResult,
    CompletionConfig,
    DurableContext,
    NestingType,
    ParallelBranch,
    ParallelConfig,
    durable_execution,
)
from durable_execution.serdes import SerDesContext
from tests.conformance.registry import requirement

Branch = Callable[[DurableContext], Awaitable[Any]]

SEQUENTIAL = ParallelConfig(max_concurrency=1)
FAIL_FAST = CompletionConfig(tolerated_failure_count=0)


class Wrapping:
    """Stores a value in an envelope."""

    def serialize(self, value: Any, context: SerDesContext) -> str:
        return json.dumps({"wrapped": value})

    def deserialize(self, data: str, context: SerDesContext) -> Any:
        return json.loads(data)["wrapped"]


def step(value: Any, name: str | None = None) -> Branch:
    async def branch(ctx: DurableContext) -> Any:
        return await ctx.step(lambda _: value, name)

    return branch


def returns(value: Any) -> Branch:
    async def branch(_ctx: DurableContext) -> Any:
        return value

    return branch


def raises(message: str) -> Branch:
    async def branch(_ctx: DurableContext) -> Any:
        raise ValueError(message)

    return branch


def one_at_a_time(completion: CompletionConfig) -> ParallelConfig:
    return ParallelConfig(max_concurrency=1, completion_config=completion)


async def outcome(
    ctx: DurableContext, name: str, branches: Sequence[Branch], completion: CompletionConfig
) -> dict[str, Any]:
    return summary(await ctx.parallel(branches, name, config=one_at_a_time(completion)))


def summary(batch: BatchResult[Any]) -> dict[str, Any]:
    return {
        "completionReason": batch.completion_reason,
        "status": batch.status,
        "successCount": batch.success_count,
        "failureCount": batch.failure_count,
        "totalCount": batch.total_count,
    }


def without_status(found: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if name != "status"}


@requirement("8-1")
@durable_execution
async def basic(_event: Any, ctx: DurableContext) -> list[Any]:
    batch = await ctx.parallel([step("task-1"), step("task-2")], "parallel", config=SEQUENTIAL)
    return batch.get_results()


@requirement("8-2")
@durable_execution
async def unnamed(_event: Any, ctx: DurableContext) -> list[Any]:
    return (await ctx.parallel([returns("one"), returns("two")], config=SEQUENTIAL)).get_results()


@requirement("8-3")
@durable_execution
async def named_branches(_event: Any, ctx: DurableContext) -> list[Any]:
    branches = [ParallelBranch(returns("one"), "first"), ParallelBranch(returns("two"), "second")]
    return (await ctx.parallel(branches, "named", config=SEQUENTIAL)).get_results()


@requirement("8-4")
@durable_execution
async def heterogeneous(_event: Any, ctx: DurableContext) -> list[Any]:
    branches = [returns("text"), returns(7), returns({"key": [1, 2]}), returns(None)]
    return (await ctx.parallel(branches, "mixed", config=SEQUENTIAL)).get_results()


@requirement("8-5")
@durable_execution
async def empty(_event: Any, ctx: DurableContext) -> list[Any]:
    return (await ctx.parallel([], "empty")).get_results()


@requirement("8-6")
@durable_execution
async def fail_fast(_event: Any, ctx: DurableContext) -> dict[str, Any]:
    return await outcome(ctx, "failfast", [returns("ok"), raises("no"), returns("never")], FAIL_FAST)


@requirement("8-7")
@durable_execution
async def throws(_event: Any, ctx: DurableContext) -> None:
    batch = await ctx.parallel([raises("no"), returns("never")], "throwing", config=one_at_a_time(FAIL_FAST))
    batch.throw_if_error()


@requirement("8-8")
@durable_execution
async def min_successful(_event: Any, ctx: DurableContext) -> dict[str, Any]:
    branches = [returns(number) for number in range(4)]
    return without_status(await outcome(ctx, "enough", branches, CompletionConfig(min_successful=2)))


@requirement("8-9")
@durable_execution
async def tolerated(_event: Any, ctx: DurableContext) -> dict[str, Any]:
    branches = [returns("a"), raises("no"), returns("c")]
    return await outcome(ctx, "tolerated", branches, CompletionConfig(tolerated_failure_count=1))


@requirement("8-10")
@durable_execution
async def tolerance_exceeded(_event: Any, ctx: DurableContext) -> dict[str, Any]:
    branches = [raises("one"), raises("two"), returns("never")]
    return without_status(await outcome(ctx, "exceeded", branches, CompletionConfig(tolerated_failure_count=1)))


@requirement("8-11")
@durable_execution
async def concurrent(_event: Any, ctx: DurableContext) -> list[Any]:
    branches = [returns("r0"), returns("r1"), returns("r2")]
    return (await ctx.parallel(branches, "concurrent", config=ParallelConfig(max_concurrency=2))).get_results()


@requirement("8-12")
@durable_execution
async def flat(_event: Any, ctx: DurableContext) -> list[Any]:
    config = ParallelConfig(max_concurrency=1, nesting_type=NestingType.FLAT)
    return (await ctx.parallel([step("one", "first"), step("two", "second")], "flat", config=config)).get_results()


@requirement("8-13")
@durable_execution
async def percentage_exceeded(_event: Any, ctx: DurableContext) -> dict[str, Any]:
    branches = [raises("one"), raises("two"), returns("never"), returns("never")]
    completion = CompletionConfig(tolerated_failure_percentage=25)
    return without_status(await outcome(ctx, "tolerated-pct", branches, completion))


@requirement("8-14")
@durable_execution
async def suspends(_event: Any, ctx: DurableContext) -> list[Any]:
    async def waits(branch: DurableContext) -> str:
        await branch.wait(timedelta(seconds=1))
        return await branch.step(lambda _: "late")

    return (await ctx.parallel([step("early"), waits], "suspend", config=SEQUENTIAL)).get_results()


@requirement("8-15")
@durable_execution
async def item_serdes(_event: Any, ctx: DurableContext) -> list[Any]:
    config = ParallelConfig(max_concurrency=1, item_serdes=Wrapping())
    return (await ctx.parallel([returns("x"), returns("y")], "serde", config=config)).get_results()


@requirement("8-16")
@durable_execution
async def all_fail_within_tolerance(_event: Any, ctx: DurableContext) -> dict[str, Any]:
    branches = [raises("one"), raises("two")]
    return await outcome(ctx, "hopeless", branches, CompletionConfig(tolerated_failure_count=2))


@requirement("8-17")
@durable_execution
async def min_not_reached(_event: Any, ctx: DurableContext) -> dict[str, Any]:
    branches = [returns("a"), raises("no"), returns("c")]
    return await outcome(ctx, "min-not-reached", branches, CompletionConfig(min_successful=3))


@requirement("8-18")
@durable_execution
async def tolerance_before_minimum(_event: Any, ctx: DurableContext) -> dict[str, Any]:
    branches = [raises("no"), returns("never"), returns("never")]
    completion = CompletionConfig(min_successful=1, tolerated_failure_count=0)
    return await outcome(ctx, "both", branches, completion)


@requirement("8-19")
@durable_execution
async def invalid_concurrency(_event: Any, ctx: DurableContext) -> None:
    await ctx.parallel([returns(1), returns(2)], "bad-concurrency", config=ParallelConfig(max_concurrency=0))


@requirement("8-20")
@durable_execution
async def accessors(_event: Any, ctx: DurableContext) -> dict[str, Any]:
    branches = [returns("a"), raises("no"), returns("c")]
    batch = await ctx.parallel(branches, "looked-at", config=one_at_a_time(CompletionConfig.all_completed()))
    return {
        "hasFailure": batch.has_failure,
        "succeeded": [item.index for item in batch.succeeded()],
        "failed": [item.index for item in batch.failed()],
        "errors": [error.message for error in batch.get_errors()],
    }


@requirement("8-21")
@durable_execution
async def nested(_event: Any, ctx: DurableContext) -> list[Any]:
    async def outer(branch: DurableContext) -> list[Any]:
        inner = await branch.parallel([step("i1"), step("i2")], "inner", config=SEQUENTIAL)
        return inner.get_results()

    return (await ctx.parallel([outer], "outer", config=SEQUENTIAL)).get_results()  # type: ignore[no-any-return]


@requirement("8-22")
@durable_execution
async def percentage_met_exactly(_event: Any, ctx: DurableContext) -> dict[str, Any]:
    branches = [raises("one"), returns("b"), returns("c"), returns("d")]
    return await outcome(ctx, "exactly", branches, CompletionConfig(tolerated_failure_percentage=25))

"""One function for many items. `max_concurrency=1` makes their order, and so the history, certain."""

from datetime import timedelta
from typing import Any

from durable_execution import (
    BatchItem,
    BatchItemStatus,
    BatchResult,
    CompletionConfig,
    CompletionReason,
    DurableContext,
    MapConfig,
    NestingType,
    durable_execution,
)
from durable_execution.serdes import SerDesContext
from tests.conformance.handlers.parallel import Wrapping, summary, without_status
from tests.conformance.registry import requirement

SECOND = timedelta(seconds=1)
SEQUENTIAL = MapConfig(max_concurrency=1)


class Joined:
    """Stores a whole map as one line."""

    def serialize(self, value: BatchResult[str], context: SerDesContext) -> str:
        return f"OPSERDE:{','.join(value.get_results())}"

    def deserialize(self, data: str, context: SerDesContext) -> BatchResult[str]:
        texts = data.removeprefix("OPSERDE:").split(",")
        items = [BatchItem(index, BatchItemStatus.SUCCEEDED, text) for index, text in enumerate(texts)]
        return BatchResult(items, CompletionReason.ALL_COMPLETED)


def one_at_a_time(completion: CompletionConfig) -> MapConfig:
    return MapConfig(max_concurrency=1, completion_config=completion)


async def greet(ctx: DurableContext, item: str, _index: int) -> str:
    return await ctx.step(lambda _: f"Hello, {item}!")


async def itself(_ctx: DurableContext, item: Any, _index: int) -> Any:
    return item


async def upper(_ctx: DurableContext, item: str, _index: int) -> str:
    return item.upper()


async def unless_bad(_ctx: DurableContext, item: str, _index: int) -> str:
    if item == "bad":
        raise ValueError(f"item is {item}")
    return item


@requirement("9-1")
@durable_execution
async def basic(items: list[str], ctx: DurableContext) -> list[str]:
    return (await ctx.map(items, greet, "map", config=SEQUENTIAL)).get_results()


@requirement("9-2")
@durable_execution
async def unnamed(items: list[str], ctx: DurableContext) -> list[str]:
    return (await ctx.map(items, itself, config=SEQUENTIAL)).get_results()


@requirement("9-3")
@durable_execution
async def indexed(items: list[int], ctx: DurableContext) -> list[int]:
    async def add_index(_ctx: DurableContext, item: int, index: int) -> int:
        return item + index

    return (await ctx.map(items, add_index, "indexed", config=SEQUENTIAL)).get_results()


@requirement("9-4")
@durable_execution
async def empty(_event: Any, ctx: DurableContext) -> dict[str, Any]:
    return summary(await ctx.map([], itself, "empty"))


@requirement("9-5")
@durable_execution
async def fail_fast(_event: Any, ctx: DurableContext) -> dict[str, Any]:
    config = one_at_a_time(CompletionConfig(tolerated_failure_count=0))
    return summary(await ctx.map(["ok", "bad", "ok"], unless_bad, "failfast", config=config))


@requirement("9-6")
@durable_execution
async def throws(_event: Any, ctx: DurableContext) -> None:
    batch = await ctx.map(["ok", "bad"], unless_bad, "throwing", config=SEQUENTIAL)
    batch.throw_if_error()


@requirement("9-7")
@durable_execution
async def min_successful(_event: Any, ctx: DurableContext) -> dict[str, Any]:
    config = one_at_a_time(CompletionConfig(min_successful=2))
    found = summary(await ctx.map(["a", "b", "c", "d"], itself, "min-successful", config=config))
    return {name: found[name] for name in ("completionReason", "successCount", "totalCount")}


@requirement("9-8")
@durable_execution
async def tolerated(_event: Any, ctx: DurableContext) -> dict[str, Any]:
    config = one_at_a_time(CompletionConfig(tolerated_failure_count=1))
    return summary(await ctx.map(["ok", "bad", "ok"], unless_bad, "tolerated", config=config))


@requirement("9-9")
@durable_execution
async def tolerance_exceeded(_event: Any, ctx: DurableContext) -> dict[str, Any]:
    config = one_at_a_time(CompletionConfig(tolerated_failure_count=1))
    return without_status(summary(await ctx.map(["bad", "bad", "ok"], unless_bad, "tolerated-exceeded", config=config)))


@requirement("9-10")
@durable_execution
async def percentage_exceeded(_event: Any, ctx: DurableContext) -> dict[str, Any]:
    config = one_at_a_time(CompletionConfig(tolerated_failure_percentage=25))
    return summary(await ctx.map(["bad", "bad", "ok", "ok"], unless_bad, "percentage", config=config))


@requirement("9-11")
@durable_execution
async def concurrent(_event: Any, ctx: DurableContext) -> list[str]:
    return (await ctx.map(["r0", "r1", "r2"], itself, "concurrent", config=MapConfig(max_concurrency=2))).get_results()


@requirement("9-12")
@durable_execution
async def flat(items: list[str], ctx: DurableContext) -> list[str]:
    config = MapConfig(max_concurrency=1, nesting_type=NestingType.FLAT)
    return (await ctx.map(items, greet, "flat", config=config)).get_results()


@requirement("9-13")
@durable_execution
async def named_items(items: list[int], ctx: DurableContext) -> list[int]:
    async def tenfold(_ctx: DurableContext, item: int, _index: int) -> int:
        return item * 10

    config = MapConfig(max_concurrency=1, item_namer=lambda item, _index: f"item-{item}")
    return (await ctx.map(items, tenfold, "named-items", config=config)).get_results()


@requirement("9-14")
@durable_execution
async def item_serdes(items: list[str], ctx: DurableContext) -> list[str]:
    config = MapConfig(max_concurrency=1, item_serdes=Wrapping())
    return (await ctx.map(items, itself, "serde", config=config)).get_results()


@requirement("9-15")
@durable_execution
async def suspends(_event: Any, ctx: DurableContext) -> list[str]:
    async def wait_in_second(item_ctx: DurableContext, item: str, index: int) -> str:
        if index == 1:
            await item_ctx.wait(SECOND)
        return await item_ctx.step(lambda _: item)

    return (await ctx.map(["r0", "r1"], wait_in_second, "suspend", config=SEQUENTIAL)).get_results()


@requirement("9-16")
@durable_execution
async def large_aggregate(_event: Any, ctx: DurableContext) -> list[int]:
    async def inflate(item_ctx: DurableContext, item: str, _index: int) -> str:
        item_ctx.logger.info("inflating %s", item)
        return item * 100_000

    batch = await ctx.map(["a", "b", "c"], inflate, "large", config=SEQUENTIAL)
    await ctx.wait(SECOND)
    return [len(text) for text in batch.get_results()]


@requirement("9-17")
@durable_execution
async def then_wait(_event: Any, ctx: DurableContext) -> list[str]:
    batch = await ctx.map(["a", "b"], upper, "then-wait", config=SEQUENTIAL)
    await ctx.wait(SECOND)
    return batch.get_results()


@requirement("9-18")
@durable_execution
async def partly_failed_then_wait(_event: Any, ctx: DurableContext) -> dict[str, Any]:
    config = one_at_a_time(CompletionConfig.all_completed())
    batch = await ctx.map(["ok", "bad"], unless_bad, "then-wait", config=config)
    await ctx.wait(SECOND)
    return {**summary(batch), "errors": [error.message for error in batch.get_errors()]}


@requirement("9-19")
@durable_execution
async def operation_serdes(_event: Any, ctx: DurableContext) -> list[str]:
    config = MapConfig(max_concurrency=1, serdes=Joined())
    return (await ctx.map(["x", "y"], upper, "op-serde", config=config)).get_results()


@requirement("9-20")
@durable_execution
async def operation_serdes_replayed(_event: Any, ctx: DurableContext) -> list[str]:
    config = MapConfig(max_concurrency=1, serdes=Joined())
    batch = await ctx.map(["x", "y"], upper, "op-serde", config=config)
    await ctx.wait(SECOND)
    return batch.get_results()

"""Callbacks that somebody outside completes."""

import json
from datetime import datetime, timedelta
from typing import Any

from durable_execution import CallbackConfig, CallbackError, DurableContext, durable_execution
from durable_execution.serdes import SerDesContext
from tests.conformance.registry import requirement


class Stamped:
    """Reads a JSON object whose `timestamp` is a time in ISO 8601, as seconds since 1970."""

    def serialize(self, value: Any, context: SerDesContext) -> str:
        return json.dumps(value)

    def deserialize(self, data: str, context: SerDesContext) -> Any:
        value = json.loads(data)
        return {**value, "timestamp": round(datetime.fromisoformat(value["timestamp"]).timestamp())}


class Number:
    """Reads an integer."""

    def serialize(self, value: int, context: SerDesContext) -> str:
        return str(value)

    def deserialize(self, data: str, context: SerDesContext) -> int:
        return int(json.loads(data))


async def awaited(ctx: DurableContext, name: str, config: CallbackConfig | None = None) -> Any:
    callback = await ctx.create_callback(name, config=config)
    return await callback.result()


@requirement("4-1")
@durable_execution
async def basic(name: str, ctx: DurableContext) -> Any:
    return await awaited(ctx, name)


@requirement("4-2")
@durable_execution
async def named(_event: Any, ctx: DurableContext) -> Any:
    return await awaited(ctx, "approval")


@requirement("4-3")
@durable_execution
async def timed_out(name: str, ctx: DurableContext) -> Any:
    return await awaited(ctx, name, CallbackConfig(timeout=timedelta(seconds=5)))


@requirement("4-4")
@durable_execution
async def heartbeat_lapsed(name: str, ctx: DurableContext) -> Any:
    return await awaited(ctx, name, CallbackConfig(heartbeat_timeout=timedelta(seconds=3)))


@requirement("4-5")
@durable_execution
async def heartbeat(name: str, ctx: DurableContext) -> Any:
    return await awaited(ctx, name, CallbackConfig(heartbeat_timeout=timedelta(seconds=10)))


@requirement("4-6")
@durable_execution
async def failed(name: str, ctx: DurableContext) -> Any:
    return await awaited(ctx, name)


@requirement("4-7")
@durable_execution
async def step_then_failure(name: str, ctx: DurableContext) -> Any:
    callback = await ctx.create_callback(name)
    await ctx.step(lambda _: "in between")
    return await callback.result()


@requirement("4-8")
@durable_execution
async def step_then_timeout(name: str, ctx: DurableContext) -> Any:
    callback = await ctx.create_callback(name, config=CallbackConfig(timeout=timedelta(seconds=3)))
    await ctx.step(lambda _: "in between", name="between")
    return await callback.result()


@requirement("4-9")
@durable_execution
async def success_during_wait(name: str, ctx: DurableContext) -> Any:
    callback = await ctx.create_callback(name)
    await ctx.wait(timedelta(seconds=5))
    return await callback.result()


@requirement("4-10")
@durable_execution
async def failure_during_wait(name: str, ctx: DurableContext) -> Any:
    callback = await ctx.create_callback(name)
    await ctx.wait(timedelta(seconds=5))
    return await callback.result()


@requirement("4-11")
@durable_execution
async def timeout_during_wait(name: str, ctx: DurableContext) -> Any:
    callback = await ctx.create_callback(name, config=CallbackConfig(timeout=timedelta(seconds=3)))
    await ctx.wait(timedelta(seconds=6))
    return await callback.result()


@requirement("4-12")
@durable_execution
async def success_then_wait(name: str, ctx: DurableContext) -> Any:
    result = await awaited(ctx, name)
    await ctx.wait(timedelta(seconds=2))
    return result


@requirement("4-13")
@durable_execution
async def failure_caught_then_wait(name: str, ctx: DurableContext) -> str:
    try:
        return str(await awaited(ctx, name))
    except CallbackError as error:
        message = f"failed: {error}"
    await ctx.wait(timedelta(seconds=2))
    return message


@requirement("4-14")
@durable_execution
async def timeout_caught_then_wait(name: str, ctx: DurableContext) -> str:
    try:
        return str(await awaited(ctx, name, CallbackConfig(timeout=timedelta(seconds=3))))
    except CallbackError as error:
        message = f"{type(error).__name__}: {error}"
    await ctx.wait(timedelta(seconds=2))
    return message


@requirement("4-15")
@durable_execution
async def custom_object(name: str, ctx: DurableContext) -> dict[str, Any]:
    return {"received": await awaited(ctx, name, CallbackConfig(serdes=Stamped()))}


@requirement("4-16")
@durable_execution
async def custom_number(name: str, ctx: DurableContext) -> int:
    number: int = await awaited(ctx, name, CallbackConfig(serdes=Number()))
    return number + 1


@requirement("4-17")
@durable_execution
async def in_sequence(names: list[str], ctx: DurableContext) -> list[Any]:
    first = await awaited(ctx, names[0])
    return [first, await awaited(ctx, names[1])]


@requirement("4-18")
@durable_execution
async def both_in_order(names: list[str], ctx: DurableContext) -> list[Any]:
    first, second = await ctx.create_callback(names[0]), await ctx.create_callback(names[1])
    return [await first.result(), await second.result()]


@requirement("4-19")
@durable_execution
async def both_in_reverse(names: list[str], ctx: DurableContext) -> list[Any]:
    first, second = await ctx.create_callback(names[0]), await ctx.create_callback(names[1])
    return [await second.result(), await first.result()]

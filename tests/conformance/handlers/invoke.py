"""Functions that call functions."""

import json
from datetime import timedelta
from typing import Any

from durable_execution import DurableContext, InvokeConfig, durable_execution
from durable_execution.errors import InvokeError
from durable_execution.serdes import SerDesContext
from tests.conformance.registry import requirement


class Shouting:
    """Writes every text of an object in capitals."""

    def serialize(self, value: dict[str, str], context: SerDesContext) -> str:
        return json.dumps({key: item.upper() for key, item in value.items()})

    def deserialize(self, data: str, context: SerDesContext) -> Any:
        return json.loads(data)


class Wrapped:
    """Reads a value as `{"received": value}`."""

    def serialize(self, value: Any, context: SerDesContext) -> str:
        return json.dumps(value)

    def deserialize(self, data: str, context: SerDesContext) -> Any:
        return {"received": json.loads(data)}


@durable_execution
async def echo(event: Any, _ctx: DurableContext) -> Any:
    return event


@durable_execution
async def broken(_event: Any, _ctx: DurableContext) -> None:
    raise ValueError("the target is broken")


@durable_execution
async def measure(event: dict[str, str], _ctx: DurableContext) -> int:
    return len(event["data"])


@requirement("5-1", echo=echo)
@durable_execution
async def basic(event: Any, ctx: DurableContext) -> Any:
    return await ctx.invoke("echo:$LATEST", event)


@requirement("5-2", echo=echo)
@durable_execution
async def named(event: Any, ctx: DurableContext) -> Any:
    return await ctx.invoke("echo:$LATEST", event, name="ask")


@requirement("5-3", echo=echo)
@durable_execution
async def nested_object(event: Any, ctx: DurableContext) -> Any:
    return await ctx.invoke("echo:$LATEST", event)


@requirement("5-4", echo=echo)
@durable_execution
async def null(_event: Any, ctx: DurableContext) -> Any:
    return await ctx.invoke("echo:$LATEST")


@requirement("5-5", broken=broken)
@durable_execution
async def uncaught(_event: Any, ctx: DurableContext) -> Any:
    return await ctx.invoke("broken:$LATEST")


@requirement("5-6", broken=broken)
@durable_execution
async def caught(_event: Any, ctx: DurableContext) -> str:
    try:
        await ctx.invoke("broken:$LATEST")
    except InvokeError as error:
        return f"caught {error.error_type}: {error}"
    return "nothing happened"


@requirement("5-7", measure=measure)
@durable_execution
async def large_payload(_event: Any, ctx: DurableContext) -> Any:
    return await ctx.invoke("measure:$LATEST", {"data": "x" * 1_000_000})


@requirement("5-8", echo=echo)
@durable_execution
async def tenant(event: Any, ctx: DurableContext) -> Any:
    return await ctx.invoke("echo:$LATEST", event, config=InvokeConfig(tenant_id="tenant-7"))


@requirement("5-9", echo=echo)
@durable_execution
async def cached(_event: Any, ctx: DurableContext) -> Any:
    result = await ctx.invoke("echo:$LATEST", "cached")
    await ctx.wait(timedelta(seconds=1))
    return result


@requirement("5-10", broken=broken)
@durable_execution
async def cached_failure(_event: Any, ctx: DurableContext) -> str:
    caught = "nothing happened"
    try:
        await ctx.invoke("broken:$LATEST")
    except InvokeError as error:
        caught = str(error)
    await ctx.wait(timedelta(seconds=1))
    return caught


@requirement("5-11", echo=echo)
@durable_execution
async def step_before(_event: Any, ctx: DurableContext) -> Any:
    return await ctx.invoke("echo:$LATEST", await ctx.step(lambda _: "prepared"))


@requirement("5-12", echo=echo)
@durable_execution
async def step_after(_event: Any, ctx: DurableContext) -> str:
    result = await ctx.invoke("echo:$LATEST", "raw")
    return await ctx.step(lambda _: f"{result}, refined")


@requirement("5-13", echo=echo)
@durable_execution
async def in_child_context(_event: Any, ctx: DurableContext) -> Any:
    async def child(inner: DurableContext) -> Any:
        return await inner.invoke("echo:$LATEST", "inside")

    return await ctx.run_in_child_context(child)


@requirement("5-14", echo=echo)
@durable_execution
async def in_sequence(_event: Any, ctx: DurableContext) -> list[Any]:
    first = await ctx.invoke("echo:$LATEST", "one", name="first")
    return [first, await ctx.invoke("echo:$LATEST", f"{first} and two", name="second")]


@requirement("5-15", echo=echo)
@durable_execution
async def payload_serdes(event: Any, ctx: DurableContext) -> Any:
    return await ctx.invoke("echo:$LATEST", event, config=InvokeConfig(payload_serdes=Shouting()))


@requirement("5-16", echo=echo)
@durable_execution
async def result_serdes(event: Any, ctx: DurableContext) -> Any:
    return await ctx.invoke("echo:$LATEST", event, config=InvokeConfig(result_serdes=Wrapped()))

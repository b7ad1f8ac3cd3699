"""Callbacks with a submitter."""

from datetime import timedelta
from typing import Any

from durable_execution import (
    CallbackError,
    DurableContext,
    Jitter,
    StepContext,
    WaitForCallbackConfig,
    durable_execution,
    exponential_backoff,
)
from tests.conformance.registry import requirement

IN_THREE_SECONDS = WaitForCallbackConfig(timeout=timedelta(seconds=3))


async def submit(_callback_id: str, _step: StepContext) -> None:
    """Somebody is told the callback's id."""


@requirement("7-1")
@durable_execution
async def basic(name: str, ctx: DurableContext) -> Any:
    return await ctx.wait_for_callback(submit, name)


@requirement("7-2")
@durable_execution
async def named(_event: Any, ctx: DurableContext) -> Any:
    return await ctx.wait_for_callback(submit, "approval")


@requirement("7-3")
@durable_execution
async def unnamed(_event: Any, ctx: DurableContext) -> Any:
    return await ctx.wait_for_callback(lambda _callback_id, _step: None)


@requirement("7-4")
@durable_execution
async def failed(name: str, ctx: DurableContext) -> Any:
    return await ctx.wait_for_callback(submit, name)


@requirement("7-5")
@durable_execution
async def timed_out(name: str, ctx: DurableContext) -> Any:
    return await ctx.wait_for_callback(submit, name, config=IN_THREE_SECONDS)


@requirement("7-6")
@durable_execution
async def failure_caught(name: str, ctx: DurableContext) -> str:
    try:
        return str(await ctx.wait_for_callback(submit, name))
    except CallbackError as error:
        return f"caught {type(error).__name__} {error.error_type}: {error}"


@requirement("7-7")
@durable_execution
async def submitter_fails(name: str, ctx: DurableContext) -> Any:
    def broken(_callback_id: str, _step: StepContext) -> None:
        raise ConnectionError("the partner does not answer")

    strategy = exponential_backoff(max_attempts=2, initial_delay=timedelta(seconds=1), jitter=Jitter.NONE)
    return await ctx.wait_for_callback(broken, name, config=WaitForCallbackConfig(retry_strategy=strategy))


@requirement("7-8")
@durable_execution
async def in_child_context(_event: Any, ctx: DurableContext) -> Any:
    async def child(inner: DurableContext) -> Any:
        return await inner.wait_for_callback(submit, "approval")

    return await ctx.run_in_child_context(child, name="outer")


@requirement("7-9")
@durable_execution
async def in_sequence(_event: Any, ctx: DurableContext) -> Any:
    await ctx.wait_for_callback(submit, "first")
    return await ctx.wait_for_callback(submit, "second")


@requirement("7-10")
@durable_execution
async def after_wait_and_step(_event: Any, ctx: DurableContext) -> Any:
    await ctx.wait(timedelta(seconds=1))
    await ctx.step(lambda _: "prepared", name="prepare")
    return await ctx.wait_for_callback(submit, "approval")


@requirement("7-11")
@durable_execution
async def structured(name: str, ctx: DurableContext) -> str:
    answer = await ctx.wait_for_callback(submit, name, config=WaitForCallbackConfig(result_type=dict[str, str]))
    status: str = answer["status"]
    return status


@requirement("7-12")
@durable_execution
async def heartbeat_lapsed(name: str, ctx: DurableContext) -> Any:
    config = WaitForCallbackConfig(heartbeat_timeout=timedelta(seconds=3))
    return await ctx.wait_for_callback(submit, name, config=config)


@requirement("7-13")
@durable_execution
async def heartbeat(name: str, ctx: DurableContext) -> Any:
    config = WaitForCallbackConfig(heartbeat_timeout=timedelta(seconds=10))
    return await ctx.wait_for_callback(submit, name, config=config)


@requirement("7-14")
@durable_execution
async def timeout_caught(name: str, ctx: DurableContext) -> str:
    try:
        return str(await ctx.wait_for_callback(submit, name, config=IN_THREE_SECONDS))
    except CallbackError as error:
        return f"caught {type(error).__name__}: {error}"


@requirement("7-15")
@durable_execution
async def empty(name: str, ctx: DurableContext) -> Any:
    return await ctx.wait_for_callback(submit, name)

"""Child contexts."""

from datetime import timedelta
from typing import Any

from durable_execution import (
    ChildConfig,
    DurableContext,
    Jitter,
    RetryPresets,
    StepConfig,
    StepContext,
    durable_execution,
    exponential_backoff,
)
from durable_execution.errors import ChildContextError
from durable_execution.serdes import SerDesContext
from tests.conformance.crashing import crash_once
from tests.conformance.registry import requirement

SECOND = timedelta(seconds=1)
ONCE = StepConfig(retry_strategy=RetryPresets.none())
TWICE = StepConfig(retry_strategy=exponential_backoff(max_attempts=2, initial_delay=SECOND, jitter=Jitter.NONE))


class Angled:
    """Writes `<text>`, reads what is between the angles."""

    def serialize(self, value: str, context: SerDesContext) -> str:
        return f"<{value}>"

    def deserialize(self, data: str, context: SerDesContext) -> str:
        return data.strip("<>").upper()


def fail(_step: StepContext) -> None:
    raise ValueError("out of stock")


@requirement("3-1")
@durable_execution
async def basic(text: str, ctx: DurableContext) -> str:
    async def child(inner: DurableContext) -> str:
        return await inner.step(lambda _: text)

    return await ctx.run_in_child_context(child)


@requirement("3-2")
@durable_execution
async def named(text: str, ctx: DurableContext) -> str:
    async def child(inner: DurableContext) -> str:
        return await inner.step(lambda _: text)

    return await ctx.run_in_child_context(child, name="packing")


@requirement("3-3")
@durable_execution
async def dependent_steps(text: str, ctx: DurableContext) -> str:
    async def child(inner: DurableContext) -> str:
        first = await inner.step(lambda _: text)
        return await inner.step(lambda _: first)

    return await ctx.run_in_child_context(child, name="child")


@requirement("3-4")
@durable_execution
async def uncaught(_event: Any, ctx: DurableContext) -> None:
    async def child(inner: DurableContext) -> None:
        await inner.step(fail, config=ONCE)

    await ctx.run_in_child_context(child, name="packing")


@requirement("3-5")
@durable_execution
async def caught(text: str, ctx: DurableContext) -> str:
    async def child(inner: DurableContext) -> None:
        await inner.step(fail, config=ONCE)

    try:
        await ctx.run_in_child_context(child)
    except ChildContextError:
        return await ctx.step(lambda _: text)
    return "nothing happened"


@requirement("3-6")
@durable_execution
async def nested(text: str, ctx: DurableContext) -> str:
    async def inner_child(innermost: DurableContext) -> str:
        return await innermost.step(lambda _: text, name="work")

    async def child(inner: DurableContext) -> str:
        return await inner.run_in_child_context(inner_child, name="inner")

    return await ctx.run_in_child_context(child, name="outer")


@requirement("3-7")
@durable_execution
async def retried(text: str, ctx: DurableContext) -> str:
    def work(step: StepContext) -> str:
        if step.attempt == 1:
            raise ValueError("not yet")
        return text

    async def child(inner: DurableContext) -> str:
        return await inner.step(work, config=TWICE)

    return await ctx.run_in_child_context(child, name="child")


@requirement("3-8")
@durable_execution
async def exhausted(_event: Any, ctx: DurableContext) -> None:
    async def child(inner: DurableContext) -> None:
        await inner.step(fail, config=TWICE)

    await ctx.run_in_child_context(child, name="child")


@requirement("3-9")
@durable_execution
async def cached(text: str, ctx: DurableContext) -> str:
    async def child(inner: DurableContext) -> str:
        return await inner.step(lambda _: text)

    result = await ctx.run_in_child_context(child)
    await ctx.wait(SECOND)
    return result


@requirement("3-10")
@durable_execution
async def wait_between_steps(text: str, ctx: DurableContext) -> str:
    async def child(inner: DurableContext) -> str:
        first = await inner.step(lambda _: text, name="before")
        await inner.wait(SECOND)
        return await inner.step(lambda _: f"{first}!", name="after")

    return await ctx.run_in_child_context(child, name="child")


@requirement("3-11")
@durable_execution(log_while_replaying=True)
async def large_result(text: str, ctx: DurableContext) -> int:
    async def child(inner: DurableContext) -> str:
        inner.logger.info("building from %s", text)
        letter = await inner.step(lambda _: "x")
        return letter * 300_000

    result = await ctx.run_in_child_context(child, name="large")
    await ctx.wait(SECOND)
    return len(result)


@requirement("3-12")
@durable_execution
async def crashing(text: str, ctx: DurableContext) -> str:
    def work(step: StepContext) -> str:
        crash_once(step)
        return text

    async def child(inner: DurableContext) -> str:
        return await inner.step(work, name="work")

    return await ctx.run_in_child_context(child, name="child")


@requirement("3-13")
@durable_execution
async def wait_then_outer_step(text: str, ctx: DurableContext) -> str:
    async def child(inner: DurableContext) -> str:
        await inner.wait(SECOND)
        return text

    result = await ctx.run_in_child_context(child, name="child")
    return await ctx.step(lambda _: result)


@requirement("3-14")
@durable_execution
async def custom_serdes(text: str, ctx: DurableContext) -> str:
    async def child(_inner: DurableContext) -> str:
        return text

    return await ctx.run_in_child_context(child, name="child", config=ChildConfig(serdes=Angled()))


@requirement("3-15")
@durable_execution
async def raises_itself(_event: Any, ctx: DurableContext) -> None:
    async def child(_inner: DurableContext) -> None:
        raise ValueError("no step was involved")

    await ctx.run_in_child_context(child, name="child")


@requirement("3-16")
@durable_execution
async def null(_event: Any, ctx: DurableContext) -> None:
    async def child(_inner: DurableContext) -> None:
        return None

    return await ctx.run_in_child_context(child, name="child")


@requirement("3-17")
@durable_execution(log_while_replaying=True)
async def logs_once(text: str, ctx: DurableContext) -> str:
    async def child(inner: DurableContext) -> str:
        inner.logger.info("seen: %s", text)
        return text

    result = await ctx.run_in_child_context(child, name="child")
    await ctx.wait(SECOND)
    return result


@requirement("3-18")
@durable_execution
async def waits_inside_and_after(text: str, ctx: DurableContext) -> str:
    async def child(inner: DurableContext) -> str:
        await inner.wait(SECOND, name="inside")
        return await inner.step(lambda _: text, name="work")

    result = await ctx.run_in_child_context(child, name="child")
    await ctx.wait(timedelta(seconds=2), name="after")
    return result

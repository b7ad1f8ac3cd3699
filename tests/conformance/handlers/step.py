"""Steps: results, retries, semantics."""

from datetime import timedelta
from typing import Any

from durable_execution import (
    DurableContext,
    Jitter,
    RetryPresets,
    StepConfig,
    StepContext,
    StepError,
    StepSemantics,
    durable_execution,
    durable_step,
    exponential_backoff,
)
from durable_execution.serdes import SerDesContext
from tests.conformance.crashing import crash, crash_once
from tests.conformance.registry import requirement

SECOND = timedelta(seconds=1)
ONCE = RetryPresets.none()
EVERY_SECOND = exponential_backoff(max_attempts=4, initial_delay=SECOND, backoff_rate=1, jitter=Jitter.NONE)


class TransientError(Exception):
    """Worth another attempt."""


class Upper:
    """Writes in capitals."""

    def serialize(self, value: str, context: SerDesContext) -> str:
        return value.upper()

    def deserialize(self, data: str, context: SerDesContext) -> str:
        return data


@durable_step
async def greet(_step: StepContext, name: str) -> str:
    return f"Hello, {name}!"


@requirement("1-1")
@durable_execution
async def basic(name: str, ctx: DurableContext) -> str:
    return await ctx.step(lambda _: f"Hello, {name}!")


@requirement("1-2")
@durable_execution
async def named(name: str, ctx: DurableContext) -> str:
    return await ctx.step(greet(name), name="welcome")


@requirement("1-3")
@durable_execution
async def sequential(_event: Any, ctx: DurableContext) -> str:
    first = await ctx.step(lambda _: "first")
    return await ctx.step(lambda _: f"{first}_second")


@requirement("1-4")
@durable_execution
async def nested_object(_event: Any, ctx: DurableContext) -> dict[str, Any]:
    return await ctx.step(lambda _: {"order": {"id": 7, "lines": [{"article": "tea", "gift": True}]}, "note": None})


@requirement("1-5")
@durable_execution
async def null(_event: Any, ctx: DurableContext) -> None:
    return await ctx.step(lambda _: None)


@requirement("1-6")
@durable_execution
async def custom_serdes(_event: Any, ctx: DurableContext) -> str:
    return await ctx.step(lambda _: "hello world", config=StepConfig(serdes=Upper()))


@requirement("1-7")
@durable_execution
async def logging_step(name: str, ctx: DurableContext) -> str:
    async def greet_and_log(step: StepContext) -> str:
        step.logger.info("Greeting step started for: %s", name)
        greeting = f"Hello, {name}!"
        step.logger.info("Greeting step completed with: %s", greeting)
        return greeting

    return await ctx.step(greet_and_log)


@requirement("1-8")
@durable_execution
async def step_then_wait(_event: Any, ctx: DurableContext) -> str:
    async def work(step: StepContext) -> str:
        step.logger.info("step executed")
        return "done"

    result = await ctx.step(work, "work")
    await ctx.wait(SECOND)
    return result


@requirement("1-9")
@durable_execution
async def cached(_event: Any, ctx: DurableContext) -> str:
    async def work(step: StepContext) -> str:
        step.logger.info("step executed")
        return "cached_value"

    result = await ctx.step(work)
    await ctx.wait(SECOND)
    return result


@requirement("1-10")
@durable_execution
async def cached_failure(_event: Any, ctx: DurableContext) -> str:
    async def fail(step: StepContext) -> str:
        step.logger.info("step executed")
        raise ValueError("no such article")

    caught = ""
    try:
        await ctx.step(fail, config=StepConfig(retry_strategy=ONCE))
    except StepError as error:
        caught = f"{error.error_type}: {error}"
    await ctx.wait(SECOND)
    return caught


@requirement("1-11")
@durable_execution
async def retried(_event: Any, ctx: DurableContext) -> str:
    def work(step: StepContext) -> str:
        if step.attempt == 1:
            raise TransientError("not yet")
        return "Operation succeeded"

    return await ctx.step(work, config=StepConfig(retry_strategy=EVERY_SECOND))


@requirement("1-12")
@durable_execution
async def exhausted(_event: Any, ctx: DurableContext) -> None:
    def work(_step: StepContext) -> None:
        raise TransientError("never")

    await ctx.step(work, config=StepConfig(retry_strategy=EVERY_SECOND))


@requirement("1-13")
@durable_execution
async def default_strategy(_event: Any, ctx: DurableContext) -> str:
    def work(step: StepContext) -> str:
        if step.attempt < 3:
            raise TransientError("not yet")
        return "done"

    return await ctx.step(work)


@requirement("1-14")
@durable_execution
async def exact_delays(_event: Any, ctx: DurableContext) -> int:
    def work(step: StepContext) -> int:
        if step.attempt < 3:
            raise TransientError("not yet")
        return step.attempt

    strategy = exponential_backoff(
        max_attempts=3, initial_delay=timedelta(seconds=2), backoff_rate=3, jitter=Jitter.NONE
    )
    return await ctx.step(work, config=StepConfig(retry_strategy=strategy))


@requirement("1-15")
@durable_execution
async def retried_by_type(_event: Any, ctx: DurableContext) -> str:
    def work(step: StepContext) -> str:
        if step.attempt == 1:
            raise TransientError("busy")
        return "done"

    strategy = exponential_backoff(
        max_attempts=3, initial_delay=SECOND, jitter=Jitter.NONE, retryable_errors=[TransientError]
    )
    return await ctx.step(work, config=StepConfig(retry_strategy=strategy))


@requirement("1-16")
@durable_execution
async def not_retryable(_event: Any, ctx: DurableContext) -> None:
    def work(_step: StepContext) -> None:
        raise ValueError("wrong for ever")

    strategy = exponential_backoff(max_attempts=3, initial_delay=SECOND, retryable_errors=[TransientError])
    await ctx.step(work, config=StepConfig(retry_strategy=strategy))


@requirement("1-17")
@durable_execution
async def at_most_once(text: str, ctx: DurableContext) -> None:
    def work(step: StepContext) -> None:
        step.logger.info("working on %s", text)
        crash()

    config = StepConfig(retry_strategy=ONCE, step_semantics=StepSemantics.AT_MOST_ONCE_PER_RETRY)
    await ctx.step(work, "at_most_once_flaky_step", config=config)


@requirement("1-18")
@durable_execution
async def at_most_once_retried(text: str, ctx: DurableContext) -> str:
    def work(step: StepContext) -> str:
        step.logger.info("working on %s", text)
        crash_once(step)
        return "done"

    config = StepConfig(retry_strategy=EVERY_SECOND, step_semantics=StepSemantics.AT_MOST_ONCE_PER_RETRY)
    return await ctx.step(work, "flaky", config=config)


@requirement("1-19")
@durable_execution
async def uncaught(_event: Any, ctx: DurableContext) -> None:
    def work(_step: StepContext) -> None:
        raise RuntimeError("broken")

    await ctx.step(work, config=StepConfig(retry_strategy=ONCE))


@requirement("1-20")
@durable_execution
async def caught(_event: Any, ctx: DurableContext) -> str:
    def work(_step: StepContext) -> None:
        raise RuntimeError("broken")

    try:
        await ctx.step(work, config=StepConfig(retry_strategy=ONCE))
    except StepError as error:
        message = str(error)
        return await ctx.step(lambda _: f"recovered from: {message}")
    return "nothing happened"

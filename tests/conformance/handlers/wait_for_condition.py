"""Conditions that are polled."""

import base64
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from durable_execution import (
    DurableContext,
    Jitter,
    StepContext,
    WaitDecision,
    WaitForConditionConfig,
    durable_execution,
    poll_until,
)
from durable_execution.errors import WaitForConditionError
from durable_execution.retry import WaitStrategy
from durable_execution.serdes import SerDesContext
from tests.conformance.registry import requirement


class Base64:
    """Hides a text from the eye."""

    def serialize(self, value: str, context: SerDesContext) -> str:
        return base64.b64encode(value.encode()).decode()

    def deserialize(self, data: str, context: SerDesContext) -> str:
        return base64.b64decode(data).decode()


def every_second(is_met: Callable[[Any], bool], max_attempts: int = 10) -> WaitStrategy:
    return poll_until(
        is_met, max_attempts=max_attempts, initial_delay=timedelta(seconds=1), backoff_rate=1, jitter=Jitter.NONE
    )


def counting_to(limit: int, initial: int = 0) -> WaitForConditionConfig:
    return WaitForConditionConfig(wait_strategy=every_second(lambda state: state >= limit), initial_state=initial)


async def count(state: int, _step: StepContext) -> int:
    return state + 1


async def fail(_state: Any, _step: StepContext) -> Any:
    raise ValueError("cannot look")


@requirement("6-1")
@durable_execution
async def basic(threshold: int, ctx: DurableContext) -> int:
    return await ctx.wait_for_condition(count, config=counting_to(threshold))


@requirement("6-2")
@durable_execution
async def met_at_once(_event: Any, ctx: DurableContext) -> int:
    return await ctx.wait_for_condition(count, config=counting_to(1))


@requirement("6-3")
@durable_execution
async def named(threshold: int, ctx: DurableContext) -> int:
    return await ctx.wait_for_condition(count, "poll-status", config=counting_to(threshold))


@requirement("6-4")
@durable_execution
async def initial_state(_event: Any, ctx: DurableContext) -> int:
    return await ctx.wait_for_condition(count, config=counting_to(12, initial=10))


@requirement("6-5")
@durable_execution
async def fixed_delay(threshold: int, ctx: DurableContext) -> int:
    def decide(state: int, _attempts: int) -> WaitDecision:
        return WaitDecision.done() if state >= threshold else WaitDecision.check_again(timedelta(seconds=2))

    config = WaitForConditionConfig(wait_strategy=decide, initial_state=0)
    return await ctx.wait_for_condition(count, config=config)


@requirement("6-6")
@durable_execution
async def exhausted(_event: Any, ctx: DurableContext) -> int:
    config = WaitForConditionConfig(wait_strategy=every_second(lambda _: False, max_attempts=2), initial_state=0)
    return await ctx.wait_for_condition(count, config=config)


@requirement("6-7")
@durable_execution
async def check_raises(_event: Any, ctx: DurableContext) -> Any:
    return await ctx.wait_for_condition(fail, config=counting_to(1))


@requirement("6-8")
@durable_execution
async def check_raises_caught(_event: Any, ctx: DurableContext) -> str:
    try:
        await ctx.wait_for_condition(fail, config=counting_to(1))
    except WaitForConditionError as error:
        return f"caught {error.error_type}: {error}"
    return "nothing happened"


@requirement("6-9")
@durable_execution
async def object_state(_event: Any, ctx: DurableContext) -> Any:
    async def check(state: dict[str, Any], _step: StepContext) -> dict[str, Any]:
        attempts = state["attempts"] + 1
        return {"status": "DONE" if attempts == 2 else "PENDING", "attempts": attempts}

    config = WaitForConditionConfig(
        wait_strategy=every_second(lambda state: state["status"] == "DONE"),
        initial_state={"status": "PENDING", "attempts": 0},
    )
    return await ctx.wait_for_condition(check, config=config)


@requirement("6-10")
@durable_execution
async def null_state(_event: Any, ctx: DurableContext) -> Any:
    async def check(_state: None, _step: StepContext) -> None:
        return None

    config = WaitForConditionConfig(wait_strategy=every_second(lambda state: state is None))
    return await ctx.wait_for_condition(check, config=config)


@requirement("6-11")
@durable_execution
async def custom_serdes(_event: Any, ctx: DurableContext) -> str:
    async def check(state: str, _step: StepContext) -> str:
        return state + "x"

    config = WaitForConditionConfig(
        wait_strategy=every_second(lambda state: len(state) >= 2), initial_state="", serdes=Base64()
    )
    return await ctx.wait_for_condition(check, config=config)


@requirement("6-12")
@durable_execution
async def feeds_a_step(_event: Any, ctx: DurableContext) -> str:
    polled = await ctx.wait_for_condition(count, config=counting_to(2))
    return await ctx.step(lambda _: f"polled {polled}")


@requirement("6-13")
@durable_execution
async def in_sequence(_event: Any, ctx: DurableContext) -> int:
    first = await ctx.wait_for_condition(count, config=counting_to(2))
    return await ctx.wait_for_condition(count, config=counting_to(4, initial=first))

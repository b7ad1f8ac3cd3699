"""Workflows that the tests of the runners run."""

from datetime import timedelta
from typing import Any

from durable_execution import (
    BatchResult,
    CallbackConfig,
    DurableContext,
    StepConfig,
    StepContext,
    WaitForCallbackConfig,
    WaitForConditionConfig,
    durable_execution,
    durable_step,
)
from durable_execution.retry import Jitter, RetryPresets, exponential_backoff, poll_until

HOUR = timedelta(hours=1)
THREE_TIMES = StepConfig(
    retry_strategy=exponential_backoff(initial_delay=timedelta(seconds=2), backoff_rate=3, jitter=Jitter.NONE)
)


@durable_step
async def charge(step: StepContext, order: str) -> dict[str, str]:
    return {"payment": f"pay_{order}"}


@durable_execution
async def process_order(payload: dict[str, Any], ctx: DurableContext) -> str:
    """A step, a wait, a step."""
    paid = await ctx.step(charge(payload["id"]))
    await ctx.wait(HOUR, "cooling_off")
    return await ctx.step(lambda step: f"shipped {paid['payment']}", "ship")


def count_up(state: int, step: StepContext) -> int:
    return state + 1


@durable_execution
async def everything(payload: dict[str, Any], ctx: DurableContext) -> list[Any]:
    """One operation of every kind."""

    def flaky(step: StepContext) -> int:
        if step.attempt < 3:
            raise ConnectionError(f"attempt {step.attempt}")
        return step.attempt

    async def price(child: DurableContext, item: int) -> int:
        return await child.step(lambda step: item * 10, "look up")

    async def nested(child: DurableContext) -> str:
        await child.step(lambda step: None, "look up")
        return "nested"

    attempts = await ctx.step(flaky, "flaky", config=THREE_TIMES)
    prices: BatchResult[int] = await ctx.map([1, 2], price, "prices")
    await ctx.run_in_child_context(nested, "child")
    polled = await ctx.wait_for_condition(
        count_up,
        "poll",
        config=WaitForConditionConfig(wait_strategy=poll_until(lambda state: state == 3), initial_state=0),
    )
    echoed = await ctx.invoke("echo", {"polled": polled}, name="ask")
    approval = await ctx.wait_for_callback(
        lambda callback_id, step: None,
        "approval",
        config=WaitForCallbackConfig(timeout=24 * HOUR, heartbeat_timeout=2 * HOUR),
    )
    return [attempts, prices.get_results(), polled, echoed, approval]


@durable_execution
async def asks(payload: dict[str, Any], ctx: DurableContext) -> Any:
    """Waits for as many callbacks as it is told to."""
    callbacks = [
        await ctx.create_callback(name, config=CallbackConfig(timeout=payload.get("timeout") and HOUR))
        for name in payload.get("names", ["answer"])
    ]
    return [await callback.result() for callback in callbacks]


@durable_execution
async def fails(payload: dict[str, Any], ctx: DurableContext) -> None:
    """A step that fails for good."""

    def fail(step: StepContext) -> None:
        raise ValueError("no such card")

    await ctx.step(fail, "charge", config=StepConfig(retry_strategy=RetryPresets.none()))


def echo(event: Any, lambda_context: Any) -> Any:
    """A plain function."""
    return event

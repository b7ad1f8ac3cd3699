"""Several states at once, recorded on the local engine: what is over or left behind is not named as the reason."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from durable_execution import (
    CallbackConfig,
    CompletionConfig,
    DurableContext,
    MapConfig,
    WaitForConditionConfig,
    WithRetryConfig,
    poll_until,
)
from durable_execution.errors import CallbackTimeoutError, InvocationError, StepError
from durable_execution.explain import StateKind
from durable_execution.local import LocalEngine
from durable_execution.retry import Jitter, exponential_backoff
from tests.explain.test_further_states import ONCE, PATIENT, Further, explained, fails, one

K = StateKind
HOUR = timedelta(hours=1)


async def answer(ctx: DurableContext, name: str) -> Any:
    return await (await ctx.create_callback(name)).result()


async def retry_beside_a_callback(_: Any, ctx: DurableContext) -> Any:
    return await asyncio.gather(ctx.step(fails, "charge", config=PATIENT), answer(ctx, "approval"))


async def retry_beside_a_timer(_: Any, ctx: DurableContext) -> Any:
    return await asyncio.gather(ctx.step(fails, "charge", config=PATIENT), ctx.wait(timedelta(minutes=5), "tea"))


async def timer_after_a_lost_callback(_: Any, ctx: DurableContext) -> Any:
    callback = await ctx.create_callback("approval", config=CallbackConfig(timeout=HOUR))
    try:
        return await callback.result()
    except CallbackTimeoutError:
        await ctx.wait(5 * HOUR, "grace")


async def map_that_failed_in_part(_: Any, ctx: DurableContext) -> Any:
    async def item(child: DurableContext, number: int, _index: int) -> Any:
        if number < 2:
            raise ValueError(f"bad {number}")
        return await answer(child, "sign")

    some = MapConfig(completion_config=CompletionConfig(tolerated_failure_count=3))
    return await ctx.map([0, 1, 2, 3], item, "items", config=some)


async def loser_of_a_race(_: Any, ctx: DurableContext) -> Any:
    async def slow() -> Any:
        return await answer(ctx, "slow")

    await ctx.race(slow(), ctx.step(one, "fast"))
    await ctx.wait(HOUR, "cool")


async def enough_items(_: Any, ctx: DurableContext) -> Any:
    async def item(child: DurableContext, number: int, _index: int) -> Any:
        return await (child.step(fails, "late", config=PATIENT) if number else child.step(one, "fast"))

    first = MapConfig(completion_config=CompletionConfig(min_successful=1))
    await ctx.map([0, 1, 2], item, "items", config=first)
    await ctx.wait(HOUR, "cool")


async def retried_block(_: Any, ctx: DurableContext) -> Any:
    async def block(child: DurableContext, _attempt: int) -> Any:
        return await child.step(fails, "book", config=ONCE)

    strategy = exponential_backoff(max_attempts=5, initial_delay=timedelta(minutes=4), jitter=Jitter.NONE)
    return await ctx.with_retry(block, "trip", config=WithRetryConfig(retry_strategy=strategy))


async def storm_that_ended(_: Any, ctx: DurableContext) -> Any:
    async def flaky(step: Any) -> int:
        if step.attempt < 12:
            raise ConnectionError("gateway is down")
        return 1

    await ctx.step(flaky, "sync", config=PATIENT)
    await ctx.wait(HOUR, "rest")


async def other_error_after_a_caught_one(_: Any, ctx: DurableContext) -> Any:
    try:
        await ctx.step(fails, "charge", config=ONCE)
    except StepError:
        await ctx.step(one, "note")
    empty: dict[str, int] = {}
    return empty["customer"]


async def failing_to_the_end(_: Any, ctx: DurableContext) -> Any:
    await ctx.step(one, "first")
    raise InvocationError("database is locked")


async def condition_beside_a_finished_retry(_: Any, ctx: DurableContext) -> Any:
    async def look(state: int, _step: Any) -> int:
        return state + 1

    async def flaky(step: Any) -> int:
        if step.attempt < 2:
            raise ConnectionError("gateway is down")
        return 1

    polling = WaitForConditionConfig(
        wait_strategy=poll_until(lambda state: state > 50, initial_delay=HOUR, max_delay=HOUR), initial_state=0
    )
    return await asyncio.gather(ctx.wait_for_condition(look, "ready", config=polling), ctx.step(flaky, "sync"))


async def raise_beside_an_open_callback(_: Any, ctx: DurableContext) -> Any:
    async def sign() -> Any:
        return await answer(ctx, "sign")

    try:
        await ctx.all(ctx.step(fails, "book", config=ONCE), sign())
    except StepError:
        raise ValueError("cannot ship") from None


async def chain_to_a_retry(_: Any, ctx: DurableContext) -> Any:
    await asyncio.gather(ctx.invoke("middle", {}, "hand_over"), ctx.wait(timedelta(minutes=1), "tea"))


async def any_with_one_failure(_: Any, ctx: DurableContext) -> Any:
    async def sign() -> Any:
        return await answer(ctx, "sign")

    await ctx.any(ctx.step(fails, "book", config=ONCE), sign())


async def retry_after_many(_: Any, ctx: DurableContext) -> Any:
    await asyncio.gather(ctx.step(one, "a"), ctx.step(fails, "charge", config=PATIENT))


def later(hours: float) -> Any:
    def act(engine: LocalEngine, _arn: str) -> None:
        engine.advance(hours * HOUR)
        engine.run_until_idle(skips="nothing")

    return act


def stop(engine: LocalEngine, arn: str) -> None:
    engine.client.stop_durable_execution(DurableExecutionArn=arn)


SEVERAL = {
    "retry beside a callback": (Further(retry_beside_a_callback, K.WAITING_FOR_CALLBACK, "approval", ("retry orders/charge",)), ()),
    "retry beside a timer": (Further(retry_beside_a_timer, K.RETRY_PENDING, "charge", ("attempt 2", "gateway is down")), ()),
    "timer after a lost callback": (Further(timer_after_a_lost_callback, K.WAITING_FOR_TIMER, "grace", act=later(2)), ("approval",)),
    "map that failed in part": (Further(map_that_failed_in_part, K.WAITING_FOR_CALLBACK, "items#2/sign", kinds=("callback", "callback")), ("bad",)),
    "loser of a race": (Further(loser_of_a_race, K.WAITING_FOR_TIMER, "cool", ("due in 1 h",), kinds=("timer",)), ("slow",)),
    "enough items": (Further(enough_items, K.WAITING_FOR_TIMER, "cool", kinds=("timer",)), ("late", "gateway")),
    "block that is retried": (Further(retried_block, K.RETRY_PENDING, "trip", ("attempt 2 of orders/trip, due in 4 min", "the last call in it failed with ConnectionError"), kinds=("retry",)), ("backoff",)),
    "stopped in a retried block": (Further(retried_block, K.STOPPED, "trip", ("orders/trip had failed 1 time",), act=stop), ()),
    "storm that ended": (Further(storm_that_ended, K.SUCCEEDED_WITH_ODDITIES, None, ("took 12 attempts",), skips="everything"), ("after it could",)),
    "other error after a caught one": (Further(other_error_after_a_caught_one, K.FAILED, "handler", ("KeyError",)), ("gateway",)),
    "failing to the end": (Further(failing_to_the_end, K.FAILED, "handler", ("database is locked",), skips="everything"), ("first",)),
    "condition beside a finished retry": (Further(condition_beside_a_finished_retry, K.RETRY_PENDING, "ready", ("next check",), act=later(0.01)), ("gateway",)),
    "raise beside an open callback": (Further(raise_beside_an_open_callback, K.FAILED, "handler", ("cannot ship",)), ("sign", "gateway")),
    "chain beside a timer": (Further(chain_to_a_retry, K.WAITING_FOR_INVOKE, "hand_over", kinds=("invoke", "timer")), ()),
    "any with one failure": (Further(any_with_one_failure, K.WAITING_FOR_CALLBACK, "sign", kinds=("callback",)), ("gateway",)),
    "retry after many": (Further(retry_after_many, K.RETRY_PENDING, "charge", ("attempt 9",), act=later(0.6)), ()),
}  # fmt: skip


@pytest.mark.parametrize("title", SEVERAL)
def test_the_state_is_named_and_nothing_else(title: str) -> None:
    further, never = SEVERAL[title]
    found = explained(further)
    assert found.state is further.state, found.text
    if further.place is not None:
        assert found.place is not None
        assert found.place.path.endswith(further.place), found.place
    for text in further.says:
        assert text in found.text, found.text
    for text in never:
        assert text not in found.text.replace("reason", ""), found.text
    if further.kinds:
        assert sorted(call.kind for call in found.waiting) == sorted(further.kinds)

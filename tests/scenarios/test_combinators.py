"""`ctx.all`, `any`, `race` and `all_settled`: who decided is recorded, so a replay agrees."""

from datetime import timedelta
from typing import Any

import pytest

from durable_execution import DurableContext, RetryPresets, StepConfig, StepContext
from durable_execution.protocol import ExecutionStatus
from tests.scenarios.bodies import notes
from tests.scenarios.scenario import Scenario

MINUTE = timedelta(minutes=1)
ONCE = StepConfig(retry_strategy=RetryPresets.none())


def after(ctx: DurableContext, minutes: int, outcome: str | Exception) -> Any:
    """An operation that ends after some minutes with a value or an error."""

    async def child(inner: DurableContext) -> str:
        if minutes:
            await inner.wait(minutes * MINUTE)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return ctx.run_in_child_context(child)


def test_all_gives_every_value_in_order(async_scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> list[str]:
        values = await ctx.all(after(ctx, 3, "a"), after(ctx, 1, "b"), ctx.step(lambda _: "c"), name="every")
        await ctx.wait(MINUTE)
        return values  # type: ignore[return-value]

    ended = async_scenario.run(workflow)
    assert ended.result == ["a", "b", "c"]
    assert "StepSucceeded every" in async_scenario.happened(ended.arn)


def test_all_raises_the_first_error_at_once_and_again_on_replay(async_scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> list[str]:
        start, caught = await ctx.now(), ""
        try:
            await ctx.all(after(ctx, 60, "late"), after(ctx, 2, ValueError("second")), after(ctx, 1, OSError("first")))
        except OSError as error:
            caught = str(error)
        took = (await ctx.now() - start) / MINUTE
        await ctx.wait(120 * MINUTE)
        return [caught, str(took)]

    assert async_scenario.result(workflow) == ["first", "1.0"]


def test_race_gives_whoever_ends_first_and_the_same_on_replay(async_scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> str:
        winner: str = await ctx.race(after(ctx, 2, "slow"), after(ctx, 1, "quick"), name="race")
        await ctx.wait(5 * MINUTE)
        again: str = await ctx.race(after(ctx, 1, "second"), ctx.step(lambda _: "at once"))
        return f"{winner}, {again}"

    assert async_scenario.result(workflow) == "quick, at once"


def test_race_raises_an_error_that_comes_first(async_scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> str:
        caught = ""
        try:
            await ctx.race(after(ctx, 2, "slow"), after(ctx, 1, ValueError("quick")))
        except ValueError as error:
            caught = str(error)
        await ctx.wait(5 * MINUTE)
        return caught

    assert async_scenario.result(workflow) == "quick"


def test_race_against_a_timeout(async_scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> str:
        callback = await ctx.create_callback("approval")

        async def give_up(inner: DurableContext) -> str:
            await inner.wait(MINUTE)
            return "nobody answered"

        answer: str = await ctx.race(callback.result(), ctx.run_in_child_context(give_up))
        await ctx.wait(MINUTE)
        return answer

    arn = async_scenario.start(workflow)
    assert async_scenario.ended(arn).result == "nobody answered"
    arn = async_scenario.start(workflow)
    async_scenario.answer(arn, "approval", "yes")
    assert async_scenario.ended(arn).result == '"yes"'


def test_any_gives_the_first_success(async_scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> str:
        winner: str = await ctx.any(after(ctx, 1, OSError("down")), after(ctx, 3, "slow"), after(ctx, 2, "quick"))
        await ctx.wait(5 * MINUTE)
        return winner

    assert async_scenario.result(workflow) == "quick"


def test_any_raises_every_error_when_there_is_no_success(async_scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> list[str]:
        caught: list[str] = []
        try:
            await ctx.any(after(ctx, 2, ValueError("b")), after(ctx, 1, OSError("a")), name="any")
        except ExceptionGroup as group:
            caught = [str(error) for error in group.exceptions]
        await ctx.wait(MINUTE)
        return caught

    assert async_scenario.result(workflow) == ["b", "a"]


def test_all_settled_tells_how_each_ended(async_scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> list[Any]:
        outcomes = await ctx.all_settled(after(ctx, 2, "a"), after(ctx, 1, ValueError("b")), ctx.step(lambda _: "c"))
        await ctx.wait(MINUTE)
        return [[outcome.is_success, outcome.value or str(outcome.error)] for outcome in outcomes]

    assert async_scenario.result(workflow) == [[True, "a"], [False, "b"], [True, "c"]]


def test_losers_do_nothing_any_more(async_scenario: Scenario) -> None:
    bodies: list[str] = []

    async def workflow(_event: Any, ctx: DurableContext) -> str:
        async def loser(inner: DurableContext) -> str:
            await inner.wait(3 * MINUTE)
            return await inner.step(notes(bodies, "ran", "loser"))

        winner: str = await ctx.race(ctx.run_in_child_context(loser), after(ctx, 1, "winner"))
        await ctx.wait(10 * MINUTE)
        return winner

    assert async_scenario.result(workflow) == "winner"
    assert bodies == []


@pytest.mark.parametrize("kind", ["all", "all_settled"])
def test_nothing_to_wait_for(async_scenario: Scenario, kind: str) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> list[Any]:
        found: list[Any] = await getattr(ctx, kind)()
        await ctx.wait(MINUTE)
        return found

    assert async_scenario.result(workflow) == []


@pytest.mark.parametrize("kind", ["race", "any"])
def test_nothing_to_choose_from_is_refused(async_scenario: Scenario, kind: str) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> Any:
        return await getattr(ctx, kind)()

    ended = async_scenario.run(workflow)
    assert ended.status is ExecutionStatus.FAILED
    assert ended.error is not None
    assert f"ctx.{kind} needs at least one awaitable" in (ended.error.message or "")


def test_an_error_that_ends_the_execution_is_nobody_s_to_lose(async_scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> Any:
        async def impossible(step: StepContext) -> object:
            return object()

        return await ctx.any(ctx.step(impossible, "impossible", config=ONCE), after(ctx, 1, "fine"))

    ended = async_scenario.run(workflow)
    assert ended.status in {ExecutionStatus.SUCCEEDED, ExecutionStatus.FAILED}
    assert ended.result == "fine"

"""What code may read, or be changed by, without leaving its path."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from durable_execution import DurableContext
from durable_execution.protocol import ExecutionStatus
from tests.scenarios.scenario import FUNCTION, Scenario

MINUTE = timedelta(minutes=1)


def test_the_time_is_that_of_the_first_run(scenario: Scenario) -> None:
    seen: list[datetime] = []

    async def workflow(_event: Any, ctx: DurableContext) -> str:
        now = await ctx.now()
        seen.append(now)
        await ctx.wait(MINUTE)
        return now.isoformat()

    result = scenario.result(workflow)
    assert [moment.isoformat() for moment in seen] == [result, result]
    assert seen[0].tzinfo is UTC or seen[0].utcoffset() == timedelta(0)


def test_uuids_and_random_numbers_are_drawn_again(scenario: Scenario) -> None:
    seen: list[list[Any]] = []

    async def workflow(_event: Any, ctx: DurableContext) -> list[Any]:
        async def child(inner: DurableContext) -> str:
            return str(inner.uuid())

        drawn = [str(ctx.uuid()), str(ctx.uuid()), ctx.random().random(), ctx.random().random()]
        drawn += [ctx.random().choice("abcdefgh"), await ctx.run_in_child_context(child)]
        seen.append(drawn)
        await ctx.wait(MINUTE)
        return drawn

    first = scenario.result(workflow)
    assert seen == [first, first]
    assert len(set(map(str, first))) == len(first)
    assert UUID(first[0]).version == 4
    assert scenario.result(workflow) != first


def before_change(bodies: list[str]) -> Any:
    async def workflow(_event: Any, ctx: DurableContext) -> str:
        await ctx.step(lambda _: bodies.append("reserve"), "reserve")
        await ctx.wait(MINUTE, "pause")
        return await ctx.step(lambda _: "shipped", "ship")

    return workflow


def after_change(bodies: list[str]) -> Any:
    async def workflow(_event: Any, ctx: DurableContext) -> str:
        if ctx.patched("check-stock-first"):
            await ctx.step(lambda _: bodies.append("check"), "check stock")
        await ctx.step(lambda _: bodies.append("reserve"), "reserve")
        await ctx.wait(MINUTE, "pause")
        if ctx.patched("insure"):
            await ctx.step(lambda _: bodies.append("insure"), "insure")
        return await ctx.step(lambda _: "shipped", "ship")

    return workflow


def test_an_execution_in_flight_keeps_to_its_path_and_takes_changes_that_lie_ahead(scenario: Scenario) -> None:
    bodies: list[str] = []
    arn = scenario.start(before_change(bodies))
    scenario.engine.run_until_idle(skips="nothing")
    scenario.engine.register(FUNCTION, scenario.handler(after_change(bodies)))
    assert scenario.ended(arn).result == "shipped"
    assert bodies == ["reserve", "insure"]


def test_a_new_execution_runs_with_every_change(scenario: Scenario) -> None:
    bodies: list[str] = []
    assert scenario.result(after_change(bodies)) == "shipped"
    assert bodies == ["check", "reserve", "insure"]


def test_without_the_question_the_change_is_a_nondeterminism(scenario: Scenario) -> None:
    bodies: list[str] = []

    async def changed(_event: Any, ctx: DurableContext) -> str:
        await ctx.step(lambda _: bodies.append("check"), "check stock")
        await ctx.step(lambda _: bodies.append("reserve"), "reserve")
        await ctx.wait(MINUTE, "pause")
        return await ctx.step(lambda _: "shipped", "ship")

    arn = scenario.start(before_change(bodies))
    scenario.engine.run_until_idle(skips="nothing")
    scenario.engine.register(FUNCTION, scenario.handler(changed))
    ended = scenario.ended(arn)
    assert ended.status is ExecutionStatus.FAILED
    assert ended.error is not None
    assert ended.error.type == "durable_execution.errors.NondeterminismError"


def test_the_answer_never_varies_within_a_context(scenario: Scenario) -> None:
    answers: list[list[bool]] = []

    async def asks(_event: Any, ctx: DurableContext) -> None:
        first = ctx.patched("change")
        await ctx.wait(MINUTE)
        answers.append([first, ctx.patched("change")])

    scenario.result(asks)
    assert answers == [[True, True]]

"""Waits suspend the execution; whoever waits at the same time is woken in turn."""

from datetime import timedelta
from typing import Any

import pytest

from durable_execution import DurableContext, StepContext
from durable_execution.protocol import ExecutionStatus
from tests.scenarios.scenario import Scenario


def test_a_wait_takes_its_time(scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> list[str]:
        before = await ctx.now()
        await ctx.wait(timedelta(days=30))
        after = await ctx.now()
        return [before.isoformat(), str(after - before)]

    ended = scenario.run(workflow)
    assert ended.result[1] == "30 days, 0:00:00"
    assert scenario.invocations(ended.arn) == 2


def test_parts_of_seconds_are_rounded_up(scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> None:
        await ctx.wait(timedelta(seconds=1, milliseconds=1))

    ended = scenario.run(workflow)
    started = next(event for event in scenario.history(ended.arn) if event["EventType"] == "WaitStarted")
    assert started["WaitStartedDetails"]["Duration"] == 2


@pytest.mark.parametrize("seconds", [0, 0.5, -1, 366 * 86_400 + 1])
def test_a_duration_the_service_does_not_take_is_refused(scenario: Scenario, seconds: float) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> None:
        await ctx.wait(timedelta(seconds=seconds))

    ended = scenario.run(workflow)
    assert ended.status is ExecutionStatus.FAILED
    assert ended.error is not None
    assert "1 second to 366 days" in (ended.error.message or "")
    assert "WaitStarted" not in scenario.happened(ended.arn)


def test_a_number_of_seconds_is_not_a_duration(scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> None:
        await ctx.wait(5)  # type: ignore[arg-type]

    ended = scenario.run(workflow)
    assert ended.error is not None
    assert "timedelta(seconds=...)" in (ended.error.message or "")


def test_a_step_runs_between_waits_and_only_once(scenario: Scenario) -> None:
    bodies: list[str] = []

    async def workflow(_event: Any, ctx: DurableContext) -> str:
        async def work(_step: StepContext) -> str:
            bodies.append("ran")
            return "done"

        await ctx.wait(timedelta(seconds=1))
        result = await ctx.step(work)
        await ctx.wait(timedelta(seconds=1))
        await ctx.wait(timedelta(seconds=1))
        return result

    ended = scenario.run(workflow)
    assert ended.result == "done"
    assert bodies == ["ran"]
    assert scenario.invocations(ended.arn) == 4

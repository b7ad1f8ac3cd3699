"""What goes on after its context has ended leaves no trace."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from durable_execution import CompletionConfig, DurableContext, MapConfig, NestingType, ParallelConfig, StepContext
from tests.scenarios.bodies import gives
from tests.scenarios.scenario import Scenario

MINUTE = timedelta(minutes=1)
FIRST = CompletionConfig.first_successful()


@pytest.mark.parametrize("nesting", NestingType, ids=lambda nesting: nesting.value)
def test_branches_left_behind_store_nothing_any_more(scenario: Scenario, nesting: NestingType) -> None:
    bodies: list[str] = []

    async def workflow(_event: Any, ctx: DurableContext) -> list[Any]:
        async def item(inner: DurableContext, number: int, _index: int) -> int:
            if number:
                await inner.wait(number * MINUTE, f"wait {number}")
                await inner.step(lambda _: bodies.append(f"late {number}"), f"late {number}")
            return number

        batch = await ctx.map([0, 1, 2], item, "race", config=MapConfig(completion_config=FIRST, nesting_type=nesting))
        await ctx.wait(10 * MINUTE, "long")
        return batch.get_results()

    ended = scenario.run(workflow)
    assert ended.result == [0]
    assert bodies == []
    happened = scenario.happened(ended.arn)
    assert not [event for event in happened if "late" in event]


def test_a_step_that_runs_when_its_batch_is_complete_is_not_stored(async_scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> list[Any]:
        running, done = asyncio.Event(), asyncio.Event()

        async def slow(inner: DurableContext) -> str:
            async def body(_step: StepContext) -> str:
                running.set()
                await done.wait()
                return "slow"

            return await inner.step(body, "slow")

        async def quick(inner: DurableContext) -> str:
            async def body(_step: StepContext) -> str:
                await running.wait()
                return "quick"

            return await inner.step(body, "quick")

        batch = await ctx.parallel([slow, quick], "race", config=ParallelConfig(completion_config=FIRST))
        done.set()
        await asyncio.sleep(0)
        await ctx.wait(MINUTE)
        return batch.get_results()

    ended = async_scenario.run(workflow)
    assert ended.result == ["quick"]
    assert "StepSucceeded slow" not in async_scenario.happened(ended.arn)


def test_a_task_left_running_in_a_context_cannot_store(async_scenario: Scenario) -> None:
    seen: list[str] = []

    async def workflow(_event: Any, ctx: DurableContext) -> str:
        async def child(inner: DurableContext) -> str:
            async def forgotten() -> None:
                await asyncio.sleep(0)
                try:
                    await inner.step(gives(1), "orphan")
                except Exception as error:
                    seen.append(str(error))
                    raise

            tasks.append(asyncio.create_task(forgotten()))
            return "done"

        tasks: list[asyncio.Task[None]] = []
        result = await ctx.run_in_child_context(child, "child")
        await asyncio.wait(tasks)
        tasks[0].exception()
        return result

    ended = async_scenario.run(workflow)
    assert ended.result == "done"
    assert len(seen) == 1
    assert "continued after its context workflow/child had ended" in seen[0]
    assert "StepStarted orphan" not in async_scenario.happened(ended.arn)


def test_a_thread_left_behind_is_unwound(blocking_scenario: Scenario) -> None:
    cleaned: list[str] = []

    async def workflow(_event: Any, ctx: DurableContext) -> list[Any]:
        async def item(inner: DurableContext, number: int, _index: int) -> int:
            try:
                if number:
                    await inner.wait(60 * MINUTE)
            finally:
                cleaned.append(str(number))
            return number

        batch = await ctx.map([0, 1], item, config=MapConfig(completion_config=FIRST))
        await ctx.wait(MINUTE)
        return batch.get_results()

    assert blocking_scenario.result(workflow) == [0]
    assert cleaned[0] == "0"
    assert "1" in cleaned

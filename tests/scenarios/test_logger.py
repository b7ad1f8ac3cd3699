"""The context's logger is silent while replaying, and speaks from the right operation on."""

import asyncio
import logging
from datetime import timedelta
from typing import Any

import pytest

from durable_execution import ChildConfig, DurableContext, MapConfig, NestingType, StepContext
from tests.scenarios.scenario import Scenario

MINUTE = timedelta(minutes=1)


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, logger="durable_execution.user")
    return caplog


def messages(log: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in log.records if record.name == "durable_execution.user"]


async def talkative(_event: Any, ctx: DurableContext) -> None:
    ctx.logger.info("before the step")

    async def work(step: StepContext) -> None:
        step.logger.info("in the step")

    await ctx.step(work, "work")
    ctx.logger.info("after the step")
    await ctx.wait(MINUTE)
    ctx.logger.info("after the first wait")
    await ctx.wait(MINUTE)
    ctx.logger.info("after the second wait")


def test_every_line_is_written_once(scenario: Scenario, log: pytest.LogCaptureFixture) -> None:
    scenario.result(talkative)
    assert messages(log) == [
        "before the step",
        "in the step",
        "after the step",
        "after the first wait",
        "after the second wait",
    ]


def test_every_line_is_written_every_time_if_one_wants_that(scenario: Scenario, log: pytest.LogCaptureFixture) -> None:
    scenario.result(talkative, log_while_replaying=True)
    assert messages(log).count("before the step") == 3
    assert messages(log).count("after the first wait") == 2
    assert messages(log).count("in the step") == 1


def test_a_logger_of_ones_own_is_used(scenario: Scenario, log: pytest.LogCaptureFixture) -> None:
    log.set_level(logging.INFO, logger="shop")
    scenario.result(talkative, logger=logging.getLogger("shop"))
    assert {record.name for record in log.records if record.levelno == logging.INFO} == {"shop"}


def test_records_say_where_they_come_from(scenario: Scenario, log: pytest.LogCaptureFixture) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> None:
        async def work(step: StepContext) -> None:
            step.logger.info("in the step", extra={"shelf": 7})

        async def child(inner: DurableContext) -> None:
            inner.logger.info("in the child")
            await inner.step(work, "work")

        await ctx.run_in_child_context(child, "child")

    ended = scenario.run(workflow)
    in_child, in_step = (record.__dict__ for record in log.records if record.name == "durable_execution.user")
    assert in_child["executionArn"] == in_step["executionArn"] == ended.arn
    assert (in_child["operationName"], in_child["operationPath"]) == ("child", "workflow/child")
    assert (in_step["operationName"], in_step["operationPath"]) == ("work", "workflow/child/work")
    assert (in_step["attempt"], in_step["shelf"], in_step["parentId"]) == (1, 7, in_child["operationId"])


def test_a_context_that_goes_on_speaks_while_others_still_replay(
    scenario: Scenario, log: pytest.LogCaptureFixture
) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> None:
        async def branch(inner: DurableContext, minutes: int, _index: int) -> None:
            inner.logger.info("%s: started", minutes)
            await inner.wait(minutes * MINUTE)
            inner.logger.info("%s: waited", minutes)
            await inner.wait(MINUTE)
            inner.logger.info("%s: done", minutes)

        await ctx.map([1, 3], branch, "branches")
        ctx.logger.info("all done")

    scenario.result(workflow)
    said = messages(log)
    assert sorted(said[:2]) == ["1: started", "3: started"]  # blocking branches start in threads, so in either order
    assert said[2:] == ["1: waited", "1: done", "3: waited", "3: done", "all done"]


def test_flat_and_virtual_contexts_are_silent_as_well(scenario: Scenario, log: pytest.LogCaptureFixture) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> None:
        async def branch(inner: DurableContext, item: str, _index: int) -> None:
            inner.logger.info("%s: first", item)
            await inner.step(lambda _: None)
            inner.logger.info("%s: second", item)
            await inner.wait(MINUTE)
            inner.logger.info("%s: third", item)

        async def child(inner: DurableContext) -> None:
            await branch(inner, "child", 0)

        await ctx.map(["flat"], branch, config=MapConfig(nesting_type=NestingType.FLAT))
        await ctx.run_in_child_context(child, config=ChildConfig(is_virtual=True))

    scenario.result(workflow)
    lines = [f"{name}: {line}" for name in ("flat", "child") for line in ("first", "second", "third")]
    assert [line for line in messages(log) if line.startswith("child")] == lines[3:]
    assert [line for line in messages(log) if line.startswith("flat")] == lines[:3]


def test_tasks_are_silent_each_for_itself(async_scenario: Scenario, log: pytest.LogCaptureFixture) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> None:
        async def pipeline(minutes: int) -> None:
            ctx.logger.info("%s: started", minutes)
            await ctx.wait(minutes * MINUTE)
            ctx.logger.info("%s: waited", minutes)

        await asyncio.gather(pipeline(1), pipeline(2))
        ctx.logger.info("all done")

    async_scenario.result(workflow)
    assert messages(log) == ["1: started", "2: started", "1: waited", "2: waited", "all done"]


def test_code_can_ask_whether_it_replays(scenario: Scenario) -> None:
    seen: list[bool] = []

    async def workflow(_event: Any, ctx: DurableContext) -> None:
        seen.append(ctx.is_replaying)
        await ctx.wait(MINUTE)
        seen.append(ctx.is_replaying)

    scenario.result(workflow)
    assert seen == [False, True, False]

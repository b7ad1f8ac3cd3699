"""Maps and parallels: how many at once, when it is enough, what comes of it, nested and flat."""

from datetime import timedelta
from typing import Any

import pytest

from durable_execution import (
    BatchResult,
    CompletionConfig,
    CompletionDecision,
    CompletionOutcome,
    CompletionStatus,
    DurableContext,
    MapConfig,
    NestingType,
    ParallelBranch,
    ParallelConfig,
    StepContext,
)
from durable_execution.errors import BatchError, ChildContextError
from durable_execution.protocol import ExecutionStatus
from tests.scenarios.scenario import Scenario

MINUTE = timedelta(minutes=1)
GO_ON, STOP = CompletionDecision.go_on(), CompletionDecision.complete()


def outcome(batch: BatchResult[Any]) -> list[Any]:
    return [batch.completion_reason, batch.status, batch.success_count, batch.failure_count, batch.total_count]


async def work(ctx: DurableContext, item: str, index: int) -> str:
    if item == "bad":
        raise ValueError(f"item {index}")
    if item == "slow":
        await ctx.wait(MINUTE)
    return await ctx.step(lambda _: f"{item} {index}")


def stop_after_two(status: CompletionStatus) -> CompletionDecision:
    return STOP if status.completed_count == 2 else GO_ON


def fail_when_half_failed(status: CompletionStatus) -> CompletionDecision:
    is_bad = status.failure_count * 2 >= status.total_count
    return CompletionDecision.complete(CompletionOutcome.FAILED) if is_bad else GO_ON


ALL, ENOUGH, TOO_MANY = "ALL_COMPLETED", "MIN_SUCCESSFUL_REACHED", "FAILURE_TOLERANCE_EXCEEDED"
OWN, OWN_FAILED = "CUSTOM_COMPLETION_SUCCEEDED", "CUSTOM_COMPLETION_FAILED"


@pytest.mark.parametrize(
    ("items", "completion", "expected"),
    [
        ("ok ok ok", CompletionConfig(), [ALL, "SUCCEEDED", 3, 0, 3]),
        ("ok bad ok", CompletionConfig(), [TOO_MANY, "FAILED", 1, 1, 2]),
        ("ok bad ok", CompletionConfig.all_successful(), [TOO_MANY, "FAILED", 1, 1, 2]),
        ("bad bad ok", CompletionConfig.all_completed(), [ALL, "FAILED", 1, 2, 3]),
        ("bad ok ok", CompletionConfig.first_successful(), [ENOUGH, "FAILED", 1, 1, 2]),
        ("bad bad bad", CompletionConfig.first_successful(), [ALL, "FAILED", 0, 3, 3]),
        ("ok ok ok ok", CompletionConfig(min_successful=2), [ENOUGH, "SUCCEEDED", 2, 0, 2]),
        ("ok bad ok", CompletionConfig(min_successful=3), [ALL, "FAILED", 2, 1, 3]),
        ("ok ok ok", CompletionConfig(min_successful=3), [ALL, "SUCCEEDED", 3, 0, 3]),
        ("bad ok bad ok", CompletionConfig(tolerated_failure_count=1), [TOO_MANY, "FAILED", 1, 2, 3]),
        ("bad ok bad ok", CompletionConfig(tolerated_failure_count=2), [ALL, "FAILED", 2, 2, 4]),
        ("bad ok ok ok", CompletionConfig(tolerated_failure_percentage=25), [ALL, "FAILED", 3, 1, 4]),
        ("bad bad ok ok", CompletionConfig(tolerated_failure_percentage=25), [TOO_MANY, "FAILED", 0, 2, 2]),
        ("bad ok ok", CompletionConfig(tolerated_failure_percentage=0), [TOO_MANY, "FAILED", 0, 1, 1]),
        (
            "bad bad ok ok",
            CompletionConfig(min_successful=2, tolerated_failure_count=1),
            [TOO_MANY, "FAILED", 0, 2, 2],
        ),
        (
            "bad ok ok ok",
            CompletionConfig(min_successful=2, tolerated_failure_count=1),
            [ENOUGH, "FAILED", 2, 1, 3],
        ),
        ("ok bad ok", CompletionConfig(should_complete=stop_after_two), [OWN, "SUCCEEDED", 1, 1, 2]),
        ("ok bad bad ok", CompletionConfig(should_complete=fail_when_half_failed), [OWN_FAILED, "FAILED", 1, 2, 3]),
        ("ok ok", CompletionConfig(should_complete=lambda _: GO_ON), [ALL, "SUCCEEDED", 2, 0, 2]),
        ("", CompletionConfig(), [ALL, "SUCCEEDED", 0, 0, 0]),
        ("", CompletionConfig(min_successful=1), [ALL, "SUCCEEDED", 0, 0, 0]),
    ],
)
@pytest.mark.parametrize("nesting", NestingType, ids=lambda nesting: nesting.value)
def test_when_it_is_enough(
    scenario: Scenario, items: str, completion: CompletionConfig, expected: list[Any], nesting: NestingType
) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> list[Any]:
        config = MapConfig(max_concurrency=1, completion_config=completion, nesting_type=nesting)
        batch = await ctx.map(items.split(), work, "batch", config=config)
        await ctx.wait(MINUTE)
        return outcome(batch)

    assert scenario.result(workflow) == expected


@pytest.mark.parametrize("nesting", NestingType, ids=lambda nesting: nesting.value)
def test_items_wait_side_by_side(scenario: Scenario, nesting: NestingType) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> list[Any]:
        batch = await ctx.map(["slow", "ok", "slow"], work, "batch", config=MapConfig(nesting_type=nesting))
        return batch.get_results()

    ended = scenario.run(workflow)
    assert ended.result == ["slow 0", "ok 1", "slow 2"]
    assert scenario.invocations(ended.arn) == 2


def test_an_item_that_waits_keeps_its_place(scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> list[Any]:
        batch = await ctx.map(["slow", "slow", "slow"], work, config=MapConfig(max_concurrency=1))
        return batch.get_results()

    ended = scenario.run(workflow)
    assert ended.result == ["slow 0", "slow 1", "slow 2"]
    assert scenario.invocations(ended.arn) == 4


def test_no_more_run_at_once_than_allowed(async_scenario: Scenario) -> None:
    import asyncio

    running: list[int] = []
    most: list[int] = []

    async def workflow(_event: Any, ctx: DurableContext) -> int:
        async def item(inner: DurableContext, number: int, _index: int) -> int:
            async def body(_step: StepContext) -> int:
                running.append(number)
                most.append(len(running))
                await asyncio.sleep(0)
                running.remove(number)
                return number

            return await inner.step(body)

        batch = await ctx.map(range(20), item, config=MapConfig(max_concurrency=3))
        return batch.success_count

    assert async_scenario.result(workflow) == 20
    assert max(most) == 3


@pytest.mark.parametrize("nesting", NestingType, ids=lambda nesting: nesting.value)
def test_what_was_left_behind_is_reported_as_started(scenario: Scenario, nesting: NestingType) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> list[Any]:
        config = MapConfig(completion_config=CompletionConfig.first_successful(), nesting_type=nesting)
        batch = await ctx.map(["slow", "ok", "slow"], work, "batch", config=config)
        await ctx.wait(2 * MINUTE)
        statuses = [[item.index, item.status] for item in batch]
        return [*outcome(batch), statuses, [item.index for item in batch.started()]]

    assert scenario.result(workflow) == [
        "MIN_SUCCESSFUL_REACHED", "SUCCEEDED", 1, 0, 3,
        [[0, "STARTED"], [1, "SUCCEEDED"], [2, "STARTED"]],
        [0, 2],
    ]  # fmt: skip


def test_errors_can_be_looked_at_or_raised(scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> list[Any]:
        config = MapConfig(completion_config=CompletionConfig.all_completed())
        batch = await ctx.map(["ok", "bad"], work, "batch", config=config)
        await ctx.wait(MINUTE)
        errors = [[error.type, error.message] for error in batch.get_errors()]
        try:
            batch.throw_if_error()
        except ChildContextError as error:
            return [errors, isinstance(error, ValueError), str(error)]
        return errors

    assert scenario.result(workflow) == [[["ValueError", "item 1"]], True, "item 1"]


def test_a_batch_that_its_rule_has_failed_raises_when_asked(scenario: Scenario) -> None:
    def never_good_enough(_status: CompletionStatus) -> CompletionDecision:
        return CompletionDecision.complete(CompletionOutcome.FAILED)

    async def workflow(_event: Any, ctx: DurableContext) -> str:
        config = MapConfig(completion_config=CompletionConfig(should_complete=never_good_enough))
        batch = await ctx.map(["ok"], work, config=config)
        try:
            batch.throw_if_error()
        except BatchError as error:
            return str(error)
        return "nothing was raised"

    assert "CUSTOM_COMPLETION_FAILED" in scenario.result(workflow)


def test_a_rule_that_raises_fails_the_batch(scenario: Scenario) -> None:
    def broken(_status: CompletionStatus) -> CompletionDecision:
        raise ZeroDivisionError("a rule with a bug")

    async def workflow(_event: Any, ctx: DurableContext) -> None:
        config = MapConfig(completion_config=CompletionConfig(should_complete=broken))
        await ctx.map(["ok"], work, "batch", config=config)

    ended = scenario.run(workflow)
    assert ended.status is ExecutionStatus.FAILED
    assert ended.error is not None
    assert ended.error.message == "a rule with a bug"


def test_branches_of_a_parallel_have_names_and_types_of_their_own(scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> list[Any]:
        async def number(_branch: DurableContext) -> int:
            return 7

        async def moment(branch: DurableContext) -> timedelta:
            await branch.wait(MINUTE)
            return timedelta(hours=2)

        batch = await ctx.parallel([ParallelBranch(number, "number"), moment], "both")
        results = batch.get_results()
        await ctx.wait(MINUTE)
        return [results[0], results[1] / MINUTE]

    ended = scenario.run(workflow)
    assert ended.result == [7, 120.0]
    assert {"ContextSucceeded number", "ContextSucceeded parallel-branch-1"} <= set(scenario.happened(ended.arn))


def test_items_may_be_named(scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> None:
        config = MapConfig(item_namer=lambda item, index: f"{item}-{index}")
        await ctx.map(["tea", "pot"], work, config=config)

    ended = scenario.run(workflow)
    assert {"ContextSucceeded tea-0", "ContextSucceeded pot-1"} <= set(scenario.happened(ended.arn))


def test_a_function_may_ask_for_less_than_context_item_and_index(scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> list[Any]:
        async def without_index(_ctx: DurableContext, item: str) -> str:
            return item

        return (await ctx.map(["a"], without_index)).get_results()

    assert scenario.result(workflow) == ["a"]


def test_a_function_of_the_item_alone_is_refused_before_it_is_given_the_context(scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> list[Any]:
        async def shout(item: Any) -> Any:
            return item.upper()

        return (await ctx.map(["a"], shout)).get_results()  # type: ignore[arg-type]

    ended = scenario.run(workflow)
    assert ended.error is not None
    assert "ctx.map calls its function as function(ctx, item, index), but the function is shout(item" in (
        ended.error.message or ""
    )


def test_flat_branches_run_again_but_their_steps_do_not(scenario: Scenario) -> None:
    bodies: list[str] = []

    async def workflow(_event: Any, ctx: DurableContext) -> list[Any]:
        async def branch(inner: DurableContext) -> str:
            bodies.append("branch")
            first = await inner.step(count)
            await inner.wait(MINUTE)
            return first

        async def count(_step: StepContext) -> str:
            bodies.append("step")
            return "counted"

        config = ParallelConfig(nesting_type=NestingType.FLAT)
        return (await ctx.parallel([branch, branch], config=config)).get_results()

    assert scenario.result(workflow) == ["counted", "counted"]
    assert sorted(bodies) == ["branch"] * 4 + ["step"] * 2


def test_batches_nest(scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> list[Any]:
        async def row(inner: DurableContext, number: int, _index: int) -> list[int]:
            async def cell(innermost: DurableContext, factor: int, _index: int) -> int:
                return await innermost.step(lambda _: number * factor)

            return (await inner.map([1, 2, 3], cell, "row")).get_results()

        return (await ctx.map([1, 2, 3], row, "table")).get_results()

    assert scenario.result(workflow) == [[1, 2, 3], [2, 4, 6], [3, 6, 9]]

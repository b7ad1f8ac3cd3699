"""Code that leaves the recorded path ends the execution, wherever it does so."""

import asyncio
from datetime import timedelta
from typing import Any, Literal

import pytest

from durable_execution import (
    ChildConfig,
    CompletionConfig,
    DurableContext,
    InvokeConfig,
    MapConfig,
    NestingType,
    StepConfig,
    WaitForConditionConfig,
    poll_until,
)
from durable_execution.local import ExecutionResult
from durable_execution.protocol import ExecutionStatus
from durable_execution.serdes import JsonSerDes
from tests.scenarios.bodies import gives
from tests.scenarios.scenario import FUNCTION, Scenario

MINUTE = timedelta(minutes=1)
Policy = Literal["fail", "retry", "warn"]


def replaced(scenario: Scenario, before: Any, after: Any, *, policy: Policy = "fail") -> ExecutionResult:
    """Run a workflow until it waits, and go on with another."""
    arn = scenario.start(before)
    scenario.engine.run_until_idle(skips="nothing")
    scenario.engine.register(FUNCTION, scenario.handler(after, on_nondeterminism=policy))
    return scenario.ended(arn)


def told(ended: ExecutionResult) -> str:
    assert ended.status is ExecutionStatus.FAILED, ended
    assert ended.error is not None
    assert ended.error.type == "durable_execution.errors.NondeterminismError", ended.error
    return ended.error.message or ""


async def waiting(_event: Any, ctx: DurableContext) -> str:
    await ctx.step(gives("reserved"), "reserve")
    await ctx.wait(MINUTE, "pause")
    return "done"


async def renamed(_event: Any, ctx: DurableContext) -> str:
    await ctx.step(gives("reserved"), "charge")
    await ctx.wait(MINUTE, "pause")
    return "done"


async def other_kind(_event: Any, ctx: DurableContext) -> str:
    await ctx.wait(MINUTE, "reserve")
    await ctx.wait(MINUTE, "pause")
    return "done"


async def inserted(_event: Any, ctx: DurableContext) -> str:
    await ctx.step(gives("checked"), "check")
    await ctx.step(gives("reserved"), "reserve")
    await ctx.wait(MINUTE, "pause")
    return "done"


async def removed(_event: Any, ctx: DurableContext) -> str:
    await ctx.step(gives("reserved"), "reserve")
    return "done"


async def removed_all(_event: Any, _ctx: DurableContext) -> str:
    return "done"


async def reordered(_event: Any, ctx: DurableContext) -> str:
    await ctx.wait(MINUTE, "pause")
    await ctx.step(gives("reserved"), "reserve")
    return "done"


async def nested_instead(_event: Any, ctx: DurableContext) -> str:
    async def child(inner: DurableContext) -> str:
        return await inner.step(gives("reserved"), "reserve")

    await ctx.run_in_child_context(child, "reserve")
    await ctx.wait(MINUTE, "pause")
    return "done"


async def own_subtype(_event: Any, ctx: DurableContext) -> str:
    await ctx.step(gives("reserved"), "reserve", config=StepConfig(sub_type="Reservation"))
    await ctx.wait(MINUTE, "pause")
    return "done"


async def condition_instead(_event: Any, ctx: DurableContext) -> str:
    async def check(_state: Any, _step: Any) -> str:
        return "reserved"

    await ctx.wait_for_condition(check, "reserve", config=WaitForConditionConfig(wait_strategy=poll_until(bool)))
    await ctx.wait(MINUTE, "pause")
    return "done"


CHANGES = [
    renamed,
    other_kind,
    inserted,
    removed,
    removed_all,
    reordered,
    nested_instead,
    own_subtype,
    condition_instead,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_change_ends_the_execution(scenario: Scenario, change: Any) -> None:
    text = told(replaced(scenario, waiting, change))
    assert "recorded" in text
    assert "replayed" in text
    assert '"reserve"' in text or '"pause"' in text


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_change_may_fail_the_invocation_only_so_that_a_rollback_saves_the_execution(
    scenario: Scenario, change: Any
) -> None:
    arn = scenario.start(waiting)
    scenario.engine.run_until_idle(skips="nothing")
    subject = scenario.subject(change, on_nondeterminism="retry")

    def roll_back_when_it_fails(client: Any) -> Any:
        if any(isinstance(answer, Exception) for answer in subject.answers):
            scenario.engine.register(FUNCTION, scenario.handler(waiting))
        return client

    subject.wrapping = roll_back_when_it_fails
    ended = scenario.ended(arn)
    assert isinstance(subject.answers[0], Exception)
    assert ended.result == "done"


def test_a_change_may_be_reported_only(scenario: Scenario, caplog: pytest.LogCaptureFixture) -> None:
    assert replaced(scenario, waiting, renamed, policy="warn").result == "done"
    assert '"charge"' in caplog.text


def test_an_unchanged_workflow_is_not_blamed(scenario: Scenario) -> None:
    assert replaced(scenario, waiting, waiting).result == "done"


def test_user_code_cannot_catch_it(scenario: Scenario) -> None:
    caught: list[str] = []

    async def catching(_event: Any, ctx: DurableContext) -> str:
        try:
            await ctx.step(gives("reserved"), "charge")
        except Exception as error:  # noqa: BLE001  # this is what must not happen
            caught.append(repr(error))
        return "done"

    told(replaced(scenario, waiting, catching))
    assert caught == []


def in_branch(nesting: NestingType, name: str) -> Any:
    async def workflow(_event: Any, ctx: DurableContext) -> list[Any]:
        async def item(inner: DurableContext, number: int, _index: int) -> int:
            await inner.step(gives(number), name if number == 2 else "work")
            await inner.wait(MINUTE, "pause")
            return number

        config = MapConfig(nesting_type=nesting, completion_config=CompletionConfig.all_completed())
        return (await ctx.map([1, 2, 3], item, "items", config=config)).get_results()

    return workflow


@pytest.mark.parametrize("nesting", NestingType, ids=lambda nesting: nesting.value)
def test_in_a_branch_it_ends_the_execution_and_not_the_branch(scenario: Scenario, nesting: NestingType) -> None:
    text = told(replaced(scenario, in_branch(nesting, "work"), in_branch(nesting, "other")))
    assert "items#1" in text


def counting(count: int, nesting: NestingType = NestingType.NESTED) -> Any:
    async def workflow(_event: Any, ctx: DurableContext) -> int:
        async def item(inner: DurableContext, number: int, _index: int) -> int:
            await inner.step(gives(number), "work")
            await inner.wait(number * MINUTE, "pause")
            return number

        batch = await ctx.map(range(1, count + 1), item, "items", config=MapConfig(nesting_type=nesting))
        return batch.success_count

    return workflow


@pytest.mark.parametrize("nesting", NestingType, ids=lambda nesting: nesting.value)
@pytest.mark.parametrize("left", [3, 2, 0])
def test_fewer_items_than_recorded_are_found(scenario: Scenario, nesting: NestingType, left: int) -> None:
    text = told(replaced(scenario, counting(4, nesting), counting(left, nesting)))
    assert "items" in text
    assert "recorded" in text


@pytest.mark.parametrize("nesting", NestingType, ids=lambda nesting: nesting.value)
def test_as_many_items_as_recorded_are_not_blamed(scenario: Scenario, nesting: NestingType) -> None:
    assert replaced(scenario, counting(4, nesting), counting(4, nesting)).result == 4


def in_child(is_virtual: bool, name: str) -> Any:
    async def workflow(_event: Any, ctx: DurableContext) -> str:
        async def child(inner: DurableContext) -> str:
            await inner.step(gives("x"), name)
            await inner.wait(MINUTE)
            return "done"

        return await ctx.run_in_child_context(child, "child", config=ChildConfig(is_virtual=is_virtual))

    return workflow


@pytest.mark.parametrize("is_virtual", [False, True])
def test_in_a_child_context(scenario: Scenario, is_virtual: bool) -> None:
    text = told(replaced(scenario, in_child(is_virtual, "work"), in_child(is_virtual, "other")))
    assert "workflow/child" in text


def in_task(*names: str) -> Any:
    async def workflow(_event: Any, ctx: DurableContext) -> str:
        async def pipeline() -> None:
            for name in names:
                await ctx.step(gives(name), name)

        await asyncio.gather(pipeline(), ctx.wait(MINUTE, "pause"))
        return "done"

    return workflow


@pytest.mark.parametrize("names", [("a", "x"), ("a",), ("b", "a"), ()], ids=["renamed", "fewer", "swapped", "none"])
def test_in_a_task(async_scenario: Scenario, names: tuple[str, ...]) -> None:
    told(replaced(async_scenario, in_task("a", "b"), in_task(*names)))


class Slow(JsonSerDes):
    """A serializer that reads in a worker thread."""

    is_blocking = True


async def quick_and_slow(_event: Any, ctx: DurableContext) -> str:
    async def slow() -> None:
        await ctx.step(gives("a"), "a", config=StepConfig(serdes=Slow()))
        await ctx.wait(60 * MINUTE, "long")

    async def contest() -> None:
        await ctx.race(ctx.wait(MINUTE, "short"), slow())

    await asyncio.gather(contest(), ctx.wait(MINUTE, "pause"))
    return "done"


async def group_that_fails(_event: Any, ctx: DurableContext) -> str:
    async def inner() -> None:
        await ctx.step(gives("a"), "a", config=StepConfig(serdes=Slow()))
        await ctx.step(gives("b"), "b")

    async def outer() -> None:
        await asyncio.gather(inner(), inner())

    async def failing() -> None:
        await ctx.wait(MINUTE, "pause")
        raise ValueError("failed")

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(outer())
            group.create_task(failing())
    except* ValueError:
        pass
    return "done"


@pytest.mark.parametrize("workflow", [quick_and_slow, group_that_fails])
def test_a_task_that_is_cancelled_sooner_than_recorded_is_not_blamed(async_scenario: Scenario, workflow: Any) -> None:
    """Its calls are answered from the record, so it may be cancelled before it makes them all again."""
    assert replaced(async_scenario, workflow, workflow).result == "done"


def test_of_a_large_context_that_is_rebuilt(scenario: Scenario) -> None:
    def made(name: str) -> Any:
        async def workflow(_event: Any, ctx: DurableContext) -> int:
            async def child(inner: DurableContext) -> str:
                letter = await inner.step(gives("x"), name)
                return letter * 300_000

            text = await ctx.run_in_child_context(child, "large")
            await ctx.wait(MINUTE)
            return len(text)

        return workflow

    assert "workflow/large" in told(replaced(scenario, made("letter"), made("other")))


def test_other_configuration_is_no_nondeterminism(scenario: Scenario) -> None:
    def made(minutes: int) -> Any:
        async def workflow(_event: Any, ctx: DurableContext) -> str:
            await ctx.wait(minutes * MINUTE, "pause")
            return "done"

        return workflow

    assert replaced(scenario, made(1), made(2)).result == "done"


def test_a_finished_context_is_not_looked_into(scenario: Scenario) -> None:
    def made(name: str) -> Any:
        async def workflow(_event: Any, ctx: DurableContext) -> str:
            async def child(inner: DurableContext) -> str:
                return await inner.step(gives("x"), name)

            await ctx.run_in_child_context(child, "child")
            await ctx.wait(MINUTE)
            return "done"

        return workflow

    assert replaced(scenario, made("work"), made("other")).result == "done"


def test_another_target_of_an_invoke_is_only_reported(scenario: Scenario) -> None:
    scenario.engine.register("echo", lambda event, _context: event)

    def made(target: str) -> Any:
        async def workflow(_event: Any, ctx: DurableContext) -> Any:
            answer = await ctx.invoke(target, 7, name="call", config=InvokeConfig())
            await ctx.wait(MINUTE)
            return answer

        return workflow

    assert replaced(scenario, made("echo"), made("other")).result == 7

"""Plain asyncio around operations: whatever the order of awaiting, a replay takes the same path."""

import asyncio
import functools
from datetime import timedelta
from typing import Any

import pytest

from durable_execution import DurableContext, StepContext
from durable_execution.protocol import ExecutionStatus
from tests.scenarios.bodies import gives
from tests.scenarios.scenario import Scenario

MINUTE = timedelta(minutes=1)


async def late(ctx: DurableContext, minutes: int, name: str) -> str:
    await ctx.wait(minutes * MINUTE)
    return name


def test_gather_finishes_what_it_can_before_suspending(async_scenario: Scenario) -> None:
    bodies: list[str] = []

    async def workflow(_event: Any, ctx: DurableContext) -> list[Any]:
        async def work(_step: StepContext) -> str:
            await asyncio.sleep(0)
            bodies.append("work")
            return "worked"

        return list(await asyncio.gather(ctx.wait(MINUTE), ctx.step(work), ctx.wait(2 * MINUTE)))

    ended = async_scenario.run(workflow)
    assert ended.result == [None, "worked", None]
    assert bodies == ["work"]
    assert async_scenario.invocations(ended.arn) == 3


def test_waits_at_once_take_as_long_as_the_longest(async_scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> float:
        start = await ctx.now()
        await asyncio.gather(*(ctx.wait(minutes * MINUTE) for minutes in range(1, 6)))
        return (await ctx.now() - start) / MINUTE

    assert async_scenario.result(workflow) == 5.0


def test_a_task_group(async_scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> list[str]:
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(ctx.wait(MINUTE))
            tasks = [group.create_task(ctx.step(gives(name))) for name in "abc"]
        assert waiting.done()
        return [task.result() for task in tasks]

    assert async_scenario.result(workflow) == ["a", "b", "c"]


def test_a_failure_in_a_task_group_is_the_same_on_replay(async_scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> str:
        async def fail(_step: StepContext) -> None:
            raise ValueError("no")

        async def child(inner: DurableContext) -> None:
            await inner.wait(MINUTE)
            await inner.step(fail)

        caught = ""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(ctx.run_in_child_context(child))
                group.create_task(ctx.wait(10 * MINUTE))
        except ExceptionGroup as group_error:
            caught = str(group_error.exceptions[0])
        await ctx.wait(MINUTE)
        return caught

    assert async_scenario.result(workflow) == "no"


@pytest.mark.parametrize("order", ["abc", "cba", "bca"])
def test_operations_are_awaited_in_any_order(async_scenario: Scenario, order: str) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> list[str]:
        operations = {name: ctx.step(gives(name), name) for name in "abc"}
        results = [await operations[name] for name in order]
        await ctx.wait(MINUTE)
        return results

    ended = async_scenario.run(workflow)
    assert ended.result == list(order)


def test_tasks_are_awaited_later(async_scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> list[str]:
        tasks = [asyncio.create_task(ctx.step(gives(name), name)) for name in "ab"]
        await ctx.wait(MINUTE)
        between = await ctx.step(lambda _: "between")
        return [between, *(await asyncio.gather(*tasks))]

    assert async_scenario.result(workflow) == ["between", "a", "b"]


def test_as_completed_and_shield(async_scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> list[str]:
        steps = [asyncio.shield(ctx.step(gives(name))) for name in "abc"]
        done = [await following for following in asyncio.as_completed(steps)]
        await ctx.wait(MINUTE)
        return sorted(done)

    assert async_scenario.result(workflow) == ["a", "b", "c"]


def test_code_of_branches_that_reserve_as_they_go_belongs_in_contexts(async_scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> list[str]:
        async def branch(minutes: int, inner: DurableContext) -> str:
            await inner.wait(minutes * MINUTE)
            return await inner.step(gives(f"{minutes} min"))

        branches = [ctx.run_in_child_context(functools.partial(branch, minutes)) for minutes in (3, 1, 2)]
        results = await asyncio.gather(*branches)
        await ctx.wait(MINUTE)
        return list(results)

    assert async_scenario.result(workflow) == ["3 min", "1 min", "2 min"]


def test_ordinary_asynchronous_code_between_operations(async_scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> list[int]:
        queue: asyncio.Queue[int] = asyncio.Queue(maxsize=1)

        async def produce() -> None:
            for number in range(3):
                await queue.put(await ctx.step(gives(number)))

        producer = asyncio.create_task(produce())
        numbers = [await queue.get() for _ in range(3)]
        await producer
        async with asyncio.timeout(60):
            await ctx.wait(MINUTE)
        return numbers

    assert async_scenario.result(workflow) == [0, 1, 2]


def test_a_step_that_takes_its_time_delays_the_suspension(async_scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> list[Any]:
        started = asyncio.Event()

        async def slow(_step: StepContext) -> str:
            await started.wait()
            return "slow"

        async def quick(_step: StepContext) -> str:
            started.set()
            return "quick"

        return list(await asyncio.gather(ctx.step(slow), ctx.wait(MINUTE), ctx.step(quick)))

    ended = async_scenario.run(workflow)
    assert ended.result == ["slow", None, "quick"]
    assert async_scenario.invocations(ended.arn) == 2


def test_a_branch_goes_on_as_soon_as_its_timer_is_due(async_scenario: Scenario) -> None:
    """An invocation that is busy is not repeated: it learns of timers from the answers to its checkpoints."""

    async def workflow(_event: Any, ctx: DurableContext) -> list[Any]:
        async def patient(inner: DurableContext) -> str:
            await inner.wait(MINUTE)
            return await inner.step(lambda _: "after a minute")

        async def busy(inner: DurableContext) -> str:
            async def jump(_step: StepContext) -> None:
                clock = async_scenario.engine.clock
                clock.advance_to(clock.now() + MINUTE)

            await inner.step(lambda _: "the wait has been stored with this")
            await inner.step(jump)
            return await inner.step(lambda _: "worked")

        batch = await ctx.parallel([patient, busy])
        return batch.get_results()

    ended = async_scenario.run(workflow)
    assert ended.result == ["after a minute", "worked"]
    assert async_scenario.invocations(ended.arn) == 1


def test_what_the_handler_leaves_running_ends_with_it(async_scenario: Scenario) -> None:
    cleaned: list[str] = []

    async def workflow(_event: Any, ctx: DurableContext) -> str:
        async def forgotten() -> None:
            try:
                await ctx.wait(60 * MINUTE)
            finally:
                cleaned.append("cleaned up")

        task = asyncio.create_task(forgotten())
        await ctx.step(lambda _: None)
        return "done" if not task.done() else "odd"

    ended = async_scenario.run(workflow)
    assert ended.status is ExecutionStatus.SUCCEEDED
    assert cleaned == ["cleaned up"]


def test_a_handler_is_run_from_a_running_loop(async_scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> str:
        await ctx.wait(MINUTE)
        return await ctx.step(lambda _: "done")

    async def notebook() -> Any:
        return async_scenario.result(workflow)

    assert asyncio.run(notebook()) == "done"


async def pipeline(ctx: DurableContext, name: str) -> str:
    """Three unnamed operations, one after the other, on a context that others use at the same time."""
    first = await ctx.step(lambda _: f"{name}1")
    await ctx.wait(MINUTE)
    return await ctx.step(lambda _: f"{first} {name}2")


def test_tasks_that_share_a_context_do_not_take_each_other_s_results(async_scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> list[str]:
        both = await asyncio.gather(pipeline(ctx, "a"), pipeline(ctx, "b"))
        await ctx.wait(MINUTE)
        return [*both, await ctx.step(lambda _: "after")]

    assert async_scenario.result(workflow) == ["a1 a2", "b1 b2", "after"]


def test_tasks_of_tasks_have_a_numbering_of_their_own(async_scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> list[Any]:
        async def group(names: str) -> list[str]:
            return list(await asyncio.gather(*(pipeline(ctx, name) for name in names)))

        async with asyncio.TaskGroup() as tasks:
            left, right = tasks.create_task(group("ab")), tasks.create_task(group("cd"))
            direct = tasks.create_task(ctx.step(lambda _: "direct"))
        await ctx.wait(MINUTE)
        return [left.result(), right.result(), direct.result()]

    assert async_scenario.result(workflow) == [["a1 a2", "b1 b2"], ["c1 c2", "d1 d2"], "direct"]


def test_tasks_in_a_child_context_belong_to_it(async_scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> list[str]:
        async def child(inner: DurableContext) -> list[str]:
            return list(await asyncio.gather(pipeline(inner, "a"), pipeline(inner, "b")))

        return await ctx.run_in_child_context(child, "child")

    ended = async_scenario.run(workflow)
    assert ended.result == ["a1 a2", "b1 b2"]
    events = async_scenario.history(ended.arn)
    parent = next(event["Id"] for event in events if event["EventType"] == "ContextStarted")
    assert {event["ParentId"] for event in events if event["EventType"] == "StepSucceeded"} == {parent}


def test_random_numbers_of_tasks_do_not_depend_on_their_order(async_scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> list[str]:
        async def draw(minutes: int) -> str:
            await ctx.wait(minutes * MINUTE)
            drawn = str(ctx.uuid())
            await ctx.wait(MINUTE)
            return drawn if await ctx.step(lambda _: drawn) == drawn else "not the same"

        drawn = await asyncio.gather(draw(3), draw(1), draw(2))
        return list(drawn)

    drawn = async_scenario.result(workflow)
    assert len(set(drawn)) == 3
    assert "not the same" not in drawn


def test_a_context_is_not_used_in_the_function_of_another(scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> list[Any]:
        async def item(_inner: DurableContext, number: int, _index: int) -> int:
            return await ctx.step(lambda _: number, "double")

        return (await ctx.map([1, 2], item, "items")).get_results()

    ended = scenario.run(workflow)
    assert ended.status is ExecutionStatus.FAILED
    assert ended.error is not None
    message = ended.error.message or ""
    assert "called on the context workflow by code that runs in the context workflow/items#" in message
    assert "Call the operation on the context that the function received" in message

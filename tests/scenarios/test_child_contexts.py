"""Functions with a context of their own: skipped once they have ended, failed as a whole, nested, or virtual."""

from datetime import timedelta
from typing import Any

from durable_execution import ChildConfig, DurableContext, StepContext
from durable_execution.errors import ChildContextError
from durable_execution.protocol import ExecutionStatus
from tests.scenarios.scenario import Scenario

MINUTE = timedelta(minutes=1)


def test_a_context_that_has_ended_is_skipped(scenario: Scenario) -> None:
    bodies: list[str] = []

    async def workflow(_event: Any, ctx: DurableContext) -> str:
        async def child(inner: DurableContext) -> str:
            bodies.append("child")
            return await inner.step(lambda _: "packed")

        packed = await ctx.run_in_child_context(child, "child")
        await ctx.wait(MINUTE)
        await ctx.wait(MINUTE)
        return packed

    assert scenario.result(workflow) == "packed"
    assert bodies == ["child"]


def test_a_context_that_has_not_ended_is_gone_through_again(scenario: Scenario) -> None:
    bodies: list[str] = []

    async def workflow(_event: Any, ctx: DurableContext) -> list[str]:
        async def child(inner: DurableContext) -> list[str]:
            bodies.append("child")
            first = await inner.step(lambda _: "first")
            await inner.wait(MINUTE)
            return [first, await inner.step(lambda _: "second")]

        return await ctx.run_in_child_context(child)

    assert scenario.result(workflow) == ["first", "second"]
    assert bodies == ["child", "child"]


def test_the_same_function_twice_is_two_contexts(scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> list[str]:
        async def child(inner: DurableContext) -> str:
            return await inner.step(lambda step: step.path)

        return [await ctx.run_in_child_context(child, "pack"), await ctx.run_in_child_context(child, "pack")]

    assert scenario.result(workflow) == ["workflow/pack/step(1)", "workflow/pack(2)/step(1)"]


def test_contexts_nest(scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> int:
        async def descend(inner: DurableContext) -> int:
            if inner.path.count("/") == 20:
                return await inner.step(lambda _: 1)
            return 1 + await inner.run_in_child_context(descend, "down")

        return await descend(ctx)

    ended = scenario.run(workflow)
    assert ended.result == 21
    assert scenario.happened(ended.arn).count("ContextStarted down") == 20


def test_a_failure_goes_up_through_every_context(scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> None:
        async def innermost(_inner: DurableContext) -> None:
            raise LookupError("no shelf")

        async def child(inner: DurableContext) -> None:
            await inner.run_in_child_context(innermost, "innermost")

        await ctx.run_in_child_context(child, "child")

    ended = scenario.run(workflow)
    assert ended.status is ExecutionStatus.FAILED
    assert ended.error is not None
    assert ended.error.type == "LookupError"
    assert [event for event in scenario.happened(ended.arn) if event.startswith("ContextFailed")] == [
        "ContextFailed innermost",
        "ContextFailed child",
    ]


def test_a_caught_failure_is_caught_again_on_replay(scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> list[str]:
        async def child(_inner: DurableContext) -> None:
            raise LookupError("no shelf")

        caught = "nothing"
        try:
            await ctx.run_in_child_context(child, "child")
        except ChildContextError as error:
            caught = f"{error.operation}: {error}"
        await ctx.wait(MINUTE)
        return [caught]

    assert scenario.result(workflow) == ["workflow/child: no shelf"]


def test_a_virtual_context_leaves_no_trace_of_its_own(scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> list[str]:
        async def child(inner: DurableContext) -> str:
            first = await inner.step(lambda _: "first", "first")
            await inner.wait(MINUTE)
            return first + await inner.step(lambda _: " second", "second")

        both = await ctx.run_in_child_context(child, "virtual", config=ChildConfig(is_virtual=True))
        return [both, await ctx.step(lambda _: "third", "third")]

    ended = scenario.run(workflow)
    assert ended.result == ["first second", "third"]
    assert not any(event.startswith("Context") for event in scenario.happened(ended.arn))
    assert all("ParentId" not in event for event in scenario.history(ended.arn))


def test_a_word_of_ones_own_is_the_subtype(scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> None:
        async def child(_inner: DurableContext) -> None:
            return None

        await ctx.run_in_child_context(child, config=ChildConfig(sub_type="Saga"))

    ended = scenario.run(workflow)
    assert {event["SubType"] for event in scenario.history(ended.arn) if "SubType" in event} == {"Saga"}


def test_a_step_knows_where_it_is(scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> list[Any]:
        async def look(step: StepContext) -> list[Any]:
            return [step.path, step.name, step.attempt, len(step.operation_id), step.execution_arn == ctx.execution_arn]

        async def child(inner: DurableContext) -> list[Any]:
            return await inner.step(look, "look")

        return await ctx.run_in_child_context(child, "child")

    assert scenario.result(workflow) == ["workflow/child/look", "look", 1, 64, True]

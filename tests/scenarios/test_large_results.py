"""Results too large to keep in one place are rebuilt, or checkpointed, and arrive whole."""

from datetime import timedelta
from typing import Any

import pytest

from durable_execution import ChildConfig, CompletionConfig, DurableContext, MapConfig, NestingType, ParallelConfig
from durable_execution.protocol import ExecutionStatus
from tests.scenarios.bodies import notes
from tests.scenarios.scenario import Scenario

MINUTE = timedelta(minutes=1)
LIMIT = 256 * 1024
RESPONSE = 6 * 1024 * 1024


def payload_of(scenario: Scenario, arn: str, name: str) -> str:
    """The stored result of a context."""
    event = next(
        event
        for event in scenario.history(arn)
        if event["EventType"] == "ContextSucceeded" and event.get("Name") == name
    )
    payload: str = event["ContextSucceededDetails"]["Result"].get("Payload", "")
    return payload


def test_a_context_with_a_large_result_is_rebuilt_from_its_operations(scenario: Scenario) -> None:
    bodies: list[str] = []

    async def workflow(_event: Any, ctx: DurableContext) -> list[Any]:
        async def child(inner: DurableContext) -> str:
            bodies.append("child")
            letter = await inner.step(notes(bodies, "step", "x"))
            await inner.wait(MINUTE)
            return letter * LIMIT

        text = await ctx.run_in_child_context(child, "large")
        await ctx.wait(MINUTE)
        return [len(text), set(text) == {"x"}]

    ended = scenario.run(workflow)
    assert ended.result == [LIMIT, True]
    assert payload_of(scenario, ended.arn, "large") == ""
    assert bodies == ["child", "step", "child", "child"]


def test_a_result_at_the_limit_is_kept(scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> int:
        async def child(_inner: DurableContext) -> str:
            return "x" * (LIMIT - 2)

        return len(await ctx.run_in_child_context(child, "at the limit"))

    ended = scenario.run(workflow)
    assert len(payload_of(scenario, ended.arn, "at the limit")) == LIMIT


def test_a_summary_is_kept_in_place_of_a_large_result(scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> int:
        async def child(_inner: DurableContext) -> str:
            return "x" * LIMIT

        config = ChildConfig(summary_generator=lambda text: f"{len(text)} letters")
        text = await ctx.run_in_child_context(child, "large", config=config)
        await ctx.wait(MINUTE)
        return len(text)

    ended = scenario.run(workflow)
    assert ended.result == LIMIT
    assert payload_of(scenario, ended.arn, "large") == f"{LIMIT} letters"


def test_the_size_is_that_of_the_bytes(scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> int:
        async def child(_inner: DurableContext) -> str:
            return "ß" * (LIMIT // 2)

        text = await ctx.run_in_child_context(child, "large")
        await ctx.wait(MINUTE)
        return len(text)

    ended = scenario.run(workflow)
    assert ended.result == LIMIT // 2
    assert payload_of(scenario, ended.arn, "large") == ""


@pytest.mark.parametrize("nesting", NestingType, ids=lambda nesting: nesting.value)
def test_a_large_batch_is_rebuilt_with_the_same_outcome(scenario: Scenario, nesting: NestingType) -> None:
    outcomes: list[list[Any]] = []

    async def workflow(_event: Any, ctx: DurableContext) -> None:
        async def item(inner: DurableContext, number: int, _index: int) -> str:
            if number == 1:
                raise ValueError("one")
            letter = await inner.step(lambda _: str(number))
            if number >= 3:
                await inner.wait((5 - number) * MINUTE)
            return letter * LIMIT

        config = MapConfig(
            completion_config=CompletionConfig(min_successful=3, tolerated_failure_count=1), nesting_type=nesting
        )
        batch = await ctx.map([0, 1, 2, 3, 4], item, "large", config=config)
        lengths = [len(text) for text in batch.get_results()]
        errors = [error.message for error in batch.get_errors()]
        outcomes.append([batch.completion_reason, [entry.status for entry in batch], lengths, errors])
        await ctx.wait(5 * MINUTE)

    ended = scenario.run(workflow)
    assert ended.status is ExecutionStatus.SUCCEEDED, ended.error
    assert '"MIN_SUCCESSFUL_REACHED"' in payload_of(scenario, ended.arn, "large")
    assert len(outcomes) == 3  # built, and rebuilt as the waits of item 3 and of the workflow end
    assert outcomes[0] == outcomes[1] == outcomes[2]
    reason, statuses, lengths, errors = outcomes[0]
    assert (reason, lengths) == ("MIN_SUCCESSFUL_REACHED", [LIMIT] * 3)
    assert [statuses[number] for number in (0, 2, 3, 4)] == ["SUCCEEDED", "SUCCEEDED", "STARTED", "SUCCEEDED"]
    # In threads, the other four may be done before item 1 has raised.
    assert (statuses[1], errors) in [("FAILED", ["one"])] + [("STARTED", [])] * (scenario.style == "blocking")


def test_small_branches_of_a_large_parallel_are_not_run_again(scenario: Scenario) -> None:
    bodies: list[str] = []

    async def workflow(_event: Any, ctx: DurableContext) -> list[int]:
        async def branch(_inner: DurableContext) -> str:
            bodies.append("branch")
            return "x" * (LIMIT // 2)

        batch = await ctx.parallel([branch, branch, branch], "large", config=ParallelConfig())
        await ctx.wait(MINUTE)
        return [len(text) for text in batch.get_results()]

    assert scenario.result(workflow) == [LIMIT // 2] * 3
    assert bodies == ["branch"] * 3


ENVELOPE = len('{"Status": "SUCCEEDED", "Result": "\\"\\""}')


@pytest.mark.parametrize("size", [RESPONSE - 51, RESPONSE - 50, RESPONSE - 2])
def test_a_result_about_as_large_as_an_answer_may_be_arrives(scenario: Scenario, size: int) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> str:
        await ctx.wait(MINUTE)
        return "x" * (size - ENVELOPE)

    subject = scenario.subject(workflow)
    ended = scenario.engine.run("workflow")
    assert ended.status is ExecutionStatus.SUCCEEDED, ended.error
    assert ended.result == "x" * (size - ENVELOPE)
    is_checkpointed = subject.answers[-1] == {"Status": "SUCCEEDED", "Result": ""}
    assert is_checkpointed == (size > RESPONSE - 50)


def test_a_result_larger_than_any_other_payload_is_checkpointed_whole(scenario: Scenario) -> None:
    async def workflow(_event: Any, _ctx: DurableContext) -> str:
        return "x" * (RESPONSE - len('""'))

    ended = scenario.run(workflow)
    assert ended.status is ExecutionStatus.SUCCEEDED, ended.error
    assert len(ended.result) == RESPONSE - len('""')


def test_a_result_larger_than_the_service_stores_fails_once_and_says_what_to_do(scenario: Scenario) -> None:
    async def workflow(_event: Any, _ctx: DurableContext) -> str:
        return "x" * RESPONSE

    ended = scenario.run(workflow)
    assert ended.status is ExecutionStatus.FAILED
    assert ended.error is not None
    message = ended.error.message or ""
    assert message.endswith(
        "The result of an execution must be at most 6291456 bytes. Return less: store the bulk in a bucket, in a step or with "
        "OffloadedSerDes, and return where it is"
    )
    assert "1,048,576" not in message  # the limit of a step's payload


def test_a_huge_error_arrives_shortened(scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> None:
        await ctx.wait(MINUTE)
        raise ValueError("x" * 10_000_000)

    ended = scenario.run(workflow)
    assert ended.status is ExecutionStatus.FAILED
    assert ended.error is not None
    assert (ended.error.type, (ended.error.message or "")[:3]) == ("ValueError", "xxx")
    assert len(ended.error.message or "") < 40_000


def test_a_huge_step_error_arrives_shortened(scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> None:
        async def fail(_step: Any) -> None:
            raise PermissionError("€" * 1_000_000)

        await ctx.step(fail)

    ended = scenario.run(workflow)
    assert ended.error is not None
    assert ended.error.type == "PermissionError"

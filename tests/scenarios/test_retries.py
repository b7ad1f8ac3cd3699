"""Failed attempts are tried again as the strategy says, with the execution suspended in between."""

from datetime import timedelta
from typing import Any

import pytest

from durable_execution import (
    DurableContext,
    DurableError,
    Jitter,
    RetryDecision,
    RetryPresets,
    StepConfig,
    StepContext,
    StepError,
    exponential_backoff,
    linear_backoff,
)
from durable_execution.protocol import ExecutionStatus
from durable_execution.retry import RetryStrategy
from tests.scenarios.scenario import Scenario


def delays(scenario: Scenario, arn: str) -> list[int | None]:
    """What was said about the next attempt after each failed one."""
    failures = [event["StepFailedDetails"] for event in scenario.history(arn) if event["EventType"] == "StepFailed"]
    return [failure["RetryDetails"].get("NextAttemptDelaySeconds") for failure in failures]


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (RetryPresets.linear(), [1, 2, 3, 4, 5, None]),
        (RetryPresets.fixed(timedelta(seconds=7)), [7, 7, 7, 7, None]),
        (RetryPresets.none(), [None]),
        (
            exponential_backoff(max_attempts=5, max_delay=timedelta(seconds=12), jitter=Jitter.NONE),
            [5, 10, 12, 12, None],
        ),
        (linear_backoff(max_attempts=3, increment=timedelta(seconds=10), jitter=Jitter.NONE), [1, 11, None]),
        (lambda _error, made: RetryDecision(made < 3, timedelta(milliseconds=1)), [1, 1, None]),
    ],
    ids=["linear", "fixed", "none", "exponential", "increments", "own"],
)
def test_delays_are_those_of_the_strategy(
    scenario: Scenario, strategy: RetryStrategy, expected: list[int | None]
) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> None:
        async def fail(_step: StepContext) -> None:
            raise OSError("unreachable")

        await ctx.step(fail, config=StepConfig(retry_strategy=strategy))

    ended = scenario.run(workflow)
    assert ended.status is ExecutionStatus.FAILED
    assert delays(scenario, ended.arn) == expected
    assert scenario.invocations(ended.arn) == len(expected)


@pytest.mark.parametrize(
    "strategy",
    [RetryPresets.default(), RetryPresets.transient(), RetryPresets.resource_availability(), RetryPresets.critical()],
    ids=["default", "transient", "resource_availability", "critical"],
)
def test_a_preset_saves_a_step_that_recovers(scenario: Scenario, strategy: RetryStrategy) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> int:
        async def recover(step: StepContext) -> int:
            if step.attempt < 3:
                raise ConnectionError("not yet")
            return step.attempt

        return await ctx.step(recover, config=StepConfig(retry_strategy=strategy))

    assert scenario.result(workflow) == 3


def test_a_strategy_sees_the_error_and_the_attempts_made(scenario: Scenario) -> None:
    seen: list[tuple[str, int]] = []

    def strategy(error: Exception, made: int) -> RetryDecision:
        seen.append((str(error), made))
        return RetryDecision(should_retry=made < 2)

    async def workflow(_event: Any, ctx: DurableContext) -> None:
        async def fail(step: StepContext) -> None:
            raise ValueError(f"attempt {step.attempt}")

        await ctx.step(fail, config=StepConfig(retry_strategy=strategy))

    scenario.run(workflow)
    assert seen == [("attempt 1", 1), ("attempt 2", 2)]


def test_a_synchronous_body_is_retried_as_well(scenario: Scenario) -> None:
    bodies: list[int] = []

    def flaky(step: StepContext) -> str:
        bodies.append(step.attempt)
        if step.attempt == 1:
            raise TimeoutError("slow")
        return "fine"

    async def workflow(_event: Any, ctx: DurableContext) -> str:
        return await ctx.step(flaky, "flaky", config=StepConfig(retry_strategy=RetryPresets.linear()))

    assert scenario.result(workflow) == "fine"
    assert bodies == [1, 2]


def test_steps_before_a_retried_one_run_once(scenario: Scenario) -> None:
    bodies: list[str] = []

    async def workflow(_event: Any, ctx: DurableContext) -> list[str]:
        async def first(_step: StepContext) -> str:
            bodies.append("first")
            return "first"

        async def second(step: StepContext) -> str:
            bodies.append(f"second {step.attempt}")
            if step.attempt < 3:
                raise OSError
            return "second"

        return [await ctx.step(first), await ctx.step(second)]

    assert scenario.result(workflow) == ["first", "second"]
    assert bodies == ["first", "second 1", "second 2", "second 3"]


def test_an_execution_error_is_not_retried(scenario: Scenario) -> None:
    bodies: list[int] = []

    async def workflow(_event: Any, ctx: DurableContext) -> None:
        async def fail(step: StepContext) -> None:
            bodies.append(step.attempt)
            raise DurableError.execution("no retry can mend this")

        await ctx.step(fail)

    ended = scenario.run(workflow)
    assert ended.status is ExecutionStatus.FAILED
    assert bodies == [1]
    assert ended.error is not None
    assert ended.error.message == "no retry can mend this"


def test_an_invocation_error_repeats_the_invocation_in_the_same_attempt(scenario: Scenario) -> None:
    bodies: list[int] = []

    async def workflow(_event: Any, ctx: DurableContext) -> str:
        async def passing_trouble(step: StepContext) -> str:
            bodies.append(step.attempt)
            if len(bodies) < 3:
                raise DurableError.invocation("the credentials are being rotated")
            return "done"

        return await ctx.step(passing_trouble)

    ended = scenario.run(workflow)
    assert ended.result == "done"
    assert bodies == [1, 1, 1]
    assert scenario.invocations(ended.arn) == 3


def test_a_failure_can_be_caught_and_another_way_taken(scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> str:
        async def fail(_step: StepContext) -> str:
            raise KeyError("primary")

        try:
            return await ctx.step(fail, config=StepConfig(retry_strategy=RetryPresets.none()))
        except StepError:
            return await ctx.step(lambda _: "secondary")

    assert scenario.result(workflow) == "secondary"


def test_a_strategy_that_raises_fails_the_step_with_both_errors(scenario: Scenario) -> None:
    def strategy(error: Exception, made: int) -> RetryDecision:
        raise ZeroDivisionError("a strategy with a bug")

    async def workflow(_event: Any, ctx: DurableContext) -> str:
        async def fail(_step: StepContext) -> str:
            raise OSError("unreachable")

        try:
            return await ctx.step(fail, config=StepConfig(retry_strategy=strategy))
        except StepError as error:
            caught = str(error)
        await ctx.wait(timedelta(seconds=1))
        return caught

    text = scenario.result(workflow)
    assert "a strategy with a bug" in text
    assert "unreachable" in text

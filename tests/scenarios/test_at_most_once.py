"""A step that must not run twice in one attempt."""

import sys
from typing import Any

from durable_execution import DurableContext, RetryPresets, StepConfig, StepContext, StepError, StepSemantics
from durable_execution.errors import StepInterruptedError
from durable_execution.protocol import ExecutionStatus
from tests.scenarios.scenario import Scenario

ONCE = StepConfig(step_semantics=StepSemantics.AT_MOST_ONCE_PER_RETRY, retry_strategy=RetryPresets.none())
RETRIED = StepConfig(step_semantics=StepSemantics.AT_MOST_ONCE_PER_RETRY, retry_strategy=RetryPresets.linear())


def test_an_interrupted_step_fails_without_running_again(scenario: Scenario) -> None:
    bodies: list[int] = []

    async def workflow(_event: Any, ctx: DurableContext) -> None:
        async def charge(step: StepContext) -> None:
            bodies.append(step.attempt)
            sys.exit(1)

        await ctx.step(charge, "charge", config=ONCE)

    ended = scenario.run(workflow)
    assert ended.status is ExecutionStatus.FAILED
    assert ended.error is not None
    assert ended.error.type == "durable_execution.errors.StepInterruptedError"
    assert bodies == [1]


def test_an_interruption_is_an_error_of_its_own(scenario: Scenario) -> None:
    assert issubclass(StepInterruptedError, StepError)

    async def workflow(_event: Any, ctx: DurableContext) -> str:
        async def charge(_step: StepContext) -> None:
            sys.exit(1)

        try:
            await ctx.step(charge, config=ONCE)
        except StepInterruptedError:
            return await ctx.step(lambda _: "asked the bank")
        return "not interrupted"

    assert scenario.result(workflow) == "asked the bank"


def test_an_interrupted_attempt_may_be_followed_by_another(scenario: Scenario) -> None:
    bodies: list[int] = []

    async def workflow(_event: Any, ctx: DurableContext) -> str:
        async def charge(step: StepContext) -> str:
            bodies.append(step.attempt)
            if step.attempt < 3:
                sys.exit(1)
            return "charged"

        return await ctx.step(charge, config=RETRIED)

    assert scenario.result(workflow) == "charged"
    assert bodies == [1, 2, 3]


def test_a_synchronous_body_is_interrupted_as_well(scenario: Scenario) -> None:
    bodies: list[int] = []

    def charge(step: StepContext) -> str:
        bodies.append(step.attempt)
        if step.attempt == 1:
            sys.exit(1)
        return "charged"

    async def workflow(_event: Any, ctx: DurableContext) -> str:
        return await ctx.step(charge, config=RETRIED)

    assert scenario.result(workflow) == "charged"
    assert bodies == [1, 2]


def test_at_least_once_runs_again_in_the_same_attempt(scenario: Scenario) -> None:
    bodies: list[int] = []

    async def workflow(_event: Any, ctx: DurableContext) -> str:
        async def work(step: StepContext) -> str:
            bodies.append(step.attempt)
            if len(bodies) == 1:
                sys.exit(1)
            return "done"

        return await ctx.step(work)

    ended = scenario.run(workflow)
    assert ended.result == "done"
    assert bodies == [1, 1]
    assert scenario.happened(ended.arn).count("StepStarted") == 1

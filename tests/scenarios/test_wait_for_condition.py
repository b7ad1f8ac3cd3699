"""Polling until a state is reached, with the state carried from check to check."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from durable_execution import (
    DurableContext,
    DurableError,
    Jitter,
    StepContext,
    WaitDecision,
    WaitForConditionConfig,
    poll_until,
)
from durable_execution.errors import WaitForConditionError
from durable_execution.protocol import ExecutionStatus
from tests.scenarios.scenario import Scenario

SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Job:
    """What is polled."""

    id: str
    percent: int = 0


async def advance(job: Job, _step: StepContext) -> Job:
    return replace(job, percent=job.percent + 40)


def test_a_typed_state_survives_every_suspension(scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> list[Any]:
        strategy = poll_until(lambda job: job.percent >= 100, initial_delay=SECOND, jitter=Jitter.NONE)
        config = WaitForConditionConfig(wait_strategy=strategy, initial_state=Job("j-1"))
        job = await ctx.wait_for_condition(advance, "job", config=config)
        await ctx.wait(SECOND)
        return [job.id, job.percent, type(job) is Job]

    ended = scenario.run(workflow)
    assert ended.result == ["j-1", 120, True]
    assert scenario.invocations(ended.arn) == 4


def test_a_strategy_gives_up(scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> str:
        strategy = poll_until(lambda _: False, max_attempts=3, initial_delay=SECOND)
        config = WaitForConditionConfig(wait_strategy=strategy, initial_state=Job("j-1"))
        try:
            await ctx.wait_for_condition(advance, config=config)
        except WaitForConditionError as error:
            return str(error)
        return "met"

    assert scenario.result(workflow) == "the condition was not met in 3 checks (max_attempts)"


def test_a_strategy_of_ones_own_sees_state_and_number(scenario: Scenario) -> None:
    seen: list[tuple[int, int]] = []

    def decide(state: int, checks: int) -> WaitDecision:
        seen.append((state, checks))
        return WaitDecision.done() if state == 3 else WaitDecision.check_again(timedelta(minutes=state))

    async def workflow(_event: Any, ctx: DurableContext) -> int:
        async def count(state: int, step: StepContext) -> int:
            assert step.attempt == state + 1
            return state + 1

        return await ctx.wait_for_condition(count, config=WaitForConditionConfig(wait_strategy=decide, initial_state=0))

    assert scenario.result(workflow) == 3
    assert seen == [(1, 1), (2, 2), (3, 3)]


def test_passing_trouble_repeats_the_invocation(scenario: Scenario) -> None:
    checks: list[int] = []

    async def workflow(_event: Any, ctx: DurableContext) -> int:
        async def check(state: int, _step: StepContext) -> int:
            checks.append(state)
            if len(checks) == 2:
                raise DurableError.invocation("the network is down")
            return state + 1

        strategy = poll_until(lambda state: state == 2, initial_delay=SECOND)
        return await ctx.wait_for_condition(
            check, config=WaitForConditionConfig(wait_strategy=strategy, initial_state=0)
        )

    assert scenario.result(workflow) == 2
    assert checks == [0, 1, 1]


def test_a_check_that_raises_ends_the_condition(scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> None:
        async def check(_state: Any, _step: StepContext) -> Any:
            raise PermissionError("not yours")

        config = WaitForConditionConfig(wait_strategy=poll_until(bool))
        await ctx.wait_for_condition(check, config=config)

    ended = scenario.run(workflow)
    assert ended.status is ExecutionStatus.FAILED
    assert ended.error is not None
    assert ended.error.type == "PermissionError"
    assert scenario.invocations(ended.arn) == 1

"""Blocks of operations that are tried again as a whole."""

from datetime import timedelta
from typing import Any

import pytest

from durable_execution import (
    DurableContext,
    DurableError,
    RetryPresets,
    StepConfig,
    StepContext,
    WithRetryConfig,
)
from durable_execution.errors import ChildContextError
from durable_execution.protocol import ExecutionStatus
from tests.scenarios.scenario import Scenario

ONCE = StepConfig(retry_strategy=RetryPresets.none())


@pytest.mark.parametrize("child_context", [True, False])
def test_a_block_is_tried_again_after_a_durable_pause(scenario: Scenario, child_context: bool) -> None:
    bodies: list[str] = []

    async def workflow(_event: Any, ctx: DurableContext) -> list[Any]:
        async def block(inner: DurableContext, attempt: int) -> str:
            async def ship(_step: StepContext) -> str:
                bodies.append(f"ship {attempt}")
                if attempt < 3:
                    raise ConnectionError("courier")
                return "shipped"

            await inner.step(lambda _: bodies.append(f"pack {attempt}"), "pack")
            return await inner.step(ship, "ship", config=ONCE)

        config = WithRetryConfig(retry_strategy=RetryPresets.linear(), child_context=child_context)
        shipped = await ctx.with_retry(block, "delivery", config=config)
        await ctx.wait(timedelta(hours=1))
        return [shipped, await ctx.step(lambda _: "billed")]

    ended = scenario.run(workflow)
    assert ended.result == ["shipped", "billed"]
    assert bodies == ["pack 1", "ship 1", "pack 2", "ship 2", "pack 3", "ship 3"]
    happened = scenario.happened(ended.arn)
    assert [event for event in happened if event.startswith("WaitStarted delivery")] == [
        "WaitStarted delivery-backoff-1",
        "WaitStarted delivery-backoff-2",
    ]
    assert ("ContextSucceeded delivery" in happened) is child_context


def test_a_block_that_gives_up_fails_as_its_context(scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> list[Any]:
        async def block(inner: DurableContext, attempt: int) -> None:
            await inner.step(lambda _: attempt)
            raise ConnectionError(f"attempt {attempt}")

        caught: list[Any] = []
        try:
            await ctx.with_retry(block, "delivery", config=WithRetryConfig(retry_strategy=RetryPresets.fixed()))
        except ChildContextError as error:
            caught = [str(error), isinstance(error, ConnectionError)]
        await ctx.wait(timedelta(hours=1))
        return caught

    assert scenario.result(workflow) == ["attempt 5", True]


def test_three_attempts_are_the_default(scenario: Scenario) -> None:
    attempts: list[int] = []

    async def workflow(_event: Any, ctx: DurableContext) -> None:
        async def block(inner: DurableContext, attempt: int) -> None:
            await inner.step(lambda _: attempts.append(attempt))
            raise ValueError("never")

        await ctx.with_retry(block)

    assert scenario.run(workflow).status is ExecutionStatus.FAILED
    assert attempts == [1, 2, 3]


def test_what_no_retry_can_mend_is_not_retried(scenario: Scenario) -> None:
    attempts: list[int] = []

    async def workflow(_event: Any, ctx: DurableContext) -> None:
        async def block(_inner: DurableContext, attempt: int) -> None:
            attempts.append(attempt)
            raise DurableError.execution("wrong for ever")

        await ctx.with_retry(block)

    ended = scenario.run(workflow)
    assert ended.status is ExecutionStatus.FAILED
    assert ended.error is not None
    assert ended.error.message == "wrong for ever"
    assert attempts == [1]

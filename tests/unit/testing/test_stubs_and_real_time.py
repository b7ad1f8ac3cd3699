"""Stubs in place of step bodies, results as types, and runners on the real clock."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from unittest.mock import Mock

import pytest

from durable_execution import DurableContext, StepContext, durable_execution, durable_step
from durable_execution.errors import SerializationError
from durable_execution.testing import LocalRunner
from durable_execution.testing.problems import RunnerError


@dataclass
class Receipt:
    payment: str
    amount: int


@durable_step
async def charge(step: StepContext, amount: int) -> str:
    raise AssertionError("a test charged a card")


@durable_execution
async def flow(amount: int, ctx: DurableContext) -> Receipt:
    payment = await ctx.step(charge(amount))
    checked = await ctx.step(lambda step: payment.upper(), name="check")
    return Receipt(checked, amount)


def test_a_stub_runs_with_the_arguments_of_the_step() -> None:
    fake = Mock(return_value="pay_1")
    with LocalRunner(flow, stubs={"charge": fake}) as runner:
        result = runner.run(42)
    assert result.result_as(Receipt) == Receipt("PAY_1", 42)
    assert fake.call_args.args[1:] == (42,)
    assert fake.call_args.args[0].attempt == 1


def test_a_stub_may_be_async_and_fail_and_is_retried() -> None:
    attempts: list[int] = []

    async def fake(step: StepContext, amount: int) -> str:
        attempts.append(step.attempt)
        if step.attempt < 3:
            raise TimeoutError("no answer")
        return "pay_2"

    with LocalRunner(flow, stubs={"charge": fake, "check": lambda step: "CHECKED"}) as runner:
        result = runner.run(1)
    assert result.result_as(Receipt) == Receipt("CHECKED", 1)
    assert attempts == [1, 2, 3]


def test_a_result_that_is_not_there_has_no_type() -> None:
    @durable_execution
    async def fails(_: Any, ctx: DurableContext) -> None:
        raise ValueError("no")

    with LocalRunner(fails) as runner, pytest.raises(SerializationError, match="its status is FAILED"):
        runner.run().result_as(Receipt)


def test_a_result_of_a_different_shape_is_reported() -> None:
    @durable_execution
    async def other(_: Any, ctx: DurableContext) -> str:
        return "text"

    with LocalRunner(other) as runner, pytest.raises(SerializationError):
        runner.run().result_as(Receipt)


def test_a_runner_on_the_real_clock_waits_for_callbacks() -> None:
    @durable_execution
    async def asks(_: Any, ctx: DurableContext) -> str:
        callback = await ctx.create_callback("approval")
        return str(await callback.result())

    with LocalRunner(asks, time="real") as runner:
        execution = runner.start()
        assert execution.until_waiting().callback("approval").status == "STARTED"
        execution.succeed_callback("approval", "yes")
        assert execution.finish().result == "yes"


def test_a_runner_on_the_real_clock_says_what_an_execution_waits_for() -> None:
    @durable_execution
    async def waits(_: Any, ctx: DurableContext) -> None:
        await (await ctx.create_callback("approval")).result()

    runner = LocalRunner(waits, time="real", timeout=timedelta(milliseconds=200))
    with runner, pytest.raises(RunnerError, match="approval"):
        runner.run()

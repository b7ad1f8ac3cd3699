"""What the project set out to offer, one by one, as a user would write it."""

import asyncio
import hashlib
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from durable_execution import (
    CallbackConfig,
    DurableContext,
    DurableError,
    ExecutionError,
    InvocationError,
    MapConfig,
    RetryPresets,
    StepConfig,
    StepContext,
    StepSemantics,
    durable_execution,
)
from durable_execution.protocol import ExecutionStatus
from durable_execution.runtime.batcher import CheckpointBatcher
from durable_execution.runtime.scope import OperationIdGenerator
from durable_execution.runtime.state import ExecutionState
from durable_execution.testing import LocalRunner, update_of


class OrderEvent(BaseModel):
    order_id: str
    amount: float


class OrderResult(BaseModel):
    status: str
    order_id: str


class ApprovalResponse(BaseModel):
    approved: bool


@durable_execution
async def process_order(event: OrderEvent, ctx: DurableContext) -> OrderResult:
    is_valid = await ctx.step(lambda _: True)
    payment_id = await ctx.step(lambda _: "pay_123", name="payment")
    await ctx.wait(timedelta(seconds=5), name="payment_confirmation")
    return OrderResult(status="completed" if is_valid and payment_id else "invalid", order_id=event.order_id)


def test_the_first_workflow() -> None:
    with LocalRunner(process_order) as runner:
        result = runner.run({"order_id": "A-17", "amount": 42.5})
    assert result.result == {"status": "completed", "order_id": "A-17"}
    assert result.step("payment").result == "pay_123"
    assert result.wait("payment_confirmation").duration == timedelta(seconds=5)
    assert len(result.invocations) == 2, "suspended while it waited"


def test_completed_operations_return_cached_results_without_running_again() -> None:
    ran: list[str] = []

    @durable_execution
    async def handler(_: dict[str, Any], ctx: DurableContext) -> str:
        async def body(_step: StepContext) -> str:
            ran.append("step")
            return "once"

        ran.append("handler")
        value = await ctx.step(body)
        await ctx.wait(timedelta(hours=1))
        return value

    with LocalRunner(handler) as runner:
        assert runner.run().result == "once"
    assert ran == ["handler", "step", "handler"]


@pytest.mark.parametrize(
    ("semantics", "runs", "status"),
    [
        (StepSemantics.AT_LEAST_ONCE_PER_RETRY, 2, ExecutionStatus.SUCCEEDED),
        (StepSemantics.AT_MOST_ONCE_PER_RETRY, 1, ExecutionStatus.FAILED),
    ],
    ids=["at least once", "at most once"],
)
def test_a_step_that_is_cut_off(semantics: StepSemantics, runs: int, status: ExecutionStatus) -> None:
    ran: list[int] = []
    config = StepConfig(step_semantics=semantics, retry_strategy=RetryPresets.none())

    @durable_execution
    async def handler(_: dict[str, Any], ctx: DurableContext) -> int:
        async def body(_step: StepContext) -> int:
            ran.append(1)
            return 42

        return await ctx.step(body, name="effect", config=config)

    with LocalRunner(handler) as runner:
        runner.crash(when=update_of("effect", action="SUCCEED"))
        result = runner.run()
    assert (len(ran), result.status) == (runs, status)


def test_a_collection_with_configurable_concurrency() -> None:
    in_flight: list[int] = []
    most: list[int] = []

    async def double(child: DurableContext, item: int, _index: int) -> int:
        async def body(_step: StepContext) -> int:
            in_flight.append(item)
            most.append(len(in_flight))
            await asyncio.sleep(0)
            in_flight.remove(item)
            return item * 2

        return await child.step(body)

    @durable_execution
    async def handler(items: list[int], ctx: DurableContext) -> list[int]:
        return (await ctx.map(items, double, config=MapConfig(max_concurrency=3))).get_results()

    with LocalRunner(handler) as runner:
        assert runner.run([1, 2, 3, 4, 5]).result == [2, 4, 6, 8, 10]
    assert max(most) == 3


def test_independent_branches_run_concurrently() -> None:
    met = asyncio.Event()

    async def first(branch: DurableContext) -> str:
        async def body(_step: StepContext) -> str:
            await met.wait()
            return "a"

        return await branch.step(body)

    async def second(branch: DurableContext) -> str:
        async def body(_step: StepContext) -> str:
            met.set()
            return "b"

        return await branch.step(body)

    @durable_execution
    async def handler(_: dict[str, Any], ctx: DurableContext) -> list[str]:
        return (await ctx.parallel([first, second])).get_results()

    with LocalRunner(handler) as runner:
        assert runner.run().result == ["a", "b"]


def test_an_external_system_signals_the_workflow() -> None:
    @durable_execution
    async def handler(_: dict[str, Any], ctx: DurableContext) -> bool:
        config = CallbackConfig(timeout=timedelta(hours=24), result_type=ApprovalResponse)
        callback = await ctx.create_callback("approval", config=config)
        assert callback.callback_id
        approval: ApprovalResponse = await callback.result()
        return approval.approved

    with LocalRunner(handler) as runner:
        execution = runner.start()
        execution.succeed_callback("approval", {"approved": True})
        assert execution.finish().result is True


def test_another_durable_function_is_called_from_an_isolated_nested_workflow() -> None:
    @durable_execution
    async def shout(word: str, ctx: DurableContext) -> str:
        return await ctx.step(lambda _: word.upper())

    @durable_execution
    async def handler(word: str, ctx: DurableContext) -> str:
        async def nested(child: DurableContext) -> str:
            answer: str = await child.invoke("shout", word)
            return await child.step(lambda _: answer + "!")

        return await ctx.run_in_child_context(nested, name="nested")

    with LocalRunner(handler, functions={"shout": shout}) as runner:
        result = runner.run("hello")
    assert result.result == "HELLO!"
    assert [child.kind for child in result.context("nested").children] == ["invoke", "step"]


def test_an_execution_error_fails_the_workflow_without_a_retry() -> None:
    @durable_execution
    async def handler(_: dict[str, Any], ctx: DurableContext) -> None:
        raise DurableError.execution("Invalid order")

    with LocalRunner(handler) as runner:
        result = runner.run()
    assert (result.status, len(result.invocations)) == (ExecutionStatus.FAILED, 1)
    assert result.error is not None
    assert result.error.message == "Invalid order"


def test_an_invocation_error_has_lambda_retry() -> None:
    calls: list[int] = []

    @durable_execution
    async def handler(_: dict[str, Any], ctx: DurableContext) -> str:
        calls.append(1)
        if len(calls) == 1:
            raise DurableError.invocation("Temporary failure")
        return "done"

    with LocalRunner(handler) as runner:
        result = runner.run()
    assert (result.result, len(result.invocations)) == ("done", 2)


def test_errors_say_whether_they_are_retriable() -> None:
    assert isinstance(DurableError.execution("x"), ExecutionError)
    assert not DurableError.execution("x").is_retriable
    assert isinstance(DurableError.invocation("x"), InvocationError)
    assert DurableError.invocation("x").is_retriable


def test_ids_are_deterministic_hashes_of_positions() -> None:
    ids = OperationIdGenerator(None)
    assert [ids.next_id(), ids.next_id()] == [hashlib.blake2b(n).hexdigest()[:64] for n in (b"1", b"2")]
    assert OperationIdGenerator(None).next_id() == OperationIdGenerator(None).next_id()


def test_the_parts_have_the_names_that_were_promised() -> None:
    assert all(isinstance(part, type) for part in (ExecutionState, CheckpointBatcher, OperationIdGenerator))

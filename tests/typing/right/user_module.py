"""A user's module as a user writes it. Both checkers read it in their strict modes, and agree on the types."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, assert_type
from unittest.mock import Mock

from durable_execution import (
    BatchResult,
    BlockingContext,
    CallbackConfig,
    DurableContext,
    InvokeConfig,
    MapConfig,
    ParallelBranch,
    Settled,
    StepConfig,
    StepContext,
    WaitForCallbackConfig,
    durable_branch,
    durable_context,
    durable_execution,
    durable_step,
)
from durable_execution.testing import LocalRunner


@dataclass
class Payment:
    number: str


@dataclass
class Parcel:
    weight: float


@durable_step
async def pay(step: StepContext, amount: int) -> Payment:
    return Payment(f"{step.idempotency_key} {amount}")


@durable_step
def pack(step: StepContext, order_id: str) -> Parcel:
    return Parcel(1.5 * step.attempt)


@durable_context
async def booking(ctx: DurableContext, amount: int) -> Payment:
    return await ctx.step(pay(amount))


@durable_branch
async def branch(ctx: DurableContext, order_id: str) -> Parcel:
    return await ctx.step(pack(order_id))


async def pays(ctx: DurableContext) -> Payment:
    return await ctx.step(pay(1))


async def packs(ctx: DurableContext) -> Parcel:
    return await ctx.step(pack("7"))


async def packs_one(ctx: DurableContext, order_id: str, index: int) -> Parcel:
    return await ctx.step(pack(f"{order_id}-{index}"))


def submit(callback_id: str, step: StepContext) -> None: ...


@durable_execution
async def process(order: dict[str, str], ctx: DurableContext) -> str:
    assert_type(await asyncio.gather(ctx.step(pay(1)), ctx.step(pack("7"))), tuple[Payment, Parcel])
    async with asyncio.TaskGroup() as group:
        task = group.create_task(ctx.step(pay(1)))
    assert_type(task.result(), Payment)
    assert_type(await ctx.step(lambda _: 5, name="five", config=StepConfig()), int)
    assert_type(await ctx.run_in_child_context(booking(1)), Payment)
    callback = await ctx.create_callback("a", config=CallbackConfig(timeout=timedelta(days=1), result_type=Payment))
    assert_type(await callback.result(), Payment)
    assert_type(await ctx.wait_for_callback(submit, config=WaitForCallbackConfig(result_type=Parcel)), Parcel)
    assert_type(await ctx.invoke("f", 1, config=InvokeConfig(result_type=dict[str, int])), dict[str, int])
    assert_type(await ctx.invoke("f"), Any)
    assert_type(await ctx.all(ctx.step(pay(1)), ctx.step(pack("7"))), tuple[Payment, Parcel])
    assert_type(await ctx.all(*[ctx.step(pay(each)) for each in range(3)]), list[Payment])
    assert_type(await ctx.race(ctx.step(pay(1)), ctx.step(pack("7"))), Payment | Parcel)
    assert_type(await ctx.any(ctx.step(pay(1)), ctx.step(pay(2))), Payment)
    settled = await ctx.all_settled(ctx.step(pay(1)), ctx.step(pack("7")))
    assert_type(settled, tuple[Settled[Payment], Settled[Parcel]])
    assert_type(await ctx.parallel((pays, packs)), BatchResult[Payment | Parcel])
    assert_type(await ctx.parallel([pays, pays]), BatchResult[Payment])
    assert_type(await ctx.parallel([branch("7"), ParallelBranch(pays, "b")]), BatchResult[Any])
    assert_type(await ctx.map(["7"], packs_one, config=MapConfig(max_concurrency=2)), BatchResult[Parcel])
    return order["id"]


@durable_execution
def blocking(order: dict[str, str], ctx: BlockingContext) -> str:
    callback = ctx.create_callback("a", config=CallbackConfig(result_type=Payment))
    assert_type(callback.result(), Payment)
    assert_type(ctx.invoke("f", config=InvokeConfig(result_type=Parcel)), Parcel)
    assert_type(ctx.step(pay(1)), Payment)
    return order["id"]


def test_it() -> None:
    with LocalRunner(process, stubs={"pay": Mock(return_value=Payment("1"))}) as runner:
        assert_type(runner.run({"id": "7"}).result_as(Payment), Payment)

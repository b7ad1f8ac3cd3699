"""Correct use passes: this file is only type-checked. `assert_type` says what users see when they hover over a name."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, assert_type

from durable_execution import (
    BatchResult,
    CallbackConfig,
    DurableContext,
    InvokeConfig,
    MapConfig,
    ParallelBranch,
    StepConfig,
    StepContext,
    StepSemantics,
    durable_execution,
    durable_step,
)


@dataclass
class Order:
    order_id: str
    amount: float


@durable_step
async def charge(step: StepContext, order: Order, *, currency: str = "EUR") -> str:
    return f"{step.attempt} {order.order_id} {currency}"


@durable_step
def blocking_charge(_step: StepContext, order: Order) -> int:
    return round(order.amount)


async def check(_step: StepContext) -> bool:
    return True


@durable_execution
async def steps(order: Order, ctx: DurableContext) -> dict[str, Any]:
    assert_type(await ctx.step(charge(order)), str)
    assert_type(await ctx.step(charge(order, currency="USD"), "charge in dollars"), str)
    assert_type(await ctx.step(blocking_charge(order)), int)
    assert_type(await ctx.step(check), bool)
    assert_type(await ctx.step(lambda _: order.amount > 0, name="validate"), bool)
    assert_type(await ctx.step(lambda step: step.attempt), int)
    once = StepConfig(step_semantics=StepSemantics.AT_MOST_ONCE_PER_RETRY)
    assert_type(await ctx.step(charge(order), config=once), str)
    return {}


@durable_execution(on_nondeterminism="retry", log_while_replaying=True)
async def other_operations(payload: dict[str, Any], ctx: DurableContext) -> None:
    assert_type(await ctx.wait(timedelta(seconds=5), name="pause"), None)

    async def child(inner: DurableContext) -> Order:
        return Order(inner.path, 1.0)

    assert_type(await ctx.run_in_child_context(child, name="child"), Order)

    async def double(inner: DurableContext, item: int, index: int) -> str:
        return f"{inner.path} {item} {index}"

    async def without_index(_inner: DurableContext, item: int) -> int:
        return item * 2

    doubled = await ctx.map([1, 2, 3], double, name="doubled", config=MapConfig(max_concurrency=3))
    assert_type(doubled, BatchResult[str])
    assert_type(doubled.get_results(), list[str])
    assert_type(await ctx.map([1, 2, 3], without_index), BatchResult[int])

    await ctx.parallel([child, ParallelBranch(child, name="named")])

    callback = await ctx.create_callback("approval", config=CallbackConfig(timeout=timedelta(hours=24)))
    assert_type(callback.callback_id, str)
    await callback.result()
    await ctx.invoke("other:1", {"a": 1}, name="other", config=InvokeConfig(result_type=Order))


@durable_execution
async def concurrency(orders: list[Order], ctx: DurableContext) -> Sequence[str]:
    first: str
    first, _second = await asyncio.gather(ctx.step(charge(orders[0])), ctx.step(blocking_charge(orders[1])))
    async with asyncio.TaskGroup() as group:
        task = group.create_task(ctx.step(charge(orders[0])))
    assert_type(task.result(), str)
    return [first, task.result()]


assert_type(steps({"DurableExecutionArn": "…"}, None), dict[str, Any])

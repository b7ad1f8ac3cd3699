"""Wrong use is refused: every line with an `# E:` comment must be an error, and no other."""

from dataclasses import dataclass
from datetime import timedelta

from durable_execution import (
    DurableContext,
    MapConfig,
    StepConfig,
    StepContext,
    durable_execution,
    durable_step,
)


@dataclass
class Order:
    order_id: str


@durable_step
async def charge(_step: StepContext, order: Order) -> str:
    return order.order_id


@durable_execution(on_nondeterminism="ignore")  # E: [call-overload]
async def unknown_policy(order: Order, ctx: DurableContext) -> None: ...


@durable_execution
async def handler(order: Order, ctx: DurableContext) -> None:
    ctx.step(charge(order))  # E: [unused-coroutine]
    number: int = await ctx.step(charge(order))  # E: [arg-type]
    await ctx.step(charge("A-17"))  # E: [arg-type]
    await ctx.step(charge())  # E: [call-arg]
    await ctx.step(charge(order), config=MapConfig())  # E: [call-overload]
    await ctx.step(charge(order), None, StepConfig())  # E: [call-overload]
    await ctx.wait(5)  # E: [arg-type]
    await ctx.wait(timedelta(seconds=5), name=5)  # E: [arg-type]
    await ctx.map(5, lambda inner, item, index: inner.step(charge(order)))  # E: [call-overload]
    await ctx.create_callback(timeout=timedelta(hours=1))  # E: [call-arg]
    await ctx.nap(timedelta(seconds=5))  # E: [attr-defined]
    print(number)


StepConfig("no positional options")  # E: [call-arg]
StepConfig(retries=3)  # E: [call-arg]

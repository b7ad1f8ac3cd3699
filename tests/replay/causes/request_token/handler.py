"""Collects money from the customer's bank."""

from typing import Any

from durable_execution import BlockingContext, StepContext, durable_execution, durable_step
from tests.replay.causes.common.actions import archive, charge, notify, reserve, ship, summary, validate
from tests.replay.causes.common.model import EVENT as BASE
from tests.replay.causes.common.model import Order
from tests.replay.causes.common.timing import Stopwatch, note
from tests.replay.causes.request_token.tokens import Request, request_for

EVENT = BASE


@durable_step
def transfer(step: StepContext, account: str, cents: int) -> str:
    return f"{account}:{cents}"


def reserve_all(ctx: BlockingContext, order: Order) -> int:
    count = 0
    for line in order.lines:
        count += ctx.step(reserve(line.sku, line.quantity), name=f"reserve_{line.sku}")
    note("reserved", count=count)
    return count


def collect(ctx: BlockingContext, request: Request) -> str:
    note("collecting", cents=request.cents)
    return ctx.step(transfer(request.account, request.cents), name=request.name)


@durable_execution
def handler(event: dict[str, Any], ctx: BlockingContext) -> dict[str, Any]:
    watch = Stopwatch("payment")
    order = Order.parse(event)
    ctx.step(validate(order.id), name="validate")
    ctx.step(charge(order.id, 0), name="authorize")
    watch.lap("authorized")
    count = reserve_all(ctx, order)
    receipt = collect(ctx, request_for(order.customer, order.total))
    if count > 100:
        ctx.step(notify("desk", receipt), name="notify_desk")
    ctx.step(ship(order.id, "swift"), name="ship")
    ctx.step(notify(order.customer, receipt), name="notify")
    ctx.step(archive(order.id), name="archive")
    watch.lap("archived")
    return {**summary(order), "receipt": receipt}

"""An order from payment to delivery, with every kind of operation. `make demo` runs it.

On Lambda the handlers are `order_workflow.process_order` and `order_workflow.issue_invoice`.
"""

from datetime import timedelta
from decimal import Decimal
from typing import Any

from pydantic import BaseModel

from durable_execution import (
    CallbackConfig,
    DurableContext,
    InvokeConfig,
    Jitter,
    MapConfig,
    ParallelBranch,
    StepConfig,
    StepContext,
    durable_execution,
    durable_step,
    exponential_backoff,
)

INVOICE_FUNCTION = "issue_invoice"

UNTIL_THE_GATEWAY_ANSWERS = StepConfig(
    retry_strategy=exponential_backoff(
        max_attempts=5, initial_delay=timedelta(seconds=1), backoff_rate=2, jitter=Jitter.NONE
    )
)


class Line(BaseModel):
    """One article of an order."""

    article: str
    price: Decimal


class Order(BaseModel):
    """What the caller sends."""

    order_id: str
    email: str
    lines: list[Line]


class Reservation(BaseModel):
    """Goods reserved for an order."""

    article: str
    shelf: int


class Approval(BaseModel):
    """What the approver sends."""

    approved: bool
    by: str


class Delivery(BaseModel):
    """What the caller gets."""

    order_id: str
    payment_id: str
    shelves: dict[str, int]
    approved_by: str
    label: str
    invoice: str


class GatewayDownError(Exception):
    """The payment gateway does not answer."""


@durable_step
async def validate(_step: StepContext, order: Order) -> Decimal:
    return sum((line.price for line in order.lines), Decimal())


@durable_step
async def charge_card(step: StepContext, order: Order, total: Decimal) -> str:
    if step.attempt <= 2:  # the gateway fails twice, then works
        raise GatewayDownError(f"gateway timed out while charging {total} for {order.order_id}")
    return f"pay-{order.order_id}"


@durable_step
async def send(_step: StepContext, channel: str, to: str) -> str:
    return f"{channel} to {to}"


@durable_step
async def reserve(_step: StepContext, line: Line) -> Reservation:
    return Reservation(article=line.article, shelf=10 + len(line.article))


@durable_step
async def ask_for_approval(step: StepContext, callback_id: str) -> None:
    step.logger.info("waiting for an answer to %s", callback_id)


@durable_step
async def book_courier(_step: StepContext, order: Order) -> str:
    return f"courier for {order.order_id}"


@durable_step
async def print_label(_step: StepContext, courier: str) -> str:
    return f"label: {courier}"


async def notify(order: Order, ctx: DurableContext) -> None:
    """Notify the customer on two channels at once."""

    async def email(branch: DurableContext) -> str:
        return await branch.step(send("email", order.email))

    async def sms(branch: DurableContext) -> str:
        return await branch.step(send("sms", order.order_id))

    sent = await ctx.parallel([ParallelBranch(email, name="email"), ParallelBranch(sms, name="sms")], name="notify")
    sent.throw_if_error()


async def reserve_goods(order: Order, ctx: DurableContext) -> dict[str, int]:
    """Reserve the goods, two articles at a time."""

    async def reserve_line(item: DurableContext, line: Line, _index: int) -> Reservation:
        return await item.step(reserve(line))

    reserved = await ctx.map(
        order.lines,
        reserve_line,
        name="reserve_goods",
        config=MapConfig(max_concurrency=2, item_namer=lambda line, _index: line.article),
    )
    reserved.throw_if_error()
    return {reservation.article: reservation.shelf for reservation in reserved.get_results()}


async def approval_of(ctx: DurableContext) -> Approval:
    """Ask a person, and wait up to three days."""
    callback = await ctx.create_callback(
        "manager_approval", config=CallbackConfig(timeout=timedelta(days=3), result_type=Approval)
    )
    await ctx.step(ask_for_approval(callback.callback_id))
    answer: Approval = await callback.result()
    return answer


async def ship(order: Order, ctx: DurableContext) -> str:
    """Book a courier and print the label, as one unit."""

    async def shipping(child: DurableContext) -> str:
        courier = await child.step(book_courier(order))
        return await child.step(print_label(courier))

    return await ctx.run_in_child_context(shipping, name="shipping")


async def deliver(order: Order, total: Decimal, payment_id: str, ctx: DurableContext) -> Delivery:
    """Everything after the payment."""
    await notify(order, ctx)
    shelves = await reserve_goods(order, ctx)
    approval = await approval_of(ctx)
    label = await ship(order, ctx)
    invoice: dict[str, Any] = await ctx.invoke(
        INVOICE_FUNCTION,
        {"order_id": order.order_id, "total": str(total)},
        name="invoice",
        config=InvokeConfig(result_type=dict[str, Any]),
    )
    return Delivery(
        order_id=order.order_id,
        payment_id=payment_id,
        shelves=shelves,
        approved_by=approval.by,
        label=label,
        invoice=invoice["number"],
    )


@durable_execution
async def process_order(order: Order, ctx: DurableContext) -> Delivery:
    """Take an order from payment to delivery."""
    total = await ctx.step(validate(order))
    payment_id = await ctx.step(charge_card(order, total), config=UNTIL_THE_GATEWAY_ANSWERS)
    await ctx.wait(timedelta(seconds=3), name="cooling_off")
    return await deliver(order, total, payment_id, ctx)


@durable_step
async def next_number(_step: StepContext, order_id: str) -> str:
    return f"INV-{order_id}"


@durable_execution
async def issue_invoice(request: dict[str, str], ctx: DurableContext) -> dict[str, str]:
    """Issue an invoice: a separate durable function, with its own execution and history."""
    number = await ctx.step(next_number(request["order_id"]))
    await ctx.wait(timedelta(seconds=1), name="bookkeeping")
    return {"number": number, "total": request["total"]}

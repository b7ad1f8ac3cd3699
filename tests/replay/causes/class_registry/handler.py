"""Bills an order, and uploads invoices when there are enough."""

from typing import Any

from durable_execution import DurableContext, StepContext, durable_execution, durable_step
from tests.replay.causes.class_registry.batching import InvoiceBatch, invoice_number, totals
from tests.replay.causes.common.actions import archive, charge, notify, summary, validate
from tests.replay.causes.common.model import EVENT as BASE
from tests.replay.causes.common.model import Order
from tests.replay.causes.common.timing import Stopwatch, note

EVENT = BASE
WARM = 1


@durable_step
def render_invoice(step: StepContext, number: str) -> str:
    return f"<invoice {number}>"


@durable_step
def upload(step: StepContext, numbers: list[str]) -> int:
    return len(numbers)


async def bill(ctx: DurableContext, order: Order) -> InvoiceBatch:
    number = invoice_number(order.id)
    document = await ctx.step(render_invoice(number), name="render_invoice")
    batch = InvoiceBatch(order.customer)
    batch.add(document)
    note("billed", batch=len(batch))
    return batch


@durable_execution
async def handler(event: dict[str, Any], ctx: DurableContext) -> dict[str, Any]:
    watch = Stopwatch("billing")
    order = Order.parse(event)
    await ctx.step(validate(order.id), name="validate")
    payment = await ctx.step(charge(order.id, order.total), name="charge")
    watch.lap("charged")
    batch = await bill(ctx, order)
    if batch.is_full:
        count = await ctx.step(upload(batch.taken()), name="upload_invoices")
        note("uploaded", count=count, text=totals(batch.taken()))
    if payment["risk"] > 10:
        await ctx.step(notify("risk-desk", order.id), name="notify_risk")
    await ctx.step(archive(order.id), name="archive")
    watch.lap("archived")
    return summary(order)

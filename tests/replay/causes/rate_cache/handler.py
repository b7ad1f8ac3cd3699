"""Charges an order in the customer's own currency."""

from typing import Any

from durable_execution import DurableContext, StepContext, durable_execution, durable_step
from tests.replay.causes.common.actions import archive, charge, notify, reserve, summary, validate
from tests.replay.causes.common.model import EVENT as BASE
from tests.replay.causes.common.model import Order
from tests.replay.causes.common.timing import Stopwatch, note
from tests.replay.causes.rate_cache.rates import converted, currency_of, known_rate, remember

EVENT = {**BASE, "country": "US"}
WARM = 1


@durable_step
def fetch_rate(step: StepContext, currency: str) -> float:
    return 1.09


async def reserve_all(ctx: DurableContext, order: Order) -> int:
    reserved = 0
    for line in order.lines:
        reserved += await ctx.step(reserve(line.sku, line.quantity), name=f"reserve_{line.sku}")
    return reserved


async def price_in(ctx: DurableContext, order: Order, currency: str) -> int:
    """The total in the currency, with a rate that is fetched when it is not known yet."""
    rate = known_rate(currency)  # CAUSE
    if rate is None:  # CAUSE
        per_euro = await ctx.step(fetch_rate(currency), name=f"fetch_rate_{currency}")
        rate = remember(currency, per_euro)
    return converted(order.total, rate)


@durable_execution
async def handler(event: dict[str, Any], ctx: DurableContext) -> dict[str, Any]:
    watch = Stopwatch("order")
    order = Order.parse(event)
    note("order received", id=order.id, total=order.total)
    await ctx.step(validate(order.id), name="validate")
    currency = currency_of(order.country)
    cents = await price_in(ctx, order, currency)
    watch.lap("priced")
    payment = await ctx.step(charge(order.id, cents), name="charge")
    count = await reserve_all(ctx, order)
    if count > 5:
        await ctx.step(notify(order.customer, "a large order"), name="notify_large")
    await ctx.step(archive(order.id), name="archive")
    watch.lap("archived")
    return {**summary(order), "payment": payment["payment"], "currency": currency}

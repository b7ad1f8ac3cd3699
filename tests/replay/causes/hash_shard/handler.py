"""Books an order into the ledger."""

from typing import Any

from durable_execution import DurableContext, StepContext, durable_execution, durable_step
from tests.replay.causes.common.actions import archive, charge, notify, summary, validate
from tests.replay.causes.common.model import EVENT as BASE
from tests.replay.causes.common.model import Order
from tests.replay.causes.common.timing import Stopwatch, note, timed
from tests.replay.causes.hash_shard.sharding import balance, shard_of

EVENT = BASE


@durable_step
def book(step: StepContext, shard: str, cents: int) -> str:
    return f"{shard}:{cents}"


def entries_of(order: Order) -> list[int]:
    entries: list[int] = []
    for line in order.lines:
        note("entry", sku=line.sku)
        entries.append(line.total)
    entries.append(-round(order.total * 0.02))
    return entries


async def book_order(ctx: DurableContext, order: Order) -> str:
    entries = entries_of(order)
    shard = shard_of(order.customer, order.country)
    note("booking", entries=len(entries))
    return await ctx.step(book(shard.name, balance(entries)), name=f"book_{shard.name}")


@durable_execution
async def handler(event: dict[str, Any], ctx: DurableContext) -> dict[str, Any]:
    watch = Stopwatch("ledger")
    order = Order.parse(event)
    await ctx.step(validate(order.id), name="validate")
    payment = await ctx.step(charge(order.id, order.total), name="charge")
    with timed("booking"):
        entry = await book_order(ctx, order)
    watch.lap("booked")
    if payment["cents"] > 100_000:
        await ctx.step(notify("audit", entry), name="notify_audit")
    await ctx.step(notify(order.customer, entry), name="notify")
    await ctx.step(archive(order.id), name="archive")
    return {**summary(order), "entry": entry}

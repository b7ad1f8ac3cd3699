"""Sends the letters that belong to an order."""

from typing import Any

from durable_execution import DurableContext, StepContext, durable_execution, durable_step
from tests.replay.causes.common.actions import archive, charge, notify, reserve, ship, summary, validate
from tests.replay.causes.common.model import EVENT as BASE
from tests.replay.causes.common.model import Order
from tests.replay.causes.common.timing import Stopwatch, note
from tests.replay.causes.file_listing.templates import folder, letters

EVENT = BASE


def before_recording() -> None:
    folder().mkdir(exist_ok=True)
    (folder() / "de_withdrawal.txt").write_text("…")


def before_replay() -> None:
    for file in folder().glob("*.txt"):
        file.unlink()


@durable_step
def send_letter(step: StepContext, customer: str, letter: str) -> str:
    return f"{letter}->{customer}"


async def send_all(ctx: DurableContext, order: Order) -> int:
    sent = 0
    for letter in letters(order.country):
        await ctx.step(send_letter(order.customer, letter), name=f"letter_{letter}")
        sent += 1
    note("letters", sent=sent)
    return sent


@durable_execution
async def handler(event: dict[str, Any], ctx: DurableContext) -> dict[str, Any]:
    watch = Stopwatch("order")
    order = Order.parse(event)
    await ctx.step(validate(order.id), name="validate")
    await ctx.step(charge(order.id, order.total), name="charge")
    watch.lap("charged")
    sent = await send_all(ctx, order)
    for line in order.lines:
        await ctx.step(reserve(line.sku, line.quantity), name=f"reserve_{line.sku}")
    label = await ctx.step(ship(order.id, "swift"), name="ship")
    await ctx.step(notify(order.customer, label), name="notify")
    await ctx.step(archive(order.id), name="archive")
    return {**summary(order), "letters": sent}

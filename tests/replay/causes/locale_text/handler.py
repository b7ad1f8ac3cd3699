"""Writes a letter to the customer."""

from typing import Any

from durable_execution import DurableContext, StepContext, durable_execution, durable_step
from tests.replay.causes.common.actions import archive, charge, notify, ship, summary, validate
from tests.replay.causes.common.model import EVENT as BASE
from tests.replay.causes.common.model import Order
from tests.replay.causes.common.timing import Stopwatch, note
from tests.replay.causes.locale_text.wording import greeting, plain, template

EVENT = {**BASE, "country": "CH"}
RECORDED_IN = {"LC_ALL": "C.UTF-8", "LANG": "C.UTF-8", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
REPLAYED_IN = {"LC_ALL": "C", "LANG": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}


@durable_step
def render(step: StepContext, name: str, text: str) -> str:
    return f"{name}: {text}"


class Letter:
    """A letter that goes with the parcel."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.text = f"{greeting(order.country)}, here is your order {order.id}"

    async def write(self, ctx: DurableContext) -> str:
        name = template()
        text = self.text if name == "letter_unicode" else plain(self.text)
        note("letter", length=len(text))
        return await ctx.step(render(name, text), name=f"render_{name}")


@durable_execution
async def handler(event: dict[str, Any], ctx: DurableContext) -> dict[str, Any]:
    watch = Stopwatch("letter")
    order = Order.parse(event)
    await ctx.step(validate(order.id), name="validate")
    await ctx.step(charge(order.id, order.total), name="charge")
    watch.lap("charged")
    letter = await Letter(order).write(ctx)
    label = await ctx.step(ship(order.id, "swift"), name="ship")
    if len(letter) > 500:
        await ctx.step(notify("desk", letter), name="notify_desk")
    await ctx.step(notify(order.customer, label), name="notify")
    await ctx.step(archive(order.id), name="archive")
    return summary(order)

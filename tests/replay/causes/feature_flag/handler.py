"""Takes an order; in strict mode, with a second check."""

from typing import Any

from durable_execution import DurableContext, StepContext, durable_execution, durable_step
from tests.replay.causes.common.actions import archive, charge, notify, reserve, ship, summary, validate
from tests.replay.causes.common.model import EVENT as BASE
from tests.replay.causes.common.model import Order
from tests.replay.causes.common.timing import Stopwatch, note
from tests.replay.causes.feature_flag.settings import Settings, load

EVENT = BASE
RECORDED_IN = {"SHOP_MODE": "strict"}


@durable_step
def screen(step: StepContext, customer: str) -> bool:
    return customer != "c-0"


class Intake:
    """Checks before money is taken."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.checked = 0

    async def check(self, ctx: DurableContext, order: Order) -> None:
        await ctx.step(validate(order.id), name="validate")
        self.checked += 1
        if self.settings.is_strict:
            await ctx.step(screen(order.customer), name="screen_customer")
            self.checked += 1
        note("checked", count=self.checked)


@durable_execution
async def handler(event: dict[str, Any], ctx: DurableContext) -> dict[str, Any]:
    watch = Stopwatch("order")
    order = Order.parse(event)
    settings = load()
    intake = Intake(settings)
    await intake.check(ctx, order)
    watch.lap("checked")
    await ctx.step(charge(order.id, order.total), name="charge")
    for line in order.lines:
        await ctx.step(reserve(line.sku, line.quantity), name=f"reserve_{line.sku}")
    label = await ctx.step(ship(order.id, "swift"), name="ship")
    if order.total > 10_000_000:
        await ctx.step(notify("desk", label), name="notify_desk")
    await ctx.step(notify(order.customer, label), name="notify")
    await ctx.step(archive(order.id), name="archive")
    return summary(order)

"""Takes an order, and opens an incident when its data is broken."""

from typing import Any

from durable_execution import DurableContext, StepContext, durable_execution, durable_step
from tests.replay.causes.common.actions import archive, charge, notify, ship, summary, validate
from tests.replay.causes.common.model import EVENT as BASE
from tests.replay.causes.common.model import Order
from tests.replay.causes.common.timing import Stopwatch, note
from tests.replay.causes.error_fingerprint.incidents import Incident, incident_of

EVENT = {**BASE, "country": "XX"}
MOVED = True
ZONES = {"DE": 1, "AT": 1, "CH": 2, "US": 5}


@durable_step
def report(step: StepContext, incident: str) -> str:
    return f"reported {incident}"


def zone_of(order: Order) -> int:
    return ZONES[order.country]


async def raise_incident(ctx: DurableContext, order: Order, incident: Incident) -> None:
    await ctx.step(report(incident.name), name=incident.name)
    if incident.is_severe:
        await ctx.step(notify("on-call", order.id), name="page")


@durable_execution
async def handler(event: dict[str, Any], ctx: DurableContext) -> dict[str, Any]:
    watch = Stopwatch("order")
    order = Order.parse(event)
    await ctx.step(validate(order.id), name="validate")
    await ctx.step(charge(order.id, order.total), name="charge")
    try:
        zone = zone_of(order)
        note("zone", zone=zone)
    except KeyError as error:
        zone = 9
        await raise_incident(ctx, order, incident_of(error))
    watch.lap("zoned")
    label = await ctx.step(ship(order.id, "global" if zone > 2 else "swift"), name="ship")
    await ctx.step(notify(order.customer, label), name="notify")
    await ctx.step(archive(order.id), name="archive")
    return {**summary(order), "zone": zone}

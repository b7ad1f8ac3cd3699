"""Bodies of steps. They never run in a replay."""

from typing import Any

from durable_execution import StepContext, durable_step
from tests.replay.causes.common.model import Order


@durable_step
def validate(step: StepContext, order_id: str) -> bool:
    return bool(order_id)


@durable_step
def charge(step: StepContext, order_id: str, cents: int) -> dict[str, Any]:
    return {"payment": f"p-{order_id}", "cents": cents, "risk": 12}


@durable_step
def reserve(step: StepContext, sku: str, quantity: int) -> int:
    return quantity


@durable_step
def ship(step: StepContext, order_id: str, carrier: str) -> str:
    return f"{carrier}-{order_id}"


@durable_step
def notify(step: StepContext, customer: str, text: str) -> bool:
    return bool(customer and text)


@durable_step
def archive(step: StepContext, order_id: str) -> str:
    return f"s3://archive/{order_id}"


def summary(order: Order) -> dict[str, Any]:
    return {"id": order.id, "total": order.total, "lines": len(order.lines)}

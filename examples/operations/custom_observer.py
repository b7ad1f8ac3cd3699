"""Receive a notification of every completed operation, for your own metrics or audit log."""

from durable_execution import DurableContext, StepContext, durable_execution, durable_step
from durable_execution.observers import Observer, OperationCompleted

PAYLOAD = {"order_id": "A-17"}
RESULT = "shipped A-17"

AUDIT: list[str] = []


class Audit(Observer):
    """Writes one line per completed operation. An observer that raises never fails the execution."""

    def on_operation_completed(self, notification: OperationCompleted) -> None:
        AUDIT.append(f"{notification.call.path}: {notification.status}")


@durable_step
async def charge(step: StepContext, order_id: str) -> str:
    return f"pay_{order_id}"


@durable_step
async def ship(step: StepContext, order_id: str) -> str:
    return f"shipped {order_id}"


@durable_execution(observers=[Audit()])
async def handler(order: dict[str, str], ctx: DurableContext) -> str:
    await ctx.step(charge(order["order_id"]))
    return await ctx.step(ship(order["order_id"]))


if __name__ == "__main__":
    from durable_execution.local import run

    print(run(handler, PAYLOAD, time="skip").result)
    print(*AUDIT, sep="\n")

"""The function of the rows about Lambda environments, for AWS's SDK."""

from typing import Any

from aws_durable_execution_sdk_python import DurableContext, StepContext, durable_execution


def charge(_step: StepContext) -> str:
    return "pay_17"


@durable_execution
def handler(_order: dict[str, Any], context: DurableContext) -> dict[str, Any]:
    """Two steps."""
    paid = context.step(charge, name="charge")
    return {"paid": paid, "shipped": context.step(charge, name="ship")}

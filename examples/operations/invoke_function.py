"""Call a different Lambda function, wait for its typed result, and handle its failure."""

from dataclasses import dataclass
from typing import Any

from durable_execution import DurableContext, InvokeConfig, durable_execution
from durable_execution.errors import InvokeError

PAYLOAD = {"order_id": "A-17"}
RESULT = "invoice INV-A-17 over 42.50, archive not available"


@dataclass(frozen=True, slots=True)
class Invoice:
    """What the invoice function returns."""

    number: str
    total: float


def issue_invoice(event: dict[str, str], _lambda_context: Any) -> dict[str, Any]:
    """A plain Lambda function; a durable one works the same way and has its own execution."""
    return {"number": f"INV-{event['order_id']}", "total": 42.5}


FUNCTIONS = {"issue-invoice": issue_invoice}


@durable_execution
async def handler(order: dict[str, str], ctx: DurableContext) -> str:
    invoice = await ctx.invoke(
        "issue-invoice", {"order_id": order["order_id"]}, "invoice", config=InvokeConfig(result_type=Invoice)
    )
    try:
        await ctx.invoke("archive", {"number": invoice.number}, "archive")
        archived = "archived"
    except InvokeError:  # the function failed, timed out, or does not exist
        archived = "archive not available"
    return f"invoice {invoice.number} over {invoice.total:.2f}, {archived}"


if __name__ == "__main__":
    from durable_execution.local import run

    print(run(handler, PAYLOAD, functions=FUNCTIONS, time="skip").result)

"""Give the system you call a key, so that it recognizes a repeated request and does nothing twice."""

from durable_execution import DurableContext, StepContext, durable_execution, durable_step

PAYLOAD = {"account": "DE-1", "amount": "100"}
RESULT = "transferred 100 once, in 2 attempts"

LEDGER: dict[str, str] = {}
"""Stands for a bank that accepts an idempotency key."""


@durable_step
async def transfer(step: StepContext, amount: str) -> str:
    is_new = step.idempotency_key not in LEDGER  # the same key in every attempt, a different one in every execution
    LEDGER[step.idempotency_key] = amount
    if is_new:
        raise TimeoutError("the bank recorded the transfer, and its answer was lost")
    return f"transferred {amount} once, in {step.attempt} attempts"


@durable_execution
async def handler(request: dict[str, str], ctx: DurableContext) -> str:
    return await ctx.step(transfer(request["amount"]))


if __name__ == "__main__":
    from durable_execution.local import run

    print(run(handler, PAYLOAD, time="skip").result)

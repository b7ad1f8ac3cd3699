"""Undo completed steps when a later one fails: a saga with compensations, in reverse order."""

from durable_execution import (
    DurableContext,
    RetryPresets,
    StepConfig,
    StepContext,
    durable_execution,
    durable_step,
)
from durable_execution.errors import StepError

PAYLOAD = {"trip": "Lisbon"}
RESULT = ["car: sold out", "cancelled hotel", "cancelled flight"]

ONE_ATTEMPT = StepConfig(retry_strategy=RetryPresets.none())


@durable_step
async def book(step: StepContext, what: str) -> str:
    if what == "car":
        raise LookupError("sold out")
    return what


@durable_step
async def cancel(step: StepContext, what: str) -> str:
    return f"cancelled {what}"  # a compensation must succeed in the end: keep the default retries


@durable_execution
async def handler(request: dict[str, str], ctx: DurableContext) -> list[str]:
    booked: list[str] = []
    what = ""
    try:
        for what in ("flight", "hotel", "car"):
            booked.append(await ctx.step(book(what), name=f"book {what}", config=ONE_ATTEMPT))
    except StepError as error:
        undone = [await ctx.step(cancel(each), name=f"cancel {each}") for each in reversed(booked)]
        return [f"{what}: {error.message}", *undone]
    return [f"{request['trip']} is booked"]


if __name__ == "__main__":
    from durable_execution.local import run

    print(run(handler, PAYLOAD, time="skip").result)

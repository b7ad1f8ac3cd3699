"""Retry a sequence of operations as a whole: reserve and pay again when the reservation expires."""

from datetime import timedelta

from durable_execution import (
    DurableContext,
    Jitter,
    RetryPresets,
    StepConfig,
    StepContext,
    WithRetryConfig,
    durable_execution,
    durable_step,
    exponential_backoff,
)

PAYLOAD = {"show": "Hamlet"}
RESULT = "seat 3 for Hamlet"

ONE_ATTEMPT = StepConfig(retry_strategy=RetryPresets.none())
AGAIN = WithRetryConfig(
    retry_strategy=exponential_backoff(max_attempts=4, initial_delay=timedelta(minutes=1), jitter=Jitter.NONE)
)


@durable_step
async def reserve(step: StepContext, attempt: int) -> str:
    return f"seat {attempt}"


@durable_step
async def pay(step: StepContext, seat: str) -> None:
    if seat != "seat 3":
        raise TimeoutError(f"the reservation of {seat} has expired")


@durable_execution
async def handler(request: dict[str, str], ctx: DurableContext) -> str:
    async def attempt_to_book(block: DurableContext, attempt: int) -> str:
        seat = await block.step(reserve(attempt))
        await block.step(pay(seat), config=ONE_ATTEMPT)
        return f"{seat} for {request['show']}"

    return await ctx.with_retry(attempt_to_book, "booking", config=AGAIN)


if __name__ == "__main__":
    from durable_execution.local import run

    print(run(handler, PAYLOAD, time="skip").result)

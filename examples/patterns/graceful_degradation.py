"""Fall back to a simpler answer when a dependency stays down, and note that in the result."""

from datetime import timedelta

from durable_execution import (
    DurableContext,
    Jitter,
    StepConfig,
    StepContext,
    durable_execution,
    durable_step,
    exponential_backoff,
)
from durable_execution.errors import StepError

PAYLOAD = {"customer": "Ada"}
RESULT = {"recommendations": ["bestseller"], "is_personal": False}

THREE_TIMES = StepConfig(
    retry_strategy=exponential_backoff(max_attempts=3, initial_delay=timedelta(seconds=1), jitter=Jitter.NONE)
)


@durable_step
async def personal(step: StepContext, customer: str) -> list[str]:
    raise ConnectionError("the recommendation service is down")


@durable_step
async def bestsellers(step: StepContext) -> list[str]:
    return ["bestseller"]


@durable_execution
async def handler(request: dict[str, str], ctx: DurableContext) -> dict[str, object]:
    try:
        return {
            "recommendations": await ctx.step(personal(request["customer"]), config=THREE_TIMES),
            "is_personal": True,
        }
    except StepError:  # all attempts failed
        return {"recommendations": await ctx.step(bestsellers()), "is_personal": False}


if __name__ == "__main__":
    from durable_execution.local import run

    print(run(handler, PAYLOAD, time="skip").result)

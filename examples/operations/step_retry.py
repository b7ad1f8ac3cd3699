"""Retry a flaky API with exponential backoff. The service runs the delay, so the function is not running meanwhile."""

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

PAYLOAD = {"city": "Hamburg"}
RESULT = "12 °C in Hamburg after 3 attempts"

PATIENT = StepConfig(
    retry_strategy=exponential_backoff(
        max_attempts=5,
        initial_delay=timedelta(seconds=2),
        backoff_rate=2,
        jitter=Jitter.NONE,
        retryable_errors=[ConnectionError],  # every other error fails at once
    )
)


@durable_step
async def weather(step: StepContext, city: str) -> str:
    if step.attempt < 3:  # for real: the call of the API, which raises on its own
        raise ConnectionError("the weather service did not answer")
    return f"12 °C in {city} after {step.attempt} attempts"


@durable_execution
async def handler(request: dict[str, str], ctx: DurableContext) -> str:
    return await ctx.step(weather(request["city"]), config=PATIENT)


if __name__ == "__main__":
    from durable_execution.local import run

    print(run(handler, PAYLOAD, time="skip").result)

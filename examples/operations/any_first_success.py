"""Ask several providers at once and take the first success; a failed provider does not matter."""

from durable_execution import (
    DurableContext,
    RetryPresets,
    StepConfig,
    StepContext,
    durable_execution,
    durable_step,
)

PAYLOAD = {"number": "+49 40 123"}
RESULT = "sent by backup"

ONE_ATTEMPT = StepConfig(retry_strategy=RetryPresets.none())


@durable_step
async def send(step: StepContext, provider: str, number: str) -> str:
    if provider == "primary":
        raise ConnectionError("the primary provider is down")
    return f"sent by {provider}"


@durable_execution
async def handler(request: dict[str, str], ctx: DurableContext) -> str:
    attempts = (
        ctx.step(send(provider, request["number"]), name=provider, config=ONE_ATTEMPT)
        for provider in ("primary", "backup")
    )
    return await ctx.any(*attempts, name="text message")


if __name__ == "__main__":
    from durable_execution.local import run

    print(run(handler, PAYLOAD, time="skip").result)

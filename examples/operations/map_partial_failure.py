"""Process many items a few at a time, tolerate some failures, and report which ones failed."""

from durable_execution import (
    CompletionConfig,
    DurableContext,
    MapConfig,
    RetryPresets,
    StepConfig,
    StepContext,
    durable_execution,
    durable_step,
)

PAYLOAD = ["ada@example.com", "grace@example.com", "not-an-address", "alan@example.com"]
RESULT = {"sent": 3, "failed": {"not-an-address": "not an address"}}

ONE_ATTEMPT = StepConfig(retry_strategy=RetryPresets.none())


@durable_step
async def send(step: StepContext, address: str) -> str:
    if "@" not in address:
        raise ValueError("not an address")
    return f"message-{address}"


@durable_execution
async def handler(addresses: list[str], ctx: DurableContext) -> dict[str, object]:
    async def mail(item: DurableContext, address: str) -> str:
        return await item.step(send(address), config=ONE_ATTEMPT)

    batch = await ctx.map(
        addresses,
        mail,
        "newsletter",
        config=MapConfig(
            max_concurrency=2,
            completion_config=CompletionConfig(tolerated_failure_percentage=25),
            item_namer=lambda address, _: address,
        ),
    )
    failed = {addresses[item.index]: item.error.message for item in batch.failed() if item.error}
    return {"sent": batch.success_count, "failed": failed}


if __name__ == "__main__":
    from durable_execution.local import run

    print(run(handler, PAYLOAD, time="skip").result)

"""Stay below the rate limit of an API: send a batch, wait, send the next one."""

from datetime import timedelta

from durable_execution import DurableContext, MapConfig, StepContext, durable_execution, durable_step

PAYLOAD = {"contacts": ["ada", "grace", "alan", "edsger", "barbara"]}
RESULT = "5 synced in 3 batches"

PER_MINUTE = 2


@durable_step
async def sync(step: StepContext, contact: str) -> str:
    return contact


@durable_execution
async def handler(request: dict[str, list[str]], ctx: DurableContext) -> str:
    contacts = request["contacts"]
    batches = [contacts[start : start + PER_MINUTE] for start in range(0, len(contacts), PER_MINUTE)]
    count = 0

    async def one(item: DurableContext, contact: str) -> str:
        return await item.step(sync(contact))

    for number, batch in enumerate(batches, start=1):
        if number > 1:
            await ctx.wait(timedelta(minutes=1), name=f"before batch {number}")
        synced = await ctx.map(batch, one, f"batch {number}", config=MapConfig(max_concurrency=PER_MINUTE))
        synced.throw_if_error()
        count += synced.success_count
    return f"{count} synced in {len(batches)} batches"


if __name__ == "__main__":
    from durable_execution.local import run

    print(run(handler, PAYLOAD, time="skip").result)

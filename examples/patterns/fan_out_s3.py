"""Process every object of a bucket: list page by page, process a few at a time, and retry only the failed ones."""

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

PAYLOAD = {"bucket": "reports"}
RESULT = {"processed": 5, "failed": ["c.csv"]}

BUCKET = [["a.csv", "b.csv", "c.csv"], ["d.csv", "e.csv", "f.csv"]]
"""Stands for the pages of `list_objects_v2`."""

EVERY_OBJECT = MapConfig(
    max_concurrency=3,
    completion_config=CompletionConfig.all_completed(),  # a failed object does not stop the others
    item_namer=lambda key, _: key,
)


@durable_step
async def list_page(step: StepContext, bucket: str, page: int) -> list[str]:
    return BUCKET[page] if page < len(BUCKET) else []


@durable_step
async def process(step: StepContext, key: str) -> int:
    if key == "c.csv":
        raise ValueError("no header")
    return len(key)


@durable_execution
async def handler(request: dict[str, str], ctx: DurableContext) -> dict[str, object]:
    keys: list[str] = []
    while page := await ctx.step(list_page(request["bucket"], len(keys) // 3), name="list"):
        keys += page

    async def one(item: DurableContext, key: str) -> int:
        return await item.step(process(key), config=StepConfig(retry_strategy=RetryPresets.none()))

    batch = await ctx.map(keys, one, "objects", config=EVERY_OBJECT)
    return {"processed": batch.success_count, "failed": [keys[item.index] for item in batch.failed()]}


if __name__ == "__main__":
    from durable_execution.local import run

    print(run(handler, PAYLOAD, time="skip").result)

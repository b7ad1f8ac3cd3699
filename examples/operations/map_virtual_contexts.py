"""Halve the checkpoints of a large map: items with one operation need no record of their own."""

from durable_execution import DurableContext, MapConfig, NestingType, StepContext, durable_execution, durable_step

PAYLOAD = list(range(1, 21))
RESULT = 2870

VIRTUAL = MapConfig(nesting_type=NestingType.FLAT, max_concurrency=5)


@durable_step
async def square(step: StepContext, number: int) -> int:
    return number * number


@durable_execution
async def handler(numbers: list[int], ctx: DurableContext) -> int:
    async def process(item: DurableContext, number: int) -> int:
        return await item.step(square(number))

    return sum((await ctx.map(numbers, process, "squares", config=VIRTUAL)).get_results())


if __name__ == "__main__":
    from durable_execution.local import run

    print(run(handler, PAYLOAD, time="skip").result)

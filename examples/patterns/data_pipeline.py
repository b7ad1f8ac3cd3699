"""Run an extract-transform-load job in chunks; a crash repeats at most one chunk."""

from dataclasses import dataclass

from durable_execution import DurableContext, StepContext, durable_execution, durable_step

PAYLOAD = {"table": "orders"}
RESULT = "orders: 7 rows loaded in 3 chunks"

ROWS = list(range(7))
CHUNK = 3


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of the table.

    Attributes:
        rows: Its rows.
        following: Where the next chunk starts; None after the last.
    """

    rows: list[int]
    following: int | None


@durable_step
async def extract(step: StepContext, table: str, start: int) -> Chunk:
    end = start + CHUNK
    return Chunk(ROWS[start:end], end if end < len(ROWS) else None)


@durable_step
async def load(step: StepContext, rows: list[int]) -> int:
    return len(rows)  # for real: an upsert, so that a repeated load changes nothing


@durable_execution
async def handler(request: dict[str, str], ctx: DurableContext) -> str:
    start: int | None = 0
    loaded = chunks = 0
    while start is not None:
        chunks += 1
        chunk = await ctx.step(extract(request["table"], start), name=f"extract {chunks}")
        loaded += await ctx.step(load([row * 2 for row in chunk.rows]), name=f"load {chunks}")
        start = chunk.following
    return f"{request['table']}: {loaded} rows loaded in {chunks} chunks"


if __name__ == "__main__":
    from durable_execution.local import run

    print(run(handler, PAYLOAD, time="skip").result)

"""Keep a large result out of the record: compress it, and store what is still large in a bucket."""

import os
import tempfile
from pathlib import Path

from durable_execution import DurableContext, StepConfig, StepContext, durable_execution
from durable_execution.serdes import CompressedSerDes, DirectoryStore, OffloadedSerDes

PAYLOAD = {"rows": 2000}
RESULT = 2000

# On Lambda: S3Store("my-bucket", prefix="durable/"). Every invocation of the execution shares it, and so does a replay.
PAYLOADS = os.environ.get("EXAMPLE_PAYLOADS", str(Path(tempfile.gettempdir()) / "durable-example-payloads"))
STORE = DirectoryStore(PAYLOADS)
OFFLOADED = StepConfig(serdes=OffloadedSerDes(CompressedSerDes(), store=STORE, above_bytes=2000))


@durable_execution
async def handler(request: dict[str, int], ctx: DurableContext) -> int:
    async def export(step: StepContext) -> list[str]:
        return [f"row {number}" for number in range(request["rows"])]

    rows = await ctx.step(export, name="export", config=OFFLOADED)
    return len(rows)


if __name__ == "__main__":
    from durable_execution.local import run

    print(run(handler, PAYLOAD, time="skip").result)

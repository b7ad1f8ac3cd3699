"""One handler for every case of the corpus, so that one worker can replay them all: the ARN says which case it is."""

import json
from pathlib import Path
from typing import Any

from durable_execution import DurableContext, durable_execution
from tests.replay.programs import handler_of

CASES = sorted((Path(__file__).parent / "corpus").glob("*/*.json"))
ARN = "arn:aws:lambda:us-east-1:123456789012:function:flow:$LATEST/durable-execution/case-{number}/run"
_handlers = [handler_of(json.loads(path.read_text(encoding="utf-8"))["replayed_program"]) for path in CASES]


@durable_execution
async def flow(event: Any, ctx: DurableContext) -> Any:
    number = int(ctx.execution_arn.rpartition("/case-")[2].partition("/")[0])
    return await _handlers[number].function(event, ctx)

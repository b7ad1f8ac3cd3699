"""Functions that tests host in worker processes. Not a test."""

import json
import logging
import os
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from durable_execution import RetryPresets, StepConfig, StepError, StepSemantics, durable_execution


def plain(event: Any, context: Any) -> Any:
    return {
        "event": event,
        "request_id": context.aws_request_id,
        "remaining": context.get_remaining_time_in_millis(),
        "tenant": context.tenant_id,
        "arn": context.invoked_function_arn,
        "name": os.environ["AWS_LAMBDA_FUNCTION_NAME"],
        "trace": os.environ.get("_X_AMZN_TRACE_ID"),
        "pid": os.getpid(),
    }


def misbehaves(event: Any, context: Any) -> Any:
    match event:
        case "raise":
            raise ValueError("no")
        case "exit":
            sys.exit(3)
        case "_exit":
            os._exit(4)
        case "kill":
            os.kill(os.getpid(), 9)
        case "set":
            return {1, 2}
        case "hang":
            time.sleep(3600)
        case "read stdin":
            return sys.stdin.read()
        case "write to descriptor 1":
            os.write(1, b"straight to the descriptor\n")
        case "large":
            return "x" * 3_000_000
        case _:
            pass
    return "fine"


def talks(event: Any, context: Any) -> Any:
    print("plain words")
    print(json.dumps({"plugin": "P", "hook": event}))
    print("to the other stream", file=sys.stderr)
    logging.getLogger("shop").warning("sold %s", "out", extra={"sku": 7})
    return None


@durable_execution
async def greets(payload: dict[str, Any], ctx: Any) -> Any:
    await ctx.wait(timedelta(seconds=1))
    ctx.logger.warning("greeting")
    return await ctx.step(lambda _: f"hello {payload['who']}", name="greet")


@durable_execution
async def dies_once(payload: dict[str, Any], ctx: Any) -> Any:
    def body(_: Any) -> None:
        print("running the body", flush=True)
        os._exit(1)

    config = StepConfig(retry_strategy=RetryPresets.none(), step_semantics=StepSemantics.AT_MOST_ONCE_PER_RETRY)
    try:
        return await ctx.step(body, name="fatal", config=config)
    except StepError as error:
        return type(error).__name__


@durable_execution
async def dies_once_in_a_branch(payload: dict[str, Any], ctx: Any) -> Any:
    """Its step ends the process at once, unless the marker that the first attempt leaves is there."""
    marker = Path(payload["marker"])

    def body(_: Any) -> str:
        if not marker.exists():
            marker.touch()
            os.kill(os.getpid(), payload["signal"])
        return "alive"

    async def branch(inner: Any) -> str:
        return str(await inner.step(body, name="fatal"))

    await ctx.step(lambda _: None, name="before")
    return (await ctx.parallel([branch], name="both")).get_results()


WORDS = "not a handler"

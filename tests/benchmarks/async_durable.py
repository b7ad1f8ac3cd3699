"""The workloads, written for async-durable-execution. It needs an older botocore, so that it runs in an environment of its own."""

import logging
import os
from importlib import import_module
from typing import Any

from tests.benchmarks.service import ARN, LambdaContext, event
from tests.loopback_service import ENVIRONMENT

sdk: Any = import_module("async_durable_execution")
logging.disable(logging.CRITICAL)
os.environ.update(ENVIRONMENT)


def steps(count: int, *, recorded: int = 0, seam: str = "http", is_plain: bool = False) -> None:
    """A handler of so many steps in a row, of which so many are recorded. Its bodies are always async, its seam is HTTP."""
    del seam, is_plain
    body = sdk.durable_callable(constant)

    async def handler(_event: Any) -> int:
        for number in range(1, count + 1):
            await sdk.step(body(number), name="work")
        return count

    envelope = event(recorded)
    envelope["InitialExecutionState"]["Operations"][0]["Id"] = ARN.rpartition("/")[2]  # where this SDK looks for it
    answer = sdk.durable_execution(handler)(envelope, LambdaContext())
    assert answer["Status"] == "SUCCEEDED", answer


async def constant(number: int) -> int:
    """A step's body."""
    return number

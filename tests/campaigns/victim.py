"""The functions and the program that the kill campaign kills. Not a test.

What must be neither lost nor repeated is written to a ledger outside the store, one fsynced line each:
`started NAME` after the service has acknowledged an execution; `body STEP ATTEMPT NANOSECONDS` at the start of an at-most-once
body and repeatedly while it runs; `known STEP VALUE` when the handler has received a step's result.
"""

import os
import time
import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from durable_execution import (
    DurableContext,
    RetryPresets,
    StepConfig,
    StepContext,
    StepError,
    StepSemantics,
    durable_execution,
    exponential_backoff,
)

if TYPE_CHECKING:
    from durable_execution.local import LocalEngine

STEPS = 5
LEDGER = "DURABLE_CAMPAIGN_LEDGER"
ONCE = StepSemantics.AT_MOST_ONCE_PER_RETRY
NEVER_AGAIN = StepConfig(step_semantics=ONCE, retry_strategy=RetryPresets.none())
AGAIN = StepConfig(
    step_semantics=ONCE,
    retry_strategy=exponential_backoff(max_attempts=50, initial_delay=timedelta(seconds=1), backoff_rate=1),
)
BEATS = 5
BEAT_SECONDS = 0.002


def note(*words: object) -> None:
    """Append a line to the ledger, on disk before this returns."""
    descriptor = os.open(os.environ[LEDGER], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, (" ".join(map(str, words)) + "\n").encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@durable_execution
async def job(event: dict[str, Any], ctx: DurableContext) -> int:
    """Run at-most-once steps, every other one with retries, and a wait between them."""
    name = event["name"]
    for number in range(STEPS):
        step_name = f"{name}/{number}"

        def body(step: StepContext, step_name: str = step_name) -> str:
            for _ in range(BEATS):
                note("body", step_name, step.attempt, time.monotonic_ns())
                time.sleep(BEAT_SECONDS)
            return uuid.uuid4().hex

        try:
            value = await ctx.step(body, name=f"s{number}", config=AGAIN if number % 2 else NEVER_AGAIN)
        except StepError:
            value = "interrupted"
        note("known", step_name, value)
        if number == STEPS // 2:
            await ctx.wait(timedelta(seconds=1), name="pause")
    return STEPS


def main(store: str, ledger: str, names: list[str]) -> None:
    """Run an engine on a store, with executions of these names, new ones or old ones, until they have all ended."""
    from durable_execution.local import LocalEngine

    os.environ[LEDGER] = ledger
    with LocalEngine(store, trace_sink=False) as engine:
        engine.register("job", job)
        engine.resume()
        run(engine, names)


def run(engine: "LocalEngine", names: list[str]) -> None:
    """Start executions, unless they exist, and wait for their ends."""
    arns = []
    for name in names:
        arns.append(engine.start("job", {"name": name}, name=name))
        note("started", name)
    for arn in arns:
        engine.wait(arn)

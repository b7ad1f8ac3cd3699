"""Measures a fleet: 10,000 histories in a folder, as one table. `python -m tests.benchmarks.fleets [COUNT]`."""

import contextlib
import io
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from durable_debugger.cli import main
from durable_execution import durable_execution
from durable_execution.protocol import Wire
from tests.replay.corpus_recording import plain
from tests.replay.recording import history_of

COUNT = 10_000
KINDS = 4


async def _value(_: Any) -> dict[str, str]:
    return {"id": "p-1", "note": "x" * 200}


@durable_execution
async def order(event: Any, ctx: Any) -> Any:
    """The workflow of the histories: ten steps, a wait and a map."""
    from datetime import timedelta

    for name in ("validate", "score", "reserve", "charge"):
        await ctx.step(_value, name)
    await ctx.wait(timedelta(hours=1), "cool_off")
    await ctx.map([1, 2, 3], lambda child, item, index: child.step(_value, "ship"), "parcels")
    return await ctx.step(_value, "close")


def histories(count: int) -> Iterator[tuple[str, list[Wire]]]:
    """Histories as files hold them, with names and ARNs of their own."""
    events, arn = history_of(order)
    text = json.dumps([plain(event) for event in events])
    for number in range(count):
        named = arn.replace("/durable-execution/", f"/durable-execution/order-{number}-", 1)
        kept = json.loads(text) if number % KINDS else json.loads(text)[:-2]
        yield named, kept


def run(count: int = COUNT) -> None:
    """Write the histories, read them as a fleet, and print CPU time and memory."""
    with tempfile.TemporaryDirectory() as directory:
        for number, (arn, events) in enumerate(histories(count)):
            path = Path(directory) / f"{number:05}.json"
            path.write_text(json.dumps({"DurableExecutionArn": arn, "Events": events}))
        os.environ["XDG_CACHE_HOME"] = directory
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for look in ("first look", "second look"):
            began = time.process_time()
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                code = main(["fleet", directory, "--headless"])
            seconds, after = time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            print(printed.getvalue().splitlines()[0], "exit", code)
            print(
                f"{look} at {count:,} histories: {seconds:.1f} s CPU, {after / 1024:.0f} MB at most "
                f"({before / 1024:.0f} MB before)"
            )


if __name__ == "__main__":
    run(int(sys.argv[1]) if len(sys.argv) > 1 else COUNT)

"""How replay traces grow: a workflow that polls and waits, of 300 and of 1,000 rounds.

Run `python -m tests.benchmarks.long_executions`. Every round is a step and a wait, so n rounds take n + 1 invocations. For each
size it shows the traces and the bundle in bytes, the CPU seconds of the run with and without recording, and those of the
commands that read it. The last column is the growth, which is 3.3 times for what is linear.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from typing import NamedTuple

from durable_execution import DurableContext, StepContext, durable_execution, durable_step
from durable_execution.local import LocalEngine


@durable_step
async def poll(step: StepContext, number: int) -> dict[str, object]:
    """Answer as a job that is not finished."""
    return {"state": "pending", "polled": number}


@durable_execution
async def poller(rounds: int, ctx: DurableContext) -> int:
    """Poll once an hour."""
    for number in range(rounds):
        await ctx.step(poll(number))
        await ctx.wait(timedelta(hours=1), name="hourly")
    return rounds


class Measured(NamedTuple):
    """What one size costs."""

    trace_bytes: float
    bundle_bytes: float
    run_seconds: float
    recorded_run_seconds: float
    show_seconds: float
    replay_seconds: float


def measure(rounds: int, folder: Path) -> Measured:
    """Run an execution with and without recording, and read it with each command."""
    plain = _run(rounds, folder / "plain", is_recorded=False)
    recorded = _run(rounds, folder / "recorded", is_recorded=True)
    (trace,) = (folder / "recorded" / "traces").glob("*.trace.jsonl")
    execution = trace.name.removesuffix(".trace.jsonl")[-36:]
    bundle = folder / "bundle.json"
    _command(folder, "export", execution, "--to", "bundle", "-o", str(bundle))
    return Measured(
        trace.stat().st_size,
        bundle.stat().st_size,
        plain,
        recorded,
        _command(folder, "show", execution),
        _command(folder, "replay", execution, f"{__file__}:poller", "--headless"),
    )


def _run(rounds: int, folder: Path, *, is_recorded: bool) -> float:
    folder.mkdir(parents=True)
    options = {} if is_recorded else {"trace_sink": False}
    with LocalEngine(folder / "store.db", time="skip", **options) as engine:  # type: ignore[arg-type]
        engine.register("poller", poller)
        before = time.process_time()
        assert engine.run("poller", rounds).error is None
        return time.process_time() - before


def _command(folder: Path, *arguments: str) -> float:
    before = getrusage(RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "durable_debugger", *arguments, "--store", str(folder / "recorded" / "store.db")]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = getrusage(RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def rows(measured: dict[int, Measured]) -> Iterator[str]:
    """Yield the lines of the table."""
    sizes = sorted(measured)
    yield f"{'':<24}" + "".join(f"{size:>14,}" for size in sizes) + f"{'growth':>10}"
    for field in Measured._fields:
        values = [getattr(measured[size], field) for size in sizes]
        shown = "".join(f"{value:>14,.0f}" if field.endswith("bytes") else f"{value:>14.2f}" for value in values)
        yield f"{field.replace('_', ' '):<24}{shown}{values[-1] / values[0]:>10.2f}"
    extra = [measured[size].recorded_run_seconds / measured[size].run_seconds - 1 for size in sizes]
    yield f"{'recording, of the run':<24}" + "".join(f"{each:>14.0%}" for each in extra)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rounds", nargs="*", type=int, default=[300, 1000])
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    measured = {}
    for rounds in arguments.rounds:
        with tempfile.TemporaryDirectory() as folder:
            measured[rounds] = measure(rounds, Path(folder))
    if arguments.json:
        print(json.dumps({rounds: each._asdict() for rounds, each in measured.items()}))
    else:
        print("\n".join(rows(measured)))


if __name__ == "__main__":
    main()

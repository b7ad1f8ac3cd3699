"""How replay traces grow: a workflow that polls and waits, of 300 and of 1,000 rounds.

Run `python -m tests.benchmarks.long_executions`. Every round is a step and a wait, so n rounds take n + 1 invocations. For each
size it shows the traces and the bundle in bytes, the CPU seconds of the run without recording, with traces, and with traces and
spans, and those of the commands that read it. The last column is the growth, which is 3.3 times for what is linear.

With `--shapes` it shows the traces of other workflows that take many invocations, in bytes: calls in contexts of all kinds, and many
branches that are open at once.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from typing import Any, NamedTuple

from durable_execution import (
    BlockingContext,
    ChildConfig,
    DurableContext,
    MapConfig,
    NestingType,
    StepContext,
    WaitForConditionConfig,
    durable_execution,
    durable_step,
    poll_until,
)
from durable_execution.local import LocalEngine
from durable_execution.telemetry.settings import TELEMETRY


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


async def poll_in(ctx: DurableContext, rounds: int, item: int = 0) -> None:
    """Poll once an hour; each item at another time."""
    for number in range(rounds):
        await ctx.step(poll(number))
        await ctx.wait(timedelta(hours=1, seconds=item), name="hourly")


async def poll_item(ctx: DurableContext, item: int) -> None:
    """Poll once."""
    await poll_in(ctx, 1, item)


@durable_execution
def blocking(rounds: int, ctx: BlockingContext) -> None:
    """Poll in a plain function."""
    for number in range(rounds):
        ctx.step(poll(number))
        ctx.wait(timedelta(hours=1), name="hourly")


@durable_execution
async def child_context(rounds: int, ctx: DurableContext) -> None:
    """Poll in one child context."""
    await ctx.run_in_child_context(lambda inner: poll_in(inner, rounds), name="inner")


@durable_execution
async def virtual_context(rounds: int, ctx: DurableContext) -> None:
    """Poll in one virtual context."""
    virtual = ChildConfig(is_virtual=True)
    await ctx.run_in_child_context(lambda inner: poll_in(inner, rounds), name="inner", config=virtual)


@durable_execution
async def virtual_contexts(rounds: int, ctx: DurableContext) -> None:
    """Poll in a virtual context each time."""
    virtual = ChildConfig(is_virtual=True)
    for _ in range(rounds):
        await ctx.run_in_child_context(lambda inner: poll_in(inner, 1), name="inner", config=virtual)


@durable_execution
async def open_items(rounds: int, ctx: DurableContext) -> None:
    """Poll once in each item of a map."""
    await ctx.map(range(rounds), poll_item, name="items")


@durable_execution
async def flat_items(rounds: int, ctx: DurableContext) -> None:
    """Poll once in each item of a map without contexts."""
    await ctx.map(range(rounds), poll_item, name="items", config=MapConfig(nesting_type=NestingType.FLAT))


@durable_execution
async def branches(rounds: int, ctx: DurableContext) -> None:
    """Poll in four branches."""
    await ctx.parallel([lambda inner: poll_in(inner, rounds // 4)] * 4, name="branches")


@durable_execution
async def tasks(rounds: int, ctx: DurableContext) -> None:
    """Poll once in each task."""
    await asyncio.gather(*(poll_in(ctx, 1, item) for item in range(rounds)))


def one_more(seen: int, _: Any) -> int:
    return seen + 1


@durable_execution
async def nested_flat(rounds: int, ctx: DurableContext) -> None:
    """Poll once in each item of maps without contexts, in items of such a map."""
    flat = MapConfig(nesting_type=NestingType.FLAT)

    async def group(inner: DurableContext, number: int) -> None:
        await inner.map(range(4 * number, 4 * number + 4), poll_item, name="items", config=flat)

    await ctx.map(range(rounds // 4), group, name="groups", config=flat)


@durable_execution
async def tasks_in_flat_items(rounds: int, ctx: DurableContext) -> None:
    """Poll once in each of four tasks, in each item of a map without contexts."""

    async def group(inner: DurableContext, number: int) -> None:
        await asyncio.gather(*(poll_in(inner, 1, 4 * number + task) for task in range(4)))

    await ctx.map(range(rounds // 4), group, name="groups", config=MapConfig(nesting_type=NestingType.FLAT))


@durable_execution
async def mixed_ends(rounds: int, ctx: DurableContext) -> None:
    """Poll once in each item of a map; the items end in an order that has nothing to do with their numbers."""
    await ctx.map([number * 7 % rounds for number in range(rounds)], poll_item, name="items")


@durable_execution
async def conditions(rounds: int, ctx: DurableContext) -> None:
    """Poll three times for each condition."""
    until_three = WaitForConditionConfig(wait_strategy=poll_until(lambda seen: seen >= 3), initial_state=0)
    for _ in range(rounds // 2):
        await ctx.wait_for_condition(one_more, name="ready", config=until_three)


SHAPES: dict[str, Any] = {
    "top level": poller,
    "plain def": blocking,
    "child context": child_context,
    "virtual context": virtual_context,
    "a virtual context each": virtual_contexts,
    "open items of a map": open_items,
    "the same, flat": flat_items,
    "flat in flat": nested_flat,
    "ended in a mixed order": mixed_ends,
    "four branches": branches,
    "tasks": tasks,
    "tasks in flat items": tasks_in_flat_items,
    "conditions": conditions,
}


class Measured(NamedTuple):
    """What one size costs."""

    trace_bytes: float
    bundle_bytes: float
    run_seconds: float
    recorded_run_seconds: float
    recorded_run_seconds_with_spans: float
    show_seconds: float
    replay_seconds: float


def measure(rounds: int, folder: Path) -> Measured:
    """Run an execution with and without recording, and read it with each command."""
    plain = _run(rounds, folder / "plain", is_recorded=False, has_spans=False)
    recorded = _run(rounds, folder / "recorded", is_recorded=True, has_spans=False)
    whole = _run(rounds, folder / "whole", is_recorded=True, has_spans=True)
    (trace,) = (folder / "recorded" / "traces").glob("*.trace.jsonl")
    execution = trace.name.removesuffix(".trace.jsonl")[-36:]
    bundle = folder / "bundle.json"
    _command(folder, "export", execution, "--to", "bundle", "-o", str(bundle))
    return Measured(
        trace.stat().st_size,
        bundle.stat().st_size,
        plain,
        recorded,
        whole,
        _command(folder, "show", execution),
        _command(folder, "replay", execution, f"{__file__}:poller", "--headless"),
    )


def shapes(sizes: list[int]) -> Iterator[str]:
    """Yield the lines of the table of traces, for each shape of workflow."""
    yield f"{'trace bytes':<24}" + "".join(f"{size:>14,}" for size in sizes) + f"{'growth':>10}"
    for shape, handler in SHAPES.items():
        found = []
        for size in sizes:
            with tempfile.TemporaryDirectory() as folder, LocalEngine(Path(folder) / "store.db", time="skip") as engine:
                engine.register("shape", handler)
                assert engine.run("shape", size).error is None
                (trace,) = (Path(folder) / "traces").glob("*.trace.jsonl")
                found.append(trace.stat().st_size)
        yield f"{shape:<24}" + "".join(f"{size:>14,}" for size in found) + f"{found[-1] / found[0]:>10.2f}"


def _run(rounds: int, folder: Path, *, is_recorded: bool, has_spans: bool) -> float:
    folder.mkdir(parents=True)
    os.environ[TELEMETRY.name] = "on" if has_spans else "off"  # the engine keeps spans beside the traces
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
    parser.add_argument("--shapes", action="store_true", help="only the traces, of workflows of other shapes")
    arguments = parser.parse_args()
    if arguments.shapes:
        for line in shapes(arguments.rounds):
            print(line, flush=True)
        return
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

"""What recording and replaying cost: `python -m tests.benchmarks.replaying [--histories N ...]`."""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from durable_execution import DurableContext, durable_execution
from durable_execution.clock import SystemClock
from durable_execution.history.reading import read_history
from durable_execution.local import CountingIds, LocalEngine
from durable_execution.observers import CallSite, InvocationEnded, InvocationStarted, Observer
from durable_execution.protocol import InvocationStatus, OperationStatus, Wire, operation_id
from durable_execution.replay import Handlers, Replayer, Source, WorkerOptions, check_in_workers
from durable_execution.replay.workers.supervisor import HandlerProcess
from durable_execution.runtime.announcer import Announcer
from durable_execution.runtime.call import Call
from durable_execution.trace import DirectorySink, TraceRecorder
from tests.benchmarks.measuring import KIB, measure, peak_bytes

OPERATIONS = 10_000
MOST_SECONDS = 120.0
"""Time that replaying many histories may take; then what has been replayed by then counts."""


async def work(_: Any) -> int:
    return 1


@durable_execution
async def order(event: Any, ctx: DurableContext) -> str:
    for number in range(5):
        await ctx.step(work, name=f"step-{number}")
    await ctx.wait(timedelta(seconds=5), name="pause")
    await ctx.step(work, name="end")
    return "done"


@durable_execution
async def steps(event: Any, ctx: DurableContext) -> None:
    for _ in range(event["count"]):
        await ctx.step(work, name="s")


@durable_execution
async def with_cause(event: Any, ctx: DurableContext) -> None:
    """The last step's name differs in each process."""
    for _ in range(event["count"]):
        await ctx.step(work, name="s")
    await ctx.step(work, name=next(iter({"alpha", "beta", "gamma", "delta"})))


@durable_execution
async def with_objects(event: Any, ctx: DurableContext) -> None:
    """The same, and ten objects change between two calls."""
    ledgers: list[list[Any]] = [[] for _ in range(5)]
    totals: list[dict[int, Any]] = [{} for _ in range(5)]
    for number in range(event["count"]):
        for ledger in ledgers:
            ledger.append({"id": number, "tags": [str(number)]})
        for total in totals:
            total[number % 50] = number
        await ctx.step(work, name="s")
    await ctx.step(work, name=next(iter({"alpha", "beta", "gamma", "delta"})))


def history_of_order() -> list[Wire]:
    """The history of one order."""
    with LocalEngine(None, time="skip", ids=CountingIds(), trace_sink=False) as engine:
        engine.register("order", order)
        arn = engine.run("order", {}).arn
        events: list[Wire] = engine.client.get_durable_execution_history(
            DurableExecutionArn=arn, IncludeExecutionData=True, MaxItems=1000
        )["Events"]
        return events


def long_history(count: int) -> Iterator[Wire]:
    """The history of `count` steps, one after another."""
    payload = json.dumps({"count": count})
    yield {
        "EventType": "ExecutionStarted",
        "EventId": 1,
        "EventTimestamp": 1.8e9,
        "ExecutionStartedDetails": {"Input": {"Payload": payload}},
    }
    for position in range(1, count + 1):
        common = {
            "Id": operation_id(None, position),
            "Name": "s",
            "SubType": "Step",
            "EventTimestamp": 1.8e9 + position,
        }
        yield {"EventType": "StepStarted", "EventId": 2 * position, **common}
        result = {"Result": {"Payload": "1"}, "RetryDetails": {"CurrentAttempt": 1}}
        yield {"EventType": "StepSucceeded", "EventId": 2 * position + 1, **common, "StepSucceededDetails": result}


def recording_cost(*, is_replayed: bool, count: int = 10_000) -> tuple[float, float]:
    """Microseconds of processor time to record one operation in a directory: the best of several runs.

    Returns:
        What the recorder takes, and what announcing an operation takes without one.
    """
    clock, site = SystemClock(), CallSite(__file__, 1, "steps")
    state = SimpleNamespace(updated_ids=frozenset())
    scope: Any = SimpleNamespace(
        parent_id=None, path="steps", ids=SimpleNamespace(prefix=None), owner=None, base=None, state=state
    )
    wires: list[Wire] = [
        {"Id": operation_id(None, n), "Type": "STEP", "Status": "SUCCEEDED", "StepDetails": {"Result": f'{{"n":{n}}}'}}
        for n in range(1, count + 1)
    ]
    now = clock.now()
    started = InvocationStarted("arn", "r", True, now, now, "m:steps", {}, (), None, None, None)
    ended = InvocationEnded(started, now, InvocationStatus.SUCCEEDED, None, None, None, {})

    def run(*observers: Observer) -> None:
        announcer = Announcer(observers, clock=clock, execution_arn="arn")
        announcer.begin(started)
        for position, wire in enumerate(wires, start=1):
            call = Call(scope, wire["Id"], position, "STEP", "Step", "s", f"s({position})")
            call.site, call.function = site, work
            if is_replayed:
                announcer.replayed(call, wire)
                continue
            at = announcer.started(call)
            began = announcer.attempt_started(call, 1, is_replayed=False, started_at=at)
            announcer.attempt_ended(call, 1, began, "SUCCEEDED", is_replayed=False)
            announcer.checkpoint_sent((), 0, 0.0)
            announcer.completed(
                call,
                OperationStatus.SUCCEEDED,
                started_at=at,
                is_replayed=False,
                result=wire["StepDetails"]["Result"],
                attempt=1,
            )
        announcer.end(ended)

    with tempfile.TemporaryDirectory() as directory:
        recorded = [measure(lambda: run(TraceRecorder(DirectorySink(directory)))) for _ in range(9)]
        told = [measure(run) for _ in range(9)]
    telling, both = (min(sample.cpu_seconds for sample in samples) / count * 1e6 for samples in (told, recorded))
    return both - telling, telling


def replays(count: int) -> tuple[int, float]:
    """Read and replay the same small history so many times, or as often as the time allows.

    Returns:
        How often, and the seconds it took.
    """
    text = json.dumps(history_of_order(), default=str)
    replayer = Replayer(order)
    done, began = 0, time.perf_counter()
    while done < count and time.perf_counter() - began < MOST_SECONDS:
        assert replayer.replay(read_history(json.loads(text))).is_same
        done += 1
    return done, time.perf_counter() - began


def long_replay() -> tuple[float, float]:
    """Seconds and growth of peak memory in MiB to read and replay one history of many operations."""
    text = json.dumps(list(long_history(OPERATIONS)))
    before, began = peak_bytes(), time.perf_counter()
    report = Replayer(steps, seconds=300).replay(read_history(json.loads(text)))
    assert report.is_same, report.error
    return time.perf_counter() - began, (peak_bytes() - before) / KIB / KIB


def workers(count: int) -> Iterator[str]:
    """Measure replays in processes of their own: starting one, and replaying the same small history so many times."""
    began = cpu_of_children()
    HandlerProcess("tests.benchmarks.replaying:order", WorkerOptions()).close()
    yield f"starting a worker and importing the handler: {cpu_of_children() - began:.2f} s of CPU"
    events = history_of_order()
    sources = [Source(str(number), partial(read_history, events)) for number in range(count)]
    options = WorkerOptions(jobs=2, has_rows=False)
    own, started = time.process_time(), time.perf_counter()
    handlers = Handlers.parse(["tests.benchmarks.replaying:order"])
    assert all(report.is_same for report in check_in_workers(sources, handlers, options))
    wall, own = time.perf_counter() - started, time.process_time() - own
    yield f"{count:,} histories in 2 workers: {wall:.2f} s; reading and supervising take {own / count * 1e3:.1f} ms of CPU each"


def causes(count: int = 1_000) -> Iterator[str]:
    """Measure `durable-debug check` of a history that differs at its last call: with the search for the cause, and without."""
    events = [*long_history(count), *list(long_history(count + 1))[-2:]]
    for event in events[-2:]:
        event["Name"] = "recorded"
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "order.history.json"
        path.write_text(json.dumps({"Events": events}), encoding="utf-8")
        command = [
            sys.executable,
            "-c",
            "import sys; from durable_debugger.cli import main; sys.exit(main())",
            "check",
            str(path),
        ]
        for handler in ("with_cause", "with_objects"):
            for options in ([], ["--no-cause"]):
                own, started = cpu_of_children(), time.perf_counter()
                given = [*command, f"tests.benchmarks.replaying:{handler}", *options]
                done = subprocess.run(given, capture_output=True, text=True, check=False)
                wall, own = time.perf_counter() - started, cpu_of_children() - own
                assert done.returncode == 1, done.stderr
                assert bool(options) or "(reproduced)" in done.stdout, done.stdout
                what = " ".join(["check", handler, *options])
                yield f"{what}, {count:,} calls: {wall:.2f} s, of which {own:.2f} s of CPU are the command and its workers"


def cpu_of_children() -> float:
    """Processor time of the processes that have ended, in seconds. Forks of a worker are not among them."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--histories", type=int, nargs="*", default=[1, 100, 10_000])
    parser.add_argument("--long", action="store_true", help="only the long history, in a process of its own")
    parser.add_argument("--workers", type=int, metavar="N", help="only replays in workers, of so many histories")
    parser.add_argument("--causes", action="store_true", help="only reports with a cause")
    arguments = parser.parse_args()
    if arguments.causes:
        for line in causes():
            print(line)
        return
    if arguments.workers is not None:
        for line in workers(arguments.workers):
            print(line)
        return
    if arguments.long:
        seconds, mebibytes = long_replay()
        print(f"a history of {OPERATIONS:,} operations: {seconds:.2f} s, {mebibytes:.0f} MiB more")
        return
    for is_replayed, what in ((True, "a replayed operation"), (False, "a new step (call, attempt, end)")):
        recording, telling = recording_cost(is_replayed=is_replayed)
        print(f"recording {what}: {recording:.1f} µs of CPU, and {telling:.1f} µs to announce it")
    for count in arguments.histories:
        done, seconds = replays(count)
        cut = f" ({done:,} of them)" if done < count else ""
        print(f"{count:,} histories of 7 operations{cut}: {seconds:.2f} s, {seconds / max(done, 1) * 1e3:.1f} ms each")
    subprocess.run([sys.executable, "-m", "tests.benchmarks.replaying", "--long"], check=True)


if __name__ == "__main__":
    main()

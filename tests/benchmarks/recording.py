"""What a replay trace costs: a new step, and a long life. `python -m tests.benchmarks.recording`, in 20 seconds at most.

The long life polls and waits, one invocation a pair of a step and a wait, so that the last of n invocations replays 2n operations. What
an invocation costs and writes grows evenly with what it replays, so some of them stand for all: each is run with and without a
recorder, in turns, over a service in memory. The engine's own time is in neither; `long_executions` measures with it, and takes minutes.
"""

import argparse
import gc
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

from durable_execution import DurableContext, StepContext, durable_execution, durable_step
from durable_execution.observers import Observer
from durable_execution.protocol import Wire, operation_id
from durable_execution.trace import DirectorySink, TraceRecorder
from tests.benchmarks.service import LambdaContext, MemoryService, OurClient, event

STEPS = 300
STEP_TURNS = 15
LIFE_TURNS = 3
SAMPLES = 20
PAIRS = (300, 1_000)


class Life(NamedTuple):
    """What the invocations of one execution cost together.

    Attributes:
        plain_seconds: Processor time without a recorder.
        recorded_seconds: Processor time with one.
        trace_bytes: What was recorded.
    """

    plain_seconds: float
    recorded_seconds: float
    trace_bytes: float

    @property
    def share(self) -> float:
        """What recording takes, as a share of the time without it."""
        return self.recorded_seconds / self.plain_seconds - 1


@durable_step
async def poll(_step: StepContext, number: int) -> dict[str, object]:
    """Answer as a job that is not finished."""
    return {"state": "pending", "polled": number}


@durable_execution
async def poller(_event: Any, ctx: DurableContext) -> None:
    """Poll once an hour."""
    for number in range(1_000_000):
        await ctx.step(poll(number))
        await ctx.wait(timedelta(hours=1), name="hourly")


@durable_execution
async def steps(_event: Any, ctx: DurableContext) -> None:
    """Steps in a row."""
    for number in range(STEPS):
        await ctx.step(poll(number), name="work")


def pairs_of(count: int) -> Wire:
    """The event of an invocation after so many pairs; the last wait has just ended."""
    found = event()
    operations = found["InitialExecutionState"]["Operations"]
    for number in range(count):
        at = 1_767_225_600_000 + 3_600_000 * number
        ended = {"Status": "SUCCEEDED", "StartTimestamp": at, "EndTimestamp": at + 1}
        result = {"Attempt": 1, "Result": json.dumps({"state": "pending", "polled": number})}
        step = {"Id": operation_id(None, 2 * number + 1), "Type": "STEP", "SubType": "Step", "Name": "poll"}
        wait = {"Id": operation_id(None, 2 * number + 2), "Type": "WAIT", "SubType": "Wait", "Name": "hourly"}
        due = {"ScheduledEndTimestamp": at + 3_600_000}
        operations += [{**step, **ended, "StepDetails": result}, {**wait, **ended, "WaitDetails": due}]
    found["UpdatedOperationIds"] = [operations[-1]["Id"]] if count else []
    return found


def cpu_of(handler: Any, envelope: Wire, observers: Sequence[Observer]) -> float:
    """Processor time of one invocation, in seconds."""
    gc.collect()
    began = time.process_time()
    answer = handler.invoke(envelope, LambdaContext(), client=OurClient(MemoryService()), observers=observers)
    taken = time.process_time() - began
    assert answer["Status"] in ("SUCCEEDED", "PENDING"), answer
    return taken


def in_turns(run: Callable[[Sequence[Observer]], float], recorder: TraceRecorder, turns: int) -> tuple[float, float]:
    """The least time without and with the recorder, measured in turns."""
    run(())
    run((recorder,))
    times = [(run(()), run((recorder,))) for _ in range(turns)]
    return min(plain for plain, _ in times), min(recorded for _, recorded in times)


def new_step() -> tuple[float, float]:
    """Microseconds of processor time of a new step, without and with a recorder."""
    with tempfile.TemporaryDirectory() as folder:
        recorder = TraceRecorder(DirectorySink(folder))
        plain, recorded = in_turns(lambda observers: cpu_of(steps, event(), observers), recorder, STEP_TURNS)
    return plain / STEPS * 1e6, recorded / STEPS * 1e6


def life(pairs: int) -> Life:
    """Measure some invocations of an execution of so many pairs, from the first to the last."""
    plain = recorded = written = 0.0
    with tempfile.TemporaryDirectory() as folder:
        recorder = TraceRecorder(DirectorySink(folder))
        for sample in range(SAMPLES):
            envelope = pairs_of(round(sample * pairs / (SAMPLES - 1)))
            found = in_turns(lambda observers: cpu_of(poller, envelope, observers), recorder, LIFE_TURNS)  # noqa: B023
            plain, recorded = plain + found[0], recorded + found[1]
        written = sum(path.stat().st_size for path in Path(folder).iterdir()) / (LIFE_TURNS + 1)
    scale = (pairs + 1) / SAMPLES
    return Life(plain * scale, recorded * scale, written * scale)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print figures, not lines")
    arguments = parser.parse_args()
    plain, recorded = new_step()
    lives = {pairs: life(pairs) for pairs in PAIRS}
    if arguments.json:
        print(json.dumps({"new_step": [plain, recorded], "lives": {key: one._asdict() for key, one in lives.items()}}))
        return
    print(f"recording: a new step, CPU: {plain:.1f} µs without, {recorded:.1f} µs with: {recorded - plain:.1f} µs more")
    for pairs, one in lives.items():
        print(
            f"recording: {pairs:,} pairs of a step and a wait, CPU: {one.plain_seconds:.2f} s without, "
            f"{one.recorded_seconds:.2f} s with: {one.share:.0%} more; {one.trace_bytes / 1e3:,.0f} kB of traces"
        )
    first, last = lives[PAIRS[0]], lives[PAIRS[-1]]
    print(
        f"recording: traces grow {last.trace_bytes / first.trace_bytes:.1f} times from {PAIRS[0]:,} to {PAIRS[-1]:,} pairs; "
        f"{PAIRS[-1] / PAIRS[0]:.1f} times is linear"
    )


if __name__ == "__main__":
    main()

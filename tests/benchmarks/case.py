"""Runs one workload of one SDK in this process and prints what it cost: `python -m tests.benchmarks.case ours new_steps`."""

import importlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from statistics import median
from types import ModuleType

from durable_execution.local.hosts import Answer
from tests.benchmarks.measuring import Sample, measure, measure_with_threads, medians, to_json
from tests.benchmarks.seams import http_service
from tests.benchmarks.telemetry_overhead import extra_of
from tests.interop.lambda_environment import FULL_PROCESSOR_MB, cpu_seconds, environment
from tests.loopback_service import ENVIRONMENT
from tests.unit.fake_service import ARN, envelope

IMPORTS = {"ours": "durable_execution", "aws": "aws_durable_execution_sdk_python"}
TIME_IMPORT = "import boto3, time; began = time.perf_counter(); {0}; print(time.perf_counter() - began)"
WHAT_HANDLERS_IMPORT = {
    "ours": "from durable_execution import DurableContext, StepConfig, StepContext, durable_execution",
    "aws": (
        "from aws_durable_execution_sdk_python import DurableContext, StepContext, durable_execution; "
        "from aws_durable_execution_sdk_python.config import StepConfig"
    ),
}
LATENCY_SECONDS = 0.005
EVERY_NAME = "import {0}; [getattr({0}, name) for name in getattr({0}, '__all__', ())]"


def per_operation(run: Callable[[int], object], count: int, repeats: int) -> Sample:
    """The cost of one operation: with `count` of them less with none, divided."""
    run(count)
    empty = medians([measure(lambda: run(0)) for _ in range(repeats)])
    full = medians([measure(lambda: run(count)) for _ in range(repeats)])
    return Sample(
        (full.cpu_seconds - empty.cpu_seconds) / count,
        (full.wall_seconds - empty.wall_seconds) / count,
        full.memory_mib,
        full.threads,
    )


def new_steps(sdk: ModuleType, _name: str) -> Sample:
    """One new step, in a row of 300."""
    return per_operation(lambda count: sdk.steps(count, recorded=0), 300, 5)


def boto_steps(sdk: ModuleType, _name: str) -> Sample:
    """One new step with an async body (AWS: plain), over the surface of a boto3 client."""
    return per_operation(lambda count: sdk.steps(count, seam="boto3"), 300, 5)


def boto_steps_plain(sdk: ModuleType, _name: str) -> Sample:
    """One new step with a plain body, over the surface of a boto3 client."""
    return per_operation(lambda count: sdk.steps(count, seam="boto3", is_plain=True), 300, 5)


def real_call_2(sdk: ModuleType, _name: str) -> Sample:
    """One real checkpoint call with two updates."""
    return real_call(sdk, 2, 400)


def real_call_200(sdk: ModuleType, _name: str) -> Sample:
    """One real checkpoint call with 200 updates."""
    return real_call(sdk, 200, 60)


def real_call(sdk: ModuleType, updates: int, repeats: int) -> Sample:
    """The cost of one real checkpoint call in this process. The server has a process of its own."""
    with http_service():
        call = sdk.one_call(updates)
        return per_operation(lambda count: [call() for _ in range(count)], repeats, 5)


def real_steps(sdk: ModuleType, _name: str) -> Sample:
    """One new step with an async body (AWS: plain), over HTTP."""
    with http_service():
        return per_operation(lambda count: sdk.steps(count, seam="http"), 100, 5)


def real_steps_plain(sdk: ModuleType, _name: str) -> Sample:
    """One new step with a plain body, over HTTP."""
    with http_service():
        return per_operation(lambda count: sdk.steps(count, seam="http", is_plain=True), 100, 5)


def slow_steps(sdk: ModuleType, _name: str) -> Sample:
    """The wall time of one new step over HTTP beyond a latency of 5 ms."""
    return beyond_latency(sdk, is_plain=False)


def slow_steps_plain(sdk: ModuleType, _name: str) -> Sample:
    """The same with a plain body."""
    return beyond_latency(sdk, is_plain=True)


def beyond_latency(sdk: ModuleType, *, is_plain: bool) -> Sample:
    """What a step adds to the latency of its one call."""
    with http_service(LATENCY_SECONDS):
        taken = per_operation(lambda count: sdk.steps(count, seam="http", is_plain=is_plain), 50, 3)
    return replace(taken, wall_seconds=taken.wall_seconds - LATENCY_SECONDS)


def map_calls(sdk: ModuleType, _name: str) -> Sample:
    """The number of calls that a map over 10,000 items with plain bodies makes, ten at a time (as "seconds")."""
    return Sample(0, sdk.map_of_plain_bodies(10_000, concurrency=10), 0, 0)


def replay_1000(sdk: ModuleType, _name: str) -> Sample:
    """One replayed operation of 1,000."""
    return per_operation(lambda count: sdk.steps(count, recorded=count), 1_000, 7)


def replay_10000(sdk: ModuleType, _name: str) -> Sample:
    """One replayed operation of 10,000."""
    return per_operation(lambda count: sdk.steps(count, recorded=count), 10_000, 3)


def invocation(sdk: ModuleType, _name: str) -> Sample:
    """An invocation that does nothing."""
    sdk.steps(0, recorded=0)
    return medians([measure(lambda: sdk.steps(0, recorded=0)) for _ in range(15)])


def map_10000(sdk: ModuleType, _name: str) -> Sample:
    """A map over 10,000 items, 100 at a time, one step of 5 ms each."""
    sdk.map_items(10, concurrency=10, call_seconds=0.005)
    return measure_with_threads(lambda: sdk.map_items(10_000, concurrency=100, call_seconds=0.005))


def durable_steps(sdk: ModuleType, name: str) -> Sample:
    """One step made durable in the local engine's SQLite file."""
    count = 2_000 if name == "ours" else 200
    return Sample(0, median(sdk.durable_steps(count) for _ in range(3)) / count, 0, 0)


def traced_100(_sdk: ModuleType, name: str) -> Sample:
    """What tracing adds to a step of 100 in one invocation: its two spans."""
    return extra_of(name, 100)


def traced_1000(_sdk: ModuleType, name: str) -> Sample:
    """The same of 1,000."""
    return extra_of(name, 1_000)


def traced_3000(_sdk: ModuleType, name: str) -> Sample:
    """The same of 3,000."""
    return extra_of(name, 3_000)


def lambda_init(_sdk: ModuleType, name: str) -> Sample:
    """The processor time of an environment until its function is ready, with AWS's own endpoint, which is not called."""
    _as_on_lambda()

    def init() -> float:
        with environment(_handler(name), ENVIRONMENT) as started:
            return started.init_cpu_seconds

    return Sample(median(init() for _ in range(7)), 0, 0, 0)


def lambda_both(_sdk: ModuleType, name: str) -> Sample:
    """The processor time of an environment until its first invocation has answered."""
    return Sample(median(_first_invocation(name)[0] for _ in range(5)), 0, 0, 0)


def lambda_first_128(_sdk: ModuleType, name: str) -> Sample:
    """The first invocation in an environment of 128 MB: two steps at 7 % of a processor."""
    return Sample(0, median(_first_invocation(name, 128)[1] for _ in range(5)), 0, 0)


def lambda_first_256(_sdk: ModuleType, name: str) -> Sample:
    """The same with 256 MB."""
    return Sample(0, median(_first_invocation(name, 256)[1] for _ in range(5)), 0, 0)


def lambda_first_full(_sdk: ModuleType, name: str) -> Sample:
    """The same with a processor of its own."""
    return Sample(0, median(_first_invocation(name)[1] for _ in range(5)), 0, 0)


def _first_invocation(name: str, memory_mb: int = FULL_PROCESSOR_MB) -> tuple[float, float]:
    """The processor time of the environment, and the elapsed time of the first invocation."""
    _as_on_lambda()
    with (
        http_service() as url,
        environment(
            _handler(name),
            {**ENVIRONMENT, "AWS_ENDPOINT_URL_LAMBDA": url},
            memory_mb=memory_mb,
        ) as started,
    ):
        began = time.perf_counter()
        outcome = started.invoke(
            envelope(payload={"order_id": "A-17"}), request_id="request-1", function_arn=ARN.split("/")[0]
        )
        seconds = time.perf_counter() - began
        if not isinstance(outcome, Answer) or outcome.value.get("Status") != "SUCCEEDED":
            raise RuntimeError(f"{outcome}\n{started.said}")
        return cpu_seconds(started.process), seconds


def _handler(name: str) -> str:
    return f"tests.benchmarks.on_lambda_{name}.handler"


def _as_on_lambda() -> None:
    """Let processes compile once, and trust the authorities that botocore trusts."""
    for name in ("PYTHONDONTWRITEBYTECODE", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        os.environ.pop(name, None)


def import_time(_sdk: ModuleType, name: str) -> Sample:
    """Importing what a handler with steps imports, boto3 loaded before."""
    return _imported(WHAT_HANDLERS_IMPORT[name])


def import_everything(_sdk: ModuleType, name: str) -> Sample:
    """Importing the package and all its public names, boto3 loaded before."""
    return _imported(EVERY_NAME.format(IMPORTS[name]))


def _imported(statement: str) -> Sample:
    script = TIME_IMPORT.format(statement)
    runs = [
        float(subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout)
        for _ in range(9)
    ]
    return Sample(0, median(runs), 0, 0)


CASES = {
    case.__name__: case
    for case in (
        real_call_2,
        real_call_200,
        real_steps,
        real_steps_plain,
        slow_steps,
        slow_steps_plain,
        boto_steps,
        boto_steps_plain,
        map_calls,
        new_steps,
        replay_1000,
        replay_10000,
        invocation,
        map_10000,
        durable_steps,
        traced_100,
        traced_1000,
        traced_3000,
        lambda_init,
        lambda_both,
        lambda_first_128,
        lambda_first_256,
        lambda_first_full,
        import_time,
        import_everything,
    )
}

if __name__ == "__main__":
    chosen, case_name = sys.argv[1:]
    print(to_json(CASES[case_name](importlib.import_module(f"tests.benchmarks.{chosen}"), chosen)))

"""Measures this SDK next to AWS's, case by case in alternating processes, and prints medians and ratios.

`python -m tests.benchmarks [CASE …]` measures only the named cases; `--json` prints the figures as JSON.

With `ASYNC_DURABLE_EXECUTION_PYTHON=path/to/python`, the interpreter of an environment where async-durable-execution is installed,
the table has a column for it: `python -m venv other && other/bin/pip install async-durable-execution boto3`.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

Figures = dict[str, Any]


class Row(NamedTuple):
    """One line of the table.

    Attributes:
        case: Which workload it is taken from.
        title: What it says.
        read: Takes the figure from a sample.
        unit: What it is in.
        more_is_better: Whether the ratio is turned round.
    """

    case: str
    title: str
    read: Callable[[Figures], float]
    unit: str
    more_is_better: bool = False


def microseconds_cpu(figures: Figures) -> float:
    return float(figures["cpu_seconds"]) * 1e6


def microseconds_wall(figures: Figures) -> float:
    return float(figures["wall_seconds"]) * 1e6


def milliseconds(figures: Figures) -> float:
    return float(figures["wall_seconds"]) * 1e3


ROWS = (
    Row("real_call_2", "HTTP: a checkpoint call, 2 updates, CPU", microseconds_cpu, "µs"),
    Row("real_call_200", "HTTP: a checkpoint call, 200 updates, CPU", microseconds_cpu, "µs"),
    Row("real_steps", "HTTP: a new step, async body, CPU", microseconds_cpu, "µs"),
    Row("real_steps_plain", "HTTP: a new step, plain body, CPU", microseconds_cpu, "µs"),
    Row("slow_steps", "HTTP: wall less latency of 5 ms, async body", microseconds_wall, "µs"),
    Row("slow_steps_plain", "HTTP: wall less latency of 5 ms, plain body", microseconds_wall, "µs"),
    Row("boto_steps", "boto3: a new step, async body, CPU", microseconds_cpu, "µs"),
    Row("boto_steps_plain", "boto3: a new step, plain body, CPU", microseconds_cpu, "µs"),
    Row("map_calls", "boto3: map of 10,000 plain bodies by 10, calls", lambda f: float(f["wall_seconds"]), ""),
    Row("new_steps", "in memory: a new step, CPU", microseconds_cpu, "µs"),
    Row("new_steps", "in memory: a new step, wall", microseconds_wall, "µs"),
    Row("replay_1000", "a replayed operation of 1,000, CPU", microseconds_cpu, "µs"),
    Row("replay_10000", "a replayed operation of 10,000, CPU", microseconds_cpu, "µs"),
    Row("invocation", "an invocation that does nothing, wall", milliseconds, "ms"),
    Row("map_10000", "map over 10,000 items, 100 at a time, 5 ms each", lambda f: float(f["wall_seconds"]), "s"),
    Row("map_10000", "  its growth of peak memory", lambda f: float(f["memory_mib"]), "MiB"),
    Row("map_10000", "  its threads", lambda f: float(f["threads"]), ""),
    Row("durable_steps", "durable steps per second, SQLite", lambda f: 1 / float(f["wall_seconds"]), "/s", True),
    Row("traced_100", "two spans of a step of 100, extra CPU", microseconds_cpu, "µs"),
    Row("traced_1000", "two spans of a step of 1,000, extra CPU", microseconds_cpu, "µs"),
    Row("traced_3000", "two spans of a step of 3,000, extra CPU", microseconds_cpu, "µs"),
    Row("lambda_init", "Lambda: the init phase, CPU", lambda f: float(f["cpu_seconds"]) * 1e3, "ms"),
    Row("lambda_both", "Lambda: init and first invocation, CPU", lambda f: float(f["cpu_seconds"]) * 1e3, "ms"),
    Row("lambda_first_128", "Lambda: first invocation at 128 MB, wall", milliseconds, "ms"),
    Row("lambda_first_256", "Lambda: first invocation at 256 MB, wall", milliseconds, "ms"),
    Row("lambda_first_full", "Lambda: first invocation at 1,769 MB, wall", milliseconds, "ms"),
    Row("import_time", "import of what a handler needs, boto3 loaded", milliseconds, "ms"),
    Row("import_everything", "import of every public name, boto3 loaded", milliseconds, "ms"),
)


RECORDING = "recording"
"""What replay traces cost, which AWS's SDK does not write: lines of its own below the table."""

OTHER = "async_durable"
OTHER_PYTHON = os.environ.get("ASYNC_DURABLE_EXECUTION_PYTHON")
OTHER_CASES = ("real_steps", "slow_steps", "replay_1000", "replay_10000")
"""What async-durable-execution can be measured in: over HTTP, with async bodies."""


def run_case(sdk: str, case: str) -> Figures:
    """Measure in a process of its own."""
    print(f"measuring {case} with {sdk} …", file=sys.stderr, flush=True)
    python, environment = sys.executable, dict(os.environ)
    if sdk == OTHER:
        root = Path(__file__).parents[2]
        python, environment["PYTHONPATH"] = str(OTHER_PYTHON), os.pathsep.join((str(root), str(root / "src")))
    done = subprocess.run(
        [python, "-m", "tests.benchmarks.case", sdk, case], capture_output=True, text=True, check=False, env=environment
    )
    if done.returncode:
        sys.exit(f"{case} with {sdk} failed:\n{done.stderr}")
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def run_recording(*options: str) -> str:
    """Measure what replay traces cost, in a process of its own. Returns what it prints."""
    print(f"measuring {RECORDING} …", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", f"tests.benchmarks.{RECORDING}", *options]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def show(results: dict[str, dict[str, Figures]]) -> None:
    """Print the table."""
    print(
        f"\nPython {platform.python_version()}, {platform.machine()}, "
        f"durable-execution-sdk {version('durable-execution-sdk')}, "
        f"aws-durable-execution-sdk-python {version('aws-durable-execution-sdk-python')} "
        f"(emulator {version('aws-durable-execution-sdk-python-testing')})\n"
    )
    other = f"{'async-durable':>16}" if OTHER_PYTHON else ""
    print(f"{'':50}{'ours':>14}{'AWS':>14}{'better by':>12}{other}")
    for row in ROWS:
        if row.case not in results:
            continue
        ours, theirs = row.read(results[row.case]["ours"]), row.read(results[row.case]["aws"])
        ratio = ours / theirs if row.more_is_better else theirs / ours
        third = results[row.case].get(OTHER)
        shown = f"{row.read(third):>12,.1f} {row.unit}" if third is not None else ""
        print(f"{row.title:50}{ours:>10,.1f} {row.unit:3}{theirs:>10,.1f} {row.unit:3}{ratio:>11,.1f}×{shown}")


def _sdks(case: str) -> tuple[str, ...]:
    return ("ours", "aws", OTHER) if OTHER_PYTHON and case in OTHER_CASES else ("ours", "aws")


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("case", nargs="*", help="only these cases")
    parser.add_argument("--json", action="store_true", help="print figures, not a table")
    arguments = parser.parse_args()
    known = [*dict.fromkeys(row.case for row in ROWS), RECORDING]
    if unknown := set(arguments.case) - set(known):
        parser.error(f"no such case: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    cases = arguments.case or known
    results = {case: {sdk: run_case(sdk, case) for sdk in _sdks(case)} for case in cases if case != RECORDING}
    recording = run_recording(*(["--json"] if arguments.json else [])) if RECORDING in cases else None
    if arguments.json:
        print(json.dumps({**results, **({RECORDING: json.loads(recording)} if recording else {})}, indent=2))
        return
    if results:
        show(results)
    if recording:
        print(f"\n{recording}")


if __name__ == "__main__":
    main()

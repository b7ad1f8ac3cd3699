"""How the debugger holds up with large recordings: first paint, keys, memory.

Run `python -m tests.benchmarks.debugger_scale`. It writes four histories: 100,000 operations in one file, flat and in a map, and
2,000 operations over 1,001 invocations, flat and in a child context. Each is opened in a process of its own, under automated
control and, where there is tmux, in a real terminal. Key times are CPU milliseconds of the handler, which other programs on the
machine do not change.
"""

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from statistics import quantiles
from typing import Any

CALLS, ROUNDS = 100_000, 1_000
PADDING = "x" * 400
MOVES = 100
START = datetime(2026, 3, 2, 9, tzinfo=UTC)
SIZE = (120, 40)
SECONDS = 60.0


def wide(calls: int, *, is_nested: bool) -> list[dict[str, Any]]:
    """A history of steps in one invocation; nested, each is in an item of a map."""
    events: list[dict[str, Any]] = []

    def add(kind: str, id_: str | None = None, parent: str | None = None, **details: Any) -> None:
        at = START + timedelta(milliseconds=len(events))
        event = {"EventType": kind, "EventId": len(events) + 1, "EventTimestamp": at.isoformat(), **details}
        event |= {"Id": id_} if id_ is not None else {}
        event |= {"ParentId": parent} if parent is not None else {}
        events.append(event)

    add("ExecutionStarted", ExecutionStartedDetails={"Input": {"Payload": "{}"}})
    if is_nested:
        add("ContextStarted", "map", None, SubType="Map", Name="all", ContextStartedDetails={})
    for number in range(calls // (2 if is_nested else 1)):
        parent = None
        if is_nested:
            parent = f"item{number}"
            add(
                "ContextStarted", parent, "map", SubType="MapIteration", Name=f"item-{number}", ContextStartedDetails={}
            )
        add("StepStarted", f"step{number}", parent, SubType="Step", Name=f"charge_{number}", StepStartedDetails={})
        result = {"Result": {"Payload": json.dumps(f"{number} {PADDING}")}}
        add(
            "StepSucceeded",
            f"step{number}",
            parent,
            SubType="Step",
            Name=f"charge_{number}",
            StepSucceededDetails=result,
        )
        if parent is not None:
            add("ContextSucceeded", parent, "map", SubType="MapIteration", ContextSucceededDetails=result)
    if is_nested:
        add(
            "ContextSucceeded",
            "map",
            None,
            SubType="Map",
            Name="all",
            ContextSucceededDetails={"Result": {"Payload": "1"}},
        )
    add("ExecutionSucceeded", ExecutionSucceededDetails={"Result": {"Payload": "null"}})
    return events


def long(rounds: int, *, is_nested: bool) -> list[Any]:
    """The history of an execution that polls and waits, from the local engine: one invocation for each round, and one more."""
    from durable_execution import DurableContext, durable_execution
    from durable_execution.local import CountingIds, LocalEngine
    from tests.benchmarks.long_executions import poll

    async def rounds_of(ctx: DurableContext) -> int:
        for number in range(rounds):
            await ctx.step(poll(number))
            await ctx.wait(timedelta(hours=1), name="hourly")
        return rounds

    @durable_execution
    async def poller(event: int, ctx: DurableContext) -> int:
        return await (ctx.run_in_child_context(rounds_of, name="polling") if is_nested else rounds_of(ctx))

    with LocalEngine(None, time="skip", ids=CountingIds()) as engine:
        engine.register("poller", poller)
        arn = engine.start("poller", rounds)
        engine.run_until_idle()
        events: list[Any] = []
        marker: dict[str, Any] = {}
        while True:
            page = engine.client.get_durable_execution_history(
                DurableExecutionArn=arn, IncludeExecutionData=True, MaxItems=1000, **marker
            )
            events += page["Events"]
            if not page.get("NextMarker"):
                return events
            marker = {"Marker": page["NextMarker"]}


def measure(file: str) -> dict[str, float]:
    """Open a file in this process under automated control, and press keys."""
    from durable_debugger.app import DebuggerApp
    from durable_debugger.model.session import Session
    from durable_debugger.screens.main import MainScreen
    from durable_debugger.sources.files import load_file

    took: dict[str, float] = {}
    began = time.process_time()
    loaded = load_file(file)
    session = Session(loaded.execution, as_of=loaded.as_of, title=loaded.title)
    took["tree complete, CPU s"] = time.process_time() - began

    async def drive() -> None:
        app = DebuggerApp(session)
        async with app.run_test(size=SIZE) as pilot:
            await pilot.pause()
            screen = app.screen
            assert isinstance(screen, MainScreen)
            perform = screen.action_perform
            took["key in the tree, ms"] = _typical(lambda: perform("cursor_down"))
            took["memory, MiB"] = _peak()
            took["fold all, ms"] = _milliseconds(lambda: perform("fold_all"))
            perform("unfold_all")
            took["open Step, ms"] = _milliseconds(lambda: screen.open_view("step"))
            await pilot.pause()
            took["key in Step, ms"] = _typical(lambda: perform("step_into"))
            took["back in Step, ms"] = _typical(lambda: perform("back_into"))

    asyncio.run(drive())
    took["memory with Step, MiB"] = _peak()
    began = time.process_time()
    json.loads(Path(file).read_bytes())  # last: its values would count as memory of the debugger
    return {"json.loads, CPU s": time.process_time() - began, **took}


def _peak() -> float:
    """The most memory that this process has had. On Linux, `ru_maxrss` would begin with that of the parent process."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return getrusage(RUSAGE_SELF).ru_maxrss / (1024 * 1024 if sys.platform == "darwin" else 1024)
    peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(peak.split()[1]) / 1024


def _milliseconds(action: Callable[[], object]) -> float:
    before = time.thread_time()
    action()
    return (time.thread_time() - before) * 1000


def _typical(action: Callable[[], object]) -> float:
    """95 of 100 presses take at most this long."""
    return quantiles([_milliseconds(action) for _ in range(MOVES)], n=20)[-1]


def in_terminal(file: str) -> dict[str, float]:
    """Open a file in a real terminal: seconds until something is painted, and until the execution is."""
    server = f"bench-{os.getpid()}"

    def tmux(*words: str) -> str:
        return subprocess.run(
            ["tmux", "-L", server, "-u", "-f", "/dev/null", *words], capture_output=True, text=True, check=False
        ).stdout

    command = f"env -u COLUMNS -u LINES LANG=C.UTF-8 PYTHONPATH={os.pathsep.join(sys.path)} {sys.executable} -m durable_debugger {file}; exec cat"
    took: dict[str, float] = {}
    began = time.monotonic()
    tmux("new-session", "-d", "-x", str(SIZE[0]), "-y", str(SIZE[1]), command)
    while time.monotonic() - began < SECONDS and len(took) < 2:
        shown = tmux("capture-pane", "-p")
        if shown.strip():
            took.setdefault("first paint in a terminal, s", time.monotonic() - began)
        if "Succeeded" in shown:
            took["execution in a terminal, s"] = time.monotonic() - began
        time.sleep(0.02)
    tmux("kill-server")
    return took


def histories(directory: Path) -> Iterator[tuple[str, Path]]:
    """Write the histories."""
    for name, events in (
        ("100,000 flat", wide(CALLS, is_nested=False)),
        ("100,000 nested", wide(CALLS, is_nested=True)),
        ("1,001 invocations flat", long(ROUNDS, is_nested=False)),
        ("1,001 invocations nested", long(ROUNDS, is_nested=True)),
    ):
        path = directory / f"{name.replace(' ', '-').replace(',', '')}.history.json"
        path.write_text(json.dumps({"Events": events}, default=str), encoding="utf-8")
        yield name, path


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?", help="only measure this history, and print figures")
    arguments = parser.parse_args()
    if arguments.file:
        print(json.dumps(measure(arguments.file)))
        return
    with tempfile.TemporaryDirectory() as directory:
        table: dict[str, dict[str, float]] = {}
        for name, path in histories(Path(directory)):
            print(f"measuring {name}, {path.stat().st_size / 1e6:.1f} MB …", file=sys.stderr, flush=True)
            command = [sys.executable, "-m", "tests.benchmarks.debugger_scale", str(path)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            table[name] = json.loads(done.stdout.splitlines()[-1])
            if shutil.which("tmux"):
                table[name] |= in_terminal(str(path))
    print(f"{'':32}" + "".join(f"{name:>26}" for name in table))
    for row in dict.fromkeys(key for each in table.values() for key in each):
        print(f"{row:32}" + "".join(f"{each.get(row, float('nan')):>26,.1f}" for each in table.values()))


if __name__ == "__main__":
    main()

"""Realistic nondeterministic programs, and whether a report names the line that makes each of them differ.

Each program is a package in `causes/`: a handler, helpers in modules of their own, and clocks, counters and logs that decide
nothing. A line marked `# CAUSE` may be named; nothing else counts. The program is recorded in one process and replayed in
another, each with its own hash seed, clock, time zone and so on.

    python -m tests.replay.cause_corpus [NAME …]    prints the figure
"""

import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
PROGRAMS = Path(__file__).parent / "causes"
MARK = "# CAUSE"
DAY = 86_400
TRIES = 12
SATURDAY, WEDNESDAY = 5, 2
CUSTOMIZE = """
import os, sys
clock, seed = int(os.environ.get("CAUSE_CLOCK", "0")), os.environ.get("CAUSE_SEED")
if "--check" in sys.orig_argv:
    from datetime import timedelta
    from durable_execution.clock import SystemClock
    now = SystemClock.now
    SystemClock.now = lambda self: now(self) + timedelta(seconds=clock)
elif "-c" in sys.orig_argv or "--record" in sys.orig_argv:
    from durable_execution.replay.surroundings import seed_random, shift_clock
    shift_clock(clock)
    if seed is not None:
        seed_random(int(seed))
"""
"""Run when a process starts, also a worker's: its clock and random numbers are those of the machine that it stands for."""


def names() -> list[str]:
    return sorted(path.parent.name for path in PROGRAMS.glob("*/handler.py"))


@dataclass(frozen=True)
class Named:
    """What the report of a program says.

    Attributes:
        name: The program.
        kind: Kind of the difference; None when there was none.
        likely: The likely cause, as text.
        evidence: Its evidence.
        is_right: Whether the text names a marked line.
        seconds: Time that the report took.
    """

    name: str
    kind: str | None
    likely: str
    evidence: str | None
    is_right: bool
    seconds: float


def marked(name: str) -> set[str]:
    """`file:line` of every line that may be named."""
    return {
        f"{file.name}:{number}"
        for file in (PROGRAMS / name).glob("*.py")
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if MARK in line
    }


def evaluate(name: str) -> Named:
    """Record a program, replay it elsewhere until it differs, and read what the report says."""
    program = importlib.import_module(f"tests.replay.causes.{name}.handler")
    with tempfile.TemporaryDirectory() as folder:
        history = Path(folder) / "history.json"
        recorded, replayed = _environments(program)
        if hasattr(program, "before_recording"):
            program.before_recording()
        _run("record", name, history, recorded)
        if hasattr(program, "before_replay"):
            program.before_replay()
        root, shift = (_moved(Path(folder)), 3) if hasattr(program, "MOVED") else (REPOSITORY, 0)
        found: dict[str, Any] = {}
        for attempt in range(TRIES):
            found = _run("check", name, history, {**replayed, **_seeds(program, attempt)}, root)
            if found["kind"] is not None:
                break
    places = {f"{place.partition(':')[0]}:{int(place.partition(':')[2]) + shift}" for place in marked(name)}
    is_right = any(f"{place} " in f"{found['likely']} " for place in places)
    return Named(name, found["kind"], found["likely"], found["evidence"], is_right, found["seconds"])


def _environments(program: Any) -> tuple[dict[str, str], dict[str, str]]:
    recorded = {"PYTHONHASHSEED": "11", "CAUSE_SEED": str(getattr(program, "RECORDED_WITH_SEED", 100))}
    recorded |= getattr(program, "RECORDED_IN", {})
    replayed: dict[str, str] = dict(getattr(program, "REPLAYED_IN", {}))
    if hasattr(program, "RECORDED_SECONDS_AGO"):
        event = {**program.EVENT, "placed_at": time.time()}
        recorded["CAUSE_EVENT"] = json.dumps(event)
        replayed["CAUSE_CLOCK"] = str(program.RECORDED_SECONDS_AGO)
    if hasattr(program, "RECORDED_ON"):
        today = time.gmtime().tm_wday
        recorded["CAUSE_CLOCK"] = str((SATURDAY - today) % 7 * DAY)
        replayed["CAUSE_CLOCK"] = str((WEDNESDAY - today) % 7 * DAY)
    return recorded, replayed


def _seeds(program: Any, attempt: int) -> dict[str, str]:
    first = getattr(program, "REPLAYED_WITH_SEED", 200)
    return {"PYTHONHASHSEED": str(5 + attempt), "CAUSE_SEED": str(first + attempt)}


def _moved(folder: Path) -> Path:
    """A copy of the programs in a different place, with other line numbers, as after a deploy."""
    target = folder / "deployed"
    shutil.copytree(
        PROGRAMS.parent, target / "tests" / "replay", ignore=shutil.ignore_patterns("corpus", "__pycache__")
    )
    (target / "tests" / "__init__.py").touch()
    for file in (target / "tests" / "replay" / "causes").glob("*/*.py"):
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
        file.write_text("".join([lines[0], *["# deployed again\n"] * 3, *lines[1:]]), encoding="utf-8")
    return target


def _run(mode: str, name: str, history: Path, environ: dict[str, str], root: Path = REPOSITORY) -> dict[str, Any]:
    (history.parent / "sitecustomize.py").write_text(CUSTOMIZE, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "tests.replay.cause_corpus", "--" + mode, name, str(history)],
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(history.parent), **environ},
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{mode} of {name}: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _child(mode: str, name: str, history: str) -> dict[str, Any]:
    program = importlib.import_module(f"tests.replay.causes.{name}.handler")
    event = json.loads(os.environ["CAUSE_EVENT"]) if "CAUSE_EVENT" in os.environ else program.EVENT
    if mode == "--record":
        return _record(program, event, Path(history))
    return _checked(program, Path(history))


def _record(program: Any, event: Any, history: Path) -> dict[str, Any]:
    from tests.replay.recording import history_of

    for _ in range(getattr(program, "WARM", 0)):
        history_of(program.handler, event)
    events, arn = history_of(program.handler, event)
    history.write_text(json.dumps({"DurableExecutionArn": arn, "Events": events}, default=str), encoding="utf-8")
    return {}


def _checked(program: Any, history: Path) -> dict[str, Any]:
    from durable_execution.replay import Handlers, Source, check_in_workers
    from durable_execution.replay.formats import to_text
    from durable_execution.replay.loading import load_history

    handlers = Handlers.parse([program.handler.name])
    started = time.perf_counter()
    (report,) = check_in_workers([Source(history.name, lambda: load_history(history))], handlers)
    root = report.root
    likely = [line for line in to_text([report]).splitlines() if line.strip().startswith("likely")]
    return {
        "kind": root.kind.value if root is not None else None,
        "likely": "; ".join(likely),
        "evidence": root.cause.evidence.value if root is not None and root.cause is not None else None,
        "seconds": time.perf_counter() - started,
    }


def main(arguments: list[str]) -> None:
    """Evaluate the programs that are named, or all."""
    if arguments[:1] in (["--record"], ["--check"]):
        print(json.dumps(_child(*arguments[:3])))
        return
    results = []
    for name in arguments or names():
        found = evaluate(name)
        results.append(found)
        print(
            "right" if found.is_right else "WRONG",
            f"{found.seconds:4.1f} s",
            name,
            found.kind,
            found.likely.strip(),
            flush=True,
        )
    print(f"{sum(one.is_right for one in results)} of {len(results)} named in the text")


if __name__ == "__main__":
    main(sys.argv[1:])

"""Kill campaign: processes are killed at random moments, and nothing is lost, repeated or run at the same time twice.

    python -m tests.campaigns.kill --kills 1000

`engine` kills a program that runs an engine in its own process; `serve` kills `durable-debug serve` with SIGKILL, whose workers
must die with it; `workers` kills the worker processes of a server. In the end everything runs undisturbed until it is finished,
and the ledger that the functions kept outside the store (see `victim.py`) is compared with the histories.
"""

import argparse
import multiprocessing
import os
import random
import re
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from durable_execution.local import LocalEngine
from durable_execution.protocol import Wire
from tests.campaigns import victim, victim_server
from tests.campaigns.victim import BEATS, STEPS

MODES = ("engine", "serve", "workers")
AT_ONCE = 2
"""Executions that each life of the program works on: those that earlier ones have left, and new ones."""

LONGEST = (0.02, 0.3)
"""Seconds from the first body to the kill, at most. A body takes some 10 ms, so that half of the kills interrupt one."""

PROGRAMS = multiprocessing.get_context("forkserver")
PROGRAMS.set_forkserver_preload([victim.__name__, victim_server.__name__])
"""Starts each life from a process that has imported everything: most of the time then goes to what is killed."""


@dataclass(slots=True)
class Campaign:
    """What was killed, and what was found.

    Attributes:
        mode: Which process is killed.
        kills: Processes killed while they had work.
        executions: Executions that were acknowledged.
        steps: Steps whose result a handler has received.
        bodies: At-most-once bodies that were started.
        interrupted: Bodies that a kill interrupted.
        problems: What was lost, repeated or overlapped.
    """

    mode: str
    kills: int = 0
    executions: int = 0
    steps: int = 0
    bodies: int = 0
    interrupted: int = 0
    problems: list[str] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        """The result as text."""
        yield (
            f"{self.mode}: {self.kills} kills, {self.executions} executions, {self.steps} known results, {self.bodies} bodies "
            f"({self.interrupted} interrupted): {len(self.problems)} problems"
        )
        yield from (f"  {problem}" for problem in self.problems[:20])


def campaign(mode: str, kills: int, directory: Path, *, seed: int = 0) -> Campaign:
    """Kill, finish and check.

    Args:
        mode: One of `MODES`.
        kills: How many processes to kill.
        directory: Where the store and the ledger go.
        seed: Seed of the delays.
    """
    chance = random.Random(f"{mode} {seed}")
    found = Campaign(mode)
    life = _Life(mode, directory)
    while found.kills < kills:
        found.kills += life.run(chance, kills - found.kills)
    life.finish()
    found.problems += [f"worker {pid} has outlived its server" for pid in life.survivors]
    _check(found, directory)
    return found


class _Life:
    """Starts the program on one store, again and again."""

    def __init__(self, mode: str, directory: Path) -> None:
        self._mode = mode
        self._directory = directory
        self._ledger = directory / "ledger"
        self._ledger.touch()
        self._started = 0
        self._unfinished: list[str] = []
        self.survivors: list[int] = []

    def run(self, chance: random.Random, wanted: int) -> int:
        """One life, with its violent end. Returns the number of kills."""
        program = self._begin()
        if self._mode == "workers":
            return self._kill_workers(program, chance, wanted)
        if self._ends_within(program, chance.uniform(0, chance.choice(LONGEST))):
            return 0  # it was quicker
        workers = _children(program.pid) if self._mode == "serve" else []
        _kill(program)
        self.survivors += [worker for worker in workers if not _ends(worker)]
        return 1

    def finish(self) -> None:
        """Run undisturbed until everything has ended."""
        program = self._program([f"job-{number}" for number in range(self._started)])
        program.join(timeout=600)
        if program.exitcode != 0:
            raise AssertionError(f"the last run ended with exit code {program.exitcode}")

    def _begin(self) -> BaseProcess:
        """Start the program, and wait until it runs a body, so that the kill finds it at work."""
        text = self._ledger.read_text()
        self._unfinished = [name for name in self._unfinished if f"known {name}/{STEPS - 1} " not in text]
        while len(self._unfinished) < AT_ONCE:
            self._unfinished.append(f"job-{self._started}")
            self._started += 1
        program = self._program(self._unfinished)
        while "\nbody " not in self._ledger.read_text()[len(text) :] and not self._ends_within(program, 0.005):
            pass
        return program

    def _program(self, names: list[str]) -> BaseProcess:
        module = victim if self._mode == "engine" else victim_server
        program = PROGRAMS.Process(
            target=module.main, args=(str(self._directory / "executions.db"), str(self._ledger), names)
        )
        program.start()
        return program

    def _ends_within(self, program: BaseProcess, seconds: float) -> bool:
        program.join(seconds)
        return program.exitcode is not None

    def _kill_workers(self, program: BaseProcess, chance: random.Random, wanted: int) -> int:
        kills = 0
        while kills < min(wanted, 10):
            if self._ends_within(program, chance.uniform(0, chance.choice(LONGEST))):
                return kills
            workers = _children(program.pid)
            if workers:
                with suppress(ProcessLookupError):
                    os.kill(chance.choice(workers), signal.SIGKILL)
                    kills += 1
        _kill(program)
        return kills + 1


def _kill(program: BaseProcess) -> None:
    program.kill()
    program.join()


def _children(pid: int | None) -> list[int]:
    """Child processes of a process."""
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += map(int, path.read_text().split())
    return found


def _ends(pid: int) -> bool:
    """Whether a process whose parent was killed ends too. One that is still starting needs a moment to notice."""
    for _ in range(1000):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.005)
    return False


def _check(found: Campaign, directory: Path) -> None:
    entries = [line.split() for line in (directory / "ledger").read_text().splitlines()]
    started = {words[1] for words in entries if words[0] == "started"}
    with LocalEngine(directory / "executions.db", create=False, trace_sink=False) as engine:
        histories = dict(_histories(engine))
    _check_executions(found, started, histories)
    known: dict[str, set[str]] = defaultdict(set)
    beats: dict[str, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for words in entries:
        if words[0] == "known":
            known[words[1]].add(words[2])
        elif words[0] == "body":
            beats[words[1]][int(words[2])].append(int(words[3]))
    _check_results(found, known, histories)
    _check_bodies(found, beats)


def _histories(engine: LocalEngine) -> Iterator[tuple[str, list[Wire]]]:
    marker: str | None = None
    while True:
        page = engine.executions(marker=marker, max_items=100)
        for execution in page["DurableExecutions"]:
            events = engine.client.get_durable_execution_history(
                DurableExecutionArn=execution["DurableExecutionArn"], IncludeExecutionData=True, MaxItems=1000
            )["Events"]
            yield execution["DurableExecutionName"], events
        marker = page.get("NextMarker")
        if marker is None:
            return


def _check_executions(found: Campaign, started: set[str], histories: dict[str, list[Wire]]) -> None:
    found.executions = len(started)
    found.problems += [f"{name} was acknowledged, and is lost" for name in sorted(started - histories.keys())]
    for name, events in histories.items():
        if events[-1]["EventType"] != "ExecutionSucceeded":
            found.problems.append(f"{name} ended with {events[-1]['EventType']}")
        if [event["EventId"] for event in events] != list(range(1, len(events) + 1)):
            found.problems.append(f"{name} has gaps in its event ids")
        ends = Counter(event["Name"] for event in events if _is_final(event))
        if ends != Counter(f"s{number}" for number in range(STEPS)):
            found.problems.append(f"{name} ended its steps {dict(ends)}")


def _is_final(event: Wire) -> bool:
    """Whether an event ends a step for good."""
    if event["EventType"] not in ("StepSucceeded", "StepFailed"):
        return False
    details: dict[str, Any] = event[f"{event['EventType']}Details"]
    return "NextAttemptDelaySeconds" not in details["RetryDetails"]


def _check_results(found: Campaign, known: dict[str, set[str]], histories: dict[str, list[Wire]]) -> None:
    found.steps = len(known)
    for step, values in known.items():
        name, _, number = step.partition("/")
        recorded = {
            _value(event) for event in histories.get(name, []) if event.get("Name") == f"s{number}" and _is_final(event)
        }
        if values != recorded:
            found.problems.append(f"{step} was known as {sorted(values)}, and is recorded as {sorted(recorded)}")


def _value(event: Wire) -> str:
    if event["EventType"] == "StepFailed":
        return "interrupted"
    return re.sub(r"\W", "", event["StepSucceededDetails"]["Result"]["Payload"])


def _check_bodies(found: Campaign, beats: dict[str, dict[int, list[int]]]) -> None:
    for step, attempts in beats.items():
        last = 0
        for attempt, moments in sorted(attempts.items()):
            found.bodies += 1
            found.interrupted += len(moments) < BEATS
            if len(moments) > BEATS:
                found.problems.append(f"attempt {attempt} of {step} ran more than once")
            if moments[0] < last:
                found.problems.append(f"attempt {attempt} of {step} began while the one before it ran")
            last = moments[-1]
        if int(step.rpartition("/")[2]) % 2 == 0 and len(attempts) > 1:
            found.problems.append(f"{step}, which is not retried, had {len(attempts)} attempts")


def main() -> int:
    """Run the campaign; the exit code is 1 if anything was lost, repeated or overlapped."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=1000, help="number of kills, shared among the modes")
    parser.add_argument("--mode", action="append", choices=MODES, help="what to kill; repeatable; all by default")
    parser.add_argument("--seed", type=int, default=0, help="seed of the delays")
    arguments = parser.parse_args()
    modes = arguments.mode or MODES
    problems = 0
    for mode in modes:
        with tempfile.TemporaryDirectory() as directory:
            found = campaign(mode, -(-arguments.kills // len(modes)), Path(directory), seed=arguments.seed)
        sys.stdout.write("\n".join(found.lines()) + "\n")
        sys.stdout.flush()
        problems += len(found.problems)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

"""Replays a recording in other worlds: another hash seed, clock, time zone, random seed, environment, order of completion.

Each world is a process of its own, changed before the handler is imported. Code that calls something else in another world
is nondeterministic, even where it has not been caught yet.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from durable_execution.replay.divergence import Divergence, quoted
from durable_execution.replay.recorded import RecordedExecution
from durable_execution.replayer.run import UnusableHandlerError

CHILD = "durable_execution.replayer.perturbed"
DAY = 86_400
MAX_PROCESSES = 4


@dataclass(frozen=True, slots=True)
class World:
    """What is different in one process.

    Attributes:
        name: What to call it.
        environ: Variables that are set; None removes one.
        clock_offset: By how many seconds the clock is ahead.
        random_seed: Seeds `random`, `uuid4` and `os.urandom`. The same in worlds that differ in something else.
        order_seed: Shuffles the order in which recorded operations complete; None completes all at once.
        suspects: What to look for when this world differs.
    """

    name: str
    environ: Mapping[str, str | None] = field(default_factory=dict)
    clock_offset: int = 0
    random_seed: int = 0
    order_seed: int | None = None
    suspects: str = ""


WORLDS = (
    World("hash seed 1", {"PYTHONHASHSEED": "1"}, suspects="the order of a set, or hash()"),
    World("hash seed 2", {"PYTHONHASHSEED": "2"}, suspects="the order of a set, or hash()"),
    World("clock 12 hours ahead", clock_offset=DAY // 2, suspects="the clock"),
    World("clock 3 days ahead", clock_offset=3 * DAY + 5 * 3_600, suspects="the clock"),
    World("clock 200 days ahead", clock_offset=200 * DAY, suspects="the clock"),
    World("time zone +14", {"TZ": "Pacific/Kiritimati"}, suspects="the local time zone"),
    World("random seed 1", random_seed=1, suspects="random numbers or uuids"),
    World("random seed 2", random_seed=2, suspects="random numbers or uuids"),
    World("order of completion 1", order_seed=1, suspects="which of several operations completes first"),
    World("order of completion 2", order_seed=2, suspects="which of several operations completes first"),
)
BASE = World("as it is", {"PYTHONHASHSEED": "0"})


@dataclass(frozen=True, slots=True)
class PerturbationFinding:
    """One world in which the handler called something else.

    Attributes:
        world: The world.
        what: What is different, in a line.
        divergence: The difference from the recording there; None when only the outcome differs.
    """

    world: World
    what: str
    divergence: Divergence | None = None

    def __str__(self) -> str:
        return f"{self.world.name}: {self.what}; look for {self.world.suspects}"


def perturb(
    handler: str, execution: RecordedExecution, *, worlds: Iterable[World] = WORLDS, seconds: float = 30.0
) -> list[PerturbationFinding]:
    """Replay a recording in other worlds and compare what is called.

    Args:
        handler: `module:handler` or `file.py:handler`; it is imported in each process.
        execution: The recording.
        worlds: What to change.
        seconds: Time limit for each process.

    Raises:
        UnusableHandlerError: The handler cannot be imported in a process of its own.
    """
    base = _replay_in(BASE, handler, execution, seconds)
    others = (*worlds, *environment_worlds(base))
    with ThreadPoolExecutor(max(1, min(MAX_PROCESSES, os.cpu_count() or 1))) as pool:
        answers = list(pool.map(lambda world: _replay_in(world, handler, execution, seconds), others))
    findings = (_difference(world, base, answer) for world, answer in zip(others, answers, strict=True))
    return [finding for finding in findings if finding is not None]


def environment_worlds(base: Mapping[str, Any]) -> list[World]:
    """A world for each variable the orchestration code read: with another value, and without it."""
    names = sorted({suspect["what"][12:-2] for suspect in base["suspects"] if suspect["kind"] == "environment"})
    worlds: list[World] = []
    for name in names:
        changes: list[str | None] = [_other(os.environ.get(name)), *([None] if name in os.environ else [])]
        for value in changes:
            shown = "unset" if value is None else f"= {value!r:.40}"
            worlds.append(World(f"{name} {shown}", {name: value}, suspects=f"os.environ[{name!r}]"))
    return worlds


def _other(value: str | None) -> str:
    flips = {"0": "1", "1": "0", "true": "false", "false": "true", "on": "off", "off": "on", "yes": "no", "no": "yes"}
    if value is None:
        return "1"
    return flips.get(value.lower(), f"{value}-perturbed")


def _replay_in(world: World, handler: str, execution: RecordedExecution, seconds: float) -> dict[str, Any]:
    request = {
        "handler": handler,
        "path": [entry or os.getcwd() for entry in sys.path],  # noqa: PTH109  # as the interpreter has it
        "events": list(execution.events),
        "arn": execution.arn,
        "seconds": seconds,
        "clock_offset": world.clock_offset,
        "random_seed": world.random_seed,
        "order_seed": world.order_seed,
    }
    environ = {**os.environ, "PYTHONHASHSEED": "0"}
    for name, value in world.environ.items():
        environ.pop(name, None)
        if value is not None:
            environ[name] = value
    done = subprocess.run(  # this interpreter, this package
        [sys.executable, "-m", CHILD],
        input=json.dumps(request, default=str),
        capture_output=True,
        text=True,
        timeout=seconds + 60,
        env=environ,
        check=False,
    )
    try:
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        tail = done.stderr.strip().splitlines()[-1:] or ["no output"]
        raise UnusableHandlerError(f"{handler} cannot be replayed in a process of its own: {tail[0]}") from None
    if "unusable" in answer:
        raise UnusableHandlerError(answer["unusable"])
    return answer


def _difference(world: World, base: Mapping[str, Any], other: Mapping[str, Any]) -> PerturbationFinding | None:
    if other.get("conflict") and not base["divergences"]:
        return PerturbationFinding(world, other["conflict"])
    if base["calls"] == other["calls"]:
        if base["outcome"] == other["outcome"]:
            return None
        return PerturbationFinding(world, f"the outcome is {other['outcome']} instead of {base['outcome']}")
    roots = [Divergence.from_wire(one) for one in other["divergences"] if one["is_root"]]
    known = {(one["kind"], one["path"]) for one in base["divergences"]}
    root = next((one for one in roots if (one.kind.value, one.path) not in known), None)
    return PerturbationFinding(world, _first_difference(base["calls"], other["calls"]), root)


def _first_difference(base: Sequence[str], other: Sequence[str]) -> str:
    for left, right in zip(base, other, strict=False):
        if left != right:
            return f"calls {quoted(right)} where {quoted(left)} was called"
    if len(base) > len(other):
        return f"does not call {quoted(base[len(other)])}"
    return f"calls {quoted(other[len(base)])} as well"

"""Replays a recording under perturbations: a different hash seed, clock, time zone, random seed, environment or order.

Each perturbation runs in its own process, which is changed before the handler is imported. Code whose calls differ under a
perturbation is nondeterministic, even if no replay has failed yet.

The process that replays a recording under a perturbation; see `durable_execution.replay.perturb`.

Reads a request from stdin and writes an answer to stdout, both JSON. The perturbation is applied before the handler, or
any other module of this package, is imported.
"""

import ctypes
import datetime as dt
import gc
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from durable_execution.divergence import Divergence, quoted
from durable_execution.history.recorded import RecordedExecution
from durable_execution.replay.run import UnusableHandlerError

CHILD = "durable_execution.replay.perturb"
DAY = 86_400
MAX_PROCESSES = 4


@dataclass(frozen=True, slots=True)
class Perturbation:
    """One change to the environment of a replay.

    Attributes:
        name: The perturbation's name in reports.
        environ: Environment variables to set; None unsets one.
        clock_offset: Seconds by which the clock is ahead.
        random_seed: Seed for `random`, `uuid4` and `os.urandom`; equal in all perturbations that change something else.
        order_seed: Seed that shuffles the order in which recorded operations complete; None completes all at once.
        suspects: The likely cause when the calls differ.
    """

    name: str
    environ: Mapping[str, str | None] = field(default_factory=dict)
    clock_offset: int = 0
    random_seed: int = 0
    order_seed: int | None = None
    suspects: str = ""


PERTURBATIONS = (
    Perturbation("hash seed 1", {"PYTHONHASHSEED": "1"}, suspects="the order of a set, or hash()"),
    Perturbation("hash seed 2", {"PYTHONHASHSEED": "2"}, suspects="the order of a set, or hash()"),
    Perturbation("clock 12 hours ahead", clock_offset=DAY // 2, suspects="the clock"),
    Perturbation("clock 3 days ahead", clock_offset=3 * DAY + 5 * 3_600, suspects="the clock"),
    Perturbation("clock 200 days ahead", clock_offset=200 * DAY, suspects="the clock"),
    Perturbation("time zone +14", {"TZ": "Pacific/Kiritimati"}, suspects="the local time zone"),
    Perturbation("random seed 1", random_seed=1, suspects="random numbers or uuids"),
    Perturbation("random seed 2", random_seed=2, suspects="random numbers or uuids"),
    Perturbation("order of completion 1", order_seed=1, suspects="which of several operations completes first"),
    Perturbation("order of completion 2", order_seed=2, suspects="which of several operations completes first"),
)
BASE = Perturbation("unperturbed", {"PYTHONHASHSEED": "0"})


@dataclass(frozen=True, slots=True)
class PerturbationFinding:
    """One perturbation under which the handler behaved differently.

    Attributes:
        perturbation: The perturbation.
        what: The difference, in one line.
        divergence: The difference from the recording; None when only the outcome differs.
    """

    perturbation: Perturbation
    what: str
    divergence: Divergence | None = None

    def __str__(self) -> str:
        return f"{self.perturbation.name}: {self.what}; look for {self.perturbation.suspects}"


def perturb(
    handler: str,
    execution: RecordedExecution,
    *,
    perturbations: Iterable[Perturbation] = PERTURBATIONS,
    seconds: float = 30.0,
) -> list[PerturbationFinding]:
    """Replay a recording under perturbations and compare the calls.

    Args:
        handler: `module:handler` or `file.py:handler`; each process imports it.
        execution: The recording.
        perturbations: The perturbations to apply.
        seconds: Time limit for each process.

    Raises:
        UnusableHandlerError: The handler cannot be imported in a separate process.
    """
    base = _replay_in(BASE, handler, execution, seconds)
    others = (*perturbations, *environment_perturbations(base))
    with ThreadPoolExecutor(max(1, min(MAX_PROCESSES, os.cpu_count() or 1))) as pool:
        answers = list(pool.map(lambda perturbation: _replay_in(perturbation, handler, execution, seconds), others))
    findings = (_difference(perturbation, base, answer) for perturbation, answer in zip(others, answers, strict=True))
    return [finding for finding in findings if finding is not None]


def environment_perturbations(base: Mapping[str, Any]) -> list[Perturbation]:
    """Make perturbations for each variable the orchestration code read: one with a different value, one without it."""
    names = sorted({suspect["what"][12:-2] for suspect in base["suspects"] if suspect["kind"] == "environment"})
    perturbations: list[Perturbation] = []
    for name in names:
        changes: list[str | None] = [_other(os.environ.get(name)), *([None] if name in os.environ else [])]
        for value in changes:
            shown = "unset" if value is None else f"= {value!r:.40}"
            perturbations.append(Perturbation(f"{name} {shown}", {name: value}, suspects=f"os.environ[{name!r}]"))
    return perturbations


def _other(value: str | None) -> str:
    flips = {"0": "1", "1": "0", "true": "false", "false": "true", "on": "off", "off": "on", "yes": "no", "no": "yes"}
    if value is None:
        return "1"
    return flips.get(value.lower(), f"{value}-perturbed")


def _replay_in(
    perturbation: Perturbation, handler: str, execution: RecordedExecution, seconds: float
) -> dict[str, Any]:
    request = {
        "handler": handler,
        "path": [entry or os.getcwd() for entry in sys.path],  # noqa: PTH109  # as the interpreter resolves it
        "events": list(execution.events),
        "arn": execution.arn,
        "seconds": seconds,
        "clock_offset": perturbation.clock_offset,
        "random_seed": perturbation.random_seed,
        "order_seed": perturbation.order_seed,
    }
    environ = {**os.environ, "PYTHONHASHSEED": "0"}
    for name, value in perturbation.environ.items():
        environ.pop(name, None)
        if value is not None:
            environ[name] = value
    done = subprocess.run(  # runs this interpreter and this package
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
        raise UnusableHandlerError(f"cannot replay {handler} in a separate process: {tail[0]}") from None
    if "unusable" in answer:
        raise UnusableHandlerError(answer["unusable"])
    return answer


def _difference(
    perturbation: Perturbation, base: Mapping[str, Any], other: Mapping[str, Any]
) -> PerturbationFinding | None:
    if other.get("conflict") and not base["divergences"]:
        return PerturbationFinding(perturbation, other["conflict"])
    if base["calls"] == other["calls"]:
        if base["outcome"] == other["outcome"]:
            return None
        return PerturbationFinding(perturbation, f"the outcome is {other['outcome']} instead of {base['outcome']}")
    roots = [Divergence.from_wire(one) for one in other["divergences"] if one["is_root"]]
    known = {(one["kind"], one["path"]) for one in base["divergences"]}
    root = next((one for one in roots if (one.kind.value, one.path) not in known), None)
    return PerturbationFinding(perturbation, _first_difference(base["calls"], other["calls"]), root)


def _first_difference(base: Sequence[str], other: Sequence[str]) -> str:
    for left, right in zip(base, other, strict=False):
        if left != right:
            return f"calls {quoted(right)} where {quoted(left)} was called"
    if len(base) > len(other):
        return f"does not call {quoted(base[len(other)])}"
    return f"also calls {quoted(other[len(base)])}"


def main() -> None:
    """Answer one request."""
    request = json.load(sys.stdin)
    sys.path[:] = request["path"]
    shift_clock(request["clock_offset"])
    if request["random_seed"] is not None:
        seed_random(request["random_seed"])
    stdout, sys.stdout = sys.stdout, sys.stderr  # output of the handler's module must not mix with the answer
    answer = _replay(request)
    print(json.dumps(answer, default=str), file=stdout)  # the answer


def shift_clock(seconds: int) -> None:
    """Move the clock of this process.

    The methods of `datetime` and `date` themselves are replaced, not the classes: whatever holds or compares the classes, such
    as a pydantic model, goes on working, and modules that imported them before see the moved clock too.
    """
    if not seconds:
        return
    real_time, real_time_ns, offset = time.time, time.time_ns, dt.timedelta(seconds=seconds)
    now = vars(dt.datetime)["now"]

    def shifted_now(cls: Any, tz: dt.tzinfo | None = None) -> Any:
        return now.__get__(None, cls)(tz) + offset

    def shifted_utcnow(cls: Any) -> Any:
        return now.__get__(None, cls)(dt.UTC).replace(tzinfo=None) + offset

    def shifted_today(cls: Any) -> Any:
        moved = dt.datetime.now()  # noqa: DTZ005  # as date.today
        return cls(moved.year, moved.month, moved.day)

    _replace_methods(dt.datetime, now=shifted_now, utcnow=shifted_utcnow, today=shifted_now)
    _replace_methods(dt.date, today=shifted_today)
    _follow_clock()
    time.time = lambda: real_time() + seconds
    time.time_ns = lambda: real_time_ns() + seconds * 1_000_000_000


def _replace_methods(owner: type, **methods: Callable[..., Any]) -> None:
    """Replace class methods of a type that is written in C, through the dictionary behind its read-only view."""
    (members,) = (one for one in gc.get_referents(vars(owner)) if isinstance(one, dict))
    members.update({name: classmethod(method) for name, method in methods.items()})
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(owner))


def _follow_clock() -> None:
    """Let the functions that read the time by themselves use the clock that was moved."""
    real_local, real_gm, real_format = time.localtime, time.gmtime, time.strftime

    def local(at: float | None = None) -> time.struct_time:
        return real_local(time.time() if at is None else at)

    def gm(at: float | None = None) -> time.struct_time:
        return real_gm(time.time() if at is None else at)

    def formatted(how: str, at: Any = None) -> str:
        return real_format(how, local() if at is None else at)

    patched: Any = time
    patched.localtime, patched.gmtime, patched.strftime = local, gm, formatted


def seed_random(seed: int) -> None:
    """Make random numbers the same in every run with the same seed."""
    source = random.Random(seed)
    random.seed(seed)
    os.urandom = source.randbytes


def _replay(request: dict[str, Any]) -> dict[str, Any]:
    from durable_execution.history.reading import read_history
    from durable_execution.replay.loading import load_handler
    from durable_execution.replay.reorder import conflict_in_order
    from durable_execution.replay.replayer import Replayer
    from durable_execution.replay.reproduction import variants_here
    from durable_execution.replay.run import UnusableHandlerError

    execution = read_history(request["events"], arn=request["arn"])
    try:
        handler = load_handler(request["handler"])
    except UnusableHandlerError as error:
        return {"unusable": str(error)}
    if "lines" in request:
        seconds, count, name = request["seconds"], request["lines"], request["name"]
        found = variants_here(handler, execution, seconds=seconds, count=count, name=name)
        return {"variants": [one.to_wire() for one in found]}
    report = Replayer(handler, seconds=request["seconds"], inside=False).replay(execution)
    wire = report.to_wire()
    calls = [row.replayed.side for row in report.rows if row.replayed is not None]
    answer = {
        "calls": [f"{side.path} ({side.label})" for side in calls],
        "outcome": report.outcome,
        "divergences": wire["divergences"],
        "suspects": wire["suspects"],
    }
    if request["order_seed"] is not None:
        seed, seconds = request["order_seed"], request["seconds"]
        answer["conflict"] = conflict_in_order(handler, execution, seed=seed, seconds=seconds)
    return answer


if __name__ == "__main__":
    main()

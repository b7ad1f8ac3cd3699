"""Fuzz campaign: mutated histories, traces, stores and answers never raise anything but the project's own errors.

    python -m tests.campaigns.fuzz --mutants 5000 --jobs 2

A mutated file goes through everything that reads it: `show`, `explain`, `export`, a replay with its report, and every view of
the debugger. A mutated envelope or answer of the service goes to a handler. A mutant passes if it is read, or refused with an
error of the project. Any other exception is a finding, and so is a mutant that takes too long or too much memory.
"""

import argparse
import contextlib
import functools
import io
import itertools
import logging
import multiprocessing
import random
import resource
import signal
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.campaigns import hostile
from tests.campaigns.surfaces import Trial

MAKERS: dict[str, Callable[[Path], hostile.Maker]] = {
    "history": hostile.histories,
    "trace": hostile.traces,
    "store": hostile.stores,
    "answer": hostile.answers,
}
KINDS = tuple(MAKERS)
MAX_SECONDS = 20
"""Of processor time, so that a busy machine is no finding."""

MAX_WAIT = 300
"""Seconds on the clock: a mutant that takes more waits for something that does not come."""

MAX_BYTES = 3 * 1024**3


class OutOfTimeError(BaseException):
    """A mutant took too long. Not an Exception, so that nothing on the way handles it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A mutant that raised.

    Attributes:
        kind: What was mutated.
        seed: Makes the same mutant again.
        command: The command that raised.
        error: The traceback.
    """

    kind: str
    seed: int
    command: str
    error: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a campaign.

    Attributes:
        tried: Mutants, by kind.
        exits: Exit codes, by kind: 0 and 1 for a mutant that was read, 3 for one that was refused.
        findings: Mutants that raised.
    """

    tried: Counter[str]
    exits: Counter[tuple[str, int]]
    findings: list[Finding]

    def __add__(self, other: "Outcome") -> "Outcome":
        return Outcome(self.tried + other.tried, self.exits + other.exits, self.findings + other.findings)


def campaign(
    mutants: int, *, seed: int = 0, kinds: tuple[str, ...] = KINDS, stop_after: int = 20, is_limited: bool = False
) -> Outcome:
    """Try mutants of each kind.

    Args:
        mutants: How many of each kind.
        seed: Seed of the first one.
        kinds: Kinds of files to mutate.
        stop_after: Number of findings after which to stop.
        is_limited: Whether a mutant that takes too long is a finding.
    """
    outcome = Outcome(Counter(), Counter(), [])
    with tempfile.TemporaryDirectory() as directory:
        makers = {kind: MAKERS[kind](Path(directory)) for kind in kinds}
        for number in range(seed, seed + mutants):
            for kind, make in makers.items():
                outcome.tried[kind] += 1
                if is_limited:
                    signal.setitimer(signal.ITIMER_PROF, MAX_SECONDS)
                    signal.alarm(MAX_WAIT)
                _try(outcome, kind, number, make(random.Random(f"{kind} {number}")))
                if len(outcome.findings) >= stop_after:
                    return outcome
    return outcome


def _try(outcome: Outcome, kind: str, seed: int, trials: list[Trial]) -> None:
    for trial in trials:
        try:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                code = trial.run()
        except (Exception, OutOfTimeError):  # noqa: BLE001  # any exception is a finding
            outcome.findings.append(Finding(kind, seed, trial.name, traceback.format_exc()))
            return
        outcome.exits[kind, code] += 1


@contextlib.contextmanager
def _limits() -> Iterator[None]:
    """Bound each campaign's memory, and the time of each mutant, so that neither can be used up unnoticed."""
    resource.setrlimit(resource.RLIMIT_AS, (MAX_BYTES, MAX_BYTES))
    signal.signal(signal.SIGPROF, _out_of_time)
    signal.signal(signal.SIGALRM, _out_of_time)
    yield
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.alarm(0)


def _out_of_time(number: int, frame: object) -> None:
    raise OutOfTimeError(
        f"a mutant took more than {MAX_SECONDS} seconds of processor time"
        if number == signal.SIGPROF
        else f"a mutant did not end in {MAX_WAIT} seconds"
    )


def limited(seeds: range, kinds: tuple[str, ...], stop_after: int) -> Outcome:
    """Try the mutants of some seeds, with limits. Runs in a process of its own if there are several jobs."""
    logging.disable()
    with _limits():
        return campaign(len(seeds), seed=seeds.start, kinds=kinds, stop_after=stop_after, is_limited=True)


def shares(mutants: int, seed: int, jobs: int) -> list[range]:
    """The seeds of each job."""
    ends = [seed + mutants * job // jobs for job in range(jobs + 1)]
    return [range(first, last) for first, last in itertools.pairwise(ends) if first < last]


def report(outcome: Outcome) -> Iterator[str]:
    """Lines that say what was tried and found."""
    for kind, tried in sorted(outcome.tried.items()):
        yield f"{kind}: {tried} mutants, {sum(found.kind == kind for found in outcome.findings)} raised"
    for (kind, code), count in sorted(outcome.exits.items()):
        yield f"{kind}: exit code {code} {count} times"
    for found in outcome.findings:
        yield f"\n{found.kind} mutant {found.seed}: {found.command}\n{found.error}"


def main() -> int:
    """Run the campaign; the exit code is 1 if any mutant raised."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--mutants", type=int, default=5000, help="mutants of each kind")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first mutant")
    parser.add_argument("--kind", action="append", choices=KINDS, help="kind of file; repeatable; all by default")
    parser.add_argument("--jobs", type=int, default=1, help="number of processes")
    parser.add_argument("--stop-after", type=int, default=20, help="number of findings after which to stop")
    arguments = parser.parse_args()
    parts = shares(arguments.mutants, arguments.seed, arguments.jobs)
    run = functools.partial(limited, kinds=tuple(arguments.kind or KINDS), stop_after=arguments.stop_after)
    if len(parts) == 1:
        outcome = run(parts[0])
    else:
        with ProcessPoolExecutor(len(parts), mp_context=multiprocessing.get_context("spawn")) as pool:
            outcome = sum(pool.map(run, parts), Outcome(Counter(), Counter(), []))
    sys.stdout.write("\n".join(report(outcome)) + "\n")
    return 1 if outcome.findings else 0


if __name__ == "__main__":
    sys.exit(main())

"""Fuzz campaign: mutated histories, replay traces and stores never raise anything but the project's own errors.

    python -m tests.campaigns.fuzz --mutants 5000

Each mutant goes through the command line as a user's file would: `show` in each of its forms, and `export`. A mutant passes if
the command ends with a documented exit code; any exception that leaves the command is a finding, and is printed with its seed.
"""

import argparse
import contextlib
import io
import json
import random
import shutil
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from durable_debugger.cli import main as durable_debug
from durable_execution.local import LocalEngine, SkippingClock
from tests.campaigns.mutation import damage, encode, mutate, overwrite
from tests.campaigns.workflows import record_store

CORPUS = Path(__file__).parents[1] / "replay" / "corpus"
FORMS: tuple[tuple[str, ...], ...] = (("--json",), (), ("--timeline",), ("--events",), ("--trace",))
KINDS = ("history", "trace", "store")


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
        exits: Exit codes of the commands.
        findings: Mutants that raised.
    """

    tried: Counter[str]
    exits: Counter[int]
    findings: list[Finding]


def campaign(mutants: int, *, seed: int = 0, kinds: tuple[str, ...] = KINDS, stop_after: int = 20) -> Outcome:
    """Try mutants of each kind.

    Args:
        mutants: How many of each kind.
        seed: Seed of the first one.
        kinds: Kinds of files to mutate.
        stop_after: Number of findings after which to stop.
    """
    outcome = Outcome(Counter(), Counter(), [])
    with tempfile.TemporaryDirectory() as directory:
        makers = {kind: _MAKERS[kind](Path(directory)) for kind in kinds}
        for number in range(seed, seed + mutants):
            for kind, make in makers.items():
                outcome.tried[kind] += 1
                _try(outcome, kind, number, make(random.Random(f"{kind} {number}")))
                if len(outcome.findings) >= stop_after:
                    return outcome
    return outcome


def _try(outcome: Outcome, kind: str, seed: int, commands: list[list[str]]) -> None:
    for command in commands:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            try:
                code = durable_debug(command)
            except SystemExit as exit_:
                code = int(exit_.code or 0)
            except Exception:  # noqa: BLE001  # any exception is a finding
                outcome.findings.append(Finding(kind, seed, " ".join(command), traceback.format_exc()))
                return
        outcome.exits[code] += 1


Maker = Callable[[random.Random], list[list[str]]]


def _histories(directory: Path) -> Maker:
    files = sorted(path for path in CORPUS.rglob("*.json") if path.stat().st_size < 60_000)
    values = [json.loads(path.read_text()) for path in files]
    target = directory / "mutant.json"

    def make(chance: random.Random) -> list[list[str]]:
        value = chance.choice(values)
        if chance.random() < 0.2:
            target.write_bytes(damage(json.dumps(value).encode(), chance))
        else:
            target.write_text(encode(mutate(value, chance)))
        return [["show", str(target), *chance.choice(FORMS)]]

    return make


def _traces(directory: Path) -> Maker:
    _, traces = record_store(directory / "recorded")
    texts = [path.read_text() for path in traces]
    target = directory / "mutant.trace.jsonl"

    def make(chance: random.Random) -> list[list[str]]:
        text = chance.choice(texts)
        if chance.random() < 0.3:
            target.write_bytes(damage(text.encode(), chance))
        else:
            lines = [json.loads(line) for line in text.splitlines()]
            changed = chance.randrange(len(lines))
            lines[changed] = mutate(lines[changed], chance)
            target.write_text("\n".join(map(encode, lines)))
        return [["show", str(target), *chance.choice(FORMS)]]

    return make


def _stores(directory: Path) -> Maker:
    store, _ = record_store(directory / "original")
    data = store.read_bytes()
    with LocalEngine(
        store, clock=SkippingClock(datetime(2026, 1, 1, tzinfo=UTC)), create=False, trace_sink=False
    ) as engine:
        arns = [found["DurableExecutionArn"] for found in engine.executions()["DurableExecutions"]]
    place = directory / "store"

    def make(chance: random.Random) -> list[list[str]]:
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        target = place / "executions.db"
        target.write_bytes((damage if chance.random() < 0.3 else overwrite)(data, chance))
        options = ["--store", str(target)]
        return [["list", *options], ["show", chance.choice(arns), *options, *chance.choice(FORMS)]]

    return make


_MAKERS: dict[str, Callable[[Path], Maker]] = {"history": _histories, "trace": _traces, "store": _stores}


def report(outcome: Outcome) -> Iterator[str]:
    """Lines that say what was tried and found."""
    for kind, tried in sorted(outcome.tried.items()):
        yield f"{kind}: {tried} mutants, {sum(found.kind == kind for found in outcome.findings)} raised"
    yield f"exit codes: {dict(sorted(outcome.exits.items()))}"
    for found in outcome.findings:
        yield f"\n{found.kind} mutant {found.seed}: durable-debug {found.command}\n{found.error}"


def main() -> int:
    """Run the campaign; the exit code is 1 if any mutant raised."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--mutants", type=int, default=5000, help="mutants of each kind")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first mutant")
    parser.add_argument("--kind", action="append", choices=KINDS, help="kind of file; repeatable; all by default")
    parser.add_argument("--stop-after", type=int, default=20, help="number of findings after which to stop")
    arguments = parser.parse_args()
    kinds = tuple(arguments.kind or KINDS)
    outcome = campaign(arguments.mutants, seed=arguments.seed, kinds=kinds, stop_after=arguments.stop_after)
    sys.stdout.write("\n".join(report(outcome)) + "\n")
    return 1 if outcome.findings else 0


if __name__ == "__main__":
    sys.exit(main())

"""Mutation tests: changes one expression at a time and asks whether a test notices. Run by `make mutants`.

    python -m tests.mutants                         a sample of every group
    python -m tests.mutants local/rules --sample 0  every mutant of one group
    python -m tests.mutants local/rules/batches.py --sample 0 --stages 1   every mutant of a file, with the quickest tests

A mutant is killed when the tests of its group fail or run out of time. Survivors are printed as they are found, with their line; those
that no test can notice are listed in `survivors.txt`, with the reason, and do not count. Not tried at all: how dataclasses are built
(`frozen=`, `slots=`), and blocks under TYPE_CHECKING.
"""

import argparse
import importlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import pytest
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator

from tests.mutants.in_memory import InMemory
from tests.mutants.survivors import keys, known

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = Path("src/durable_execution")
TIMEOUT_S = 240
LEAST_S, SLOWER = 10, 4
"""Tests that take this much longer than without a mutant loop."""
PROGRESS_EVERY = 10
POLL_S = 0.02
QUIETLY = (
    "-x",
    "-q",
    "-n",
    "0",
    "-p",
    "no:cacheprovider",
    "-p",
    "no:randomly",
    "--no-cov",
    "-W",
    "ignore::pytest.PytestWarning",
)

GROUPS: dict[str, tuple[tuple[str, ...], ...]] = {
    "runtime": (
        ("tests/unit/runtime",),
        ("tests/unit/operations", "tests/unit/test_handler.py", "tests/unit/test_observers.py"),
        ("tests/scenarios",),
    ),
    "comparison": (
        ("tests/unit/comparison", "tests/unit/test_divergence.py"),
        ("tests/replay/test_replayer.py", "tests/replay/test_open_recordings.py", "tests/replay/test_arguments.py"),
        ("tests/replay/test_corpus.py", "tests/replay/test_checking.py", "tests/scenarios/test_nondeterminism.py"),
        ("tests/replay/test_edits.py", "tests/replay/test_fixes.py"),
    ),
    "replay/cause": (
        ("tests/unit/replay", "tests/replay/test_suspect_ranking.py"),
        ("tests/replay/test_causes.py", "tests/replay/test_suspects.py", "tests/replay/test_formats.py"),
        ("tests/replay/test_edits.py", "tests/replay/test_prefixes.py"),
        ("tests/replay/test_unseen.py",),
    ),
    "replay/workers/cause_finder.py": (("tests/unit/replay",), ("tests/replay/test_causes.py",)),
    "replay/suspects.py": (
        ("tests/unit/replay", "tests/replay/test_suspect_ranking.py"),
        ("tests/replay/test_suspects.py",),
        ("tests/replay/test_replayer.py", "tests/replay/test_awkward.py", "tests/replay/test_installed.py"),
    ),
    "local/rules": (
        ("tests/unit/local/rules", "tests/unit/local/test_execution_forks.py", "tests/unit/local/test_queries.py"),
        ("tests/unit/local",),
        ("tests/conformance/test_requirements.py", "tests/interop/test_boto3_over_http.py"),
    ),
}
"""For each folder or file of the SDK, the tests that should notice: the quick ones first, then the others."""

IN_PROCESS = ("runtime", "local")
"""Groups whose tests run the code in their own process. A replay runs in others, where a change in memory does not reach."""

OPERATORS = (
    "core/NumberReplacer",
    "core/AddNot",
    "core/ReplaceAndWithOr",
    "core/ReplaceOrWithAnd",
    "core/ReplaceTrueWithFalse",
    "core/ReplaceFalseWithTrue",
    "core/ReplaceBreakWithContinue",
    "core/ReplaceContinueWithBreak",
    "core/ReplaceBinaryOperator_Add_Sub",
    "core/ReplaceBinaryOperator_Sub_Add",
    "core/ReplaceComparisonOperator_Lt_LtE",
    "core/ReplaceComparisonOperator_LtE_Lt",
    "core/ReplaceComparisonOperator_Gt_GtE",
    "core/ReplaceComparisonOperator_GtE_Gt",
    "core/ReplaceComparisonOperator_Eq_NotEq",
    "core/ReplaceComparisonOperator_NotEq_Eq",
    "core/ReplaceComparisonOperator_Is_IsNot",
    "core/ReplaceComparisonOperator_IsNot_Is",
)


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one module."""

    module: str
    operator: str
    line: int
    before: str
    after: str
    code: str

    @property
    def key(self) -> str:
        """What identifies it in `survivors.txt`, also after lines have moved."""
        return f"{self.module} | {self.before} | {self.after}"


@dataclass(frozen=True, slots=True)
class Change:
    """One place of a module that an operator can change: cheap to find, before the mutant is made."""

    module: Path
    operator: str
    occurrence: int

    def mutant(self) -> Mutant:
        """Make the mutant."""
        source = (ROOT / self.module).read_text(encoding="utf-8")
        code = mutate_code(source, get_operator(self.operator)(), self.occurrence) or source
        lines, changed = source.splitlines(), code.splitlines()
        line = next((n for n, (old, new) in enumerate(zip(lines, changed, strict=False)) if old != new), 0)
        return Mutant(self.module.as_posix(), self.operator, line + 1, lines[line].strip(), changed[line].strip(), code)


def changes_of(module: Path) -> Iterator[Change]:
    """Every change of a module that a test could notice."""
    source = (ROOT / module).read_text(encoding="utf-8")
    lines, nodes = source.splitlines(), list(ast_nodes(get_ast(source)))
    for name in OPERATORS:
        operator = get_operator(name)()
        places = (start for node in nodes for start, _ in operator.mutation_positions(node))
        for occurrence, (line, _) in enumerate(places):
            if not _is_unnoticeable(lines[line - 1]):
                yield Change(module, name, occurrence)


def _is_unnoticeable(line: str) -> bool:
    return "TYPE_CHECKING" in line or line.lstrip().startswith("@dataclass(")


class Copies:
    """Copies of the work tree, one for each job, so that mutants do not meet.

    Every run of tests is a fork of this process, which has imported what the tests import and never the project itself.
    """

    def __init__(self, parent: Path, jobs: int) -> None:
        self.free = [parent / f"copy-{job}" for job in range(jobs)]
        self.limits: dict[tuple[str, ...], float] = {}
        tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True)
        for file in filter(None, tracked.stdout.split("\0")):
            if (ROOT / file).is_file():
                target = self.free[0] / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / file, target)
        if (ROOT.parent / "shared").is_dir():
            os.environ.setdefault("DURABLE_SHARED_DATA", str(ROOT.parent / "shared"))

    def are_ready(self, stages: tuple[tuple[str, ...], ...]) -> bool:
        """Import what the tests import, and compile; answers whether they all pass as they are."""
        first, *others = self.free
        with tempfile.TemporaryDirectory() as folder:
            names = Path(folder, "names")
            _wait(_fork(first, (*chain(*stages), "--collect-only"), names), TIMEOUT_S)
            for name in names.read_text(encoding="utf-8").split() if names.exists() else ():
                with warnings.catch_warnings(), suppress(Exception):
                    warnings.simplefilter("ignore")
                    importlib.import_module(name)
        for stage in stages:
            started = time.monotonic()
            if _wait(_fork(first, stage), TIMEOUT_S):
                return False
            self.limits[stage] = min(TIMEOUT_S, LEAST_S + SLOWER * (time.monotonic() - started))
        for copy in others:
            shutil.copytree(first, copy, dirs_exist_ok=True)
        return True

    def tried_in_memory(self, mutants: Sequence[Mutant], stage: tuple[str, ...]) -> list[tuple[Mutant, str]]:
        """Try mutants without a new import: `killed`, `survived`, `uncalled` by any test, or `left`."""
        running: list[tuple[int, Path, Sequence[Mutant]]] = []
        for job, copy in enumerate(self.free):
            share = mutants[job :: len(self.free)]
            results = copy.with_suffix(".results")
            results.write_text("", encoding="utf-8")
            plugin = InMemory(copy, [(one.module, one.code) for one in share], results)
            running.append((_fork(copy, stage, plugin=plugin), results, share))
        tried: list[tuple[Mutant, str]] = []
        for pid, results, share in running:
            os.waitpid(pid, 0)
            found = results.read_text(encoding="utf-8").split()
            tried += zip(share, [*found, *["left"] * (len(share) - len(found))], strict=True)
        return tried

    def tried(self, mutants: Sequence[Mutant], stages: tuple[tuple[str, ...], ...]) -> Iterator[tuple[Mutant, bool]]:
        """Every mutant, with whether it is killed."""
        if not stages:
            yield from ((mutant, False) for mutant in mutants)
            return
        waiting = list(reversed(mutants))
        running: dict[int, Run] = {}
        while waiting or running:
            while waiting and self.free:
                run = Run(waiting.pop(), self.free.pop(), list(stages))
                run.original = (run.copy / run.mutant.module).read_bytes()
                _write(run.copy / run.mutant.module, run.mutant.code.encode())
                running[run.next_stage(self.limits)] = run
            for pid in [pid for pid, run in running.items() if run.is_late]:
                with suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                time.sleep(POLL_S)
                continue
            run = running.pop(pid)
            if status == 0 and run.stages:
                running[run.next_stage(self.limits)] = run
                continue
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)  # what a test that failed left running
            _write(run.copy / run.mutant.module, run.original)
            self.free.append(run.copy)
            yield run.mutant, status != 0


@dataclass(slots=True)
class Run:
    """One mutant in one copy, with the tests that are still to come."""

    mutant: Mutant
    copy: Path
    stages: list[tuple[str, ...]]
    original: bytes = b""
    ends: float = 0.0

    def next_stage(self, limits: Mapping[tuple[str, ...], float]) -> int:
        """Start the next tests; answers with their process."""
        stage = self.stages.pop(0)
        self.ends = time.monotonic() + limits[stage]
        return _fork(self.copy, stage)

    @property
    def is_late(self) -> bool:
        """Whether the tests loop."""
        return time.monotonic() > self.ends


def _write(module: Path, code: bytes) -> None:
    """Write a module, and drop what was compiled from it: the caches of the others make each run start sooner."""
    module.write_bytes(code)
    for stale in (module.parent / "__pycache__").glob(f"{module.stem}.*"):
        stale.unlink()


def _fork(copy: Path, arguments: tuple[str, ...], names: Path | None = None, plugin: object = None) -> int:
    """Run tests in a fork, and let it write the names of the modules that it imported from elsewhere."""
    if pid := os.fork():
        return pid
    code = 1
    try:
        os.setsid()
        output = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(output, standard)
        os.chdir(copy)
        paths = [str(copy), *(str(copy / folder) for folder in ("src", "debugger"))]
        os.environ["PYTHONPATH"] = os.pathsep.join(paths[1:])
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        sys.dont_write_bytecode = False
        sys.path[:] = [*paths, *(path for path in sys.path if path not in ("", str(ROOT), f"{ROOT}/src"))]
        for name in [name for name in sys.modules if name.partition(".")[0] == "tests"]:
            del sys.modules[name]
        code = int(pytest.main([*QUIETLY, *arguments], plugins=[plugin] if plugin else []))
        if names:
            outside = (name for name, module in sys.modules.copy().items() if _is_installed(name, module))
            names.write_text("\n".join(outside), encoding="utf-8")
    finally:
        os._exit(code)


def _is_installed(name: str, module: object) -> bool:
    folder = Path(sys.prefix)
    return name not in {"__main__", "conftest"} and folder in Path(getattr(module, "__file__", None) or "/").parents


def _wait(pid: int, seconds: float) -> int:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return status
        time.sleep(POLL_S)
    os.killpg(pid, signal.SIGKILL)
    return os.waitpid(pid, 0)[1]


def chosen(group: str, sample: int, seed: int) -> list[Mutant]:
    """The mutants of a group to try; `sample` 0 takes all."""
    path = ROOT / PACKAGE / group
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    found = [change for file in files for change in changes_of(file.relative_to(ROOT))]
    some = found if sample == 0 or sample >= len(found) else random.Random(seed).sample(found, sample)
    return [change.mutant() for change in some]


def group_name(text: str) -> str:
    """Read the name of a group, or of a file of one."""
    if text not in GROUPS and not (stages_of(text) and (ROOT / PACKAGE / text).is_file()):
        raise argparse.ArgumentTypeError(f"{text!r} is no group, nor a file of one; there are {', '.join(GROUPS)}")
    return text


def stages_of(group: str) -> tuple[tuple[str, ...], ...]:
    """The tests for a group, or for a file of one."""
    return GROUPS.get(group) or GROUPS.get(group.rpartition("/")[0]) or ()


def main() -> int:
    """Try mutants and print the survivors; exits with 1 below the share that is asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutants", description="Change the code and see whether tests notice."
    )
    parser.add_argument(
        "groups",
        nargs="*",
        type=group_name,
        metavar="GROUP",
        help=f"groups, or files of groups, to try: {', '.join(GROUPS)}; all by default",
    )
    parser.add_argument("--sample", type=int, default=25, metavar="N", help="mutants a group; 0 takes all")
    parser.add_argument(
        "--stages", type=int, metavar="N", help="only the first N sets of tests, the quickest; all by default"
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="which sample")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="mutants at once")
    parser.add_argument("--at-least", type=float, default=90.0, metavar="PERCENT", help="share to be killed")
    arguments = parser.parse_args()
    arguments.jobs = max(1, arguments.jobs)
    excused = keys(known())
    is_enough = True
    with tempfile.TemporaryDirectory() as folder:
        copies = Copies(Path(folder), arguments.jobs)
        for group in arguments.groups or GROUPS:
            stages = stages_of(group)[: arguments.stages]
            if not copies.are_ready(stages):
                print(f"{group}: the tests fail without a mutant; make them pass first")
                return 2
            mutants = [m for m in chosen(group, arguments.sample, arguments.seed) if m.key not in excused]
            survivors = []
            alive, rest = mutants, []
            for stage in stages:
                tried = copies.tried_in_memory(alive, stage)
                alive = [one for one, how in tried if how in ("survived", "uncalled")]
                rest += [one for one, how in tried if how == "left"]
                print(f"  {len(alive)} of {len(mutants)} survived {' '.join(stage)}", file=sys.stderr, flush=True)
            is_elsewhere = group.partition("/")[0] not in IN_PROCESS
            again = copies.tried(alive, stages[1:]) if is_elsewhere else ((one, False) for one in alive)
            results = chain(again, copies.tried(rest, stages))
            for count, (mutant, is_killed) in enumerate(results, 1):
                if not is_killed:
                    survivors.append(mutant)
                    print(
                        f"  survived {mutant.module}:{mutant.line}\n    - {mutant.before}\n    + {mutant.after}",
                        flush=True,
                    )
                if count % PROGRESS_EVERY == 0:
                    print(
                        f"  {count} of {len(alive) + len(rest)} tried again, {len(survivors)} survived",
                        file=sys.stderr,
                        flush=True,
                    )
            share = 100 * (1 - len(survivors) / len(mutants)) if mutants else 100.0
            print(f"{group}: {len(mutants) - len(survivors)} of {len(mutants)} killed, {share:.0f} %", flush=True)
            is_enough = is_enough and share >= arguments.at_least
    return 0 if is_enough else 1


if __name__ == "__main__":
    sys.exit(main())

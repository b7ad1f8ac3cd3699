"""Mutation tests: changes one expression at a time and asks whether a test notices. Run by `make mutants`.

    python -m tests.mutants                         a sample of every group
    python -m tests.mutants local/rules --sample 0  every mutant of one group

A mutant is killed when the tests of its group fail or run out of time. Survivors are printed as they are found, with their line; those
that no test can notice are listed in `survivors.txt`, with the reason, and do not count. Not tried at all: how dataclasses are built
(`frozen=`, `slots=`), and blocks under TYPE_CHECKING.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = Path("src/durable_execution")
KNOWN = Path(__file__).with_name("survivors.txt")
TIMEOUT_S = 240
PROGRESS_EVERY = 10

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
    "replay/cause.py": (
        ("tests/unit/replay", "tests/replay/test_suspect_ranking.py"),
        ("tests/replay/test_suspects.py", "tests/replay/test_formats.py"),
        ("tests/replay/test_causes.py",),
    ),
    "replay/suspects.py": (
        ("tests/unit/replay", "tests/replay/test_suspect_ranking.py"),
        ("tests/replay/test_suspects.py",),
        ("tests/replay/test_replayer.py", "tests/replay/test_awkward.py", "tests/replay/test_installed.py"),
    ),
    "replay/slicing.py": (("tests/unit/replay",), ("tests/replay/test_causes.py",), ("tests/replay/test_unseen.py",)),
    "local/rules": (
        ("tests/unit/local/rules",),
        ("tests/unit/local",),
        ("tests/conformance/test_requirements.py", "tests/interop/test_boto3_over_http.py"),
    ),
}
"""For each folder or file of the SDK, the tests that should notice: the quick ones first, then the others."""

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


def mutants_of(module: Path) -> Iterator[Mutant]:
    """Every mutant of a module that changes a line of code."""
    source = (ROOT / module).read_text(encoding="utf-8")
    lines = source.splitlines()
    for name in OPERATORS:
        operator = get_operator(name)()
        count = sum(len(list(operator.mutation_positions(node))) for node in ast_nodes(get_ast(source)))
        for occurrence in range(count):
            code = mutate_code(source, operator, occurrence)
            if code is None or code == source or _is_unnoticeable(_first_change(source, code)):
                continue
            changed = code.splitlines()
            line = next((n for n, (old, new) in enumerate(zip(lines, changed, strict=False)) if old != new), 0)
            yield Mutant(module.as_posix(), name, line + 1, lines[line].strip(), changed[line].strip(), code)


def _is_unnoticeable(line: str) -> bool:
    return "TYPE_CHECKING" in line or line.lstrip().startswith("@dataclass(")


def _first_change(source: str, code: str) -> str:
    pairs = zip(source.splitlines(), code.splitlines(), strict=False)
    return next((old for old, new in pairs if old != new), "")


class Copies:
    """Copies of the work tree, one for each job, so that mutants do not meet."""

    def __init__(self, parent: Path, jobs: int) -> None:
        self._free: SimpleQueue[Path] = SimpleQueue()
        tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True)
        for job in range(jobs):
            copy = parent / f"copy-{job}"
            for file in filter(None, tracked.stdout.split("\0")):
                if (ROOT / file).is_file():
                    (copy / file).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(ROOT / file, copy / file)
            self._free.put(copy)

    def is_killed(self, mutant: Mutant | None, stages: tuple[tuple[str, ...], ...]) -> bool:
        """Whether the tests notice the mutant; without a mutant, whether they fail as they are."""
        copy = self._free.get()
        target = copy / mutant.module if mutant else None
        original = target.read_bytes() if target else b""
        try:
            if target and mutant:
                _write(target, mutant.code.encode())
            return any(_fails(copy, stage) for stage in stages)
        finally:
            if target:
                _write(target, original)
            self._free.put(copy)


def _write(module: Path, code: bytes) -> None:
    """Write a module, and drop what was compiled from it: the caches of the others make each run start sooner."""
    module.write_bytes(code)
    for stale in (module.parent / "__pycache__").glob(f"{module.stem}.*"):
        stale.unlink()


def _fails(copy: Path, tests: tuple[str, ...]) -> bool:
    paths = os.pathsep.join(str(copy / folder) for folder in ("src", "debugger"))
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-n", "0", "-p", "no:cacheprovider", "-p", "no:randomly"]
    try:
        ended = subprocess.run(
            [*command, *tests],
            cwd=copy,
            env={**environment, "PYTHONPATH": paths},
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return True
    return ended.returncode != 0


def chosen(group: str, sample: int, seed: int) -> list[Mutant]:
    """The mutants of a group to try; `sample` 0 takes all."""
    path = ROOT / PACKAGE / group
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    found = [mutant for file in files for mutant in mutants_of(file.relative_to(ROOT))]
    return found if sample == 0 or sample >= len(found) else random.Random(seed).sample(found, sample)


def group_name(text: str) -> str:
    """Read the name of a group."""
    if text not in GROUPS:
        raise argparse.ArgumentTypeError(f"{text!r} is no group; there are {', '.join(GROUPS)}")
    return text


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
        help=f"groups to try: {', '.join(GROUPS)}; all by default",
    )
    parser.add_argument("--sample", type=int, default=25, metavar="N", help="mutants a group; 0 takes all")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="which sample")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="mutants at once")
    parser.add_argument("--at-least", type=float, default=90.0, metavar="PERCENT", help="share to be killed")
    arguments = parser.parse_args()
    known = {line.rsplit(" | ", 1)[0] for line in KNOWN.read_text(encoding="utf-8").splitlines() if " | " in line}
    is_enough = True
    with tempfile.TemporaryDirectory() as folder:
        copies = Copies(Path(folder), arguments.jobs)
        for group in arguments.groups or GROUPS:
            stages = GROUPS[group]
            if copies.is_killed(None, stages):
                print(f"{group}: the tests fail without a mutant; make them pass first")
                return 2
            mutants = [m for m in chosen(group, arguments.sample, arguments.seed) if m.key not in known]
            survivors = []
            with ThreadPoolExecutor(arguments.jobs) as pool:
                tried = {pool.submit(copies.is_killed, mutant, stages): mutant for mutant in mutants}
                for count, result in enumerate(as_completed(tried), 1):
                    mutant = tried[result]
                    if not result.result():
                        survivors.append(mutant)
                        print(
                            f"  survived {mutant.module}:{mutant.line}\n    - {mutant.before}\n    + {mutant.after}",
                            flush=True,
                        )
                    if count % PROGRESS_EVERY == 0:
                        print(
                            f"  {count} of {len(mutants)} tried, {len(survivors)} survived", file=sys.stderr, flush=True
                        )
            share = 100 * (1 - len(survivors) / len(mutants)) if mutants else 100.0
            print(f"{group}: {len(mutants) - len(survivors)} of {len(mutants)} killed, {share:.0f} %", flush=True)
            is_enough = is_enough and share >= arguments.at_least
    return 0 if is_enough else 1


if __name__ == "__main__":
    sys.exit(main())

"""Programs that no mechanism was tuned on: what a check says about each, in figures.

They stand in `unseen/GROUP*.txt`: `=== NAME OPTIONS`, then `--- MODULE` before the text of each module. `#-` ends a line that only the
recorded program has, `#+` one that only the replayed program has, and `# cause` one that may be named as the cause. `varying`
and `larger` programs differ by themselves between two processes, `edited` ones by their code, `silent` ones must not differ.

    python -m tests.replay.unseen_programs [--perturb] [--group GROUP] [--sample N --seed S] [--seconds N] [NAME …]

prints what it finds of each program as it goes, and the figures. It stops before the next program when the time is up.
"""

import argparse
import importlib
import json
import math
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from durable_execution.counts import counted
from tests.warm_interpreters import warm

SHARED = Path(__file__).parent / "unseen"
PROGRAMS = Path(os.environ.get("UNSEEN_PROGRAMS") or SHARED)
"""Where the programs stand. `UNSEEN_PROGRAMS` names another folder: that of a fresh batch, measured before it is looked at."""
REPOSITORY = Path(__file__).resolve().parents[2]
GROUPS = ("varying", "larger", "edited", "silent")
VARYING = ("varying", "larger")
EVENT = {
    "id": "order-17",
    "total": 240,
    "lines": [
        {"customer": name, "sku": sku}
        for name, sku in (("Ada", "tea"), ("Grace", "pot"), ("Linus", "cup"), ("Ada", "jug"))
    ],
}
NOW = time.gmtime()
RECORDED_HOURS = 12 - NOW.tm_hour - (NOW.tm_wday + 1) % 7 * 24
"""From now to the noon of the last Sunday: two days later is a weekday, also if today is Monday."""
REPLAYED_HOURS = RECORDED_HOURS + 51
RECORDED_IN = {
    "PYTHONHASHSEED": "11", "TZ": "Europe/Paris", "SHOP_REGION": "us", "SHOP_LIMIT": "1000", "SHOP_FLAGS": "none",
    "SHOP_PORT": "80", "SHOP_MODE": "safe", "LC_ALL": "C.UTF-8", "UNSEEN_SEED": "3",
    "UNSEEN_HOURS": str(RECORDED_HOURS),
}  # fmt: skip
REPLAYED_IN = {
    "PYTHONHASHSEED": "7", "TZ": "Pacific/Auckland", "SHOP_REGION": "eu", "SHOP_LIMIT": "100", "SHOP_FLAGS": "beta",
    "SHOP_PORT": "80", "SHOP_MODE": "fast", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "UNSEEN_SEED": "5",
    "UNSEEN_HOURS": str(REPLAYED_HOURS),
}  # fmt: skip
MARK = "found: "
"""Begins the lines that are not output of the programs."""

CUSTOMIZE = """
import os
if os.environ.get("UNSEEN_SEED"):
    from durable_execution.replay.surroundings import seed_random, shift_clock
    shift_clock(int(os.environ.get("UNSEEN_HOURS", "0")) * 3600)
    seed_random(int(os.environ["UNSEEN_SEED"]))
"""
"""Run when a process starts, also a worker's: its clock and random numbers are those of the machine that it stands for."""


@dataclass(frozen=True)
class Program:
    """One program.

    Attributes:
        name: Its name.
        group: One of `GROUPS`.
        modules: Text of each module, with the marks.
        kinds: Kinds that its root difference may have; empty for any.
        root: Pattern of the path of the root difference, without the handler.
        is_open: Whether the recording stops at the first wait.
        is_warm: Whether an execution ran before, in the same process.
        answers: Names of the callbacks that are answered.
    """

    name: str
    group: str
    modules: Mapping[str, str] = field(default_factory=dict)
    kinds: tuple[str, ...] = ()
    root: str = ".*"
    is_open: bool = False
    is_warm: bool = False
    answers: tuple[str, ...] = ()

    def text(self, module: str, side: str) -> str:
        """The module as it was recorded (`-`) or as it is replayed (`+`)."""
        other = {"-": "#+", "+": "#-"}[side]
        return "\n".join(line for line in self.modules[module].splitlines() if not line.rstrip().endswith(other)) + "\n"

    def causes(self) -> set[str]:
        """`file:line` of every line that may be named."""
        return {
            f"{module}.py:{number}"
            for module in self.modules
            for number, line in enumerate(self.text(module, "+").splitlines(), 1)
            if line.rstrip().endswith("# cause")
        }


def programs() -> list[Program]:
    """Every program."""
    return [program for group in GROUPS for program in _read(group)]


def _read(group: str) -> Iterator[Program]:
    texts = [place.read_text(encoding="utf-8") for place in sorted(PROGRAMS.glob(f"{group}*.txt"))]
    for text in (part for whole in texts for part in re.split(r"^=== ", whole, flags=re.MULTILINE)[1:]):
        head, _, rest = text.partition("\n")
        name, *options = head.split()
        given: dict[str, str] = {}
        for option in options:
            key, _, value = option.partition("=")
            given[key] = value
        parts = re.split(r"^--- (\w+)\n", rest, flags=re.MULTILINE)[1:]
        modules = dict(zip(parts[::2], parts[1::2], strict=True))
        kinds = tuple(given["kind"].split("|")) if "kind" in given else ()
        answers = tuple(given["answers"].split(",")) if "answers" in given else ()
        yield Program(name, group, modules, kinds, given.get("root", ".*"), "open" in given, "warm" in given, answers)


def write(folder: Path) -> None:
    """Write every program into `folder/recorded` and `folder/replayed`, as packages."""
    for side, place in (("-", folder / "recorded"), ("+", folder / "replayed")):
        place.mkdir(parents=True)
        (place / "sitecustomize.py").write_text(CUSTOMIZE, encoding="utf-8")
        for shared in ("shoplib", "shopflow", "warehouse", "tickets", "media", "clinic", "fleet", "office"):
            (place / f"{shared}.py").write_text((SHARED / f"{shared}.txt").read_text("utf-8"), encoding="utf-8")
        for program in programs():
            package = place / program.name
            package.mkdir()
            (package / "__init__.py").touch()
            (package / "flags.txt").write_text("" if side == "-" else "notify", encoding="utf-8")
            for module in program.modules:
                (package / f"{module}.py").write_text(program.text(module, side), encoding="utf-8")


def record(folder: str, names: list[str]) -> None:
    """Record every program, or those named, of `folder/recorded` in this process."""
    from tests.replay.recording import history_of

    billing = {"billing": lambda event, context: {"billed": event}, "ledger": lambda event, context: {"billed": event}}
    event = {**EVENT, "placed_at": time.time()}
    for program in programs():
        if names and program.name not in names:
            continue
        handler = importlib.import_module(f"{program.name}.handler").handler
        if program.is_warm:
            history_of(handler, event, function="handler")  # an execution before, in the same environment
        skips = "nothing" if program.is_open else None
        callbacks = dict.fromkeys(program.answers, '{"by": "Ada"}')
        events, arn = history_of(
            handler, event, callbacks=callbacks, function="handler", functions=billing, skips=skips
        )
        place = Path(folder) / f"{program.name}.history.json"
        place.write_text(json.dumps({"DurableExecutionArn": arn, "Events": events}, default=str), encoding="utf-8")


def run(mode: str, folder: Path, environ: Mapping[str, str], *arguments: str) -> str:
    """Run this module in a process with other surroundings, and return what it prints."""
    return "\n".join(lines_of(mode, folder, environ, *arguments))


def lines_of(mode: str, folder: Path, environ: Mapping[str, str], *arguments: str) -> Iterator[str]:
    """Run this module in a process with other surroundings, and yield what it prints as it comes."""
    side = folder / {"--record": "recorded"}.get(mode, "replayed")
    place = os.pathsep.join(map(str, (side, REPOSITORY, REPOSITORY / "src", REPOSITORY / "debugger")))
    command = [sys.executable, "-m", "tests.replay.unseen_programs", mode, str(folder), *arguments]
    environ = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": place, **environ}
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(command, env=environ, cwd=side, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(MARK):
                yield line.removeprefix(MARK).rstrip("\n")
        if process.wait():
            errors.seek(0)
            raise RuntimeError(f"{mode}: {errors.read()[-3000:]}")


def replay_all(folder: str, names: list[str]) -> None:
    """Replay in this process, twice what is the same; print one JSON line for each program, or for those named."""
    from durable_execution.replay import Replayer, load_history

    for program in programs():
        if names and program.name not in names:
            continue
        handler = importlib.import_module(f"{program.name}.handler").handler
        history = load_history(Path(folder) / f"{program.name}.history.json")
        report = Replayer(handler, cause=False).replay(history)
        if report.is_same:
            report = Replayer(handler, cause=False).replay(history)
        root = report.root
        print(
            MARK
            + json.dumps(
                {
                    "name": program.name,
                    "verdict": report.verdict.value,
                    "kind": root.kind.value if root else None,
                    "path": root.path.partition("/")[2] if root else None,
                    "text": {"likely": root.likely, "fix": root.fix} if root else {},
                    "names": [side.name if side else None for side in (root.recorded, root.replayed)] if root else [],
                }
            )
        )


def check_all(folder: str, names: list[str], *, perturbs: bool, seconds: float = math.inf) -> None:
    """Replay in worker processes; print one JSON line for each program, until the time is up."""
    from durable_execution.replay import Handlers, Source, check_in_workers, load_history
    from durable_execution.replay.workers.supervisor import WorkerOptions

    until = time.monotonic() + seconds
    for program in programs():
        if (names and program.name not in names) or time.monotonic() > until:
            continue
        reference = f"{program.name}.handler:handler"
        history = Path(folder) / f"{program.name}.history.json"
        began = time.perf_counter()
        (report,) = check_in_workers(
            [Source(program.name, partial(load_history, history))], Handlers.parse([reference])
        )
        took = time.perf_counter() - began
        root = report.root
        findings: list[str] = []
        if perturbs:
            options = WorkerOptions(perturbs=True)
            source = Source(program.name, partial(load_history, history))
            (other,) = check_in_workers([source], Handlers.parse([reference]), options)
            findings = [other.error or "", str(other.roots)] if other.verdict != report.verdict else []
        print(
            MARK
            + json.dumps(
                {
                    "name": program.name,
                    "verdict": report.verdict.value,
                    "kind": root.kind.value if root else None,
                    "path": root.path.partition("/")[2] if root else None,
                    "likely": root.likely if root else None,
                    "evidence": root.cause.evidence.value if root and root.cause else None,
                    "fix": root.fix if root else None,
                    "error": report.error,
                    "effects": [str(one) for one in report.effects],
                    "seconds": took,
                    "findings": findings,
                }
            ),
            flush=True,
        )


def judged(program: Program, found: Mapping[str, Any]) -> list[str]:
    """What is wrong with the report of a program."""
    wrong = []
    if program.group == "silent":
        if found["verdict"] != "same":
            wrong.append("FALSE ALARM")
        if found.get("findings"):
            wrong.append("FALSE ALARM (perturb)")
        return wrong
    if found["kind"] is None:
        return ["MISSED"] if found["verdict"] == "same" else ["NO ROOT"]
    path = found["path"]
    if (program.kinds and found["kind"] not in program.kinds) or not any(
        re.fullmatch(program.root, one) for one in (path, path.rpartition("/")[2])
    ):
        wrong.append("ROOT")
    if "likely" not in found:
        return wrong
    if program.group in VARYING:
        if not any(f"{place} " in f"{found['likely']} " for place in program.causes()):
            wrong.append("CAUSE")
    elif found["evidence"] in ("reproduced", "observed"):
        wrong.append("INVENTED")
    return wrong


def main() -> None:
    """Record, check and judge."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--record")
    parser.add_argument("--check")
    parser.add_argument("--replay")
    parser.add_argument("--perturb", action="store_true")
    parser.add_argument("--warm", action="store_true", help="fork the processes that replay from warm interpreters")
    parser.add_argument("--group", choices=GROUPS, action="append", help="only programs of this group")
    parser.add_argument("--sample", type=int, metavar="N", help="only N programs, drawn by chance")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--seconds", type=float, default=1_500.0, help="check no more programs after this time")
    parser.add_argument("names", nargs="*")
    given = parser.parse_args()
    if given.record:
        record(given.record, given.names)
        return
    if given.replay:
        replay_all(given.replay, given.names)
        return
    if given.check:
        with warm() if given.warm else nullcontext():
            check_all(given.check, given.names, perturbs=given.perturb, seconds=given.seconds)
        return
    judge([program.name for program in _chosen(given)], given)


def _chosen(given: argparse.Namespace) -> list[Program]:
    found = [one for one in programs() if not given.names or one.name in given.names]
    found = [one for one in found if not given.group or one.group in given.group]
    if given.sample is None or given.sample >= len(found):
        return found
    return random.Random(given.seed).sample(found, given.sample)


def judge(names: list[str], given: argparse.Namespace) -> None:
    """Record and check programs, and print what is wrong with each report."""
    known = {program.name: program for program in programs()}
    totals: dict[str, Counter[str]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "programs"
        write(folder)
        run("--record", folder, RECORDED_IN, *names)
        environ = REPLAYED_IN
        options = [*(["--perturb"] if given.perturb else []), f"--seconds={given.seconds}"]
        for line in lines_of("--check", folder, environ, *options, *names):
            found = json.loads(line)
            program = known[found["name"]]
            wrong = judged(program, found)
            totals.setdefault(program.group, Counter()).update(wrong or ["right"])
            print(
                " ".join(wrong) or "right",
                f"{found['seconds']:.1f} s",
                program.group,
                program.name,
                sep=" | ",
                flush=True,
            )
            for key in ("verdict", "kind", "path", "likely", "fix", "error", "effects", "findings"):
                if wrong and found[key]:
                    print(f"      {key}: {found[key]}", flush=True)
    for group, counts in totals.items():
        print(f"{group}: {', '.join(f'{count} {what}' for what, count in counts.most_common())}")
    print(f"{counted(sum(map(Counter.total, totals.values())), 'answer')} of {counted(len(names), 'program')}")


if __name__ == "__main__":
    main()

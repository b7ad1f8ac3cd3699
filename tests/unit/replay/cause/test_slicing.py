"""Where the difference between two replays is made: programs with the line marked, each run twice with different reads."""

import asyncio
import itertools
import re
import sys
import textwrap
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from inspect import iscoroutinefunction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from durable_execution.replay.cause import slicing
from durable_execution.replay.cause.sliced import Origin
from durable_execution.replay.cause.slicing import Slice
from durable_execution.replay.lines.line_recorder import LineRecorder
from durable_execution.replay.lines.line_recording import LineRecording
from durable_execution.replay.source.statements import outer_reads, read_again

PROGRAMS = Path(__file__).with_name("sliced_programs.txt")


def programs() -> dict[str, str]:
    """The programs by name: `## name` begins one."""
    texts = PROGRAMS.read_text(encoding="utf-8").split("\n## ")[1:]
    return {name.strip(): textwrap.dedent(text) for name, _, text in (one.partition("\n") for one in texts)}


class World:
    """What a run reads and calls.

    Args:
        side: 0 for the first run, 1 for the other.
    """

    def __init__(self, side: int) -> None:
        self.side = side
        self.recorder = LineRecorder(
            is_recorded=lambda file: file.endswith("sliced.py"), paths=outer_reads, longest=240
        )
        self._numbers = itertools.count(1)

    def read(self, *values: Any) -> Any:
        """A value that is read from outside: the first in the first run, the second in the other."""
        return values[self.side] if values else self.side

    def call(self, *arguments: Any) -> Any:
        """A durable call, by its number."""
        self.recorder.reserved(sys._getframe(), SimpleNamespace(id=str(next(self._numbers))))
        return arguments[0] if arguments else None


class Runs:
    """Both runs of a program."""

    def __init__(self, source: str, folder: Path) -> None:
        self.file = folder / "sliced.py"
        self.file.write_text(source, encoding="utf-8")
        self.source = source
        read_again()
        module: dict[str, Any] = {}
        self.sides: list[LineRecording] = []
        for side in (0, 1):
            world = World(side)
            if not module or "# SAME PROCESS" not in source:
                module = {"__name__": "sliced"}
                module.update(read=world.read, call=world.call)
                exec(compile(source, str(self.file), "exec"), module)
            module.update(read=world.read, call=world.call)
            flow = module["flow"]
            with suppress(LookupError):
                world.recorder.run(partial(asyncio.run, flow()) if iscoroutinefunction(flow) else flow)
            self.sides.append(world.recorder.recording())

    def marked(self, mark: str) -> list[int]:
        return [number for number, line in enumerate(self.source.splitlines(), start=1) if mark in line]

    def origins(self) -> dict[int, str]:
        """The mark of each origin, by line."""
        marks = (line.partition("# ORIGIN ")[2].partition("  #")[0] for line in self.source.splitlines())
        return {number: mark for number, mark in enumerate(marks, start=1) if mark}

    @property
    def asked(self) -> Callable[[], Slice]:
        left, right = self.sides
        first = self.source.strip().splitlines()[0]
        if "of the error" in first:
            return lambda: Slice.from_error(left, right)
        if number := re.search(r"of call (\d+)", first):
            return lambda: Slice.from_call(left, right, number[1])
        return lambda: Slice.from_result(left, right)


@pytest.mark.parametrize("name", programs())
def test_the_marked_line_makes_the_difference(name: str, tmp_path: Path) -> None:
    runs = Runs(programs()[name], tmp_path)
    found = runs.asked()
    assert {one.line: mark_of(one) for one in found.origins} == runs.origins()
    assert found.origins == sorted(found.origins, key=lambda one: one.depth), "the nearest first"
    decided = [found.decision.line] if found.decision is not None else []
    assert decided == runs.marked("# DECISION")
    assert not found.is_short
    assert {one.file for one in found.origins} <= {str(runs.file)}


def mark_of(origin: Origin) -> str:
    how = "default" if origin.is_default else "opaque" if origin.is_opaque else "kept"
    return f"{origin.depth} {how} {origin.kept}" if origin.kept is not None else str(origin.depth)


def test_values_are_those_of_the_first_run_and_of_the_other(tmp_path: Path) -> None:
    runs = Runs(programs()["the argument of a call"], tmp_path)
    assert [one.values for one in runs.asked().origins] == [("'x'", "'y'")]


@pytest.mark.parametrize("ask", [Slice.from_result, Slice.from_error, partial(Slice.from_call, operation_id="1")])
def test_nothing_is_found_in_recordings_without_lines(ask: Callable[..., Slice]) -> None:
    found = ask(LineRecording(), LineRecording())
    assert (found.origins, found.decision, found.is_short) == ([], None, False)


@pytest.mark.parametrize(("turns", "is_found"), [(20, True), (40, False)])
def test_a_value_is_followed_for_a_number_of_steps_and_nothing_is_named_beyond(
    turns: int, is_found: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slicing, "MAX_STEPS", 60)
    source = programs()["a value that a loop carries through 300 turns"].replace("300", str(turns))
    runs = Runs(source, tmp_path)
    assert [one.line for one in runs.asked().origins] == runs.marked("# ORIGIN") * is_found


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize(
    ("line", "is_short"), [('call("a")', False), ("call(name)", True)], ids=["before the read", "at the call"]
)
def test_a_slice_that_needs_values_that_are_left_out_says_so(
    line: str, is_short: bool, side: int, tmp_path: Path
) -> None:
    runs = Runs(programs()["the argument of a call"], tmp_path)
    (number,) = runs.marked(line)
    at = next(at for at, event in enumerate(runs.sides[side].events) if event.line == number)
    runs.sides[side] = replace(runs.sides[side], blank=(at, at + 1))
    assert runs.asked().is_short is is_short

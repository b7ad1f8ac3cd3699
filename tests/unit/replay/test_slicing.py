"""Where the difference between two replays is made: programs with the line marked, each run twice with different reads."""

import itertools
import re
import sys
import textwrap
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from durable_execution.replay.line_recorder import LineRecorder
from durable_execution.replay.line_recording import LineRecording
from durable_execution.replay.slicing import Slice
from durable_execution.replay.statements import outer_reads, read_again

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
            with suppress(LookupError):
                world.recorder.run(module["flow"])
            self.sides.append(world.recorder.recording())

    def marked(self, mark: str) -> list[int]:
        return [number for number, line in enumerate(self.source.splitlines(), start=1) if mark in line]

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
    assert [one.line for one in found.origins] == runs.marked("# ORIGIN"), found.origins
    decided = [found.decision.line] if found.decision is not None else []
    assert decided == runs.marked("# DECISION")
    kept = [one.kept for one in found.origins if one.kept is not None]
    assert kept == [line.partition("# ORIGIN kept ")[2] for line in runs.source.splitlines() if "# ORIGIN kept" in line]
    assert not found.is_short
    assert {one.file for one in found.origins} <= {str(runs.file)}

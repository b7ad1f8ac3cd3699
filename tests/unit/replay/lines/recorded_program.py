"""Records a program line by line and prints the events; run with several versions of Python."""

import asyncio
import sys
from collections.abc import Iterator
from types import ModuleType
from unittest.mock import MagicMock


class Model:
    """In place of pydantic, whose core is compiled for one version of Python. The recorder does not use it."""

    def __init_subclass__(cls, **options: object) -> None:
        """Take what a model takes."""


pydantic = sys.modules["pydantic"] = ModuleType("pydantic")
pydantic.__getattr__ = lambda name: Model if name == "BaseModel" else MagicMock()  # type: ignore[method-assign]

from durable_execution.replay.lines.line_recorder import LineRecorder  # noqa: E402


def squares(limit: int) -> Iterator[int]:
    for number in range(limit):
        yield number * number


async def later(value: int) -> int:
    await asyncio.sleep(0)
    if value > 1:
        raise ValueError(value)
    return value


async def program() -> str:
    total = 0
    for square in squares(3):
        total += square
    names = [str(number) for number in (1, 2)]
    pairs = {name: len(name) for name in names}
    settled = await asyncio.gather(later(1), later(2), return_exceptions=True)
    try:
        await later(3)
    except ValueError as error:
        total = int(error.args[0])
    del pairs
    with recorder.here():
        kept = sorted(settled, key=lambda one: f"{one}!")
    return f"{total} {len(kept)}"


recorder = LineRecorder(is_recorded=lambda file: file == __file__)
recorder.run(lambda: asyncio.run(program()))
recording = recorder.recording()
for event in recording.events:
    frame = recording.frames[event.frame]
    print(frame.function, frame.parent, event.kind.value, event.line, dict(event.changed), event.text)

"""Dock doors where trucks are loaded."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from tests.replay.causes.common.timing import note, timed

NAMES = ("a", "b", "c", "d", "e")


@dataclass(frozen=True)
class Door:
    name: str
    is_heated: bool = False


def endless() -> Iterator[Door]:
    """The doors in turn, for ever."""
    for number in itertools.count():
        name = NAMES[number % len(NAMES)]
        yield Door(name, is_heated=name in "cd")  # CAUSE


_doors = endless()  # CAUSE


def free_door() -> Door:
    """The next door."""
    with timed("door"):
        door = next(_doors)  # CAUSE
    note("door", name=door.name)
    return door


def loading_minutes(pallets: int, door: Door) -> int:
    return pallets * (4 if door.is_heated else 5)

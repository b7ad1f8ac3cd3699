"""Orders lines for the picker's route."""

from collections.abc import Callable
from typing import Any

from tests.replay.causes.common.model import Line
from tests.replay.causes.common.timing import note, timed

ZONES = {"lamp": 2, "desk": 1, "plant": 1, "rug": 2}


class Stop:
    """One stop of the route."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.zone = ZONES.get(line.sku, 9)

    @property
    def label(self) -> str:
        return f"zone{self.zone}_{self.line.sku}"


def tie_breaker(stop: Stop) -> Any:
    """Keeps the sort stable for stops in the same zone."""
    return id(stop) % 97  # CAUSE


def by_zone(stop: Stop) -> tuple[int, Any]:
    return stop.zone, tie_breaker(stop)


def route(lines: list[Line], key: Callable[[Stop], Any] = by_zone) -> list[Stop]:
    """The stops in the order in which the picker reaches them."""
    with timed("route"):
        stops = [Stop(line) for line in lines]
        ordered = sorted(stops, key=key)  # CAUSE
    note("route", stops=len(ordered))
    return ordered

"""Which warehouse delivers what."""

from dataclasses import dataclass, field

from tests.replay.causes.common.model import Line
from tests.replay.causes.common.timing import note, timed

STOCK = {
    "north": {"lamp", "desk", "rug"},
    "south": {"plant", "lamp"},
    "east": {"desk", "rug"},
    "west": {"plant", "lamp", "rug"},
}
CLOSED = {"harbour"}


@dataclass
class Plan:
    """Skus of each warehouse."""

    parts: dict[str, list[str]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return sum(len(skus) for skus in self.parts.values())


def open_warehouses() -> dict[str, list[str]]:
    """An empty list for every warehouse that is open."""
    names = set(STOCK) - CLOSED
    return {name: [] for name in dict.fromkeys(names)}  # CAUSE


def plan_for(lines: list[Line]) -> Plan:
    """Give each line to the first warehouse that has it."""
    plan = Plan(open_warehouses())
    with timed("planning"):
        for line in lines:
            for name, skus in plan.parts.items():
                if line.sku in STOCK[name]:
                    skus.append(line.sku)
    note("planned", size=plan.size)
    return plan

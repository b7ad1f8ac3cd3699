"""Special handling of goods."""

from collections.abc import Iterable

from tests.replay.causes.common.model import Line
from tests.replay.causes.common.timing import note

HANDLERS = {"fragile": "wrap", "bulky": "palletize", "alive": "water", "cold": "insulate", "soft": "roll"}
COST = {"wrap": 150, "palletize": 900, "water": 80, "insulate": 300, "roll": 120}


def instructions(lines: Iterable[Line]) -> list[str]:
    """What has to be done to the goods, every instruction once."""
    wanted: set[str] = set()
    for line in lines:
        for tag in line.tags:
            handling = HANDLERS.get(tag)
            if handling is not None:
                wanted.add(handling)
    note("handling", count=len(wanted))
    return list(wanted)  # CAUSE


def handling_cost(handlings: Iterable[str]) -> int:
    """What the handling costs, in cents."""
    return sum(COST[one] for one in handlings)


def is_special(handlings: list[str]) -> bool:
    return len(handlings) > 3

"""Opening hours of the warehouse."""

from dataclasses import dataclass
from datetime import UTC, datetime

from tests.replay.causes.common.timing import note, timed

OPENS, CLOSES = 7, 20


@dataclass(frozen=True)
class Shift:
    name: str
    surcharge: int = 0


DAY = Shift("day")
NIGHT = Shift("night", 490)


def day_of(timestamp: float) -> str:
    """The day for a report, in UTC."""
    return datetime.fromtimestamp(timestamp, UTC).date().isoformat()


def hour_of(timestamp: float) -> int:
    """The hour of an order."""
    return datetime.fromtimestamp(timestamp).hour  # CAUSE


def shift_at(timestamp: float) -> Shift:
    """The shift that packs an order."""
    with timed("shift"):
        hour = hour_of(timestamp)
        is_open = OPENS <= hour < CLOSES
    note("shift", hour=hour, day=day_of(timestamp))
    return DAY if is_open else NIGHT

"""When an order has to leave the house."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tests.replay.causes.common.model import Order
from tests.replay.causes.common.timing import note, timed

HANDLING = timedelta(hours=36)
GRACE = timedelta(hours=2)


@dataclass(frozen=True)
class Deadline:
    at: datetime

    def is_missed(self) -> bool:
        """Whether it is too late."""
        return datetime.now(UTC) > self.at  # CAUSE


def deadline_of(order: Order) -> Deadline:
    """The deadline of an order."""
    placed = datetime.fromtimestamp(order.placed_at, UTC)
    return Deadline(placed + HANDLING + GRACE)


def age_in_days(order: Order) -> float:
    """For the log."""
    return (time.time() - order.placed_at) / 86_400


def carrier_for(order: Order, deadline: Deadline) -> str:
    """Express when it is late."""
    with timed("carrier"):
        late = deadline.is_missed()
    note("carrier", late=late, age=round(age_in_days(order), 1))
    return "express" if late else "swift"

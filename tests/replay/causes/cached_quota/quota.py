"""How many orders a customer may place a day."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from tests.replay.causes.common.timing import note, timed

WEEKEND = (5, 6)
LIMITS = {"weekday": 3, "weekend": 1}


@dataclass(frozen=True)
class Quota:
    kind: str
    limit: int


@lru_cache(maxsize=8)
def quota_of(country: str) -> Quota:
    """Today's quota, looked up once."""
    today = datetime.now(UTC).weekday()  # CAUSE
    kind = "weekend" if today in WEEKEND else "weekday"
    note("quota", country=country, kind=kind)
    return Quota(kind, LIMITS[kind])


def used_by(customer: str) -> int:
    """Orders of today, from the customer's number."""
    with timed("used"):
        return int(customer.rpartition("-")[2]) % 3


def is_within(country: str, customer: str) -> bool:
    """Whether one more order is allowed."""
    return used_by(customer) < quota_of(country).limit

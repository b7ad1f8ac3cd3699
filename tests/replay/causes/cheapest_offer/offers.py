"""Offers of carriers for a parcel."""

from collections.abc import Iterable

from tests.replay.causes.common.timing import note, timed

PRICES = {"swift": 590, "global": 490, "local": 490, "green": 490, "heavy": 1290, "bike": 490}
REACH = {
    "DE": {"swift", "global", "local", "green", "heavy", "bike"},
    "US": {"global"},
    "CH": {"swift", "global"},
}


def price_of(carrier: str, kilos: int) -> int:
    """Cents for a parcel."""
    return PRICES[carrier] + max(0, kilos - 5) * 10


def without(names: Iterable[str], unwanted: Iterable[str]) -> set[str]:
    return set(names) - set(unwanted)


def cheapest(country: str, kilos: int, *, unwanted: Iterable[str] = ("heavy",)) -> str:
    """The carrier with the lowest price."""
    with timed("offers"):
        candidates = without(REACH.get(country, ()), unwanted)
        best = min(candidates, key=lambda name: price_of(name, kilos))  # CAUSE
    note("offer", carrier=best, cents=price_of(best, kilos))
    return best

"""Carriers take turns."""

import logging
from dataclasses import dataclass

from tests.replay.causes.common.timing import note

log = logging.getLogger("shop.carriers")


@dataclass(frozen=True)
class Carrier:
    name: str
    max_kilos: int
    countries: tuple[str, ...]


CARRIERS = (
    Carrier("swift", 30, ("DE", "AT", "CH")),
    Carrier("heavy", 300, ("DE", "FR")),
    Carrier("global", 70, ("DE", "US", "CH", "FR", "AT")),
)
_turn = 0
_refused: list[str] = []


def able(country: str, kilos: int) -> list[Carrier]:
    """The carriers that can take a parcel, in the order of the list."""
    found: list[Carrier] = []
    for carrier in CARRIERS:
        if country in carrier.countries and kilos <= carrier.max_kilos:
            found.append(carrier)
        else:
            _refused.append(carrier.name)
            log.debug("%s refused, %d so far", carrier.name, len(_refused))
    return found


def next_carrier(country: str, kilos: int) -> Carrier:
    """Whose turn it is."""
    global _turn  # noqa: PLW0603
    candidates = able(country, kilos)
    _turn += 1  # CAUSE
    chosen = candidates[_turn % len(candidates)]  # CAUSE
    note("carrier chosen", carrier=chosen.name, turn=_turn)
    return chosen

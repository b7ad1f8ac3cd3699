"""Exchange rates, fetched once and kept while the process lives."""

from dataclasses import dataclass

from tests.replay.causes.common.timing import note, timed

MAX_AGE = 3600.0


@dataclass(frozen=True)
class Rate:
    currency: str
    per_euro: float
    source: str = "ecb"


DEFAULTS = {"DE": "EUR", "US": "USD", "CH": "CHF"}
_known: dict[str, Rate] = {"EUR": Rate("EUR", 1.0, "fixed")}


def currency_of(country: str) -> str:
    """The currency customers of a country pay in."""
    return DEFAULTS.get(country, "EUR")


def known_rate(currency: str) -> Rate | None:
    """The rate if it was fetched before."""
    with timed("known_rate"):
        return _known.get(currency)


def remember(currency: str, per_euro: float) -> Rate:
    """Keep a rate for later orders."""
    rate = Rate(currency, per_euro)
    _known[currency] = rate  # CAUSE
    note("rate kept", currency=currency, known=len(_known))
    return rate


def converted(cents: int, rate: Rate) -> int:
    return round(cents * rate.per_euro)

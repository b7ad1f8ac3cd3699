"""Numbers for parcels and pallets."""

from collections.abc import Callable, Iterator

from tests.replay.causes.common.timing import note

PREFIX = {"DE": "de", "US": "us"}


def sequencer(prefix: str, first: int = 1) -> Callable[[], str]:
    """A function that gives the next number every time it is called."""
    current = first - 1

    def following() -> str:
        nonlocal current
        current += 1  # CAUSE
        return f"{prefix}{current}"  # CAUSE

    return following


parcel_number = sequencer("parcel_")


def chunks(items: list[str], size: int) -> Iterator[list[str]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def packed(skus: list[str], size: int) -> list[tuple[str, list[str]]]:
    """Parcels with their numbers."""
    parcels: list[tuple[str, list[str]]] = []
    for chunk in chunks(skus, size):
        number = parcel_number()
        note("packed", number=number, items=len(chunk))
        parcels.append((number, chunk))
    return parcels

"""Letter templates, one file each."""

import tempfile
from pathlib import Path

from tests.replay.causes.common.timing import note, timed

SUFFIX = ".txt"
ALWAYS = ("receipt",)
FOLDER = Path(tempfile.gettempdir()) / "durable-shop-letters"


def folder() -> Path:
    """Where templates are kept."""
    return FOLDER


def available() -> list[str]:
    """Names of the templates that are there."""
    place = folder()
    if not place.is_dir():  # CAUSE
        return []
    with timed("listing"):
        names = [one.stem for one in place.iterdir() if one.suffix == SUFFIX]  # CAUSE
    note("templates", count=len(names))
    return sorted(names)


def letters(country: str) -> list[str]:
    """The letters an order gets."""
    chosen: list[str] = list(ALWAYS)
    for name in available():
        if not name.startswith(country.lower()):
            note("not for this country", name=name)
            continue
        chosen.append(name)
    return chosen

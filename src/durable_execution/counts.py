"""Counts and lists in texts: `1 call`, `2 calls`, `a, b and c`. Every text with a number of things takes its noun from here."""

from collections.abc import Sequence


def plural(number: float, one: str, several: str | None = None) -> str:
    """Return the form of a word that agrees with a number.

    Args:
        number: How many.
        one: The form for one: `call`, `is`.
        several: The form for every other number; by default, `one` with an `s`.
    """
    if number == 1:
        return one
    return f"{one}s" if several is None else several


def counted(number: int, one: str, several: str | None = None) -> str:
    """Return a number and its noun: `1 later call`, `1,200 retries`.

    Args:
        number: How many.
        one: The noun for one.
        several: The noun for every other number; by default, `one` with an `s`.
    """
    return f"{number:,} {plural(number, one, several)}"


def enumerated(words: Sequence[str]) -> str:
    """Return words as a list in a sentence: `a`, `a and b`, `a, b and c`."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last

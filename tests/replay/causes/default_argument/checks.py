"""Plausibility checks of an order."""

import re
from collections.abc import Sequence

from tests.replay.causes.common.model import Line, Order
from tests.replay.causes.common.timing import note, timed

COUNTRIES = frozenset({"DE", "AT", "CH", "FR", "US"})
SKU = re.compile(r"[a-z]+")
EXPENSIVE = 10_000


def odd_lines(lines: Sequence[Line]) -> list[str]:
    """What is unusual about single lines."""
    found: list[str] = []
    for line in lines:
        if line.quantity > 100:
            found.append(f"{line.sku}: quantity {line.quantity}")
        if SKU.fullmatch(line.sku) is None:
            found.append(f"{line.sku}: not a sku")
    return found


def warnings_for(order: Order, collected: list[str] = []) -> list[str]:  # noqa: B006  # CAUSE
    """Everything that is unusual about an order."""
    with timed("checks"):
        collected.extend(odd_lines(order.lines))
        if order.country not in COUNTRIES:
            collected.append(f"country {order.country}")
        if any(line.cents > EXPENSIVE for line in order.lines):
            collected.append(f"{order.id}: an expensive line")  # CAUSE
    note("checked", id=order.id, warnings=len(collected))
    return collected

"""Spot checks: a share of all orders is looked at."""

import random
from dataclasses import dataclass

from tests.replay.causes.common.model import Order
from tests.replay.causes.common.timing import note, timed

VALUE_LIMIT = 1_000_000


@dataclass
class Sampler:
    """Draws orders for a check."""

    share: float
    drawn: int = 0

    def draw(self) -> float:
        self.drawn += 1
        return random.random()  # CAUSE

    def wants(self, order: Order) -> bool:
        """Whether an order is checked."""
        if order.total > VALUE_LIMIT:
            return True
        with timed("draw"):
            number = self.draw()
            is_drawn = number < self.share
        note("drawn", number=round(number, 3), share=self.share)
        return is_drawn


SAMPLER = Sampler(0.5)


def trace_number() -> int:
    """For the log only."""
    return random.randint(1, 1_000_000)

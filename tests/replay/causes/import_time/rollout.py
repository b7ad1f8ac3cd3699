"""Which of two pipelines handles an order."""

import random
import time
from dataclasses import dataclass

from tests.replay.causes.common.timing import note, timed

STARTED = time.time()
SHARE = 0.5
_draw = random.random()  # CAUSE


@dataclass(frozen=True)
class Pipeline:
    name: str
    steps: tuple[str, ...]


CLASSIC = Pipeline("classic", ("label", "pack"))
FAST = Pipeline("fast", ("label_and_pack",))


def uptime() -> float:
    """Seconds since the module was loaded, for logs."""
    return time.time() - STARTED


def is_canary() -> bool:
    """Whether this process belongs to the canary group."""
    return _draw < SHARE  # CAUSE


def pipeline_for(country: str) -> Pipeline:
    """The pipeline of an order."""
    with timed("pipeline"):
        chosen = FAST if is_canary() and country == "DE" else CLASSIC
    note("pipeline", name=chosen.name, uptime=round(uptime()))
    return chosen

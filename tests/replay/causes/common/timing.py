"""Timers and counters for logs. They read the clock, and nothing depends on them."""

import logging
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

log = logging.getLogger("shop")
calls: Counter[str] = Counter()


class Stopwatch:
    """Measures how long something takes."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.started = time.perf_counter()

    def lap(self, what: str) -> float:
        elapsed = time.perf_counter() - self.started
        log.debug("%s: %s after %.6f s", self.label, what, elapsed)
        return elapsed


@contextmanager
def timed(label: str) -> Iterator[Stopwatch]:
    """Log how long a block takes."""
    watch = Stopwatch(label)
    calls[label] += 1
    try:
        yield watch
    finally:
        watch.lap("done")


def stamp() -> str:
    """The time for a log line."""
    return datetime.now(UTC).isoformat()


def note(message: str, **fields: object) -> None:
    """Log a line with the time and a running number."""
    calls["note"] += 1
    rest = " ".join(f"{key}={value}" for key, value in fields.items())
    if calls["note"] % 2:
        log.info("[%s] %s %s (#%d)", stamp(), message, rest, calls["note"])
    else:
        log.info("[%s] %s %s", stamp(), message, rest)

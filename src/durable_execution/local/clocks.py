"""The engine's clocks: the computer's, and one that jumps to the next thing due."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Protocol

from durable_execution.clock import SystemClock

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class EngineClock(Protocol):
    """Tells the time, and says whether it waits for it.

    Attributes:
        is_skipping: Whether time stands still while handlers run and jumps ahead when nothing else is left to do.
    """

    is_skipping: bool

    def now(self) -> datetime:
        """The time, aware and in UTC."""
        ...

    def advance_to(self, moment: datetime) -> None:
        """Jump ahead; a real clock ignores it."""
        ...


class RealClock(SystemClock):
    """Time passes as it does."""

    is_skipping = False

    def advance_to(self, moment: datetime) -> None:
        """Nothing can make real time pass."""


class SkippingClock:
    """Time that stands still until it is told to jump, so that a workflow of a month runs in milliseconds.

    Args:
        start: The first moment; the computer's time when None.
    """

    is_skipping = True

    def __init__(self, start: datetime | None = None) -> None:
        self._lock = threading.Lock()
        # Whole milliseconds, as the protocol's timers have them: a wait is never a moment too short.
        self._now = moment(millis((start or SystemClock().now()).astimezone(UTC)))

    def now(self) -> datetime:
        """The time, aware and in UTC."""
        with self._lock:
            return self._now

    def advance_to(self, moment: datetime) -> None:
        """Jump to a moment; time never goes back."""
        with self._lock:
            self._now = max(self._now, moment)

    def advance(self, duration: timedelta) -> None:
        """Jump ahead by a duration."""
        with self._lock:
            self._now += duration


def millis(moment: datetime) -> int:
    """Unix milliseconds, exact."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


def moment(milliseconds: int) -> datetime:
    """The moment that is so many Unix milliseconds."""
    return EPOCH + timedelta(milliseconds=milliseconds)

"""The engine's clocks: the system clock, and one that jumps to the next due time."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Protocol

from durable_execution.clock import SystemClock
from durable_execution.errors import EngineError

MOST_SET_BACK = timedelta(hours=26)
"""The largest difference between two time zones: how far a wrong setting of the clock is off."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class EngineClock(Protocol):
    """A source of the current time.

    Attributes:
        is_skipping: Whether time stands still while handlers run, and jumps ahead when there is no other work.
    """

    is_skipping: bool

    def now(self) -> datetime:
        """The current time, timezone-aware, in UTC."""
        ...

    def advance_to(self, moment: datetime) -> None:
        """Jump ahead. A real clock ignores the call."""
        ...


class RealClock(SystemClock):
    """The system clock, which here never goes back: if it is set back by an hour, no wait becomes an hour longer.

    Time passes with the monotonic clock, and follows the system clock when that is ahead, for example after the computer slept.
    """

    is_skipping = False

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now = super().now()
        self._read_at = self.monotonic()

    def now(self) -> datetime:
        """The current time, timezone-aware, in UTC."""
        with self._lock:
            read_at = self.monotonic()
            passed = self._now + timedelta(seconds=read_at - self._read_at)
            self._now, self._read_at = max(passed, super().now()), read_at
            return self._now

    def continue_from(self, moment: datetime) -> None:
        """Go on from a recorded time if the system clock has been set back since, before this process started.

        A time that is further ahead was not made by a clock that someone set: the store was used with a skipping clock.
        """
        now = self.now()
        with self._lock:
            if now < moment <= now + MOST_SET_BACK:
                self._now = moment

    def advance_to(self, moment: datetime) -> None:
        """Do nothing: real time cannot be advanced."""


class SkippingClock:
    """A clock that stands still until it jumps, so that a workflow of a month runs in milliseconds.

    Args:
        start: The initial time; None for the current time.
    """

    is_skipping = True

    def __init__(self, start: datetime | None = None) -> None:
        self._lock = threading.Lock()
        # Whole milliseconds, like the protocol's timers, so that no wait ends early.
        self._now = moment(millis((start or SystemClock().now()).astimezone(UTC)))

    def now(self) -> datetime:
        """The current time, timezone-aware, in UTC."""
        with self._lock:
            return self._now

    def advance_to(self, moment: datetime) -> None:
        """Jump ahead to a time. The clock never goes back."""
        with self._lock:
            self._now = max(self._now, moment)

    def advance(self, duration: timedelta) -> None:
        """Jump ahead by a duration."""
        with self._lock:
            self._now += duration


def millis(moment: datetime) -> int:
    """A datetime as Unix milliseconds, without rounding errors."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


def moment(milliseconds: int) -> datetime:
    """Unix milliseconds as a datetime in UTC.

    Raises:
        EngineError: No calendar has that moment. Only a damaged store contains it.
    """
    try:
        return EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        raise EngineError(
            f"a time in the store, {milliseconds} milliseconds, is out of range: the file is damaged, or another program changed it. "
            "Move the file away to start with an empty store, or restore it from a backup."
        ) from None

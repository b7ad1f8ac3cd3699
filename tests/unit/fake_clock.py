"""A clock that stands still until it is moved."""

from datetime import UTC, datetime, timedelta

START = datetime(2025, 12, 1, 10, 0, tzinfo=UTC)


class FixedClock:
    """Always the same time, unless a test says otherwise."""

    def __init__(self, at: datetime = START) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def advance(self, duration: timedelta) -> None:
        self.at += duration

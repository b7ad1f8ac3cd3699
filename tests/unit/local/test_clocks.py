"""The engine's real clock never goes back, and follows the system clock when that is ahead."""

from datetime import UTC, datetime, timedelta

import pytest

from durable_execution.clock import SystemClock
from durable_execution.local import RealClock

HOUR = timedelta(hours=1)


def test_a_system_clock_set_back_does_not_lengthen_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    wall, passed = [datetime(2026, 1, 1, tzinfo=UTC)], [100.0]
    monkeypatch.setattr(SystemClock, "now", lambda self: wall[0])
    monkeypatch.setattr(SystemClock, "monotonic", lambda self: passed[0])
    clock = RealClock()
    start = clock.now()

    def move(wall_by: timedelta, seconds: float) -> timedelta:
        wall[0] += wall_by
        passed[0] += seconds
        return clock.now() - start

    assert move(timedelta(seconds=10), 10) == timedelta(seconds=10)
    assert move(-HOUR, 5) == timedelta(seconds=15)
    assert move(timedelta(seconds=5), 5) == timedelta(seconds=20)
    assert move(2 * HOUR, 1) == HOUR + timedelta(seconds=15)  # the computer slept, or the clock was set ahead

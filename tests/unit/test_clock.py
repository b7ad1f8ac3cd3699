"""The computer's clock."""

from datetime import UTC, datetime, timedelta

from durable_execution.clock import SystemClock


def test_it_tells_the_time_in_utc() -> None:
    now = SystemClock().now()
    assert now.tzinfo is UTC
    assert abs(datetime.now(UTC) - now) < timedelta(minutes=1)


def test_it_counts_seconds_that_never_go_back() -> None:
    clock = SystemClock()
    before = clock.monotonic()
    clock.sleep(0)
    assert clock.monotonic() >= before

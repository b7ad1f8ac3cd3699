"""The engine's real clock never goes back, and follows the system clock when that is ahead."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from durable_execution import DurableContext, durable_execution
from durable_execution.clock import SystemClock
from durable_execution.local import LocalEngine, RealClock
from durable_execution.local.clocks import MOST_SET_BACK

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


@pytest.mark.parametrize(
    ("ahead", "is_followed"),
    [(HOUR, True), (MOST_SET_BACK, True), (MOST_SET_BACK + HOUR, False), (-HOUR, False)],
)
def test_a_recorded_time_is_followed_unless_no_clock_was_set(
    monkeypatch: pytest.MonkeyPatch, ahead: timedelta, is_followed: bool
) -> None:
    wall = datetime(2026, 1, 1, tzinfo=UTC)
    monkeypatch.setattr(SystemClock, "now", lambda self: wall)
    monkeypatch.setattr(SystemClock, "monotonic", lambda self: 100.0)
    clock = RealClock()
    clock.continue_from(wall + ahead)
    assert clock.now() == (wall + ahead if is_followed else wall)


@durable_execution
async def waits(event: Any, ctx: DurableContext) -> str:
    await ctx.wait(timedelta(minutes=10))
    return "done"


def test_after_a_restart_a_clock_that_was_set_back_does_not_lengthen_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine ends while an execution waits, the clock is set back by an hour, and a new engine takes over."""
    wall = [datetime(2026, 1, 1, 12, tzinfo=UTC)]
    monkeypatch.setattr(SystemClock, "now", lambda self: wall[0])

    def open_engine() -> LocalEngine:
        engine = LocalEngine(tmp_path / "executions.db", clock=RealClock(), trace_sink=False)
        engine.register("waits", waits)
        return engine

    with open_engine() as engine:
        arn = engine.start("waits", {})
        engine.run_until(lambda: history(engine, arn)[-1]["EventType"] == "InvocationCompleted")
    wall[0] -= HOUR
    with open_engine() as engine:
        engine.resume()
        (started,) = [event for event in history(engine, arn) if event["EventType"] == "WaitStarted"]
        left = started["WaitStartedDetails"]["ScheduledEndTimestamp"] - engine.clock.now()
        assert left <= timedelta(minutes=10)


def history(engine: LocalEngine, arn: str) -> list[Any]:
    found: list[Any] = engine.client.get_durable_execution_history(DurableExecutionArn=arn)["Events"]
    return found

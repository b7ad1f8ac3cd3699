"""An invocation in the engine's own process cannot be killed. When it is over its time the engine gives it up instead."""

import threading
from typing import Any

import pytest

from durable_execution import DurableContext, RetryPresets, StepConfig, StepSemantics
from durable_execution.errors import StepInterruptedError
from durable_execution.local import LocalEngine
from tests.scenarios.scenario import Scenario


class Stopwatch:
    """Measures how long invocations take; time passes when the test says so."""

    def __init__(self, engine: LocalEngine) -> None:
        self._engine = engine
        self._seconds = 0.0

    def monotonic(self) -> float:
        """Seconds since some moment."""
        return self._seconds

    def run_out(self) -> None:
        """Let more time pass than any invocation has."""
        self._seconds += 1000.0
        self._engine._scheduler.wake()


@pytest.fixture
def stopwatch(skipping_engine: LocalEngine, monkeypatch: pytest.MonkeyPatch) -> Stopwatch:
    made = Stopwatch(skipping_engine)
    monkeypatch.setattr(skipping_engine._scheduler._workers, "_stopwatch", made)
    return made


def test_what_a_step_given_up_still_does_changes_nothing(scenario: Scenario, stopwatch: Stopwatch) -> None:
    may_end, has_ended = threading.Event(), threading.Event()
    bodies: list[str] = []

    def body(_step: Any) -> str:
        bodies.append("begun")
        stopwatch.run_out()
        may_end.wait(30)
        has_ended.set()
        return "late"

    async def workflow(_event: Any, ctx: DurableContext) -> str:
        once = StepConfig(step_semantics=StepSemantics.AT_MOST_ONCE_PER_RETRY, retry_strategy=RetryPresets.none())
        try:
            return await ctx.step(body, "slow", config=once)
        except StepInterruptedError:
            return "given up"

    ended = scenario.run(workflow)
    before = scenario.history(ended.arn)
    may_end.set()
    assert has_ended.wait(30)
    assert ended.result == "given up"
    assert scenario.happened(ended.arn)[1:] == [
        "StepStarted slow",
        "InvocationCompleted",
        "StepFailed slow",
        "InvocationCompleted",
        f"ExecutionSucceeded {ended.arn.split('/')[-2]}",
    ]
    error = before[2]["InvocationCompletedDetails"]["Error"]["Payload"]
    assert error["ErrorType"] == "Sandbox.Timedout"
    assert "Task timed out after 900.00 seconds" in error["ErrorMessage"]
    assert bodies == ["begun"]


def test_an_invocation_always_over_its_time_fails_the_execution(scenario: Scenario, stopwatch: Stopwatch) -> None:
    may_end = threading.Event()

    def body(_step: Any) -> None:
        stopwatch.run_out()
        may_end.wait(30)

    async def workflow(_event: Any, ctx: DurableContext) -> None:
        await ctx.step(body, "slow")

    arn = scenario.start(workflow)
    ended = scenario.ended(arn)
    may_end.set()
    assert ended.error is not None
    assert ended.error.type == "Sandbox.Timedout"
    assert scenario.invocations(arn) == 5

"""Measurements of workflow code count once, although it runs again."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from durable_execution import DurableContext, StepContext, durable_execution, durable_step
from durable_execution.local import run
from durable_execution.telemetry import safe_meter
from durable_execution.telemetry.safe_meter import is_replaying, replay_safe_meter

counted: Counter[str] = Counter()


class Instrument:
    name = "an instrument"

    def add(self, amount: int, attributes: dict[str, str]) -> None:
        counted[attributes["where"]] += amount

    record = set = add


class Meter:
    def create_counter(self, name: str, unit: str = "") -> Instrument:
        return Instrument()

    create_histogram = create_gauge = create_up_down_counter = create_counter


@pytest.fixture
def instrument(monkeypatch: pytest.MonkeyPatch) -> Any:
    from opentelemetry import metrics

    counted.clear()
    monkeypatch.setattr(metrics, "get_meter", lambda *_: Meter())
    return replay_safe_meter("shop").create_counter("orders", unit="{order}")


def test_a_measurement_in_workflow_code_counts_once(instrument: Any) -> None:
    @durable_step
    async def charge(step: StepContext) -> None:
        instrument.add(1, {"where": f"attempt {step.attempt}"})
        if step.attempt == 1:
            raise TimeoutError

    @durable_execution
    async def shop(_: Any, ctx: DurableContext) -> None:
        async def branch(inner: DurableContext) -> None:
            instrument.add(1, {"where": "before, in a context"})
            await inner.wait(timedelta(hours=1))
            instrument.record(1, {"where": "after, in a context"})

        instrument.add(1, {"where": "before"})
        await ctx.step(charge())
        instrument.set(1, {"where": "between"})
        await ctx.run_in_child_context(branch)
        await ctx.wait(timedelta(hours=1))
        instrument.add(1, {"where": "after"})

    assert run(shop, time="skip").error is None
    assert set(counted.values()) == {1}
    assert len(counted) == 7


def test_plain_handlers_are_covered(instrument: Any) -> None:
    @durable_execution
    def shop(_: Any, ctx: Any) -> None:
        instrument.add(1, {"where": "before"})
        ctx.wait(timedelta(hours=1))
        instrument.add(1, {"where": "after"})

    assert run(shop, time="skip").error is None
    assert counted == {"before": 1, "after": 1}


def test_outside_of_executions_everything_counts(instrument: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    instrument.add(2, {"where": "module"})
    assert (counted["module"], is_replaying(), instrument.name) == (2, False, "an instrument")
    monkeypatch.setattr(safe_meter, "RUNTIME", "not_loaded")
    assert not is_replaying()

"""What recording costs, in calls of functions: unlike times, they are the same on every machine."""

import gc
import sys
from collections.abc import Callable
from typing import Any

import pytest

from durable_execution import DurableContext, StepContext, durable_execution
from durable_execution.trace import MemorySink, TraceRecorder
from tests.unit.fake_service import FakeService, invoke

FEW, MANY = 50, 150


def steps(count: int) -> Any:
    async def body(step: StepContext) -> int:
        return 1

    async def many_steps(event: Any, ctx: DurableContext) -> None:
        for _ in range(count):
            await ctx.step(body, name="work")

    return durable_execution(many_steps)


def calls_of(work: Callable[[], object]) -> int:
    """Return how many functions a call calls, in Python and in C."""
    count = 0

    def note(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    gc.disable()
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
        gc.enable()
    return count


def calls_per_step(observers: list[Any], *, is_replay: bool) -> float:
    found = []
    for count in (FEW, MANY):
        handler, service = steps(count), FakeService()
        if is_replay:
            invoke(handler, service, observers=observers)
        else:
            invoke(handler, FakeService(), observers=observers)  # what is found out once per process is not counted
        found.append(calls_of(lambda: invoke(handler, service, observers=observers)))  # noqa: B023
    return (found[1] - found[0]) / (MANY - FEW)


@pytest.mark.parametrize(("is_replay", "most"), [(False, 67), (True, 20)], ids=["new", "replayed"])
def test_a_step_is_recorded_with_few_calls(is_replay: bool, most: int) -> None:
    recorders = [TraceRecorder(MemorySink())]
    extra = calls_per_step(recorders, is_replay=is_replay) - calls_per_step([], is_replay=is_replay)
    assert 0 < extra <= most, extra

"""What recording costs, in calls of functions: unlike times, they are the same on every machine."""

import gc
import sys
import weakref
from collections.abc import Callable
from functools import partial
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


class Given:
    """What a function of the user may hold."""

    def method(self, _step: StepContext) -> int:
        return 1


HOLDING: dict[str, Callable[[Given], Any]] = {
    "closure": lambda given: lambda step: given.method(step) + 1,
    "default": lambda given: lambda step, given=given: given.method(step),
    "method": lambda given: given.method,
    "partial": lambda given: partial(Given.method, given),
}


@pytest.mark.parametrize("holding", HOLDING.values(), ids=HOLDING)
@pytest.mark.parametrize("invocations", [1, 2], ids=["new", "replayed"])
def test_a_recorder_keeps_nothing_that_functions_of_the_user_hold(
    invocations: int, holding: Callable[[Given], Any]
) -> None:
    held: list[weakref.ref[Given]] = []

    async def one_step(event: Any, ctx: DurableContext) -> None:
        given = Given()
        held.append(weakref.ref(given))
        await ctx.step(holding(given), name="work")

    service, recorder = FakeService(), TraceRecorder(MemorySink())
    for _ in range(invocations):
        invoke(durable_execution(one_step), service, observers=[recorder])
    gc.collect()
    assert [one() for one in held] == [None] * invocations


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


@pytest.mark.parametrize(("is_replay", "most"), [(False, 62), (True, 19)], ids=["new", "replayed"])
def test_a_step_is_recorded_with_few_calls(is_replay: bool, most: int) -> None:
    recorders = [TraceRecorder(MemorySink())]
    extra = calls_per_step(recorders, is_replay=is_replay) - calls_per_step([], is_replay=is_replay)
    assert 0 < extra <= most, extra

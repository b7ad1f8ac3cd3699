"""What one invocation knows: who waits for what, and what need not be kept."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from durable_execution import DurableContext, Observer, StepContext, durable_execution
from durable_execution.observers import InvocationEnded, Suspended
from durable_execution.runtime import state as state_module
from durable_execution.runtime.service import CheckpointAnswer
from durable_execution.runtime.state import OperationViews
from tests.unit.fake_clock import FixedClock
from tests.unit.fake_service import FakeService, invoke, step_operation

HOUR = timedelta(hours=1)


class Watching(Observer):
    def __init__(self) -> None:
        self.suspended: list[Suspended] = []
        self.ended: list[InvocationEnded] = []

    def on_suspended(self, notification: Suspended) -> None:
        self.suspended.append(notification)

    def on_invocation_ended(self, notification: InvocationEnded) -> None:
        self.ended.append(notification)


def test_a_suspension_says_what_it_waits_for() -> None:
    watching = Watching()

    @durable_execution
    async def handler(_: Any, ctx: DurableContext) -> None:
        await asyncio.gather(ctx.wait(HOUR, "long"), ctx.wait(2 * HOUR, "longer"))

    invoke(handler, FakeService(), observers=[watching])
    (notification,) = watching.suspended
    assert sorted(call.path for call in notification.pending) == ["handler/long", "handler/longer"]


def test_what_comes_with_an_answer_resumes_who_waits_for_it() -> None:
    service = FakeService()

    @durable_execution
    async def handler(_: Any, ctx: DurableContext) -> str:
        async def slow(step: StepContext) -> None:
            for _ in range(10):
                await asyncio.sleep(0)

        await asyncio.gather(ctx.wait(HOUR), ctx.step(slow))
        return "both"

    def answer(number: int) -> CheckpointAnswer | None:
        waits = [wire for wire in service.operations.values() if wire["Type"] == "WAIT"]
        if not waits:
            return None
        waits[0]["Status"] = "SUCCEEDED"
        done = [service._apply(update) for update in service.calls[-1]]
        return CheckpointAnswer("next", [*waits, *done])

    service.on_checkpoint = answer
    assert invoke(handler, service)["Result"] == '"both"'
    assert len(service.calls) == 2


def test_results_of_own_steps_are_not_kept_in_memory() -> None:
    kept: list[int] = []

    @durable_execution
    async def handler(_: Any, ctx: DurableContext) -> None:
        async def body(step: StepContext) -> str:
            return "x" * 100

        for _ in range(50):
            await ctx.step(body)
        kept.append(len(ctx.scope.state.operations))

    invoke(handler, FakeService())
    assert kept == [1], "only the EXECUTION operation"


def test_observers_see_them_all_the_same() -> None:
    watching = Watching()

    @durable_execution
    async def handler(_: Any, ctx: DurableContext) -> None:
        await ctx.step(lambda step: 1, "one")

    invoke(handler, FakeService(), observers=[watching])
    names = [operation.name for operation in watching.ended[0].operations.values()]
    assert names == [None, "one"]


def test_while_a_body_runs_the_service_is_asked_about_a_timer_that_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_module, "DUE_MARGIN_SECONDS", 0.0)
    service, clock = FakeService(), FixedClock()
    asked: list[list[Any]] = []

    @durable_execution
    async def handler(_: Any, ctx: DurableContext) -> str:
        over = asyncio.Event()

        async def body(step: StepContext) -> str:
            await over.wait()
            return "body"

        async def wait() -> None:
            await ctx.wait(timedelta(seconds=1))
            over.set()

        results = await asyncio.gather(ctx.step(body), wait())
        return str(results[0])

    def answer(number: int) -> CheckpointAnswer | None:
        call = service.calls[-1]
        asked.append(call)
        waits = [wire for wire in service.operations.values() if wire["Type"] == "WAIT"]
        for wire in waits if not call else ():
            wire["Status"] = "SUCCEEDED"
        return None if call else CheckpointAnswer("next", waits)

    original = service._apply

    def apply(update: Any) -> Any:
        wire = original(update)
        if update["Type"] == "WAIT":
            wire["WaitDetails"] = {"ScheduledEndTimestamp": clock.now()}
        return wire

    monkeypatch.setattr(service, "_apply", apply)
    service.on_checkpoint = answer
    result = invoke(handler, service, clock=clock)
    assert result["Result"] == '"body"'
    assert [] in asked


def test_views_are_live() -> None:
    wires = {"1": step_operation("1", 5)}
    views = OperationViews(wires)
    assert views["1"].result == "5"
    wires["2"] = step_operation("2", 6)
    assert list(views) == ["1", "2"]
    assert len(views) == 2
    assert "3" not in views

"""Observers: every one is told, and none can do harm."""

import logging
from datetime import datetime, timedelta
from typing import Any

import pytest

from durable_execution import DurableContext, Observer, StepConfig, StepSemantics, durable_execution
from durable_execution.clock import SystemClock
from durable_execution.observers import (
    AttemptEnded,
    AttemptStarted,
    InvocationEnded,
    InvocationStarted,
    OperationCall,
    OperationCompleted,
    OperationStarted,
    Suspended,
)
from durable_execution.runtime.announcer import Announcer
from tests.unit.fake_clock import START, FixedClock
from tests.unit.fake_service import FakeService, invoke


class Recording(Observer):
    """Notes the name of every hook that is called."""

    def __init__(self) -> None:
        self.hooks: list[str] = []
        self.notifications: list[Any] = []

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith("on_"):
            return super().__getattribute__(name)

        def note(notification: Any) -> None:
            self.hooks.append(name)
            self.notifications.append(notification)

        return note


class Raising(Observer):
    def __getattribute__(self, name: str) -> Any:
        if not name.startswith("on_") and name != "trace_header":
            return super().__getattribute__(name)

        def fail(notification: Any) -> None:
            raise RuntimeError(f"trouble in {name}")

        return fail


class Header(Observer):
    def __init__(self, header: str | None) -> None:
        self.header = header

    def trace_header(self, call: OperationCall) -> str | None:
        return self.header


@durable_execution
async def steps(_: Any, ctx: DurableContext) -> int:
    await ctx.step(lambda step: 1, "one")
    return await ctx.step(lambda step: 2, "two")


@durable_execution
async def invokes(_: Any, ctx: DurableContext) -> Any:
    return await ctx.invoke("f", {"a": 1})


def test_everything_is_told_in_order() -> None:
    recording = Recording()
    invoke(steps, FakeService(), observers=[recording], clock=FixedClock())
    step = [
        "on_operation_started", "on_attempt_started", "on_attempt_ended",
        "on_checkpoint_sent", "on_operations_changed", "on_operation_completed",
    ]  # fmt: skip
    assert recording.hooks == ["on_invocation_started", *step, *step, "on_invocation_ended"]


def test_times_are_the_clocks() -> None:
    recording = Recording()
    invoke(steps, FakeService(), observers=[recording], clock=FixedClock())
    assert {notification.at for notification in recording.notifications} == {START}


class TickingClock(FixedClock):
    """A second later each time."""

    def now(self) -> datetime:
        self.advance(timedelta(seconds=1))
        return self.at


@pytest.mark.parametrize(
    ("semantics", "starts_with_call"),
    [(StepSemantics.AT_LEAST_ONCE_PER_RETRY, True), (StepSemantics.AT_MOST_ONCE_PER_RETRY, False)],
)
def test_a_first_attempt_starts_with_its_call_unless_its_start_is_stored_first(
    semantics: StepSemantics, starts_with_call: bool
) -> None:
    @durable_execution
    async def one_step(_: Any, ctx: DurableContext) -> None:
        await ctx.step(lambda step: 1, "one", config=StepConfig(step_semantics=semantics))

    recording = Recording()
    invoke(one_step, FakeService(), observers=[recording], clock=TickingClock())
    (call,) = [each for each in recording.notifications if isinstance(each, OperationStarted)]
    (attempt,) = [each for each in recording.notifications if isinstance(each, AttemptStarted)]
    (ended,) = [each for each in recording.notifications if isinstance(each, AttemptEnded)]
    assert (attempt.at == call.at) == starts_with_call
    assert attempt.at >= call.at
    assert ended.started_at == attempt.at


def test_an_observer_that_raises_changes_nothing_and_starves_nobody(caplog: pytest.LogCaptureFixture) -> None:
    before, after = Recording(), Recording()
    answer = invoke(steps, FakeService(), observers=[before, Raising(), after])
    assert answer == {"Status": "SUCCEEDED", "Result": "2"}
    assert before.hooks == after.hooks
    (record,) = [found for found in caplog.records if found.levelno == logging.ERROR]
    assert "observer Raising raised an exception in on_invocation_started" in record.getMessage()


def test_each_observer_in_trouble_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    invoke(steps, FakeService(), observers=[Raising(), Raising()])
    assert len([found for found in caplog.records if found.levelno == logging.ERROR]) == 2


@pytest.mark.parametrize(
    ("observers", "header"),
    [
        ([Header(None), Header("a"), Header("b")], "a"),
        ([Raising(), Header("a")], "a"),
        ([Header(None)], None),
        ([Raising()], None),
    ],
)
def test_the_first_trace_header_is_sent(observers: list[Observer], header: str | None) -> None:
    service = FakeService()
    invoke(invokes, service, observers=observers)
    assert service.calls[0][0]["ChainedInvokeOptions"].get("XAmznTraceId") == header


def test_nothing_is_told_of_an_envelope_that_cannot_be_read() -> None:
    recording = Recording()
    with pytest.raises(Exception, match="not configured as durable"):
        steps.invoke({}, None, client=FakeService(), observers=[recording])
    assert recording.hooks == []


def test_the_start_says_what_the_invocation_is() -> None:
    class Context:
        aws_request_id = "request-1"
        trace_header = "Root=1"

    recording = Recording()
    from tests.unit.fake_service import ARN, envelope

    steps.invoke(envelope(payload={"a": 1}), Context(), client=FakeService(), observers=[recording])
    started, ended = recording.notifications[0], recording.notifications[-1]
    assert isinstance(started, InvocationStarted)
    assert (started.execution_arn, started.request_id, started.is_first) == (ARN, "request-1", True)
    assert (started.input, started.handler, started.trace_header) == ({"a": 1}, steps.name, "Root=1")
    assert isinstance(ended, InvocationEnded)
    assert ended.started is started
    assert (ended.status, ended.result, ended.error) == ("SUCCEEDED", "2", None)


def test_a_completion_carries_result_and_attempt() -> None:
    recording = Recording()
    invoke(steps, FakeService(), observers=[recording])
    completed = [found for found in recording.notifications if isinstance(found, OperationCompleted)]
    assert [(found.call.name, found.result, found.attempt, found.is_replayed) for found in completed] == [
        ("one", "1", 1, False),
        ("two", "2", 1, False),
    ]


def test_a_call_knows_where_the_user_made_it() -> None:
    recording = Recording()
    invoke(steps, FakeService(), observers=[recording])
    call = recording.notifications[1].call
    assert call.call_site.file == __file__
    assert call.call_site.function == "steps"
    assert call.path == "steps/one"
    assert (call.position, call.parent_id, call.context_id) == (1, None, None)


def test_what_nobody_listens_to_is_not_made() -> None:
    """A notification that no observer takes would be made and handed to empty hooks with every operation."""

    class Half(Observer):
        def on_suspended(self, notification: Suspended) -> None: ...

    announcer = Announcer([Half(), Observer()], clock=SystemClock(), execution_arn="arn")
    assert announcer._listeners("on_checkpoint_sent") == ()
    assert [type(observer) for observer, _ in announcer._listeners("on_suspended")] == [Half]

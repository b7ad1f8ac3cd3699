"""Whoever listens changes nothing and is told everything once."""

from collections import Counter
from contextvars import ContextVar
from datetime import timedelta
from typing import Any

import pytest

from durable_execution import DurableContext, MapConfig, Observer, StepConfig, StepContext
from durable_execution.observers import (
    AttemptEnded,
    AttemptStarted,
    InvocationEnded,
    InvocationStarted,
    OperationCall,
    OperationCompleted,
    OperationReplayed,
    OperationsChanged,
    OperationStarted,
)
from durable_execution.retry import RetryPresets
from tests.scenarios.bodies import gives
from tests.scenarios.scenario import FUNCTION, Scenario

MINUTE = timedelta(minutes=1)
HOOKS = [name for name in vars(Observer) if name.startswith("on_")]


class Recording(Observer):
    """Notes every hook with what it was about."""

    def __init__(self) -> None:
        self.notes: list[tuple[str, Any]] = []

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("on_"):
            notes = object.__getattribute__(self, "notes")
            return lambda notification: notes.append((name, notification))
        return object.__getattribute__(self, name)

    def of(self, hook: str) -> list[Any]:
        return [notification for name, notification in self.notes if name == hook]

    def counted(self, hook: str) -> Counter[str]:
        return Counter(notification.call.path for notification in self.of(hook))


class Raising(Observer):
    """Raises wherever it is called."""

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("on_") or name == "trace_header":

            def hook(notification: Any) -> None:
                raise RuntimeError(f"{name} is broken")

            return hook
        return object.__getattribute__(self, name)


async def everything(_event: Any, ctx: DurableContext) -> list[Any]:
    async def flaky(step: StepContext) -> str:
        if step.attempt == 1:
            raise OSError("not yet")
        return "stepped"

    async def item(inner: DurableContext, number: int, _index: int) -> int:
        await inner.wait(number * MINUTE, "pause")
        return number

    async def child(inner: DurableContext) -> str:
        return await inner.step(gives("inside"), "inside")

    stepped = await ctx.step(flaky, "flaky", config=StepConfig(retry_strategy=RetryPresets.linear()))
    mapped = (await ctx.map([1, 2], item, "items", config=MapConfig())).get_results()
    inside = await ctx.run_in_child_context(child, "child")
    answer = await ctx.invoke("echo", 7, name="call")
    return [stepped, mapped, inside, answer]


RESULT = ["stepped", [1, 2], "inside", 7]


@pytest.fixture
def observed(scenario: Scenario) -> Scenario:
    scenario.engine.register("echo", lambda event, _context: event)
    return scenario


def test_an_observer_that_raises_changes_nothing_and_starves_nobody(
    observed: Scenario, caplog: pytest.LogCaptureFixture
) -> None:
    recording = Recording()
    observed.subject(everything, observers=[Raising(), recording, Raising()])
    ended = observed.engine.run(FUNCTION)
    assert ended.result == RESULT
    silent = Recording()
    observed.subject(everything, observers=[silent])
    assert observed.engine.run(FUNCTION).result == RESULT
    assert _told(recording) == _told(silent)
    logged = [record for record in caplog.records if "observer Raising raised" in record.getMessage()]
    assert len(logged) == 2 * len(recording.of("on_invocation_started"))


def _told(recording: Recording) -> Counter[str]:
    """How often each hook was called, but for those whose number depends on what threads send together."""
    return Counter(name for name, _ in recording.notes if name not in {"on_checkpoint_sent", "on_operations_changed"})


def test_every_operation_starts_and_ends_once(observed: Scenario) -> None:
    recording = Recording()
    observed.subject(everything, observers=[recording])
    observed.engine.run(FUNCTION)
    started = Counter(
        notification.call.path for notification in recording.of("on_operation_started") if not notification.is_replayed
    )
    paths = {
        "everything/flaky", "everything/items", "everything/items#0", "everything/items#0/pause",
        "everything/items#1", "everything/items#1/pause", "everything/child", "everything/child/inside",
        "everything/call",
    }  # fmt: skip
    assert started == Counter(dict.fromkeys(paths, 1))
    assert recording.counted("on_operation_completed") == Counter(dict.fromkeys(paths, 1))


def test_every_attempt_is_framed(observed: Scenario) -> None:
    recording = Recording()
    observed.subject(everything, observers=[recording])
    observed.engine.run(FUNCTION)
    starts: list[AttemptStarted] = recording.of("on_attempt_started")
    ends: list[AttemptEnded] = recording.of("on_attempt_ended")
    flaky = [(end.attempt, end.outcome, end.next_attempt_delay_seconds) for end in ends if end.call.name == "flaky"]
    assert flaky == [(1, "FAILED", 1), (2, "SUCCEEDED", None)]
    assert [(start.call.path, start.attempt) for start in starts] == [(end.call.path, end.attempt) for end in ends]
    assert [start.is_replayed for start in starts if start.call.name == "flaky"] == [False, True]


def test_every_invocation_is_framed_and_knows_what_has_changed(observed: Scenario) -> None:
    recording = Recording()
    observed.subject(everything, observers=[recording])
    observed.engine.run(FUNCTION)
    starts: list[InvocationStarted] = recording.of("on_invocation_started")
    ends: list[InvocationEnded] = recording.of("on_invocation_ended")
    assert [start.is_first for start in starts] == [True] + [False] * (len(starts) - 1)
    assert [end.status for end in ends] == ["PENDING"] * (len(ends) - 1) + ["SUCCEEDED"]
    assert [end.started for end in ends] == starts
    assert all(start.updated_operation_ids for start in starts[1:])
    assert not starts[0].updated_operation_ids
    assert ends[-1].result is not None


def test_replayed_operations_are_told_apart(observed: Scenario) -> None:
    recording = Recording()
    observed.subject(everything, observers=[recording])
    observed.engine.run(FUNCTION)
    replayed: list[OperationReplayed] = recording.of("on_operation_replayed")
    assert all(notification.recorded.is_terminal for notification in replayed)
    completed_before: set[str] = set()
    for name, notification in recording.notes:
        if name == "on_operation_completed":
            completed_before.add(notification.call.id)
        if name == "on_operation_replayed":
            assert notification.call.id in completed_before


def test_changes_come_with_all_operations(observed: Scenario) -> None:
    recording = Recording()
    observed.subject(everything, observers=[recording])
    observed.engine.run(FUNCTION)
    changes: list[OperationsChanged] = recording.of("on_operations_changed")
    assert changes
    assert all(set(change.updated) <= set(change.operations) for change in changes)


def test_changed_operations_say_whether_they_were_replayed(observed: Scenario) -> None:
    async def retried(_: Any, ctx: DurableContext) -> None:
        def work(step: StepContext) -> str:
            if step.attempt == 1:
                raise RuntimeError("not yet")
            return "ok"

        await ctx.step(work, name="flaky")
        await ctx.step(lambda _: 1, name="after")

    recording = Recording()
    observed.subject(retried, observers=[recording])
    observed.engine.run(FUNCTION)
    changes: list[OperationsChanged] = recording.of("on_operations_changed")
    found = [(one.name, one.status, one.is_replayed) for change in changes for one in change.updated.values()]
    assert ("flaky", "PENDING", False) in found
    assert ("flaky", "SUCCEEDED", True) in found
    assert ("after", "SUCCEEDED", False) in found


def test_a_context_variable_set_at_an_attempt_is_seen_by_the_body(scenario: Scenario) -> None:
    span: ContextVar[str] = ContextVar("span", default="none")
    seen: list[str] = []

    class Spans(Observer):
        def on_invocation_started(self, notification: InvocationStarted) -> None:
            span.set("invocation")

        def on_attempt_started(self, notification: AttemptStarted) -> None:
            span.set(f"attempt {notification.attempt}")

        def on_attempt_ended(self, notification: AttemptEnded) -> None:
            span.set("invocation")

    def synchronous(_step: StepContext) -> None:
        seen.append(f"synchronous: {span.get()}")

    async def workflow(_event: Any, ctx: DurableContext) -> None:
        async def body(_step: StepContext) -> None:
            seen.append(f"body: {span.get()}")

        seen.append(f"handler: {span.get()}")
        await ctx.step(body)
        await ctx.step(synchronous)

    scenario.subject(workflow, observers=[Spans()])
    scenario.engine.run(FUNCTION)
    assert seen == ["handler: invocation", "body: attempt 1", "synchronous: attempt 1"]


def test_a_trace_header_goes_with_an_invoke(scenario: Scenario) -> None:
    class Tracing(Observer):
        def trace_header(self, call: OperationCall) -> str | None:
            return f"Root={call.name}"

    async def called(_event: Any, _ctx: DurableContext) -> None:
        """Only has to be called."""

    recording = Recording()
    scenario.engine.register("called", scenario.handler(called, observers=[recording]))

    async def workflow(_event: Any, ctx: DurableContext) -> Any:
        return await ctx.invoke("called:$LATEST", name="call")

    scenario.subject(workflow, observers=[Observer(), Tracing()])
    scenario.engine.run(FUNCTION)
    started: InvocationStarted = recording.of("on_invocation_started")[0]
    assert started.trace_header == "Root=call"


def test_every_hook_of_the_interface_is_called(observed: Scenario) -> None:
    recording = Recording()

    async def changed(_event: Any, ctx: DurableContext) -> None:
        await ctx.step(gives(1), "something else")

    arn = observed.start(everything)
    observed.engine.run_until_idle(skips="nothing")
    observed.subject(changed, observers=[recording])
    observed.ended(arn)
    observed.subject(everything, observers=[recording])
    observed.engine.run(FUNCTION)
    assert {name for name, _ in recording.notes} == set(HOOKS)


def test_notifications_are_values(observed: Scenario) -> None:
    recording = Recording()
    observed.subject(everything, observers=[recording])
    observed.engine.run(FUNCTION)
    started: OperationStarted = recording.of("on_operation_started")[0]
    completed: OperationCompleted = recording.of("on_operation_completed")[0]
    with pytest.raises(AttributeError):
        started.call = completed.call  # type: ignore[misc]

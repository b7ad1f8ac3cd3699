"""Observers: every one is told, and none can do harm."""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from durable_execution import DurableContext, Observer, StepConfig, StepSemantics, durable_execution
from durable_execution.call_site import CallSite
from durable_execution.clock import SystemClock
from durable_execution.notes import CallNotes, Noting, Replay, ReplayNotes
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
from durable_execution.protocol import OperationStatus, Wire
from durable_execution.runtime.announcer import MAX_REPLAYS, Announcer
from durable_execution.runtime.call import known_sites
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


def test_a_call_of_new_code_in_the_place_of_old_code_is_where_the_new_code_is() -> None:
    """The id of code that is gone is used again, for example when a test suite makes handlers."""
    code = cast("Any", steps).function.__code__
    gone = (Made.info.__code__, CallSite("gone.py", 1, "gone"))
    for at in range(0, len(code.co_code), 2):
        known_sites[id(code), at] = gone
    recording = Recording()
    for _ in range(2):  # the second time, the site is remembered
        invoke(steps, FakeService(), observers=[recording], clock=FixedClock())
    sites = [one.call.call_site for one in recording.notifications if isinstance(one, OperationStarted)]
    assert [site and site.function for site in sites] == ["steps"] * 4


def test_what_nobody_listens_to_is_not_made() -> None:
    """A notification that no observer takes would be made and handed to empty hooks with every operation."""

    class Half(Observer):
        def on_suspended(self, notification: Suspended) -> None: ...

    announcer = Announcer([Half(), Observer()], clock=SystemClock(), execution_arn="arn")
    assert announcer._heard["on_checkpoint_sent"] == ()
    assert [type(observer) for observer, _ in announcer._heard["on_suspended"]] == [Half]


class Notes(CallNotes):
    """Takes what the runtime has, and remembers it."""

    def __init__(self) -> None:
        self.taken: list[tuple[Any, ...]] = []

    def note_started(self, call: Any, at: Any, status: Any, is_replayed: Any) -> None:
        self.taken.append(("started", call, at, status, is_replayed))

    def note_replays(self, replays: Sequence[Replay], at: Any) -> None:
        self.taken += (("replayed", *replay, at) for replay in replays)

    def note_attempt_ended(
        self, call: Any, attempt: Any, started_at: Any, at: Any, outcome: Any, error: Any, delay: Any
    ) -> None:
        self.taken.append(("attempt", call, attempt, started_at, at, outcome, error, delay))

    def note_completed(
        self, call: Any, at: Any, status: Any, result: Any, error: Any, attempt: Any, is_replayed: Any
    ) -> None:
        self.taken.append(("completed", call, at, status, result, error, attempt, is_replayed))

    def note_checkpoint(self) -> None:
        self.taken.append(("checkpoint",))


class WithNotes(Recording, Noting):
    """An observer that takes notes in place of notifications."""

    def __init__(self, *, takes: bool = True) -> None:
        super().__init__()
        self.own = Notes() if takes else None

    def notes(self) -> CallNotes | None:
        return self.own


class WithReplayNotes(Recording, ReplayNotes):
    def __init__(self) -> None:
        super().__init__()
        self.replays: list[Any] = []

    def note_replayed(self, call: Any, recorded: Any, at: Any) -> None:
        self.replays.append((call, recorded, at))


class Made:
    """A call, as far as an announcer looks at it."""

    def __init__(self, *, updated: bool = False) -> None:
        self.id = "a"
        self.scope = SimpleNamespace(state=SimpleNamespace(updated_ids={"a"} if updated else set()))

    def info(self) -> str:
        return "described"


RUNNING: Wire = {"Id": "a", "Type": "STEP", "Status": "PENDING", "StartTimestamp": 1_767_225_600_000}
ENDED: Wire = {"Id": "a", "Type": "STEP", "Status": "SUCCEEDED", "StepDetails": {"Result": "1"}}


def announcer_of(*observers: Observer) -> Announcer:
    made = Announcer(observers, clock=FixedClock(), execution_arn="arn")
    made.begin(cast("Any", None))
    for one in observers:
        if isinstance(one, Recording):
            one.hooks.clear()
            one.notifications.clear()
    return made


def test_who_takes_notes_gets_no_notification_of_the_same() -> None:
    noting, plain = WithNotes(), Recording()
    announcer, call = announcer_of(noting, plain), cast("Any", Made())
    announcer.started(call)
    announcer.replayed(call, ENDED)
    announcer.attempt_ended(call, 1, START, "SUCCEEDED", is_replayed=False)
    announcer.settled(call, ENDED, is_replayed=True)
    announcer.checkpoint_sent([], 0, 0.0)
    assert noting.own is not None
    assert [what for what, *_ in noting.own.taken] == ["started", "replayed", "attempt", "completed", "checkpoint"]
    assert noting.hooks == []
    assert plain.hooks == [
        "on_operation_started", "on_operation_replayed", "on_attempt_ended", "on_operation_completed",
        "on_checkpoint_sent",
    ]  # fmt: skip
    announcer.attempt_started(call, 1, is_replayed=False)
    assert noting.hooks == ["on_attempt_started"], "what there are no notes of is announced as usual"


def test_the_clock_is_not_read_for_a_note_of_a_checkpoint() -> None:
    class Counting(FixedClock):
        reads = 0

        def now(self) -> datetime:
            self.reads += 1
            return super().now()

    clock, noting = Counting(), WithNotes()
    announcer = Announcer([noting], clock=clock, execution_arn="arn")
    announcer.begin(cast("Any", None))
    announcer.checkpoint_sent([], 0, 0.0)
    assert noting.own is not None
    assert noting.own.taken == [("checkpoint",)]
    assert clock.reads == 0


def test_notes_are_taken_until_the_end_of_the_invocation() -> None:
    noting = WithNotes()
    announcer = announcer_of(noting)
    announcer.end(cast("Any", None))
    announcer.started(cast("Any", Made()))
    assert noting.own is not None
    assert noting.own.taken == []


def test_an_observer_may_have_no_notes_for_an_invocation() -> None:
    noting, plain = WithNotes(takes=False), Recording()
    announcer = announcer_of(noting, plain)
    announcer.started(cast("Any", Made()))
    assert noting.hooks == []
    assert plain.hooks == ["on_operation_started"]


def test_notes_of_replays_replace_that_one_notification_of_that_one_observer() -> None:
    own, plain = WithReplayNotes(), Recording()
    announcer, call = announcer_of(own, plain), cast("Any", Made())
    announcer.started(call, RUNNING)
    announcer.replayed(call, ENDED)
    assert own.replays == [(call, ENDED, START)]
    assert own.hooks == ["on_operation_started"]
    assert plain.hooks == ["on_operation_started", "on_operation_replayed"]


def test_replayed_calls_are_taken_several_at_a_time_before_what_follows() -> None:
    noting, recorded = WithNotes(), {**ENDED}
    announcer, call = announcer_of(noting), cast("Any", Made())
    assert noting.own is not None
    for _ in range(MAX_REPLAYS - 1):
        announcer.replayed(call, recorded)
    assert noting.own.taken == []
    announcer.replayed(call, recorded)
    assert noting.own.taken == [("replayed", call, recorded, START)] * MAX_REPLAYS, "many do not wait for more"
    noting.own.taken.clear()
    announcer.replayed(call, recorded)
    announcer.started(call)
    announcer.replayed(call, recorded)
    announcer.attempt_started(call, 1, is_replayed=False)
    assert [what for what, *_ in noting.own.taken] == ["replayed", "started", "replayed"]
    announcer.replayed(call, recorded)
    announcer.end(cast("Any", None))
    assert [what for what, *_ in noting.own.taken] == ["replayed", "started", "replayed", "replayed"]


def test_a_replayed_call_is_noted_before_whatever_follows() -> None:
    noting, call = WithNotes(), cast("Any", Made())
    announcer = announcer_of(noting)
    announcer.replayed(call, ENDED)
    announcer.settled(call, ENDED, is_replayed=False)
    announcer.replayed(call, ENDED)
    announcer.completed(call, OperationStatus.SUCCEEDED, started_at=START, is_replayed=False)
    announcer.replayed(call, ENDED)
    announcer.attempt_ended(call, 1, START, "SUCCEEDED", is_replayed=False)
    announcer.replayed(call, ENDED)
    announcer.checkpoint_sent([], 0, 0.0)
    assert noting.own is not None
    followed = ["completed", "completed", "attempt", "checkpoint"]
    assert [what for what, *_ in noting.own.taken] == [each for one in followed for each in ("replayed", one)]


def test_a_recorded_start_is_replayed_at_its_own_time() -> None:
    noting, plain = WithNotes(), Recording()
    announcer, call = announcer_of(noting, plain), cast("Any", Made())
    began = datetime(2026, 1, 1, tzinfo=UTC)
    assert announcer.started(call) == START
    assert announcer.started(call, RUNNING) == began
    assert noting.own is not None
    assert noting.own.taken == [("started", call, START, "STARTED", False), ("started", call, began, "PENDING", True)]
    new, old = plain.notifications
    assert (new.at, new.is_replayed, new.status, new.recorded) == (START, False, "STARTED", None)
    assert (old.at, old.is_replayed, old.status) == (began, True, "PENDING")


def test_a_call_that_ended_between_two_invocations_is_completed_in_the_second() -> None:
    plain = Recording()
    announcer = announcer_of(plain)
    announcer.replayed(cast("Any", Made(updated=True)), {**ENDED, "EndTimestamp": 1_767_225_600_000})
    announcer.replayed(cast("Any", Made()), ENDED)
    assert plain.hooks == ["on_operation_completed", "on_operation_replayed"]
    assert plain.notifications[0].is_replayed
    assert plain.notifications[0].at == datetime(2026, 1, 1, tzinfo=UTC), "when it ended, not when that is noticed"


def test_notes_that_raise_are_logged_once_and_the_next_are_taken(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Notes):
        def note_started(self, call: Any, at: Any, status: Any, is_replayed: Any) -> None:
            raise RuntimeError("no")

    broken, following = WithNotes(), WithNotes()
    broken.own = Broken()
    announcer = announcer_of(broken, following)
    for _ in range(2):
        announcer.started(cast("Any", Made()))
    assert following.own is not None
    assert len(following.own.taken) == 2
    assert len([one for one in caplog.records if one.levelno == logging.ERROR]) == 1


def test_an_end_without_a_start_is_not_announced() -> None:
    plain = Recording()
    announcer, call = announcer_of(plain), cast("Any", Made())
    announcer.attempt_ended(call, 1, None, "SUCCEEDED", is_replayed=False)
    announcer.left(call, None, "SUCCEEDED", is_replaying_children=False)
    assert plain.hooks == []
    announcer.left(call, START, "SUCCEEDED", is_replaying_children=False)
    assert plain.hooks == ["on_context_left"]


def test_a_changed_operation_knows_whether_it_was_recorded_before() -> None:
    plain = Recording()
    announcer = announcer_of(plain)
    announcer.note_recorded(["a"])
    announcer.operations_changed([], {})
    assert plain.hooks == [], "an answer without news is none"
    announcer.operations_changed([ENDED, {**ENDED, "Id": "b"}], {})
    (changed,) = plain.notifications
    assert {id_: one.is_replayed for id_, one in changed.updated.items()} == {"a": True, "b": False}


class OnlyStarts(Observer):
    def __init__(self) -> None:
        self.starts: list[Any] = []

    def on_operation_started(self, notification: Any) -> None:
        self.starts.append(notification)


def test_an_observer_whose_hook_cannot_be_read_is_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    class Unreadable(Observer):
        def __getattribute__(self, name: str) -> Any:
            if name == "on_operation_started":
                raise RuntimeError("no")
            return super().__getattribute__(name)

    after = OnlyStarts()
    announcer_of(Observer(), Unreadable(), after).started(cast("Any", Made()))
    assert len(after.starts) == 1
    assert "observer Unreadable raised an exception in on_operation_started" in caplog.text


def test_calls_are_described_only_for_those_who_listen() -> None:
    class Dear(Made):
        def info(self) -> str:
            raise AssertionError("described for nobody")

    announcer, call = announcer_of(OnlyStarts()), cast("Any", Dear())
    announcer.replayed(call, ENDED)
    announcer.settled(call, ENDED, is_replayed=False)
    announcer.attempt_started(call, 1, is_replayed=False)
    announcer.attempt_ended(call, 1, START, "SUCCEEDED", is_replayed=False)
    announcer.entered(call, is_replaying_children=False)
    announcer.left(call, START, "SUCCEEDED", is_replaying_children=False)
    announcer.suspended([call])
    announcer.checkpoint_sent([], 0, 0.0)
    announcer.operations_changed([ENDED], {})


def test_replayed_calls_share_one_reading_of_the_clock() -> None:
    class Ticking(FixedClock):
        readings = 0

        def now(self) -> datetime:
            self.readings += 1
            return super().now() + timedelta(seconds=self.readings)

    noting, clock, call = WithNotes(), Ticking(), cast("Any", Made())
    announcer = Announcer([noting], clock=clock, execution_arn="arn")
    announcer.begin(cast("Any", None))
    for _ in range(3):
        announcer.replayed(call, ENDED)
    assert clock.readings == 0
    announcer.started(call)
    assert noting.own is not None
    assert clock.readings == 2
    assert [at for *_, at in noting.own.taken[:3]] == [START + timedelta(seconds=1)] * 3, (
        "not after the call that follows"
    )
    assert noting.own.taken[3][2] == START + timedelta(seconds=2)

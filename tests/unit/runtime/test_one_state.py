"""The state of one invocation, asked directly: who is alone, what is left, when it is suspended, what it merges."""

import asyncio
import logging
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from durable_execution.errors import ExecutionError, ServiceError
from durable_execution.protocol import Wire, operation_id
from durable_execution.protocol.ids import branch_id, task_prefix
from durable_execution.runtime.call import Call
from durable_execution.runtime.scope import ContextScope
from durable_execution.runtime.state import (
    DUE_MARGIN_SECONDS,
    FOREIGN_WAIT_SECONDS,
    Ending,
    ExecutionState,
    NondeterminismPolicy,
    Outcome,
)
from tests.unit.fake_clock import START, FixedClock
from tests.unit.fake_service import ARN, FakeService, execution_operation, step_operation

EXECUTION = execution_operation()


class FakeBatcher:
    """What a state asks of its batcher."""

    def __init__(self, **members: Any) -> None:
        self.is_sending = self.is_immediate = self.has_unsent = False
        self.can_call_now = True
        self.flushed = 0
        self.flushes_later = False
        self.__dict__.update(members)

    def flush(self) -> None:
        self.flushed += 1

    def flush_later(self) -> bool:
        return self.flushes_later

    def close(self) -> None:
        """End."""


def state_with(*operations: Wire, announcer: Any = None, client: Any = None, **options: Any) -> ExecutionState:
    """A state on the running loop, with a batcher that does nothing."""
    made = ExecutionState(
        execution_arn=ARN,
        token="token-0",
        operations={wire["Id"]: wire for wire in (EXECUTION, *operations)},
        client=client or FakeService(),
        clock=FixedClock(),
        announcer=announcer,
        policy=NondeterminismPolicy.FAIL,
        workers=cast("Any", None),
        **options,
    )
    made.batcher = cast("Any", FakeBatcher())
    return made


def in_loop(scenario: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(cast("Coroutine[Any, Any, None]", scenario()))


def call_of(state: ExecutionState, number: int = 1) -> Call:
    scope = ContextScope(state, prefix=None, parent_id=None, path="flow")
    return Call(scope, operation_id(None, number), number, "WAIT", "Wait", None, None)


def pending_step(number: int, **details: Any) -> Wire:
    return {"Id": operation_id(None, number), "Type": "STEP", "Status": "PENDING", "StepDetails": details}


def wait_until(number: int, at: datetime | None) -> Wire:
    details = {"ScheduledEndTimestamp": at} if at is not None else {}
    return {"Id": operation_id(None, number), "Type": "WAIT", "Status": "STARTED", "WaitDetails": details}


@pytest.mark.parametrize(
    ("tasks", "threads", "members", "expected"),
    [
        (1, 0, {}, True),
        (2, 0, {}, False),
        (2, 1, {}, True),
        (3, 1, {}, False),
        (1, 2, {}, False),
        (1, 0, {"is_sending": True}, False),
        (1, 0, {"busy": 1}, False),
    ],
)
def test_code_is_alone_if_it_is_all_that_runs(tasks: int, threads: int, members: Any, expected: bool) -> None:
    """A blocking thread that waits for an operation has one task for it."""

    async def scenario() -> None:
        state = state_with()
        state.busy = members.get("busy", 0)
        state.batcher.is_sending = members.get("is_sending", False)
        state.tasks = cast("Any", range(tasks))
        state.threads = cast("Any", range(threads))
        assert state.is_alone is expected

    in_loop(scenario)


@pytest.mark.parametrize(
    ("tasks", "threads", "others", "members", "expected"),
    [
        (1, 0, 0, {}, True),
        (2, 0, 0, {}, False),
        (2, 1, 0, {}, True),
        (3, 1, 0, {}, False),
        (3, 2, 0, {}, False),
        (1, 0, 0, {"is_sending": True}, False),
        (1, 0, 0, {"can_call_now": False}, False),
        (1, 0, 0, {"busy": 1}, False),
        (1, 0, 1, {}, True),
        (1, 0, 2, {}, True),
        (1, 0, 3, {}, False),
        (1, 0, 9, {"is_immediate": True}, True),
        (2, 1, 0, {"is_immediate": True}, False),
        (2, 0, 0, {"is_immediate": True}, False),
    ],
)
def test_a_checkpoint_is_stored_at_once_only_if_nothing_could_share_the_call_or_wait_for_the_loop(
    tasks: int, threads: int, others: int, members: dict[str, Any], expected: bool
) -> None:
    async def scenario() -> None:
        state = state_with()
        state.busy = members.pop("busy", 0)
        state.batcher = cast("Any", FakeBatcher(**members))
        state.tasks = cast("Any", range(tasks))
        state.threads = cast("Any", range(threads))
        background = [asyncio.ensure_future(asyncio.Event().wait()) for _ in range(others)]
        assert state.can_store_at_once is expected
        for one in background:
            one.cancel()

    in_loop(scenario)


def test_an_execution_starts_when_its_operation_says() -> None:
    async def scenario() -> None:
        started = EXECUTION | {"StartTimestamp": 1_764_583_200_000}
        assert state_with(started).started_at == START
        state = state_with()
        assert state.started_at is None
        state.operations = {"1": step_operation("1", 1, StartTimestamp=1_764_583_200_000)}
        assert state.started_at is None, "the first operation is not the execution"
        state.operations = {}
        assert state.started_at is None

    in_loop(scenario)


def test_only_the_first_decision_counts_and_code_that_fails_goes_no_further() -> None:
    async def scenario() -> None:
        state, error = state_with(), ValueError()
        failing = asyncio.ensure_future(state.fail(error))
        for _ in range(3):
            await asyncio.sleep(0)
        assert not failing.done()
        assert state.is_decided
        state.decide(Outcome(Ending.RETURNED))
        assert state.outcome.result() == Outcome(Ending.FAILED, error=error)
        failing.cancel()
        await asyncio.gather(failing, return_exceptions=True)

    in_loop(scenario)


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ("here", None),
        ("fork", "in a fork of the process"),
        ("over", "of an invocation that has ended"),
        ("thread", "from thread"),
    ],
)
def test_a_context_can_be_used_where_its_invocation_runs_and_while_it_runs(where: str, says: str | None) -> None:
    async def scenario() -> None:
        state = state_with()
        if where == "fork":
            state.mark_forked()
            assert (state.is_forked, state.is_over) == (True, True)
        state.is_over = state.is_over or where == "over"
        errors: list[Exception] = []

        def check() -> None:
            try:
                state.check_usable("step 'a'")
            except ExecutionError as error:
                errors.append(error)

        if where == "thread":
            thread = threading.Thread(target=check)
            thread.start()
            thread.join()
        else:
            check()
        assert [says in str(error) for error in errors if says] == ([True] if says else [])
        assert bool(errors) is (says is not None)

    in_loop(scenario)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a fork")
def test_the_fork_of_a_process_cannot_use_the_contexts_of_its_parent() -> None:
    def forked(state: ExecutionState) -> int:
        pid = os.fork()
        if not pid:
            os._exit(0 if state.is_forked else 1)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    async def scenario() -> None:
        state = state_with()
        assert forked(state) == 0
        assert not state.is_forked

    in_loop(scenario)


def calls(prefix: str | None, *numbers: int, parent: str | None = None) -> list[Wire]:
    members = {"ParentId": parent} if parent is not None else {}
    return [step_operation(operation_id(prefix, number), 1, **members) for number in numbers]


@pytest.mark.parametrize(
    ("recorded", "may_have"),
    [
        ([], False),
        (calls(None, 1, 2, 3), False),
        (calls(None, 63, 126), False),
        (calls(None, 64), True),
        (calls(None, 63, 127), True),
        (calls(None, 1, 66), True),
        (calls(None, 1) + calls(task_prefix(None, 1), 1), True),
        (calls(task_prefix(None, 1), 1), True),
        (calls(None, 1) + calls("elsewhere", 1, parent="elsewhere"), False),
        (calls(None, 0, 1), False),
    ],
)
def test_calls_that_a_contexts_own_code_did_not_make_are_noticed(recorded: list[Wire], may_have: bool) -> None:
    """A look ends after 64 numbers in a row without a record."""

    async def scenario() -> None:
        state = state_with(*recorded)
        assert state.recorded_children(None) == len([one for one in recorded if "ParentId" not in one])
        for _ in range(2):
            assert state.may_have_inner_scopes(None) is may_have

    in_loop(scenario)


def test_the_tasks_of_a_context_are_found_by_their_calls() -> None:
    async def scenario() -> None:
        task = task_prefix(None, 2)
        state = state_with(*calls(None, 1), *calls(task, 1, 2))
        for _ in range(2):
            found = state.inner_scopes(None)
            assert list(found) == [task]
            assert found[task].calls == [operation_id(task, number) for number in (1, 2)]
        assert state_with(*calls(None, 1)).inner_scopes(None) == {}

    in_loop(scenario)


@pytest.mark.parametrize(("subtype", "is_branch"), [("Map", True), ("Parallel", True), ("RunInChildContext", False)])
def test_a_batch_has_branches_from_0(subtype: str, is_branch: bool) -> None:
    async def scenario() -> None:
        batch, first = operation_id(None, 1), branch_id(operation_id(None, 1), 0)
        around = {"Id": batch, "Type": "CONTEXT", "SubType": subtype, "Status": "STARTED"}
        state = state_with(around, *calls(first, 1, parent=batch))
        assert (first in state.inner_scopes(batch)) is is_branch

    in_loop(scenario)


async def waiting(state: ExecutionState, *numbers: int) -> list[asyncio.Task[Wire]]:
    tasks = [asyncio.ensure_future(state.until_changed(call_of(state, number))) for number in numbers]
    await asyncio.sleep(0)
    return tasks


async def ended(tasks: list[asyncio.Task[Wire]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def test_code_waits_for_what_is_due_first() -> None:
    async def scenario() -> None:
        retry = pending_step(3, NextAttemptTimestamp=START + timedelta(seconds=4))
        state = state_with(wait_until(1, START + timedelta(seconds=9)), wait_until(2, None), retry)
        assert state.next_due is None
        tasks = await waiting(state, 1, 2, 3, 4)
        assert state.next_due == START + timedelta(seconds=4)
        await ended([tasks.pop(2)])
        assert state.next_due == START + timedelta(seconds=9)
        await ended(tasks)
        assert state.next_due is None

    in_loop(scenario)


def test_a_call_that_several_wait_for_is_waited_for_until_the_last_has_gone() -> None:
    async def scenario() -> None:
        state = state_with(wait_until(1, START))
        first, second = await waiting(state, 1, 1)
        await ended([first])
        assert state.next_due == START
        await ended([second])
        assert state.next_due is None

    in_loop(scenario)


class Timers:
    """Collects the timers of a loop."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.set: list[tuple[float, Callable[[], None]]] = []
        self.cancelled = 0
        monkeypatch.setattr(asyncio.get_running_loop(), "call_later", self._call_later)

    def _call_later(self, seconds: float, function: Callable[[], None]) -> Any:
        self.set.append((seconds, function))
        return SimpleNamespace(cancel=self._cancel)

    def _cancel(self) -> None:
        self.cancelled += 1


@pytest.mark.parametrize(("due", "seconds"), [(5, 5), (0, 0), (-0.5, 0), (-60, 0)])
def test_while_a_body_runs_the_service_is_asked_once_a_little_after_a_timer_is_due(
    due: float, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        timers = Timers(monkeypatch)
        state = state_with(wait_until(1, START + timedelta(seconds=due)))
        state.busy = 1
        assert not state.on_idle(None), "nobody waits for it"
        tasks = await waiting(state, 1)
        assert state.on_idle(None)
        assert not state.on_idle(None), "it is set already"
        ((at, ask),) = timers.set
        assert at == pytest.approx(seconds + DUE_MARGIN_SECONDS)
        ask()
        assert cast("FakeBatcher", state.batcher).flushed == 1
        assert state.on_idle(None), "asked again, in case it was too early"
        state.close()
        assert timers.cancelled == 1
        await ended(tasks)

    in_loop(scenario)


@pytest.mark.parametrize(("busy", "is_decided", "asks"), [(1, False, 1), (0, False, 0), (1, True, 0)])
def test_the_service_is_asked_about_a_timer_only_while_a_body_runs_and_nothing_is_decided(
    busy: int, is_decided: bool, asks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        timers = Timers(monkeypatch)
        state = state_with(wait_until(1, START))
        state.busy = 1
        tasks = await waiting(state, 1)
        state.on_idle(None)
        state.busy = busy
        if is_decided:
            state.decide(Outcome(Ending.SUSPENDED))
        timers.set[0][1]()
        assert cast("FakeBatcher", state.batcher).flushed == asks
        await ended(tasks)

    in_loop(scenario)


@pytest.mark.parametrize("is_later", [True, False])
def test_while_a_body_runs_what_is_left_is_sent_later(is_later: bool) -> None:
    async def scenario() -> None:
        state = state_with()
        state.busy = 1
        state.batcher = cast("Any", FakeBatcher(flushes_later=is_later))
        assert state.on_idle(None) is is_later

    in_loop(scenario)


@pytest.mark.parametrize("is_released", [True, False])
def test_bodies_that_a_test_orders_are_released_when_nothing_else_goes_on(is_released: bool) -> None:
    async def scenario() -> None:
        service = FakeService()
        order = SimpleNamespace(release=lambda state: is_released)
        service.body_order = order  # type: ignore[attr-defined]
        state = state_with(client=service)
        state.busy = 1
        assert state.on_idle(None) is is_released

    in_loop(scenario)


@pytest.mark.parametrize("has_news", [True, False, None])
@pytest.mark.parametrize("has_unsent", [True, False])
def test_an_invocation_whose_code_only_waits_is_suspended_once_everything_is_stored(
    has_unsent: bool, has_news: bool | None
) -> None:
    async def scenario() -> None:
        service = FakeService()
        if has_news is not None:
            service.before_suspension = lambda: has_news  # type: ignore[attr-defined]
        state = state_with(wait_until(1, None), client=service)
        batcher = FakeBatcher(has_unsent=has_unsent)
        state.batcher = cast("Any", batcher)
        tasks = await waiting(state, 1)
        assert state.on_idle(None)
        is_asked = has_unsent or bool(has_news)
        assert batcher.flushed == is_asked
        assert state.is_decided is not is_asked
        if state.is_decided:
            assert state.outcome.result().ending is Ending.SUSPENDED
        await ended(tasks)

    in_loop(scenario)


@pytest.mark.parametrize(("is_decided", "is_sending"), [(True, False), (False, True)])
def test_nothing_happens_in_an_idle_loop_while_a_call_is_in_flight_or_after_the_end(
    is_decided: bool, is_sending: bool
) -> None:
    async def scenario() -> None:
        state = state_with(wait_until(1, None))
        batcher = FakeBatcher(is_sending=is_sending, has_unsent=True)
        state.batcher = cast("Any", batcher)
        tasks = await waiting(state, 1)
        if is_decided:
            state.decide(Outcome(Ending.RETURNED))
        assert not state.on_idle(None)
        assert batcher.flushed == 0
        assert state.is_decided is is_decided
        await ended(tasks)

    in_loop(scenario)


def test_a_long_wait_for_something_that_is_not_durable_is_warned_of_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        timers = Timers(monkeypatch)
        state = state_with()
        assert not state.on_idle(3.0), "the loop has a timer of its own"
        assert state.on_idle(None)
        assert not state.on_idle(None)
        ((seconds, warn),) = timers.set
        assert seconds == FOREIGN_WAIT_SECONDS == 10
        warn()
        state.close()
        assert timers.cancelled == 1

    in_loop(scenario)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "has waited 10 seconds for something that is not a durable operation" in record.getMessage()


@pytest.mark.parametrize("meanwhile", ["decided", "busy", "waits", "sends"])
def test_no_wait_is_warned_of_if_it_has_ended(
    meanwhile: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        timers = Timers(monkeypatch)
        state = state_with(wait_until(1, None))
        state.on_idle(None)
        if meanwhile == "decided":
            state.decide(Outcome(Ending.RETURNED))
        state.busy = int(meanwhile == "busy")
        state.batcher.is_sending = meanwhile == "sends"
        tasks = await waiting(state, 1) if meanwhile == "waits" else []
        timers.set[0][1]()
        await ended(tasks)

    in_loop(scenario)
    assert not caplog.records


FIRST = operation_id(None, 1)


@pytest.mark.parametrize(
    ("status", "updated", "was_over"),
    [
        ("SUCCEEDED", False, True),
        ("FAILED", False, True),
        ("STARTED", False, False),
        ("PENDING", False, False),
        ("SUCCEEDED", True, False),
    ],
)
def test_an_operation_was_over_if_an_earlier_invocation_saw_its_end(status: str, updated: bool, was_over: bool) -> None:
    async def scenario() -> None:
        wire = step_operation(FIRST, 1, Status=status)
        state = state_with(wire, updated_ids=[FIRST] if updated else [])
        assert state.was_over(FIRST) is was_over
        assert not state.was_over("unknown")

    in_loop(scenario)


def merging(state: ExecutionState, *wires: Wire) -> None:
    """Give a state what the service answers."""
    state._merge(list(wires))


def test_what_ended_in_this_invocation_was_not_over() -> None:
    async def scenario() -> None:
        state = state_with(wait_until(1, None))
        merging(state, wait_until(1, None) | {"Status": "SUCCEEDED"})
        assert state.operations[FIRST]["Status"] == "SUCCEEDED"
        assert not state.was_over(FIRST)

    in_loop(scenario)


@pytest.mark.parametrize("status", ["SUCCEEDED", "FAILED", "TIMED_OUT", "READY"])
def test_each_who_waits_goes_on_when_an_operation_can_continue(status: str) -> None:
    async def scenario() -> None:
        state = state_with(wait_until(1, None), wait_until(2, None))
        first, again, other = await waiting(state, 1, 1, 2)
        merging(state, wait_until(1, None) | {"Status": "STARTED"})
        await asyncio.sleep(0)
        assert not first.done()
        changed = wait_until(1, None) | {"Status": status}
        merging(state, changed)
        merging(state, changed)
        assert await first == await again == changed
        assert not other.done()
        await ended([other])

    in_loop(scenario)


def test_an_old_answer_changes_nothing_and_those_after_it_count() -> None:
    async def scenario() -> None:
        state = state_with(step_operation(FIRST, 1))
        merging(state, pending_step(1), wait_until(2, None))
        assert state.operations[FIRST]["Status"] == "SUCCEEDED"
        assert operation_id(None, 2) in state.operations

    in_loop(scenario)


class Watching:
    """An announcer that hears of what changes."""

    def __init__(self) -> None:
        self.changed: list[list[str]] = []

    def note_recorded(self, operations: dict[str, Wire]) -> None:
        """Hear what is recorded."""

    def operations_changed(self, wires: list[Wire], views: Any) -> None:
        self.changed.append([wire["Id"] for wire in wires if wire["Id"] in views])


@pytest.mark.parametrize(
    ("kind", "status", "is_observed", "is_kept"),
    [
        ("STEP", "SUCCEEDED", False, False),
        ("CONTEXT", "SUCCEEDED", False, False),
        ("STEP", "FAILED", False, True),
        ("STEP", "STARTED", False, True),
        ("WAIT", "SUCCEEDED", False, True),
        ("CALLBACK", "SUCCEEDED", False, True),
        ("STEP", "SUCCEEDED", True, True),
    ],
)
def test_only_results_that_nobody_reads_again_are_not_kept(
    kind: str, status: str, is_observed: bool, is_kept: bool
) -> None:
    async def scenario() -> None:
        watching = Watching()
        state = state_with(announcer=watching if is_observed else None)
        later = wait_until(2, None)
        merging(state, {"Id": FIRST, "Type": kind, "Status": status}, later)
        assert (FIRST in state.operations) is is_kept
        assert later["Id"] in state.operations
        assert watching.changed == ([[FIRST, later["Id"]]] if is_observed else [])

    in_loop(scenario)


def test_a_step_that_someone_waits_for_is_kept() -> None:
    async def scenario() -> None:
        state = state_with(pending_step(1))
        (task,) = await waiting(state, 1)
        merging(state, step_operation(FIRST, 5))
        assert (await task)["Status"] == "SUCCEEDED"

    in_loop(scenario)


@pytest.mark.parametrize("of_client", ["arn:origin", None])
def test_random_numbers_are_seeded_with_the_execution_or_with_what_a_fork_comes_from(of_client: str | None) -> None:
    async def scenario() -> None:
        service = FakeService()
        service.seed_arn = of_client  # type: ignore[attr-defined]
        assert state_with(client=service).seed_arn == (of_client or ARN)
        assert state_with().seed_arn == ARN

    in_loop(scenario)


def test_a_checkpoint_that_fails_ends_the_invocation_and_one_that_is_revoked_suspends_it() -> None:
    async def scenario() -> None:
        state = state_with()
        state._on_checkpoint_failure(OSError("unplugged"))
        outcome = state.outcome.result()
        assert outcome.ending is Ending.FAILED
        assert isinstance(outcome.error, ServiceError)
        state = state_with()
        state._on_revoked()
        assert state.outcome.result() == Outcome(Ending.SUSPENDED)

    in_loop(scenario)

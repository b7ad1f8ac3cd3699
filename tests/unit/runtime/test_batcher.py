"""The checkpoint batcher: one call in flight, everything else in the next one, up to the limits."""

import asyncio
import itertools
import json
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from durable_execution.errors import ServiceError
from durable_execution.observers import CheckpointSent, Observer
from durable_execution.protocol import Wire
from durable_execution.protocol.enums import MAX_BATCH_BYTES, MAX_BATCH_UPDATES
from durable_execution.runtime import batcher as batcher_module
from durable_execution.runtime.announcer import Announcer
from durable_execution.runtime.batcher import CheckpointBatcher, as_service_error
from durable_execution.runtime.service import CheckpointAnswer, StatePage
from tests.unit.fake_clock import FixedClock
from tests.unit.fake_service import ARN, FakeService


class Harness:
    """A batcher, the service behind it, and what it has reported."""

    def __init__(self, service: FakeService, observers: tuple[Observer, ...] = ()) -> None:
        self.service = service
        self.merged: list[list[Wire]] = []
        self.failures: list[Exception] = []
        self.revocations = 0
        announcer = Announcer(observers, clock=FixedClock(), execution_arn=ARN) if observers else None
        self.batcher = CheckpointBatcher(
            client=service,
            execution_arn=ARN,
            token="token-0",
            merge=self.merged.append,
            on_failure=self.failures.append,
            on_revoked=self._revoked,
            announcer=announcer,
        )
        self.sender = asyncio.get_running_loop().create_task(self.batcher.run())

    def _revoked(self) -> None:
        self.revocations += 1

    async def stop(self) -> None:
        self.batcher.close()
        self.sender.cancel()
        await asyncio.gather(self.sender, return_exceptions=True)


def batched(
    scenario: Callable[[Harness], Coroutine[Any, Any, None]], *, observers: tuple[Observer, ...] = ()
) -> Harness:
    """Run a scenario with a batcher."""

    async def main() -> Harness:
        harness = Harness(FakeService(), observers)
        try:
            await scenario(harness)
        finally:
            await harness.stop()
        return harness

    return asyncio.run(main())


def update(name: str, action: str = "SUCCEED", payload: str | None = None) -> Wire:
    wire: Wire = {"Id": name, "Type": "STEP", "SubType": "Step", "Name": name, "Action": action}
    return wire if payload is None else {**wire, "Payload": payload}


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_an_update_that_somebody_waits_for_is_sent_at_once() -> None:
    async def scenario(harness: Harness) -> None:
        await harness.batcher.store(update("a"))

    harness = batched(scenario)
    assert harness.service.actions == [["SUCCEED a"]]
    assert [wire["Id"] for wire in harness.merged[0]] == ["a"]


def test_an_update_that_nobody_waits_for_travels_with_the_next() -> None:
    async def scenario(harness: Harness) -> None:
        harness.batcher.add(update("a", "START"))
        await turns()
        assert harness.service.calls == []
        assert harness.batcher.has_unsent
        await harness.batcher.store(update("a"))

    assert batched(scenario).service.actions == [["START a", "SUCCEED a"]]


def test_what_is_queued_while_a_call_is_in_flight_shares_the_next_call() -> None:
    async def scenario(harness: Harness) -> None:
        harness.service.gate = asyncio.Event()
        first = harness.batcher.store(update("a"))
        await turns()
        assert harness.batcher.is_sending
        rest = [harness.batcher.store(update(name)) for name in "bcd"]
        await turns()
        assert len(harness.service.calls) == 1
        harness.service.gate.set()
        await asyncio.gather(first, *rest)
        assert not harness.batcher.is_sending

    assert batched(scenario).service.actions == [["SUCCEED a"], ["SUCCEED b", "SUCCEED c", "SUCCEED d"]]


def test_updates_keep_their_order() -> None:
    names = [f"u{number}" for number in range(600)]

    async def scenario(harness: Harness) -> None:
        for name in names[:-1]:
            harness.batcher.add(update(name))
        await harness.batcher.store(update(names[-1]))

    harness = batched(scenario)
    assert [wire["Id"] for call in harness.service.calls for wire in call] == names
    assert [len(call) for call in harness.service.calls] == [MAX_BATCH_UPDATES, MAX_BATCH_UPDATES, 100]


def test_each_call_uses_the_token_of_the_last_answer() -> None:
    async def scenario(harness: Harness) -> None:
        for name in "abc":
            await harness.batcher.store(update(name))

    assert batched(scenario).service.tokens == ["token-0", "token-1", "token-2"]


@pytest.mark.parametrize(
    "payload",
    ["x" * 300_000, "ä" * 60_000, '"' * 150_000, "\\" * 150_000],
    ids=["plain", "umlauts", "quotes", "backslashes"],
)
def test_a_call_stays_below_its_size_limit(payload: str) -> None:
    async def scenario(harness: Harness) -> None:
        for name in "abc":
            harness.batcher.add(update(name, payload=payload))
        await harness.batcher.store(update("d"))

    calls = batched(scenario).service.calls
    assert len(calls) == 2
    assert all(len(json.dumps(call)) <= MAX_BATCH_BYTES for call in calls)


def test_an_update_that_is_too_large_for_any_call_is_sent_alone() -> None:
    async def scenario(harness: Harness) -> None:
        harness.batcher.add(update("a", "START"))
        harness.batcher.add(update("b", payload="x" * 2_000_000))
        await harness.batcher.store(update("c"))

    assert batched(scenario).service.actions == [["START a"], ["SUCCEED b"], ["SUCCEED c"]]


def test_waiters_go_on_when_their_own_update_is_stored() -> None:
    async def scenario(harness: Harness) -> None:
        gate = harness.service.gate = asyncio.Event()
        gate.set()
        harness.service.on_checkpoint = lambda number: gate.clear()
        early = harness.batcher.store(update("a", payload="x" * 700_000))
        late = harness.batcher.store(update("b", payload="x" * 700_000))
        await early
        assert not late.done()
        gate.set()
        await late

    assert len(batched(scenario).service.calls) == 2


def test_the_state_is_merged_before_waiters_go_on() -> None:
    async def scenario(harness: Harness) -> None:
        await harness.batcher.store(update("a"))
        assert len(harness.merged) == 1

    batched(scenario)


def test_pages_of_an_answer_are_read_with_the_new_token() -> None:
    async def scenario(harness: Harness) -> None:
        service = harness.service
        service.on_checkpoint = lambda number: CheckpointAnswer("fresh", [{"Id": "a"}], "page-2")
        service.pages = {
            "page-2": StatePage([{"Id": "b"}], "page-3"),
            "page-3": StatePage([{"Id": "c"}, {"Id": "d"}], None),
        }
        await harness.batcher.store(update("a"))

    harness = batched(scenario)
    assert harness.service.reads == [("fresh", "page-2"), ("fresh", "page-3")]
    assert [wire["Id"] for wire in harness.merged[0]] == ["a", "b", "c", "d"]


def test_flushing_an_empty_queue_asks_what_is_new() -> None:
    async def scenario(harness: Harness) -> None:
        await turns()
        harness.batcher.flush()
        await turns()

    assert batched(scenario).service.calls == [[]]


def test_a_failed_call_is_reported_and_nothing_is_sent_after_it() -> None:
    throttled = ServiceError("TooManyRequestsException", "slow down", status=429)

    async def scenario(harness: Harness) -> None:
        def refuse(number: int) -> None:
            raise throttled

        harness.service.on_checkpoint = refuse
        first = harness.batcher.store(update("a"))
        second = harness.batcher.store(update("b"))
        await turns()
        assert harness.failures == [throttled]
        assert not harness.batcher.is_sending
        _ = harness.batcher.store(update("c"))
        await turns()
        assert not first.done()
        assert not second.done()
        assert harness.sender.done()

    assert len(batched(scenario).service.calls) == 1


def test_a_failed_page_fails_the_call() -> None:
    async def scenario(harness: Harness) -> None:
        harness.service.on_checkpoint = lambda number: CheckpointAnswer("fresh", [], "no such page")
        _ = harness.batcher.store(update("a"))
        await turns()

    harness = batched(scenario)
    assert [type(failure) for failure in harness.failures] == [KeyError]
    assert harness.merged == []


def test_an_answer_without_a_token_stops_the_invocation() -> None:
    async def scenario(harness: Harness) -> None:
        harness.service.on_checkpoint = lambda number: CheckpointAnswer(None, [{"Id": "a"}])
        stored = harness.batcher.store(update("a"))
        await turns()
        assert stored.done()
        assert harness.batcher.is_revoked
        _ = harness.batcher.store(update("b"))
        await turns()

    harness = batched(scenario)
    assert harness.revocations == 1
    assert len(harness.service.calls) == 1


def test_an_answer_without_a_token_is_read_without_its_further_pages() -> None:
    async def scenario(harness: Harness) -> None:
        harness.service.on_checkpoint = lambda number: CheckpointAnswer(None, [{"Id": "a"}], "page-2")
        await harness.batcher.store(update("a"))

    assert batched(scenario).service.reads == []


def test_after_the_executions_own_end_no_token_is_expected() -> None:
    async def scenario(harness: Harness) -> None:
        harness.service.on_checkpoint = lambda number: CheckpointAnswer(None, [])
        await harness.batcher.store({"Id": "e", "Type": "EXECUTION", "Action": "SUCCEED", "Payload": "1"})

    assert batched(scenario).revocations == 0


def test_settled_waits_for_the_call_that_is_in_flight() -> None:
    async def scenario(harness: Harness) -> None:
        await harness.batcher.settled()
        harness.service.gate = asyncio.Event()
        _ = harness.batcher.store(update("a"))
        await turns()
        waiting = asyncio.ensure_future(harness.batcher.settled())
        await turns()
        assert not waiting.done()
        harness.service.gate.set()
        await waiting
        assert len(harness.merged) == 1

    batched(scenario)


def test_settled_also_ends_when_the_call_fails() -> None:
    async def scenario(harness: Harness) -> None:
        def refuse(number: int) -> None:
            raise ServiceError("ServiceException", "oops", status=500)

        harness.service.gate = asyncio.Event()
        harness.service.on_checkpoint = refuse
        _ = harness.batcher.store(update("a"))
        await turns()
        waiting = asyncio.ensure_future(harness.batcher.settled())
        await turns()
        harness.service.gate.set()
        await waiting
        assert len(harness.failures) == 1

    batched(scenario)


def test_what_nobody_waits_for_is_sent_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batcher_module, "IDLE_FLUSH_SECONDS", 0)

    async def scenario(harness: Harness) -> None:
        assert not harness.batcher.flush_later()
        harness.batcher.add(update("a", "START"))
        assert harness.batcher.flush_later()
        assert not harness.batcher.flush_later(), "the timer runs already"
        await turns(10)

    assert batched(scenario).service.actions == [["START a"]]


def test_a_timer_that_finds_nothing_to_send_sends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batcher_module, "IDLE_FLUSH_SECONDS", 0)

    async def scenario(harness: Harness) -> None:
        harness.batcher.add(update("a", "START"))
        harness.batcher.flush_later()
        await harness.batcher.store(update("a"))
        await turns(10)

    assert len(batched(scenario).service.calls) == 1


def test_a_service_in_this_process_is_called_without_a_turn_of_the_loop() -> None:
    async def scenario(harness: Harness) -> None:
        harness.batcher.add(update("a", "START"))
        coroutine = harness.batcher.store_at_once(update("a"))
        with pytest.raises(StopIteration):
            coroutine.send(None)

    harness = batched(scenario)
    assert harness.service.actions == [["START a", "SUCCEED a"]]
    assert len(harness.merged) == 1


def test_a_failure_of_a_service_in_this_process_is_reported() -> None:
    async def scenario(harness: Harness) -> None:
        def refuse(number: int) -> None:
            raise ServiceError("ServiceException", "oops", status=500)

        harness.service.on_checkpoint = refuse
        await harness.batcher.store_at_once(update("a"))
        assert not harness.batcher.is_sending

    assert len(batched(scenario).failures) == 1


def test_a_finished_call_is_announced_with_what_it_carried(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = itertools.count()
    monkeypatch.setattr(time, "perf_counter", lambda: 100 + next(readings) / 4)

    class Watching(Observer):
        def __init__(self) -> None:
            self.seen: list[CheckpointSent] = []

        def on_checkpoint_sent(self, notification: CheckpointSent) -> None:
            self.seen.append(notification)

    watching = Watching()

    async def scenario(harness: Harness) -> None:
        await harness.batcher.store(update("a", payload="x" * 1000))

        def refuse(number: int) -> None:
            raise ServiceError("ServiceException", "oops", status=500)

        harness.service.on_checkpoint = refuse
        _ = harness.batcher.store(update("b"))
        await turns()

    batched(scenario, observers=(watching,))
    good, bad = watching.seen
    assert [wire["Id"] for wire in good.updates] == ["a"]
    assert 1000 < good.size_bytes < 2000
    assert good.error is None
    assert (good.duration_seconds, bad.duration_seconds) == (0.25, 0.25)
    assert good.execution_arn == ARN
    assert isinstance(bad.error, ServiceError)


def test_whatever_a_client_raises_is_a_service_error() -> None:
    known = ServiceError("X", "y", status=400)
    assert as_service_error(known) is known
    strange = as_service_error(ConnectionResetError("gone"))
    assert (strange.code, strange.message, strange.status) == ("ConnectionResetError", "gone", None)
    assert strange.is_retriable


def test_a_call_waits_for_a_body_that_is_about_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batcher_module, "LINGER_SECONDS", 60)

    async def scenario(harness: Harness) -> None:
        body: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        harness.batcher.expect(body)
        first = harness.batcher.store(update("a"))
        for _ in range(20):
            await asyncio.sleep(0)
        assert harness.service.calls == []
        body.set_result(None)
        await asyncio.gather(first, harness.batcher.store(update("b")))

    assert batched(scenario).service.actions == [["SUCCEED a", "SUCCEED b"]]


def test_a_call_does_not_wait_for_a_body_that_takes_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batcher_module, "LINGER_SECONDS", 0)

    async def scenario(harness: Harness) -> None:
        body: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        harness.batcher.expect(body)
        await harness.batcher.store(update("a"))
        body.cancel()

    assert batched(scenario).service.actions == [["SUCCEED a"]]


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], Coroutine[Any, Any, None]]:
    """Let the clock of the running loop go forward, and what is due then happen."""

    async def go(seconds: float) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time() + seconds
        monkeypatch.setattr(loop, "time", lambda: now)
        await turns(20)

    return go


Later = Callable[[float], Coroutine[Any, Any, None]]


def test_the_start_of_a_step_is_sent_within_a_second_and_not_on_its_own_before(later: Later) -> None:
    async def scenario(harness: Harness) -> None:
        harness.batcher.add(update("a", "START"))
        harness.batcher.flush_later()
        await later(0.2)
        assert harness.service.calls == []
        await later(0.7)
        assert harness.service.actions == [["START a"]]

    batched(scenario)


def test_a_call_waits_for_a_body_for_some_milliseconds_only(later: Later) -> None:
    async def scenario(harness: Harness) -> None:
        body: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        harness.batcher.expect(body)
        _ = harness.batcher.store(update("a"))
        await later(0.0)
        assert harness.service.calls == []
        await later(0.01)
        assert harness.service.actions == [["SUCCEED a"]]
        body.cancel()

    batched(scenario)


def test_a_full_call_waits_for_no_body() -> None:
    async def scenario(harness: Harness) -> None:
        body: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        harness.batcher.expect(body)
        for number in range(MAX_BATCH_UPDATES):
            _ = harness.batcher.store(update(f"u{number}"))
        await turns()
        assert len(harness.service.calls) == 1
        body.cancel()

    batched(scenario)


def test_what_a_full_call_leaves_is_sent_at_once_only_if_code_waits_for_it() -> None:
    async def scenario(harness: Harness) -> None:
        for number in range(MAX_BATCH_UPDATES + 1):
            harness.batcher.add(update(f"u{number}", "START"))
        harness.batcher.flush()
        await turns(10)
        assert [len(call) for call in harness.service.calls] == [MAX_BATCH_UPDATES]
        await harness.batcher.drain()
        assert [len(call) for call in harness.service.calls] == [MAX_BATCH_UPDATES, 1]

    batched(scenario)


def test_draining_ends_when_all_is_stored_or_nothing_more_can_be() -> None:
    async def scenario(harness: Harness) -> None:
        await harness.batcher.drain()
        assert harness.service.calls == []
        for number in range(2 * MAX_BATCH_UPDATES):
            harness.batcher.add(update(f"u{number}"))
        await harness.batcher.drain()
        assert len(harness.merged) == 2
        harness.service.on_checkpoint = lambda number: CheckpointAnswer(None, [])
        for number in range(2 * MAX_BATCH_UPDATES):
            harness.batcher.add(update(f"u{number}"))
        await asyncio.wait_for(harness.batcher.drain(), timeout=5)
        assert len(harness.service.calls) == 3

    batched(scenario)

"""What a call of the batcher carries at its limits, and what it says of a payload that is refused."""

import asyncio
import json

import pytest

from durable_execution.errors import STALE_TOKEN_PREFIX as STALE
from durable_execution.errors import ServiceError
from durable_execution.observers import CheckpointSent, Observer
from durable_execution.protocol import Wire
from durable_execution.protocol.enums import MAX_BATCH_BYTES
from durable_execution.runtime import batcher as batcher_module
from durable_execution.runtime.batcher import TURNS_TO_QUEUE, UPDATE_OVERHEAD_BYTES
from durable_execution.runtime.service import CheckpointAnswer
from tests.unit.runtime.test_batcher import Harness, batched, turns, update


@pytest.mark.parametrize(("more", "calls"), [(0, 1), (1, 2)])
def test_updates_that_just_fit_share_a_call(more: int, calls: int) -> None:
    room = MAX_BATCH_BYTES - 2 * UPDATE_OVERHEAD_BYTES

    async def scenario(harness: Harness) -> None:
        harness.batcher.add(update("a", payload="x" * (room - 1_000)))
        await harness.batcher.store(update("b", payload="x" * (1_000 + more)))

    assert len(batched(scenario).service.calls) == calls


def test_the_size_of_a_call_counts_errors_and_what_every_update_has() -> None:
    sizes: list[int] = []

    class Watching(Observer):
        def on_checkpoint_sent(self, notification: CheckpointSent) -> None:
            sizes.append(notification.size_bytes)

    error = {"ErrorType": "ValueError", "ErrorMessage": "no"}

    async def scenario(harness: Harness) -> None:
        await harness.batcher.store(update("a"))
        await harness.batcher.store({**update("b", "FAIL"), "Error": error})
        await harness.batcher.store(update("c", payload='"ab"'))

    batched(scenario, observers=(Watching(),))
    assert sizes == [
        UPDATE_OVERHEAD_BYTES, UPDATE_OVERHEAD_BYTES + len(str(error)), UPDATE_OVERHEAD_BYTES + len(json.dumps('"ab"')) - 2,
    ]  # fmt: skip


@pytest.mark.parametrize(("together", "turns_given"), [(1, 0), (2, TURNS_TO_QUEUE)])
def test_only_after_a_call_that_several_branches_waited_for_the_next_one_waits_for_them(
    together: int, turns_given: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[float] = []

    async def scenario(harness: Harness) -> None:
        sleep = asyncio.sleep

        async def counted(delay: float) -> None:
            given.append(delay)
            await sleep(delay)

        stored = [harness.batcher.store(update(f"u{number}")) for number in range(together)]
        monkeypatch.setattr(asyncio, "sleep", counted)
        await asyncio.gather(*stored)
        for _ in range(10):
            await sleep(0)
        monkeypatch.setattr(asyncio, "sleep", sleep)

    batched(scenario)
    assert given == [0] * turns_given


def test_a_full_call_waits_for_no_branch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batcher_module, "MAX_BATCH_UPDATES", 2)
    monkeypatch.setattr(batcher_module, "TURNS_TO_QUEUE", 1_000)

    async def scenario(harness: Harness) -> None:
        stored = [harness.batcher.store(update(name)) for name in "abcd"]
        for _ in range(20):
            await asyncio.sleep(0)
        assert all(one.done() for one in stored)

    assert [len(call) for call in batched(scenario).service.calls] == [2, 2]


def test_what_is_queued_is_sent_ahead_only_if_nothing_is_on_its_way() -> None:
    async def scenario(harness: Harness) -> None:
        await harness.batcher.send_ahead()
        assert harness.service.calls == []
        gate = harness.service.gate = asyncio.Event()
        harness.batcher.add(update("a", "START"))
        await harness.batcher.send_ahead()
        assert harness.service.actions == [["START a"]], "it is on its way, without its answer"
        harness.batcher.add(update("b", "START"))
        await harness.batcher.send_ahead()
        gate.set()
        await turns(10)
        assert harness.service.actions == [["START a"]], "the next call takes it"
        await harness.batcher.store(update("b"))

    assert batched(scenario).service.actions == [["START a"], ["START b", "SUCCEED b"]]


def refusal(sent: Wire, error: Exception | None = None) -> Exception:
    """How a refusal of an update is reported."""

    async def scenario(harness: Harness) -> None:
        def refuse(number: int) -> None:
            raise error or ServiceError("InvalidParameterValueException", "Payload is too large.", status=400)

        harness.service.on_checkpoint = refuse
        harness.batcher.add(sent)
        harness.batcher.flush()
        await turns()

    (reported,) = batched(scenario).failures
    return reported


def test_a_refused_payload_is_named_with_its_size() -> None:
    reported = refusal(update("big", payload="x" * 1_048_577))
    assert isinstance(reported, ServiceError)
    assert (reported.code, reported.status) == ("InvalidParameterValueException", 400)
    assert (
        "Payload is too large. The payload of step 'big' has 1,048,577 bytes, more than the 1,048,576"
        in reported.message
    )
    assert isinstance(reported.__cause__, ServiceError)
    unnamed = {**update("a", payload="x" * 1_048_577), "Name": None}
    assert "The payload of step 'a' has" in str(refusal(unnamed))


@pytest.mark.parametrize(
    ("one", "error"),
    [
        (update("a", payload="x" * 1_048_576), None),
        (update("a"), None),
        ({"Id": "e", "Type": "EXECUTION", "Action": "SUCCEED", "Payload": "x" * 1_048_577}, None),
        (update("a", payload="x" * 1_048_577), ServiceError("TooManyRequestsException", "slow down", status=429)),
        (update("a", payload="x" * 1_048_577), ServiceError("InvalidParameterValueException", STALE, status=400)),
        (update("a", payload="x" * 1_048_577), OSError("no network")),
    ],
    ids=["fits", "none", "result", "transient", "stale", "network"],
)
def test_a_refusal_for_a_different_reason_stays_as_it_is(one: Wire, error: Exception | None) -> None:
    reported = refusal(one, error=error)
    assert "The payload of" not in str(reported)
    assert reported.__cause__ is None
    assert error is None or reported is error


def test_an_answer_without_a_token_after_a_batch_that_ends_the_execution_is_expected() -> None:
    end: Wire = {"Id": "e", "Type": "EXECUTION", "Action": "SUCCEED", "Payload": "1"}

    async def scenario(harness: Harness, *updates: Wire) -> None:
        harness.service.on_checkpoint = lambda number: CheckpointAnswer(None, [])
        for one in updates:
            harness.batcher.add(one)
        harness.batcher.flush()
        await turns()

    assert batched(lambda harness: scenario(harness, update("a"), end)).revocations == 0
    assert batched(lambda harness: scenario(harness, update("a"))).revocations == 1
    assert batched(scenario).revocations == 1

"""Code that leaves the recorded path is stopped, and told where."""

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from durable_execution import DurableContext, InvocationError, Observer, durable_execution
from durable_execution.observers import Diverged
from durable_execution.protocol import Wire, operation_id
from durable_execution.protocol.ids import task_prefix
from durable_execution.runtime.scope import OperationIdGenerator
from tests.unit.fake_service import FakeService, invoke, step_operation

FIRST = operation_id(None, 1)
SECOND = operation_id(None, 2)


async def one_step(_: Any, ctx: DurableContext) -> str:
    return await ctx.step(lambda step: "replayed", "charge")


async def nothing(_: Any, ctx: DurableContext) -> str:
    return "nothing"


def recorded(**members: Any) -> Wire:
    return step_operation(FIRST, "recorded", Name="charge", **members)


DIFFERENCES: dict[str, Wire] = {
    "type": {**recorded(), "Type": "CONTEXT", "SubType": "RunInChildContext"},
    "name": recorded() | {"Name": "ship"},
    "no name": {key: value for key, value in recorded().items() if key != "Name"},
    "subtype": recorded() | {"SubType": "WaitForCondition"},
    "parent": recorded(ParentId="elsewhere"),
}


@pytest.mark.parametrize("difference", DIFFERENCES)
def test_a_different_call_fails_the_execution(difference: str, caplog: pytest.LogCaptureFixture) -> None:
    service = FakeService()
    answer = invoke(durable_execution(one_step), service, operations=[DIFFERENCES[difference]])
    assert answer["Status"] == "FAILED"
    assert answer["Error"]["ErrorType"] == "durable_execution.errors.NondeterminismError"
    assert "Nondeterminism" in answer["Error"]["ErrorMessage"]
    assert service.calls == []
    assert "Nondeterminism" in caplog.text


@pytest.mark.parametrize(
    "wire",
    [recorded(), recorded(ParentId=""), {**recorded(), "SubType": None}],
    ids=["same", "empty parent", "no subtype"],
)
def test_the_same_call_is_answered_from_the_record(wire: Wire) -> None:
    assert invoke(durable_execution(one_step), FakeService(), operations=[wire])["Result"] == '"recorded"'


def test_a_recorded_call_that_is_not_made_again_fails_the_execution() -> None:
    answer = invoke(durable_execution(nothing), FakeService(), operations=[recorded()])
    assert answer["Error"]["ErrorType"] == "durable_execution.errors.NondeterminismError"
    assert "charge" in answer["Error"]["ErrorMessage"]
    assert "at call 1: " in answer["Error"]["ErrorMessage"]


@pytest.mark.parametrize("is_running", [True, False])
def test_a_context_with_a_running_task_is_not_blamed_for_a_missing_call(is_running: bool) -> None:
    async def handler(_: Any, ctx: DurableContext) -> str:
        forever = asyncio.Event()
        running = asyncio.ensure_future(forever.wait())
        if not is_running:
            forever.set()
            await running
        return "ended"

    answer = invoke(durable_execution(handler), FakeService(), operations=[recorded()])
    assert answer["Status"] == ("SUCCEEDED" if is_running else "FAILED"), answer


@pytest.mark.parametrize("is_running", [True, False])
def test_a_finished_task_beside_a_running_one_is_not_blamed_for_a_missing_call(is_running: bool) -> None:
    first, second = (operation_id(task_prefix(None, 1), number) for number in (1, 2))

    async def handler(_: Any, ctx: DurableContext) -> str:
        async def one_call() -> str:
            return await ctx.step(lambda step: "replayed", "charge")

        forever = asyncio.Event()
        finished, running = asyncio.ensure_future(one_call()), asyncio.ensure_future(forever.wait())
        result = await finished
        if not is_running:
            forever.set()
            await running
        return result

    operations = [step_operation(key, "recorded", Name=name) for key, name in ((first, "charge"), (second, "ship"))]
    answer = invoke(durable_execution(handler), FakeService(), operations=operations)
    assert answer["Status"] == ("SUCCEEDED" if is_running else "FAILED"), answer


def test_what_others_have_written_into_the_execution_is_not_blamed() -> None:
    foreign = step_operation("f" * 64, "x", Name="foreign")
    assert invoke(durable_execution(nothing), FakeService(), operations=[foreign])["Status"] == "SUCCEEDED"


def test_user_code_cannot_swallow_it() -> None:
    async def handler(_: Any, ctx: DurableContext) -> str:
        try:
            return await one_step(_, ctx)
        except Exception:  # noqa: BLE001
            return "swallowed"

    answer = invoke(durable_execution(handler), FakeService(), operations=[DIFFERENCES["name"]])
    assert answer["Status"] == "FAILED"


@pytest.mark.parametrize("handler", [one_step, nothing])
def test_retry_saves_the_execution_for_a_rollback(handler: Callable[..., Any]) -> None:
    made = durable_execution(on_nondeterminism="retry")(handler)
    with pytest.raises(InvocationError, match="Nondeterminism"):
        invoke(made, FakeService(), operations=[DIFFERENCES["name"]])


def test_warn_goes_on_with_what_is_recorded(caplog: pytest.LogCaptureFixture) -> None:
    made = durable_execution(on_nondeterminism="warn")(one_step)
    assert invoke(made, FakeService(), operations=[DIFFERENCES["name"]])["Result"] == '"recorded"'
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_observers_are_told_with_the_place_in_the_code() -> None:
    told: list[Diverged] = []

    class Watching(Observer):
        def on_diverged(self, notification: Diverged) -> None:
            told.append(notification)

    invoke(durable_execution(one_step), FakeService(), operations=[DIFFERENCES["name"]], observers=[Watching()])
    (notification,) = told
    assert notification.call is not None
    assert notification.call.call_site is not None
    assert notification.call.call_site.function == "one_step"


def test_the_message_names_the_place_without_observers_too() -> None:
    answer = invoke(durable_execution(one_step), FakeService(), operations=[DIFFERENCES["name"]])
    assert "test_guard.py" in answer["Error"]["ErrorMessage"]


def test_a_second_call_is_compared_with_the_second_record() -> None:
    async def two(_: Any, ctx: DurableContext) -> list[str]:
        return [await ctx.step(lambda step: "x", "charge"), await ctx.step(lambda step: "x", "ship")]

    good = [recorded(), step_operation(SECOND, "shipped", Name="ship")]
    assert invoke(durable_execution(two), FakeService(), operations=good)["Result"] == '["recorded","shipped"]'
    swapped = [step_operation(FIRST, "shipped", Name="ship"), step_operation(SECOND, "recorded", Name="charge")]
    assert invoke(durable_execution(two), FakeService(), operations=swapped)["Status"] == "FAILED"


@pytest.mark.parametrize("at_start", [1_767_225_600_000, 1_767_225_600, "2026-01-01T00:00:00Z", None])
@pytest.mark.parametrize("lasted", [2_000, 3_999, 4_000, 5_000, 6_000, 6_001, 8_000, None])
def test_a_wait_is_reported_if_it_is_not_as_long_as_the_recorded_one(at_start: Any, lasted: int | None) -> None:
    """Within a second; where the record does not say when the wait started and ends, nothing is reported."""
    wait: Wire = {"Id": FIRST, "Type": "WAIT", "SubType": "Wait", "Name": "pause", "Status": "SUCCEEDED"}
    wait |= {"StartTimestamp": at_start, "WaitDetails": {}}
    seconds = 5
    if isinstance(at_start, int) and lasted is not None:
        per_second = 1_000 if at_start > 1e11 else 1
        seconds = round(lasted * per_second // 1_000 / per_second)
        wait["WaitDetails"] = {"ScheduledEndTimestamp": at_start + lasted * per_second // 1_000}

    async def waits(_: Any, ctx: DurableContext) -> str:
        await ctx.wait(timedelta(seconds=5), name="pause")
        return "done"

    told: list[Diverged] = []

    class Watching(Observer):
        def on_diverged(self, notification: Diverged) -> None:
            told.append(notification)

    answer = invoke(durable_execution(waits), FakeService(), operations=[wait], observers=[Watching()])
    assert answer["Status"] == "SUCCEEDED"
    assert [each.divergence.kind for each in told] == (["configuration"] if not 4 <= seconds <= 6 else [])


@pytest.mark.parametrize("is_foreign_there", [False, True])
def test_the_ends_of_many_tasks_are_checked_without_looking_for_the_calls_of_all(
    monkeypatch: pytest.MonkeyPatch, is_foreign_there: bool
) -> None:
    """Otherwise the end of a gather of thousands of calls would take seconds."""
    peeks = 0
    plain = OperationIdGenerator.peek

    def peek(generator: OperationIdGenerator, ahead: int = 1) -> str:
        nonlocal peeks
        peeks += 1
        return plain(generator, ahead)

    async def gathers(_: Any, ctx: DurableContext) -> int:
        async def one(number: int) -> int:
            return await ctx.step(lambda step: number, "work")

        return sum(await asyncio.gather(*map(one, range(200))))

    ids = [operation_id(task_prefix(None, number), 1) for number in range(1, 201)]
    wires = [step_operation(id_, 1, Name="work") for id_ in ids]
    if is_foreign_there:
        wires.append(step_operation("f" * 64, 1, Name="from elsewhere"))
    monkeypatch.setattr(OperationIdGenerator, "peek", peek)
    assert invoke(durable_execution(gathers), FakeService(), operations=wires)["Result"] == "200"
    assert peeks <= (200 * 64 + 201 if is_foreign_there else 0)

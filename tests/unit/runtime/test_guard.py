"""Code that leaves the recorded path is stopped, and told where."""

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from durable_execution import (
    ChildConfig,
    DurableContext,
    InvocationError,
    MapConfig,
    NestingType,
    Observer,
    durable_execution,
)
from durable_execution.comparison import runtime_check
from durable_execution.divergence import Divergence
from durable_execution.observers import Diverged
from durable_execution.protocol import Wire, operation_id
from durable_execution.protocol.ids import branch_id, task_prefix
from durable_execution.runtime.scope import OperationIdGenerator
from tests.unit.fake_service import FakeService, invoke, step_operation

FIRST = operation_id(None, 1)
SECOND = operation_id(None, 2)


FLAT = MapConfig(nesting_type=NestingType.FLAT)
VIRTUAL = ChildConfig(is_virtual=True)
Body = Callable[[Any, DurableContext], Any]


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


@pytest.fixture
def peeks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How far ahead each look for the id of a later call was."""
    made: list[int] = []
    plain = OperationIdGenerator.peek

    def peek(generator: OperationIdGenerator, ahead: int = 1) -> str:
        made.append(ahead)
        return plain(generator, ahead)

    monkeypatch.setattr(OperationIdGenerator, "peek", peek)
    return made


@pytest.mark.parametrize("is_foreign_there", [False, True])
def test_the_ends_of_many_tasks_are_checked_without_looking_for_the_calls_of_all(
    peeks: list[int], is_foreign_there: bool
) -> None:
    """Otherwise the end of a gather of thousands of calls would take seconds."""

    async def gathers(_: Any, ctx: DurableContext) -> int:
        async def one(number: int) -> int:
            return await ctx.step(lambda step: number, "work")

        return sum(await asyncio.gather(*map(one, range(200))))

    ids = [operation_id(task_prefix(None, number), 1) for number in range(1, 201)]
    wires = [step_operation(id_, 1, Name="work") for id_ in ids]
    if is_foreign_there:
        wires.append(step_operation("f" * 64, 1, Name="from elsewhere"))
    assert invoke(durable_execution(gathers), FakeService(), operations=wires)["Result"] == "200"
    assert len(peeks) <= (200 * 64 + 201 if is_foreign_there else 0)


def step(ctx: DurableContext, name: str) -> Any:
    return ctx.step(lambda step: "replayed", name)


def stored(id_: str, name: str, **members: Any) -> Wire:
    return step_operation(id_, "recorded", Name=name, **members)


def told_of(handler: Body, *operations: Wire) -> list[Divergence]:
    """What observers are told when a handler replays these records."""
    told: list[Diverged] = []

    class Watching(Observer):
        def on_diverged(self, notification: Diverged) -> None:
            told.append(notification)

    answer = invoke(durable_execution(handler), FakeService(), operations=operations, observers=[Watching()])
    is_failed = any(one.divergence.severity == "error" for one in told)
    assert answer["Status"] == ("FAILED" if is_failed else "SUCCEEDED"), answer
    return [one.divergence for one in told]


@pytest.mark.parametrize("is_in_a_task_of_its_own", [True, False])
def test_only_a_line_of_the_users_code_is_called_the_place_of_a_call(is_in_a_task_of_its_own: bool) -> None:
    """A call that became a task has left the line that made it: what called the SDK is not the place."""

    async def handler(_: Any, ctx: DurableContext) -> Any:
        made = step(ctx, "charge")
        return await (asyncio.ensure_future(made) if is_in_a_task_of_its_own else made)

    answer = invoke(durable_execution(handler), FakeService(), operations=[DIFFERENCES["name"]])
    (replayed,) = (one for one in answer["Error"]["ErrorMessage"].splitlines() if one.strip().startswith("replayed"))
    assert ("test_guard.py" in replayed) is not is_in_a_task_of_its_own
    assert "fake_service.py" not in replayed


INSIDE = operation_id(operation_id(FIRST, 1), 1)
"""The first call of a virtual context in a virtual context."""


async def takes_with_a_step(_: Any, ctx: DurableContext) -> None:
    await step(ctx, "other")


async def takes_with_a_combinator(_: Any, ctx: DurableContext) -> None:
    async def nothing_durable() -> None: ...

    await ctx.all(nothing_durable(), name="other")


async def takes_with_a_context(_: Any, ctx: DurableContext) -> None:
    async def empty(child: DurableContext) -> None: ...

    await ctx.run_in_child_context(empty, "other")


@pytest.mark.parametrize(
    ("handler", "inside", "is_blamed"),
    [
        (takes_with_a_step, operation_id(FIRST, 1), True),
        (takes_with_a_step, INSIDE, True),
        (takes_with_a_combinator, operation_id(FIRST, 1), True),
        (takes_with_a_combinator, INSIDE, False),
        (takes_with_a_context, operation_id(FIRST, 1), False),
    ],
)
def test_a_call_that_takes_the_number_of_a_virtual_context_is_told_of_its_calls(
    handler: Body, inside: str, is_blamed: bool
) -> None:
    """The awaitables of a combinator are numbered like contexts in a virtual context, so it may have made those itself."""
    told = told_of(handler, stored(inside, "inner"))
    assert [(one.kind.value, one.position) for one in told] == ([("skipped", 1)] if is_blamed else [])
    for one in told:
        assert (one.recorded or one.replayed).name == "inner"  # type: ignore[union-attr]
        assert one.replayed is not None
        assert one.replayed.name == "other"


def test_the_taker_of_a_number_is_shown_with_its_line_without_observers_too() -> None:
    answer = invoke(durable_execution(takes_with_a_step), FakeService(), operations=[stored(INSIDE, "inner")])
    assert "test_guard.py" in answer["Error"]["ErrorMessage"]


async def calls_nothing_virtual(_: Any, ctx: DurableContext) -> None:
    async def empty(child: DurableContext) -> None: ...

    await ctx.run_in_child_context(empty, "virtual", config=VIRTUAL)


async def calls_two_of_four(_: Any, ctx: DurableContext) -> None:
    await step(ctx, "1")
    await step(ctx, "2")


def recorded_calls(prefix: str | None, *numbers: int) -> list[Wire]:
    return [stored(operation_id(prefix, number), str(number)) for number in numbers]


@pytest.mark.parametrize(
    ("handler", "recorded", "position", "follow_on"),
    [
        (nothing, recorded_calls(None, 1), 1, 0),
        (nothing, recorded_calls(None, 1, 2, 3), 1, 2),
        (calls_two_of_four, recorded_calls(None, 1, 2, 3, 4), 3, 1),
        (nothing, recorded_calls(FIRST, 1), 1, 0),
        (nothing, recorded_calls(operation_id(None, 2), 1, 2), 1, 1),
        (nothing, recorded_calls(task_prefix(None, 1), 1, 2), 1, 1),
        (calls_nothing_virtual, recorded_calls(FIRST, 1), 1, 0),
        (calls_nothing_virtual, recorded_calls(None, 2), 2, 0),
    ],
    ids=[
        "all",
        "several",
        "the last ones",
        "a virtual context",
        "a later virtual context",
        "a task",
        "all of a virtual context",
        "behind a call that leaves no record",
    ],
)
def test_the_first_missing_call_is_named_by_its_number_with_those_that_follow(
    handler: Body, recorded: list[Wire], position: int, follow_on: int
) -> None:
    (told,) = told_of(handler, *recorded)
    assert (told.kind.value, told.position, told.follow_on) == ("skipped", position, follow_on)


@pytest.mark.parametrize(("kept", "is_blamed"), [(3, False), (2, True), (1, True)])
def test_a_batch_is_blamed_for_a_branch_that_the_code_no_longer_has(kept: int, is_blamed: bool) -> None:
    async def handler(_: Any, ctx: DurableContext) -> None:
        async def item(child: DurableContext, number: int) -> None:
            await step(child, f"of {number}")

        await ctx.map(list(range(kept)), item, "items", config=FLAT)

    batch = {"Id": FIRST, "Type": "CONTEXT", "SubType": "Map", "Name": "items", "Status": "STARTED"}
    calls = [stored(operation_id(branch_id(FIRST, n), 1), f"of {n}", ParentId=FIRST) for n in range(3)]
    told = told_of(handler, batch, *calls)
    assert [one.recorded.name for one in told if one.recorded] == ([f"of {kept}"] if is_blamed else [])


def test_the_awaitables_of_a_combinator_are_no_branches_of_the_context_around_it() -> None:
    async def handler(_: Any, ctx: DurableContext) -> None:
        async def awaitable(name: str) -> None:
            await step(ctx, name)

        await ctx.all(*map(awaitable, "abcd"), name="all of them")

    all_of_them = {"Id": FIRST, "Type": "STEP", "SubType": "All", "Name": "all of them", "Status": "STARTED"}
    calls = [stored(operation_id(branch_id(FIRST, index), 1), name) for index, name in enumerate("abcd")]
    assert told_of(handler, all_of_them, *calls, stored("f" * 64, "from elsewhere")) == []


@pytest.mark.parametrize("ends", ["by itself", "with an error", "cancelled"])
def test_only_a_task_that_ended_by_itself_is_blamed_for_a_missing_call(ends: str) -> None:
    async def handler(_: Any, ctx: DurableContext) -> None:
        async def task() -> None:
            await step(ctx, "1")
            if ends == "with an error":
                raise LookupError
            if ends == "cancelled":
                await asyncio.Event().wait()

        running = asyncio.ensure_future(task())
        if ends == "cancelled":
            for _ in range(10):
                await asyncio.sleep(0)
            running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    told = told_of(handler, *recorded_calls(task_prefix(None, 1), 1, 2))
    assert [one.position for one in told] == ([2] if ends == "by itself" else [])


def wait_of(seconds: int) -> Wire:
    start = 1_767_225_600_000
    wait: Wire = {"Id": FIRST, "Type": "WAIT", "SubType": "Wait", "Status": "SUCCEEDED", "StartTimestamp": start}
    return wait | {"WaitDetails": {"ScheduledEndTimestamp": start + seconds * 1_000}}


async def waits_five_seconds(_: Any, ctx: DurableContext) -> str:
    await ctx.wait(timedelta(seconds=5))
    return "done"


def test_without_observers_the_length_of_a_wait_is_nobodys_business() -> None:
    assert invoke(durable_execution(waits_five_seconds), FakeService(), operations=[wait_of(50)])["Result"] == '"done"'


def test_a_wait_that_is_as_long_as_recorded_is_not_looked_at_more_closely(monkeypatch: pytest.MonkeyPatch) -> None:
    """An invocation of a long execution asks thousands of times."""

    def looked(*_: Any) -> bool:
        raise AssertionError("looked at")

    monkeypatch.setattr(runtime_check, "is_configured_as_recorded", looked)
    assert told_of(waits_five_seconds, wait_of(5)) == []


def test_the_end_of_a_branch_without_a_record_looks_for_one_call(peeks: list[int]) -> None:
    """A flat map has thousands of them."""

    async def handler(_: Any, ctx: DurableContext) -> None:
        async def item(child: DurableContext, number: int) -> None:
            await step(child, f"of {number}")

        await ctx.map(list(range(100)), item, "items", config=FLAT)

    batch = {"Id": FIRST, "Type": "CONTEXT", "SubType": "Map", "Name": "items", "Status": "STARTED"}
    calls = [stored(operation_id(branch_id(FIRST, n), 1), f"of {n}", ParentId=FIRST) for n in range(100)]
    answer = invoke(durable_execution(handler), FakeService(), operations=[batch, *calls])
    assert answer["Status"] == "SUCCEEDED"
    assert len(peeks) <= 100

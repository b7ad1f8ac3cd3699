"""Answers that are not what the service promises are errors, and what is known to have ended stays ended."""

import asyncio
from types import MappingProxyType
from typing import Any

import pytest

from durable_execution import DurableContext, InvocationError, durable_execution
from durable_execution.errors import NotDurableError, ServiceError
from durable_execution.paging import MAX_BARREN_PAGES
from durable_execution.protocol import operation_id
from durable_execution.runtime.answers import (
    checkpoint_answer,
    further_pages,
    is_stale,
    merge,
    operations_in,
    state_page,
)
from durable_execution.runtime.service import CheckpointAnswer, StatePage
from tests.unit.fake_service import ARN, FakeService, envelope, invoke, step_operation

STEP = {"Id": "1", "Type": "STEP", "Status": "SUCCEEDED"}


@durable_execution
async def two_steps(event: Any, ctx: DurableContext) -> list[int]:
    first = await ctx.step(lambda _: 1, name="a")
    return [first, await ctx.step(lambda _: 2, name="b")]


@pytest.mark.parametrize(
    "answer", [None, {}, [], "", 7, {"CheckpointToken": None}, {"CheckpointToken": 7, "NewExecutionState": {}}]
)
def test_an_answer_that_is_none_is_an_error(answer: Any) -> None:
    with pytest.raises(ServiceError, match="not an answer of the Lambda API") as raised:
        checkpoint_answer(answer)
    assert raised.value.is_retriable


@pytest.mark.parametrize(
    "operations",
    [
        7,
        "x",
        {},
        [None],
        [7],
        ["Id"],
        [{}],
        [{"Id": "1"}],
        [{**STEP, "Id": ""}],
        [{**STEP, "Id": None}],
        [{**STEP, "Status": []}],
        [{**STEP, "Id": 7}],
        [{**STEP, "Type": 7}],
        [{**STEP, "Status": 7}],
    ],
)
def test_operations_without_identity_are_an_error(operations: Any) -> None:
    with pytest.raises(ServiceError, match="not an answer of the Lambda API"):
        state_page({"Operations": operations})
    with pytest.raises(ServiceError, match="not an answer of the Lambda API"):
        checkpoint_answer({"CheckpointToken": "t", "NewExecutionState": {"Operations": operations}})


def test_an_object_of_any_kind_is_an_operation() -> None:
    """A client may answer with its own kind of mapping."""
    page = state_page(MappingProxyType({"Operations": [MappingProxyType(STEP)], "NextMarker": "m"}))
    assert ([dict(one) for one in page.operations], page.next_marker) == ([STEP], "m")


def test_the_error_for_an_answer_names_what_is_in_it() -> None:
    for operation, named in ((dict.fromkeys("gfedcba"), "a, b, c, d, e, f"), ({}, "none")):
        with pytest.raises(ServiceError, match=f"its members are {named}[^,]"):
            state_page({"Operations": [operation]})


def test_a_page_without_operations_is_an_error() -> None:
    with pytest.raises(ServiceError, match="no Operations"):
        state_page({})


def test_a_state_without_a_token_ends_the_invocation() -> None:
    assert checkpoint_answer({"NewExecutionState": {}}) == CheckpointAnswer(None, [], None)
    assert checkpoint_answer({"CheckpointToken": "t"}) == CheckpointAnswer("t", [], None)


def test_an_envelope_with_a_damaged_operation_is_retried_and_runs_no_code() -> None:
    ran: list[int] = []

    @durable_execution
    async def handler(event: Any, ctx: DurableContext) -> None:
        ran.append(1)

    for damaged in ({"Type": "STEP", "Status": "SUCCEEDED"}, {"Id": "1"}, None):
        with pytest.raises(InvocationError, match="no Id, Type or Status"):
            invoke(handler, FakeService(), operations=[damaged])  # type: ignore[list-item]
    with pytest.raises(NotDurableError):
        handler.invoke({"DurableExecutionArn": ARN}, None, client=FakeService())
    assert ran == []


@pytest.mark.parametrize(("known", "news", "kept"), [
    ("SUCCEEDED", "STARTED", "SUCCEEDED"),
    ("FAILED", "PENDING", "FAILED"),
    ("SUCCEEDED", "FAILED", "SUCCEEDED"),
    ("STARTED", "SUCCEEDED", "SUCCEEDED"),
    ("PENDING", "READY", "READY"),
])  # fmt: skip
def test_a_stale_page_does_not_undo_an_end(known: str, news: str, kept: str) -> None:
    operations = {"1": {**STEP, "Status": known}}
    merge(operations, [{**STEP, "Status": news}])
    assert operations["1"]["Status"] == kept
    assert is_stale({**STEP, "Status": known}, {**STEP, "Status": news}) == (known == kept)


def test_a_stale_page_of_the_envelope_does_not_run_a_step_again() -> None:
    service = FakeService()
    started = {**step_operation(operation_id(None, 1), 1), "Status": "STARTED", "Name": "a"}
    service.pages = {"m": StatePage([started], None)}
    done = step_operation(operation_id(None, 1), 10, Name="a")
    answer = two_steps.invoke(envelope([done], marker="m"), None, client=service)
    assert answer == {"Status": "SUCCEEDED", "Result": "[10,2]"}
    assert service.actions == [["START b", "SUCCEED b"]]


def test_a_stale_answer_does_not_undo_what_this_invocation_knows() -> None:
    service = FakeService()
    done = step_operation(operation_id(None, 2), 20, Name="b")
    service.on_checkpoint = lambda number: CheckpointAnswer("t", [{**done, "Status": "STARTED", "StepDetails": {}}])
    answer = two_steps.invoke(envelope([done]), None, client=service)
    assert answer == {"Status": "SUCCEEDED", "Result": "[1,20]"}


def test_pages_that_repeat_are_an_error() -> None:
    service = FakeService()
    service.pages = {"m": StatePage([STEP], "n"), "n": StatePage([], "m")}
    with pytest.raises(ServiceError, match="the same page marker twice"):
        asyncio.run(further_pages(service, ARN, "t", "m", []))


def test_an_endless_envelope_is_retried_and_runs_no_code() -> None:
    class Endless(FakeService):
        async def get_state(self, execution_arn: str, token: str, marker: str) -> StatePage:
            return StatePage([dict(STEP)], f"{marker}+")

    with pytest.raises(InvocationError, match=rf"{MAX_BARREN_PAGES} pages in a row without anything new"):
        two_steps.invoke(envelope(marker="m"), None, client=Endless())


def test_an_endless_answer_to_a_checkpoint_is_retried() -> None:
    class Endless(FakeService):
        async def get_state(self, execution_arn: str, token: str, marker: str) -> StatePage:
            return StatePage([], "m")

    service = Endless()
    service.on_checkpoint = lambda number: CheckpointAnswer("t", [], "m")
    with pytest.raises(InvocationError, match="the same page marker twice"):
        invoke(two_steps, service)


def test_an_empty_answer_has_no_operations() -> None:
    assert operations_in(None) == []

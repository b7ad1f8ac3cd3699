"""Which calls of a fork have an outcome: recorded, given, live, or none yet."""

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from durable_execution.local.rules.forks import (
    CLOCK_MODULE,
    Fork,
    ForkBook,
    ForkClient,
    RecordedOutcome,
    encoded,
    names_of,
    open_questions,
)
from durable_execution.local.store.rows import ForkRow, OperationRow
from durable_execution.protocol import Wire


def operation(type_: str = "STEP", subtype: str = "Step", name: str | None = "a", **members: Any) -> OperationRow:
    row = OperationRow(1, 1, "id", None, name, type_, subtype, "PENDING" if type_ == "STEP" else "STARTED", 0)
    return row._replace(**members)


def outcome(type_: str = "STEP", subtype: str = "Step", name: str | None = "a", **members: Any) -> RecordedOutcome:
    return RecordedOutcome(1, 0, type_, subtype, name, "SUCCEEDED", 0, **members)


def fork(
    *live: str, outcomes: dict[str, RecordedOutcome] | None = None, answers: dict[str, Wire] | None = None
) -> Fork:
    row = ForkRow(1, None, "flow/a", 0, None, encoded(outcomes or {}), json.dumps(live), json.dumps(answers or {}))
    return Fork(row, outcomes or {}, frozenset(live), answers or {})


@pytest.mark.parametrize(
    ("name", "names"),
    [
        (None, []),
        ("a", ["a"]),
        ("approve create callback id", ["approve create callback id", "approve"]),
        ("approve submitter", ["approve submitter", "approve"]),
    ],
)
def test_a_call_is_meant_by_its_name_or_by_that_of_the_wait_that_makes_it(name: str | None, names: list[str]) -> None:
    assert list(names_of(name)) == names


@pytest.mark.parametrize(
    ("recorded", "made", "fits"),
    [
        (outcome(), operation(), True),
        (outcome(), operation(name="b"), False),
        (outcome(), operation(subtype="Mine"), False),
        (outcome("WAIT", "Wait"), operation("WAIT", "Wait", seconds=5), True),
        (outcome("WAIT", "Wait", seconds=5), operation("WAIT", "Wait", seconds=5), True),
        (outcome("WAIT", "Wait", seconds=5), operation("WAIT", "Wait", seconds=6), False),
        (outcome(seconds=5), operation(seconds=6), True),
        (outcome("CHAINED_INVOKE", "C"), operation("CHAINED_INVOKE", "C", function="f", input="1"), True),
        (outcome("CHAINED_INVOKE", "C", function="f"), operation("CHAINED_INVOKE", "C", function="g"), False),
        (outcome("CHAINED_INVOKE", "C", input="1"), operation("CHAINED_INVOKE", "C", input="2"), False),
        (outcome("CHAINED_INVOKE", "C", function="f", input="1"), operation("CHAINED_INVOKE", "C", function="f", input="1"), True),
    ],
)  # fmt: skip
def test_a_recorded_outcome_is_for_the_same_call_with_the_same_arguments(
    recorded: RecordedOutcome, made: OperationRow, fits: bool
) -> None:
    assert recorded.fits(made) is fits
    assert (fork(outcomes={"id": recorded}).outcome_of(made) is recorded) is fits


def test_a_live_call_has_no_recorded_outcome() -> None:
    assert fork("a", outcomes={"id": outcome()}).outcome_of(operation()) is None
    assert fork("b", outcomes={"id": outcome()}).outcome_of(operation()) is not None
    assert fork("approve").is_live("approve submitter")
    assert not fork("a").is_live(None)


def test_an_answer_is_given_by_name() -> None:
    answered = fork(answers={"a": {"result": "1"}, "approve": {"result": "2"}})
    assert answered.answer_for(operation()) == {"result": "1"}
    assert answered.answer_for(operation(name="approve create callback id")) == {"result": "2"}
    assert answered.answer_for(operation(name="b")) is None
    assert answered.answer_for(operation(name=None)) is None


@pytest.mark.parametrize(
    ("made", "of", "is_open"),
    [
        (operation(), fork(), True),
        (operation(status="STARTED"), fork(), False),
        (operation(due_ms=5), fork(), False),
        (operation("CALLBACK", "Callback", due_ms=5), fork(), True),
        (operation("WAIT", "Wait"), fork(), False),
        (operation("CHAINED_INVOKE", "C"), fork(), True),
        (operation("CHAINED_INVOKE", "C"), fork("a"), False),
        (operation("CALLBACK", "Callback"), fork("a"), True),
        (operation(), fork(outcomes={"id": outcome()}), False),
        (operation(), fork(answers={"a": {"result": "1"}}), False),
    ],
    ids=["step", "runs", "retries", "callback", "wait", "invoke", "live invoke", "live callback", "recorded", "given"],
)
def test_a_question_is_open_until_it_has_an_answer_of_some_kind(made: OperationRow, of: Fork, is_open: bool) -> None:
    assert open_questions([made], of) == [made] * is_open


def body(module: str = "app", name: str = "charge") -> Any:
    function = lambda _: None  # noqa: E731  # what the runtime has of a step
    function.__module__, function.__qualname__ = module, name
    return function


def stands_in(of: Fork, function: Any, *, name: str = "a") -> bool:
    call = cast("Any", SimpleNamespace(id="id", name=name, function=function))
    waiting = ForkClient(cast("Any", None), of).stand_in(call)
    if waiting is not None:
        cast("Any", waiting).close()
    return waiting is not None


def test_the_body_of_a_step_runs_only_if_it_is_live_or_reads_the_clock() -> None:
    assert stands_in(fork(), body())
    assert not stands_in(fork("a"), body())
    assert not stands_in(fork(), body(CLOCK_MODULE))
    assert stands_in(fork(outcomes={"id": outcome()}), body(CLOCK_MODULE)), "its recorded time counts"


@pytest.mark.parametrize(("recorded", "is_stranger"), [(None, False), ("charge", False), ("refund", True)])
def test_a_step_of_a_different_function_is_a_stranger(recorded: str | None, is_stranger: bool) -> None:
    of = fork(outcomes={"id": outcome(function=recorded)})
    assert stands_in(of, body())
    assert (of.parked, of.strangers) == ({"id"}, {"id"} if is_stranger else set())
    fresh = fork()
    stands_in(fresh, body())
    assert (fresh.parked, fresh.strangers) == ({"id"}, set())


def test_an_invocation_asks_once_for_the_next_outcome_until_there_is_news() -> None:
    of = fork()
    client = ForkClient(cast("Any", None), of)
    assert client.before_suspension()
    assert of.is_resting
    assert not client.before_suspension()
    assert not of.is_resting


def test_a_resting_fork_is_asked_once() -> None:
    book, of = ForkBook(cast("Any", None)), fork()
    assert book.resting(1) is None
    book._kept[1] = of
    assert book.resting(1) is None
    of.is_resting = True
    assert book.resting(1) is of
    assert book.resting(1) is None

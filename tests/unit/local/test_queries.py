"""Reading: state pages, histories, lists."""

from datetime import timedelta
from typing import Any

import pytest

from durable_execution.errors import ServiceError
from durable_execution.local import EngineLimits, LocalEngine, SkippingClock
from durable_execution.protocol import Wire
from tests.unit.local.conftest import START
from tests.unit.local.scripts import PENDING, Session, context, done, history, register, step, wait

KIB = 1024


@pytest.fixture
def limits() -> EngineLimits:
    return EngineLimits(page_bytes=10 * KIB)


def read_all(session: Session) -> list[str]:
    """Every operation, page by page, with the token of the invocation."""
    found = list(session.operations)
    marker = session.next_marker
    while marker:
        page = session.client.get_durable_execution_state(
            DurableExecutionArn=session.arn, CheckpointToken=session.token, Marker=marker
        )
        found.extend(operation["Id"] for operation in page["Operations"])
        marker = page.get("NextMarker")
    return found


def test_a_state_that_is_too_large_for_the_event_comes_in_pages(small_engine: LocalEngine) -> None:
    sizes: list[int] = []

    def body(session: Session) -> Wire:
        if session.status("s0") is None:
            for number in range(30):
                session.send(step(f"s{number}", "START"), step(f"s{number}", "SUCCEED", Payload="x" * KIB))
            session.send(wait("w", 1))
            return PENDING
        sizes.append(len(session.operations))
        assert read_all(session)[1:] == [*(f"s{number}" for number in range(30)), "w"]
        return done()

    register(small_engine, body)
    assert small_engine.run("flow").status == "SUCCEEDED"
    assert 5 < sizes[0] < 10


def test_an_operation_larger_than_a_page_is_a_page(small_engine: LocalEngine) -> None:
    def body(session: Session) -> Wire:
        if not session.next_marker:
            for number in range(3):
                session.send(step(f"s{number}", "START"), step(f"s{number}", "SUCCEED", Payload="x" * 50 * KIB))
            return PENDING
        assert read_all(session)[1:] == ["s0", "s1", "s2"]
        return done()

    register(small_engine, body)
    assert small_engine.run("flow").status == "SUCCEEDED"


def test_a_checkpoint_that_answers_too_much_is_paged_with_the_new_token(small_engine: LocalEngine) -> None:
    def body(session: Session) -> Wire:
        changed = session.send(*(step(f"s{number}", "SUCCEED", Payload="x" * 4 * KIB) for number in range(6)))
        marker = session.answer["NewExecutionState"]["NextMarker"]
        found = [operation["Id"] for operation in changed]
        while marker:
            page = session.client.get_durable_execution_state(
                DurableExecutionArn=session.arn, CheckpointToken=session.token, Marker=marker
            )
            found.extend(operation["Id"] for operation in page["Operations"])
            marker = page.get("NextMarker")
        assert found == [f"s{number}" for number in range(6)]
        return done()

    register(small_engine, body)
    assert small_engine.run("flow").status == "SUCCEEDED"


def test_state_pages_hold_as_many_operations_as_asked_for(engine: LocalEngine) -> None:
    def body(session: Session) -> Wire:
        session.send(*(step(f"s{number}", "START") for number in range(250)))

        def page(**options: Any) -> tuple[int, str | None]:
            found = session.client.get_durable_execution_state(
                DurableExecutionArn=session.arn, CheckpointToken=session.token, **options
            )
            return len(found["Operations"]), found.get("NextMarker")

        count, marker = page()
        assert count == 100
        assert page(MaxItems=0)[0] == 100
        assert page(MaxItems=7, Marker=marker)[0] == 7
        assert page(MaxItems=1000) == (251, None)
        for options in ({"MaxItems": -1}, {"MaxItems": 1001}, {"MaxItems": "7"}, {"Marker": "?"}, {"Marker": "bm8="}):
            with pytest.raises(ServiceError, match="InvalidParameterValueException"):
                page(**options)
        return done()

    register(engine, body)
    assert engine.run("flow").status == "SUCCEEDED"


def test_what_is_inside_a_finished_context_is_not_handed_out_again(engine: LocalEngine) -> None:
    closed = {"ContextOptions": {"ReplayChildren": False}}
    replayed = {"ContextOptions": {"ReplayChildren": True}}

    def body(session: Session) -> Wire:
        if session.status("w") is None:
            session.send(
                context("kept", "START"),
                context("kept-inner", "START", ParentId="kept"),
                step("kept-step", "SUCCEED", ParentId="kept-inner"),
                context("replayed", "START"),
                step("replayed-step", "SUCCEED", ParentId="replayed"),
                context("replayed-inner", "START", ParentId="replayed"),
                step("hidden-step", "SUCCEED", ParentId="replayed-inner"),
                context("failed", "START"),
                step("failed-step", "SUCCEED", ParentId="failed"),
                context("open", "START"),
                step("open-step", "SUCCEED", ParentId="open"),
            )
            session.send(
                context("kept", "SUCCEED", **closed),
                context("replayed-inner", "SUCCEED"),
                context("replayed", "SUCCEED", Payload="", **replayed),
                context("failed", "FAIL"),
                wait("w", 1),
            )
            return PENDING
        expected = ["kept", "replayed", "replayed-step", "replayed-inner", "failed", "open", "open-step", "w"]
        assert list(session.operations)[1:] == expected
        assert session.operations["replayed"]["ContextDetails"] == {"ReplayChildren": True, "Result": ""}
        pages: list[str] = []
        marker = None
        while True:
            found = session.client.get_durable_execution_state(
                DurableExecutionArn=session.arn, CheckpointToken=session.token, MaxItems=1, Marker=marker
            )
            pages.extend(operation["Id"] for operation in found["Operations"])
            if (marker := found.get("NextMarker")) is None:
                break
        assert pages[1:] == expected
        return done()

    register(engine, body)
    result = engine.run("flow")
    assert result.status == "SUCCEEDED"
    assert "hidden-step" in {event.get("Id") for event in history(engine, result.arn)}


@pytest.fixture
def recorded(engine: LocalEngine) -> str:
    """An execution with 25 events."""

    def body(session: Session) -> Wire:
        for number in range(11):
            session.send(step(f"s{number}", "START"), step(f"s{number}", "SUCCEED", Payload=str(number)))
        return done()

    register(engine, body)
    return engine.run("flow", {"secret": 1}, name="recorded").arn


def pages(engine: LocalEngine, arn: str, **options: Any) -> list[list[int]]:
    found: list[list[int]] = []
    marker: Wire = {}
    while True:
        page = engine.client.get_durable_execution_history(DurableExecutionArn=arn, **marker, **options)
        found.append([event["EventId"] for event in page["Events"]])
        if "NextMarker" not in page:
            return found
        marker = {"Marker": page["NextMarker"]}


def test_a_history_comes_in_pages_from_either_end(engine: LocalEngine, recorded: str) -> None:
    everything = list(range(1, 26))
    assert pages(engine, recorded) == [everything]
    assert pages(engine, recorded, MaxItems=0) == [everything]
    assert pages(engine, recorded, MaxItems=25) == [everything]
    assert pages(engine, recorded, MaxItems=10) == [everything[:10], everything[10:20], everything[20:]]
    newest = everything[::-1]
    assert pages(engine, recorded, MaxItems=10, ReverseOrder=True) == [newest[:10], newest[10:20], newest[20:]]


def test_a_marker_belongs_to_its_listing(engine: LocalEngine, recorded: str) -> None:
    page = engine.client.get_durable_execution_history(DurableExecutionArn=recorded, MaxItems=10)
    wrong: list[Wire] = [{"Marker": page["NextMarker"], "ReverseOrder": True}, {"Marker": "x"}, {"MaxItems": 1001}]
    for options in wrong:
        with pytest.raises(ServiceError, match="InvalidParameterValueException"):
            engine.client.get_durable_execution_history(DurableExecutionArn=recorded, **options)


@pytest.mark.parametrize("options", [{}, {"IncludeExecutionData": True}], ids=["by default", "as asked"])
def test_a_history_with_data_says_that_it_is_complete(engine: LocalEngine, recorded: str, options: Wire) -> None:
    events = engine.client.get_durable_execution_history(DurableExecutionArn=recorded, **options)["Events"]
    assert events[0]["ExecutionStartedDetails"]["Input"] == {"Payload": '{"secret": 1}', "Truncated": False}
    assert all(
        value["Truncated"] is False
        for event in events
        for value in event[event["EventType"] + "Details"].values()
        if isinstance(value, dict) and "Payload" in value
    )


def test_a_history_without_data_says_what_it_leaves_out(engine: LocalEngine, recorded: str) -> None:
    events = engine.client.get_durable_execution_history(DurableExecutionArn=recorded, IncludeExecutionData=False)[
        "Events"
    ]
    assert events[0]["ExecutionStartedDetails"]["Input"] == {"Truncated": True}
    assert events[2]["StepSucceededDetails"] == {
        "Result": {"Truncated": True},
        "RetryDetails": {"CurrentAttempt": 1},
    }
    assert events[-1]["ExecutionSucceededDetails"] == {"Result": {"Truncated": True}}
    assert "secret" not in str(events)


@pytest.fixture
def many(engine: LocalEngine) -> list[str]:
    """Seven executions a minute apart: the last two run, the first has failed."""

    def body(session: Session) -> Wire:
        name = session.arn.split("/")[-2]
        if name == "e0":
            return {"Status": "FAILED"}
        if name in ("e5", "e6"):
            session.send({"Id": "c", "Type": "CALLBACK", "Action": "START"})
            return PENDING
        return done()

    register(engine, body)
    register(engine, lambda session: done(), "other")
    assert isinstance(engine.clock, SkippingClock)
    arns = []
    for number in range(7):
        arns.append(engine.start("flow", name=f"e{number}"))
        engine.run_until_idle()
        engine.clock.advance(timedelta(minutes=1))
    engine.run("other")
    return arns


def listed(engine: LocalEngine, function: str = "flow", **options: Any) -> list[str]:
    found: list[str] = []
    marker: Wire = {}
    while True:
        page = engine.client.list_durable_executions_by_function(FunctionName=function, **marker, **options)
        found.extend(row["DurableExecutionName"] for row in page["DurableExecutions"])
        if "NextMarker" not in page:
            return found
        marker = {"Marker": page["NextMarker"]}


def test_executions_are_listed_by_function_the_newest_first(engine: LocalEngine, many: list[str]) -> None:
    newest = [f"e{number}" for number in range(6, -1, -1)]
    assert listed(engine) == newest
    assert listed(engine, MaxItems=2) == newest
    assert listed(engine, ReverseOrder=True, MaxItems=3) == newest[::-1]
    assert listed(engine, "arn:aws:lambda:us-east-1:123456789012:function:flow") == newest
    page = engine.client.list_durable_executions_by_function(FunctionName="flow", MaxItems=1, ReverseOrder=True)
    assert page["DurableExecutions"] == [
        {
            "DurableExecutionArn": many[0],
            "DurableExecutionName": "e0",
            "FunctionArn": "arn:aws:lambda:us-east-1:123456789012:function:flow:$LATEST",
            "Status": "FAILED",
            "StartTimestamp": START,
            "EndTimestamp": START,
        }
    ]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"DurableExecutionName": "e3"}, ["e3"]),
        ({"DurableExecutionName": "e"}, []),
        ({"Statuses": ["RUNNING"]}, ["e6", "e5"]),
        ({"Statuses": ["FAILED", "RUNNING"]}, ["e6", "e5", "e0"]),
        ({"Statuses": ["STOPPED"]}, []),
        ({"Qualifier": "$LATEST", "Statuses": ["FAILED"]}, ["e0"]),
        ({"Qualifier": "3"}, []),
        ({"StartedAfter": START + timedelta(minutes=4)}, ["e6", "e5"]),
        ({"StartedBefore": START + timedelta(minutes=1)}, ["e0"]),
        ({"StartedAfter": START, "StartedBefore": START + timedelta(minutes=3)}, ["e2", "e1"]),
    ],
)
@pytest.mark.usefixtures("many")
def test_lists_can_be_narrowed(engine: LocalEngine, options: Wire, expected: list[str]) -> None:
    assert listed(engine, **options) == expected


@pytest.mark.parametrize(
    "options",
    [
        {"Statuses": []},
        {"Statuses": ["ASLEEP"]},
        {"Statuses": "RUNNING"},
        {"Statuses": ["RUNNING"] * 11},
        {"MaxItems": 1001},
        {"Marker": "??"},
        {"StartedAfter": "yesterday"},
        {"Qualifier": "a b"},
        {"FunctionName": "flow:1", "Qualifier": "2"},
        {"FunctionName": "no such name!"},
    ],
)
@pytest.mark.usefixtures("many")
def test_lists_that_make_no_sense_are_refused(engine: LocalEngine, options: Wire) -> None:
    arguments: Wire = {"FunctionName": "flow", **options}
    with pytest.raises(ServiceError, match="InvalidParameterValueException"):
        engine.client.list_durable_executions_by_function(**arguments)


@pytest.mark.usefixtures("many")
def test_executions_of_an_unknown_function_are_not_found(engine: LocalEngine) -> None:
    with pytest.raises(ServiceError) as refused:
        engine.client.list_durable_executions_by_function(FunctionName="nobody")
    assert (refused.value.code, refused.value.status) == ("ResourceNotFoundException", 404)


@pytest.mark.parametrize("arn", ["", "x", "arn:aws:lambda:us-east-1:123456789012:function:flow:$LATEST", "x" * 1025, 7])
def test_an_unknown_execution_is_not_found_or_refused(engine: LocalEngine, arn: Any) -> None:
    client = engine.client
    for method in (client.get_durable_execution, client.get_durable_execution_history, client.stop_durable_execution):
        with pytest.raises(ServiceError) as refused:
            method(DurableExecutionArn=arn)
        assert refused.value.status in (400, 404)


def test_event_ids_never_change(engine: LocalEngine) -> None:
    seen: list[list[tuple[int, str]]] = []

    def body(session: Session) -> Wire:
        seen.append([(event["EventId"], event["EventType"]) for event in history(engine, session.arn)])
        for number in range(5):
            session.send(step(f"{len(seen)}-{number}", "START"), step(f"{len(seen)}-{number}", "SUCCEED"))
            seen.append([(event["EventId"], event["EventType"]) for event in history(engine, session.arn)])
        if session.status("w") is None:
            session.send(wait("w", 1))
            return PENDING
        return done()

    register(engine, body)
    final = [(event["EventId"], event["EventType"]) for event in history(engine, engine.run("flow").arn)]
    assert all(final[: len(earlier)] == earlier for earlier in seen)
    assert [number for number, _ in final] == list(range(1, len(final) + 1))

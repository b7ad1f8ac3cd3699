"""Callbacks: completed from outside, timed out, kept alive by heartbeats."""

from base64 import b64encode
from datetime import timedelta

import pytest

from durable_execution.errors import EngineError, ServiceError
from durable_execution.local import LocalEngine
from durable_execution.protocol import Wire
from tests.unit.local.conftest import START
from tests.unit.local.scripts import (
    PENDING,
    Body,
    Session,
    callback,
    context,
    details,
    done,
    failed,
    history,
    kinds,
    register,
    step,
    wait,
)


def awaiting(*starts: Wire, seen: list[list[str]] | None = None) -> Body:
    """A handler that starts callbacks (and waits) and is done when all have ended."""

    def body(session: Session) -> Wire:
        if seen is not None:
            seen.append(session.updated)
        if session.status(starts[0]["Id"]) is None:
            session.send(*starts)
        if any(session.status(start["Id"]) == "STARTED" for start in starts):
            return PENDING
        found = session.operations[starts[0]["Id"]].get("CallbackDetails", {})
        return done(found.get("Result")) if "Error" not in found else {"Status": "FAILED", "Error": found["Error"]}

    return body


def succeed(engine: LocalEngine, callback_id: str, result: bytes | None = b'"yes"') -> None:
    engine.client.send_durable_execution_callback_success(CallbackId=callback_id, Result=result)


def test_a_callback_is_completed_with_the_text_as_sent(engine: LocalEngine) -> None:
    register(engine, awaiting(callback("cb", Name="approval")))
    arn = engine.start("flow")
    callback_id = engine.wait_for_callback_id(arn, "approval")
    succeed(engine, callback_id, b'{"status": "approved"}')

    assert engine.wait(arn).result == {"status": "approved"}
    events = history(engine, arn)
    assert [event["EventType"] for event in events] == [
        "ExecutionStarted",
        "CallbackStarted",
        "InvocationCompleted",
        "CallbackSucceeded",
        "InvocationCompleted",
        "ExecutionSucceeded",
    ]
    assert details(events[1]) == {"CallbackId": callback_id}
    assert details(events[3]) == {"Result": {"Payload": '{"status": "approved"}'}}
    assert (events[3]["Id"], events[3]["Name"], events[3]["SubType"]) == ("cb", "approval", "Callback")


@pytest.mark.parametrize("nothing", [None, b"", ""], ids=repr)
def test_a_callback_may_be_completed_with_nothing(engine: LocalEngine, nothing: bytes | None) -> None:
    register(engine, awaiting(callback("cb")))
    arn = engine.start("flow")
    succeed(engine, engine.wait_for_callback_id(arn), nothing)

    assert engine.wait(arn).result is None
    assert details(history(engine, arn)[3]) == {"Result": {}}


def test_a_callback_may_fail(engine: LocalEngine) -> None:
    error = {"ErrorType": "RejectedError", "ErrorMessage": "not approved", "ErrorData": "{}", "StackTrace": ["a", "b"]}
    register(engine, awaiting(callback("cb")))
    arn = engine.start("flow")
    engine.client.send_durable_execution_callback_failure(CallbackId=engine.wait_for_callback_id(arn), Error=error)
    result = engine.wait(arn)

    assert result.error is not None
    assert result.error.to_wire() == error
    assert details(history(engine, arn)[3]) == {"Error": {"Payload": error}}
    assert kinds(engine, arn)[-1] == "ExecutionFailed"


def test_a_callback_may_fail_without_saying_why(engine: LocalEngine) -> None:
    register(engine, awaiting(callback("cb")))
    arn = engine.start("flow")
    engine.client.send_durable_execution_callback_failure(CallbackId=engine.wait_for_callback_id(arn))

    assert details(history(engine, arn)[3]) == {"Error": {"Payload": {}}}


@pytest.mark.parametrize(
    ("options", "kind", "seconds"),
    [
        ({"timeout": 5}, "Callback.Timeout", 5),
        ({"heartbeat": 3}, "Callback.Heartbeat", 3),
        ({"timeout": 5, "heartbeat": 3}, "Callback.Heartbeat", 3),
        ({"timeout": 3, "heartbeat": 5}, "Callback.Timeout", 3),
        ({"timeout": 3, "heartbeat": 3}, "Callback.Timeout", 3),
    ],
)
def test_nobody_answers(engine: LocalEngine, options: dict[str, int], kind: str, seconds: int) -> None:
    register(engine, awaiting(callback("cb", **options)))
    result = engine.run("flow")

    events = history(engine, result.arn)
    names = {"timeout": "Timeout", "heartbeat": "HeartbeatTimeout"}
    started = {name: value for name, value in details(events[1]).items() if name != "CallbackId"}
    assert started == {names[option]: value for option, value in options.items()}
    assert [event["EventType"] for event in events][2:] == [
        "InvocationCompleted",
        "CallbackTimedOut",
        "InvocationCompleted",
        "ExecutionFailed",
    ]
    assert details(events[3])["Error"]["Payload"]["ErrorType"] == kind
    assert events[3]["EventTimestamp"] == START + timedelta(seconds=seconds)


def test_heartbeats_keep_a_callback_alive_without_events(engine: LocalEngine) -> None:
    register(engine, awaiting(callback("cb", heartbeat=10)))
    arn = engine.start("flow")
    callback_id = engine.wait_for_callback_id(arn)
    before = kinds(engine, arn)
    for second in range(5, 50, 5):
        engine.clock.advance_to(START + timedelta(seconds=second))
        engine.client.send_durable_execution_callback_heartbeat(CallbackId=callback_id)
        engine.run_until_idle()
    assert kinds(engine, arn) == before
    engine.clock.advance_to(START + timedelta(seconds=54))
    succeed(engine, callback_id)
    assert engine.wait(arn).result == "yes"


def test_heartbeats_do_not_move_the_time_out(engine: LocalEngine) -> None:
    register(engine, awaiting(callback("cb", timeout=12, heartbeat=10)))
    arn = engine.start("flow")
    callback_id = engine.wait_for_callback_id(arn)
    engine.clock.advance_to(START + timedelta(seconds=9))
    engine.client.send_durable_execution_callback_heartbeat(CallbackId=callback_id)
    result = engine.wait(arn)

    assert result.error is not None
    assert result.error.type == "Callback.Timeout"
    assert engine.clock.now() == START + timedelta(seconds=12)


def test_a_heartbeat_of_a_callback_without_a_heartbeat_timeout_changes_nothing(engine: LocalEngine) -> None:
    register(engine, awaiting(callback("cb")))
    arn = engine.start("flow")
    callback_id = engine.wait_for_callback_id(arn)
    engine.client.send_durable_execution_callback_heartbeat(CallbackId=callback_id)
    succeed(engine, callback_id)
    assert engine.wait(arn).result == "yes"


def test_a_callback_is_completed_once(engine: LocalEngine) -> None:
    register(engine, awaiting(callback("cb", timeout=10), callback("other")))
    arn = engine.start("flow")
    callback_id = engine.wait_for_callback_id(arn)
    succeed(engine, callback_id)
    before = history(engine, arn)
    client = engine.client
    for call in (
        lambda: succeed(engine, callback_id),
        lambda: client.send_durable_execution_callback_failure(CallbackId=callback_id),
        lambda: client.send_durable_execution_callback_heartbeat(CallbackId=callback_id),
    ):
        with pytest.raises(ServiceError) as refused:
            call()
        assert (refused.value.code, refused.value.status) == ("CallbackTimeoutException", 400)
    assert history(engine, arn) == before


def test_a_callback_cannot_be_completed_after_its_time_even_before_the_timer_fired(engine: LocalEngine) -> None:
    register(engine, awaiting(callback("cb", timeout=5)))
    arn = engine.start("flow")
    callback_id = engine.wait_for_callback_id(arn)
    engine.clock.advance_to(START + timedelta(seconds=5))
    with pytest.raises(ServiceError, match="CallbackTimeoutException"):
        succeed(engine, callback_id)
    assert engine.wait(arn).status == "FAILED"


def test_a_callback_ends_with_its_execution(engine: LocalEngine) -> None:
    register(engine, awaiting(callback("cb")))
    arn = engine.start("flow")
    callback_id = engine.wait_for_callback_id(arn)
    engine.client.stop_durable_execution(DurableExecutionArn=arn)
    with pytest.raises(ServiceError, match="CallbackTimeoutException"):
        succeed(engine, callback_id)
    engine.client.delete_durable_execution(DurableExecutionArn=arn)
    with pytest.raises(ServiceError, match="ResourceNotFoundException"):
        succeed(engine, callback_id)


FOREIGN = [
    "",
    "nonsense",
    "a/b",
    b64encode(b"1.1.x").decode(),
    b64encode(b"1.9.x").decode(),
    b64encode(b"9.1.x").decode(),
    b64encode(b"9.9.x").decode(),
    b64encode(b"-1.0.x").decode(),
    7,
    "é",
    b64encode(str(10**30).encode() + b".1.x").decode(),
]


@pytest.mark.parametrize("callback_id", FOREIGN)
def test_an_unknown_callback_is_not_found(engine: LocalEngine, callback_id: str) -> None:
    register(engine, awaiting(callback("cb")))
    engine.wait_for_callback_id(engine.start("flow"))
    with pytest.raises(ServiceError) as refused:
        succeed(engine, callback_id)
    assert (refused.value.code, refused.value.status) == ("ResourceNotFoundException", 404)


@pytest.mark.parametrize("result", [b"x" * 1_048_577, b"\xff", {"a": 1}])
def test_a_result_that_is_no_text_of_an_acceptable_size_is_refused(engine: LocalEngine, result: bytes) -> None:
    register(engine, awaiting(callback("cb")))
    arn = engine.start("flow")
    callback_id = engine.wait_for_callback_id(arn)
    with pytest.raises(ServiceError, match="InvalidParameterValueException"):
        succeed(engine, callback_id, result)
    succeed(engine, callback_id, b'"' + b"x" * 1_048_574 + b'"')
    assert len(engine.wait(arn).result) == 1_048_574


def test_a_callback_that_settles_during_a_wait_brings_an_empty_invocation(engine: LocalEngine) -> None:
    seen: list[list[str]] = []
    register(engine, awaiting(callback("cb"), wait("w", 5), seen=seen))
    arn = engine.start("flow")
    engine.run_until_idle(skips="nothing")
    callback_id = details(history(engine, arn)[1])["CallbackId"]
    succeed(engine, callback_id)

    assert engine.wait(arn).result == "yes"
    assert kinds(engine, arn)[3:] == [
        "InvocationCompleted",
        "CallbackSucceeded",
        "InvocationCompleted",
        "WaitSucceeded",
        "InvocationCompleted",
        "ExecutionSucceeded",
    ]
    assert seen == [[], ["cb"], ["w"]]


def test_a_callback_may_settle_while_its_handler_runs(engine: LocalEngine) -> None:
    def body(session: Session) -> Wire:
        session.send(callback("cb"))
        callback_id = session.operations["cb"]["CallbackDetails"]["CallbackId"]
        succeed(engine, callback_id)
        assert [found["Status"] for found in session.send(step("s", "START"), step("s", "SUCCEED"))] == [
            "SUCCEEDED",
            "SUCCEEDED",
        ]
        return done()

    register(engine, body)
    assert kinds(engine, engine.run("flow").arn) == [
        "ExecutionStarted",
        "CallbackStarted",
        "CallbackSucceeded",
        "StepStarted",
        "StepSucceeded",
        "InvocationCompleted",
        "ExecutionSucceeded",
    ]


def test_what_ends_outside_is_delivered_once(engine: LocalEngine) -> None:
    def body(session: Session) -> Wire:
        session.send(callback("a"), callback("b"))
        for identity in ("a", "b"):
            succeed(engine, session.operations[identity]["CallbackDetails"]["CallbackId"])
            assert [found["Id"] for found in session.send()] == [identity]
        assert session.send() == []
        return done()

    register(engine, body)
    assert engine.run("flow").status == "SUCCEEDED"


def test_the_callback_in_a_wait_for_callback_is_found_by_its_name(engine: LocalEngine) -> None:
    def body(session: Session) -> Wire:
        if session.status("cb") is None:
            session.send(
                {**context("ctx", "START", Name="approve"), "SubType": "WaitForCallback"},
                callback("cb", ParentId="ctx", Name="approve create callback id"),
            )
        return done() if session.status("cb") == "SUCCEEDED" else PENDING

    register(engine, body)
    arn = engine.start("flow")
    succeed(engine, engine.wait_for_callback_id(arn, "approve"))
    assert engine.wait(arn).result == "done"


def test_waiting_for_a_callback_that_never_comes_says_so(engine: LocalEngine) -> None:
    register(engine, awaiting(callback("cb", Name="approval")))
    register(engine, lambda session: failed(), "fails")
    with pytest.raises(EngineError, match="RUNNING and does not wait for a callback named 'aproval'"):
        engine.wait_for_callback_id(engine.start("flow"), "aproval")
    with pytest.raises(EngineError, match="FAILED and does not wait for a callback"):
        engine.wait_for_callback_id(engine.start("fails"))


def test_waiting_for_the_end_of_what_waits_for_a_callback_says_how_to_complete_it(engine: LocalEngine) -> None:
    register(engine, awaiting(callback("cb", Name="approval")))
    with pytest.raises(
        EngineError, match=r"it waits for the callback approval.*send_durable_execution_callback_success"
    ):
        engine.run("flow")

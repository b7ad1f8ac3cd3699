"""What a handler's answer, its failure, or its death means for the execution."""

from datetime import timedelta
from typing import Any

import pytest

from durable_execution.local import Answer, EngineLimits, Failure, Invocation, LocalEngine, Missing
from durable_execution.protocol import ErrorObject, Wire
from tests.unit.local.conftest import START
from tests.unit.local.scripts import (
    PENDING,
    Session,
    callback,
    details,
    done,
    failed,
    history,
    kinds,
    register,
    retry,
    step,
    wait,
)


def test_the_envelope_has_the_payload_as_text_and_milliseconds(engine: LocalEngine) -> None:
    events: list[Wire] = []

    def handler(event: Wire, context: Any) -> Wire:
        events.append(event)
        session = Session(engine.client, event, context)
        if session.status("w") is None:
            session.send(wait("w", 5, Name="nap"))
            return PENDING
        return done()

    engine.register("flow", handler, durable=True)
    result = engine.run("flow", {"a": 1})

    first, second = events
    millis = int(START.timestamp() * 1000)
    root = first["InitialExecutionState"]["Operations"][0]
    assert first["DurableExecutionArn"] == result.arn
    assert first["InitialExecutionState"]["NextMarker"] == ""
    assert first["UpdatedOperationIds"] == []
    assert root == {
        "Id": root["Id"],
        "Name": root["Name"],
        "Type": "EXECUTION",
        "StartTimestamp": millis,
        "Status": "STARTED",
        "ExecutionDetails": {"InputPayload": '{"a": 1}'},
    }
    assert second["UpdatedOperationIds"] == ["w"]
    assert second["CheckpointToken"] != first["CheckpointToken"]
    assert second["InitialExecutionState"]["Operations"][1] == {
        "Id": "w",
        "Name": "nap",
        "Type": "WAIT",
        "SubType": "Wait",
        "StartTimestamp": millis,
        "EndTimestamp": millis + 5000,
        "Status": "SUCCEEDED",
        "WaitDetails": {"ScheduledEndTimestamp": millis + 5000},
    }


def test_an_invocation_that_raises_is_retried_with_the_same_state(engine: LocalEngine) -> None:
    states: list[list[str | None]] = []

    def body(session: Session) -> Wire:
        states.append([session.status("a"), session.status("b")])
        if len(states) == 1:
            session.send(step("a", "START"), step("a", "SUCCEED"), step("b", "START"))
            raise ConnectionError("gone")
        session.send(step("b", "SUCCEED"))
        return done()

    register(engine, body)
    result = engine.run("flow")

    assert states == [[None, None], ["SUCCEEDED", "STARTED"]]
    events = history(engine, result.arn)
    assert [event["EventType"] for event in events] == [
        "ExecutionStarted",
        "StepStarted",
        "StepSucceeded",
        "StepStarted",
        "InvocationCompleted",
        "StepSucceeded",
        "InvocationCompleted",
        "ExecutionSucceeded",
    ]
    error = details(events[4])["Error"]["Payload"]
    assert (error["ErrorType"], error["ErrorMessage"]) == ("ConnectionError", "gone")
    assert "Error" not in details(events[6])
    assert events[6]["EventTimestamp"] == START + timedelta(seconds=5)


def test_five_failures_in_a_row_fail_the_execution_with_the_last_error(engine: LocalEngine) -> None:
    calls: list[int] = []

    def body(session: Session) -> Wire:
        calls.append(len(calls))
        raise OSError(f"failure {len(calls)}")

    register(engine, body)
    result = engine.run("flow")

    assert len(calls) == 5
    assert result.error is not None
    assert (result.error.type, result.error.message) == ("OSError", "failure 5")
    assert kinds(engine, result.arn) == ["ExecutionStarted", *["InvocationCompleted"] * 5, "ExecutionFailed"]
    assert engine.clock.now() == START + timedelta(seconds=20)


def test_a_clean_invocation_forgives_earlier_failures(engine: LocalEngine) -> None:
    calls: list[int] = []

    def body(session: Session) -> Wire:
        calls.append(len(calls))
        if len(calls) % 4:
            raise OSError("again")
        identity = f"w{len(calls)}"
        session.send(wait(identity, 1))
        return done() if len(calls) == 12 else PENDING

    register(engine, body)
    assert engine.run("flow").status == "SUCCEEDED"


def test_a_handler_that_ends_its_process_is_reported_as_lambda_does(engine: LocalEngine) -> None:
    def body(session: Session) -> Wire:
        if session.status("a") is None:
            session.send(step("a", "START"))
            raise SystemExit(1)
        session.send(step("a", "FAIL", Error={"ErrorType": "StepInterrupted"}))
        return failed()

    register(engine, body)
    events = history(engine, engine.run("flow").arn)

    assert [event["EventType"] for event in events][1:] == [
        "StepStarted",
        "InvocationCompleted",
        "StepFailed",
        "InvocationCompleted",
        "ExecutionFailed",
    ]
    assert details(events[2])["Error"]["Payload"]["ErrorType"] == "Runtime.ExitError"
    assert details(events[3])["RetryDetails"] == {"CurrentAttempt": 1}


def test_pending_with_nothing_pending_is_answered_three_times(engine: LocalEngine) -> None:
    register(engine, lambda session: PENDING)
    result = engine.run("flow")

    assert result.error is not None
    assert result.error.to_wire() == {
        "ErrorMessage": "Cannot return PENDING status with no pending operations.",
        "ErrorType": "InvalidParameterValueException",
    }
    assert kinds(engine, result.arn) == ["ExecutionStarted", *["InvocationCompleted"] * 3, "ExecutionFailed"]
    assert engine.clock.now() == START


def test_pending_after_a_change_is_invoked_again_at_once(engine: LocalEngine) -> None:
    calls: list[int] = []

    def body(session: Session) -> Wire:
        calls.append(len(calls))
        if len(calls) > 8:
            return done()
        if len(calls) % 3 == 0:  # twice without a reason, then progress
            session.send(step(f"s{len(calls)}", "START"), step(f"s{len(calls)}", "SUCCEED"))
        return PENDING

    register(engine, body)
    assert engine.run("flow").status == "SUCCEEDED"
    assert len(calls) == 9


@pytest.mark.parametrize(
    "updates",
    [
        (wait("w", 5),),
        (callback("c", timeout=5),),
        (retry("s", 5, Payload="1"),),
    ],
    ids=["wait", "callback", "step"],
)
def test_pending_with_something_pending_waits_for_it(engine: LocalEngine, updates: tuple[Wire, ...]) -> None:
    calls: list[int] = []

    def body(session: Session) -> Wire:
        calls.append(len(calls))
        if len(calls) == 1:
            session.send(*updates)
            return PENDING
        return done()

    register(engine, body)
    engine.run("flow")
    assert engine.clock.now() == START + timedelta(seconds=5)
    assert len(calls) == 2


BROKEN = {
    "nothing": None,
    "a text": "done",
    "a list": [PENDING],
    "no status": {},
    "unknown status": {"Status": "FINISHED"},
    "status is a list": {"Status": ["SUCCEEDED"]},
    "result with failed": {"Status": "FAILED", "Result": "1"},
    "error with succeeded": {"Status": "SUCCEEDED", "Error": {"ErrorMessage": "no"}},
    "result is an object": {"Status": "SUCCEEDED", "Result": {"a": 1}},
    "error is a text": {"Status": "FAILED", "Error": "no"},
    "error message is a number": {"Status": "FAILED", "Error": {"ErrorMessage": 1}},
    "result is too large": {"Status": "SUCCEEDED", "Result": "x" * (6 * 1024 * 1024 + 1)},
    "result is half a surrogate pair": {"Status": "SUCCEEDED", "Result": "\ud800"},
}


@pytest.mark.parametrize("case", BROKEN)
def test_an_answer_that_breaks_the_rules_fails_the_execution_at_once(engine: LocalEngine, case: str) -> None:
    engine.register("flow", lambda event, context: BROKEN[case], durable=True)
    result = engine.run("flow")

    assert result.status == "FAILED"
    assert result.error is not None
    assert result.error.type == "InvalidParameterValueException"
    assert kinds(engine, result.arn) == ["ExecutionStarted", "InvocationCompleted", "ExecutionFailed"]


def test_failed_without_an_error_is_an_error_without_members(engine: LocalEngine) -> None:
    engine.register("flow", lambda event, context: {"Status": "FAILED"}, durable=True)
    result = engine.run("flow")

    assert result.status == "FAILED"
    assert details(history(engine, result.arn)[-1]) == {"Error": {"Payload": {}}}


class Host:
    """A host that answers as told."""

    def __init__(self, *outcomes: Any) -> None:
        self.outcomes = list(outcomes)
        self.invocations: list[Invocation] = []
        self.is_closed = False

    def invoke(self, invocation: Invocation) -> Any:
        self.invocations.append(invocation)
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def close(self) -> None:
        self.is_closed = True


def test_a_host_reports_crashes_and_time_outs(engine: LocalEngine) -> None:
    crash = Failure(ErrorObject("RequestId: x Error: Runtime exited", "Runtime.ExitError"))
    timeout = Failure(ErrorObject("Task timed out after 3.00 seconds", "Sandbox.Timedout"))
    host = Host(crash, timeout, Answer(done()))
    engine.register("flow", host)
    result = engine.run("flow", 7)

    assert result.result == "done"
    errors = [
        details(event).get("Error")
        for event in history(engine, result.arn)
        if event["EventType"] == "InvocationCompleted"
    ]
    assert [error and error["Payload"]["ErrorType"] for error in errors] == [
        "Runtime.ExitError",
        "Sandbox.Timedout",
        None,
    ]
    assert [invocation.number for invocation in host.invocations] == [1, 2, 3]
    assert {invocation.execution_arn for invocation in host.invocations} == {result.arn}
    assert len({invocation.context.aws_request_id for invocation in host.invocations}) == 3


def test_a_function_that_is_gone_fails_the_execution_without_a_retry(engine: LocalEngine) -> None:
    engine.register("flow", Host(Missing("Function not found: flow")))
    result = engine.run("flow")

    assert result.error is not None
    assert result.error.type == "ResourceNotFoundException"
    assert kinds(engine, result.arn) == ["ExecutionStarted", "InvocationCompleted", "ExecutionFailed"]


def test_a_host_that_breaks_is_logged_and_retried(engine: LocalEngine, caplog: pytest.LogCaptureFixture) -> None:
    engine.register("flow", Host(RuntimeError("socket"), Answer(done())))
    assert engine.run("flow").status == "SUCCEEDED"
    assert "the host of function flow failed" in caplog.text


def test_hosts_are_closed_with_the_engine() -> None:
    host = Host()
    with LocalEngine(None) as engine:
        engine.register("flow", host)
    assert host.is_closed


@pytest.mark.real_time
def test_an_invocation_over_its_time_is_given_up_and_its_token_is_stale() -> None:
    import threading

    release = threading.Event()
    late: list[BaseException] = []

    def body(session: Session) -> Wire:
        if session.status("a") is not None:
            return done()
        session.send(step("a", "START"))
        release.wait(30)
        try:
            session.send(step("a", "SUCCEED"))
        except Exception as error:
            late.append(error)
            raise
        return done("late")

    limits = EngineLimits(retry_delay=timedelta(milliseconds=10))
    with LocalEngine(None, limits=limits) as engine:
        register(engine, body, timeout=timedelta(milliseconds=500))
        result = engine.run("flow")
        events = history(engine, result.arn)
        release.set()
        engine._scheduler.run_until(lambda: bool(late), timeout=10)
        assert history(engine, result.arn) == events
    assert result.result == "done"
    assert details(events[2])["Error"]["Payload"]["ErrorType"] == "Sandbox.Timedout"
    assert "Invalid checkpoint token" in str(late[0])


def test_a_result_that_is_no_json_is_handed_out_as_text(engine: LocalEngine) -> None:
    register(engine, lambda session: done("<xml/>"))
    assert engine.run("flow").result == "<xml/>"

"""Executions as a whole: idempotent starts, time-outs, stop, pause, resume, delete, retention."""

from datetime import timedelta
from typing import Any

import pytest

from durable_execution.errors import EngineError, ServiceError
from durable_execution.local import LocalEngine, SkippingClock
from durable_execution.protocol import Wire
from tests.unit.local.conftest import START
from tests.unit.local.scripts import (
    PENDING,
    Session,
    callback,
    details,
    done,
    history,
    kinds,
    register,
    retry,
    step,
    wait,
)

DAY = timedelta(days=1)


def get(engine: LocalEngine, arn: str, **options: Any) -> Wire:
    found: Wire = engine.client.get_durable_execution(DurableExecutionArn=arn, **options)
    return found


def naps(session: Session) -> Wire:
    """Waits for a minute."""
    if session.status("w") is None:
        session.send(wait("w", 60))
    return done() if session.status("w") == "SUCCEEDED" else PENDING


def refuses(code: str, status: int, call: Any) -> None:
    with pytest.raises(ServiceError) as refused:
        call()
    assert (refused.value.code, refused.value.status) == (code, status)


def test_the_same_name_and_payload_is_the_same_execution(engine: LocalEngine) -> None:
    calls: list[str] = []

    def body(session: Session) -> Wire:
        calls.append(session.arn)
        return done()

    register(engine, body)
    register(engine, body, "other")
    first = engine.run("flow", {"a": 1}, name="order-7")
    again = engine.run("flow", {"a": 1}, name="order-7")
    other = engine.run("other", {"a": 1}, name="order-7")

    assert first == again
    assert calls == [first.arn, other.arn]
    assert get(engine, first.arn)["DurableExecutionName"] == "order-7"
    refuses("DurableExecutionAlreadyStartedException", 409, lambda: engine.start("flow", {"a": 2}, name="order-7"))


def test_an_execution_without_a_name_gets_one(engine: LocalEngine) -> None:
    register(engine, naps)
    first, second = engine.start("flow"), engine.start("flow")

    assert first != second
    assert get(engine, first)["DurableExecutionName"] in first


def test_one_execution_as_the_api_shows_it(engine: LocalEngine) -> None:
    register(engine, naps, retention=timedelta(days=3), execution_timeout=timedelta(minutes=10))
    arn = engine.start("flow", {"a": 1}, name="n", trace_header="Root=1-2")
    engine.run_until_idle(skips="nothing")
    running = get(engine, arn)
    engine.wait(arn)

    expected = {
        "DurableExecutionArn": arn,
        "DurableExecutionName": "n",
        "FunctionArn": "arn:aws:lambda:us-east-1:123456789012:function:flow:$LATEST",
        "StartTimestamp": START,
        "Version": "$LATEST",
        "ExecutionDataIncluded": True,
        "DurableConfig": {"RetentionPeriodInDays": 3, "ExecutionTimeout": 600},
        "TraceHeader": {"XAmznTraceId": "Root=1-2"},
        "InputPayload": '{"a": 1}',
    }
    assert running == {
        **expected,
        "Status": "RUNNING",
        "ExpectedExecutionTimeoutTimestamp": START + timedelta(minutes=10),
    }
    end = START + timedelta(minutes=1)
    assert get(engine, arn) == {**expected, "Status": "SUCCEEDED", "EndTimestamp": end, "Result": '"done"'}
    bare = get(engine, arn, IncludeExecutionData=False)
    assert bare["ExecutionDataIncluded"] is False
    assert not {"InputPayload", "Result", "Error"} & set(bare)


def test_an_execution_over_its_time_ends(engine: LocalEngine) -> None:
    register(engine, naps, execution_timeout=timedelta(seconds=30))
    result = engine.run("flow")

    assert result.status == "TIMED_OUT"
    assert kinds(engine, result.arn) == ["ExecutionStarted", "WaitStarted", "InvocationCompleted", "ExecutionTimedOut"]
    assert get(engine, result.arn)["EndTimestamp"] == START + timedelta(seconds=30)
    assert details(history(engine, result.arn)[0])["ExecutionTimeout"] == 30
    engine.run_until_idle()
    assert kinds(engine, result.arn)[-1] == "ExecutionTimedOut"


def test_an_execution_may_time_out_while_its_handler_runs(engine: LocalEngine) -> None:
    def body(session: Session) -> Wire:
        session.send(step("a", "START"))
        engine.clock.advance_to(START + timedelta(seconds=31))
        engine._scheduler._start_due()
        with pytest.raises(ServiceError, match="Invalid checkpoint token"):
            session.send(step("a", "SUCCEED"))
        return done("ignored")

    register(engine, body)
    result = engine.run("flow", timeout=timedelta(seconds=30))

    assert (result.status, result.result) == ("TIMED_OUT", None)
    engine.run_until_idle()
    assert kinds(engine, result.arn) == ["ExecutionStarted", "StepStarted", "ExecutionTimedOut", "InvocationCompleted"]


@pytest.mark.parametrize("seconds", [0, 31_622_401])
def test_a_time_out_is_from_a_second_to_a_year(engine: LocalEngine, seconds: int) -> None:
    register(engine, naps)
    with pytest.raises(ServiceError, match="ExecutionTimeout"):
        engine.start("flow", timeout=timedelta(seconds=seconds, milliseconds=1))


def test_a_skipping_clock_does_not_jump_to_a_time_out_nobody_asked_for(engine: LocalEngine) -> None:
    def body(session: Session) -> Wire:
        session.send(callback("c"))
        return PENDING

    register(engine, body)
    with pytest.raises(EngineError, match="waits for the callback"):
        engine.run("flow")
    assert engine.clock.now() == START


@pytest.mark.parametrize("error", [None, {"ErrorMessage": "enough", "ErrorType": "Operator", "ErrorData": "x"}])
def test_a_stopped_execution_ends_at_once(engine: LocalEngine, error: Wire | None) -> None:
    register(engine, naps)
    arn = engine.start("flow")
    engine.run_until_idle(skips="nothing")
    stopped = engine.client.stop_durable_execution(DurableExecutionArn=arn, Error=error)

    assert stopped == {"StopTimestamp": START}
    assert engine.wait(arn).status == "STOPPED"
    assert details(history(engine, arn)[-1]) == {"Error": {"Payload": error} if error else {}}
    assert get(engine, arn).get("Error") == error
    engine.clock.advance_to(START + DAY)
    assert engine.client.stop_durable_execution(DurableExecutionArn=arn) == stopped
    engine.run_until_idle()
    assert kinds(engine, arn) == ["ExecutionStarted", "WaitStarted", "InvocationCompleted", "ExecutionStopped"]


def test_an_execution_may_be_stopped_while_its_handler_runs(engine: LocalEngine) -> None:
    def body(session: Session) -> Wire:
        session.client.stop_durable_execution(DurableExecutionArn=session.arn)
        with pytest.raises(ServiceError, match="Invalid checkpoint token"):
            session.send()
        return done("ignored")

    register(engine, body)
    result = engine.run("flow")
    engine.run_until_idle()

    assert result.status == "STOPPED"
    assert kinds(engine, result.arn) == ["ExecutionStarted", "ExecutionStopped", "InvocationCompleted"]


def test_an_execution_stopped_before_it_began_is_never_invoked(engine: LocalEngine) -> None:
    calls: list[str] = []
    register(engine, lambda session: calls.append("called"))
    arn = engine.start("flow")
    engine.client.stop_durable_execution(DurableExecutionArn=arn)
    engine.run_until_idle()
    assert (calls, kinds(engine, arn)) == ([], ["ExecutionStarted", "ExecutionStopped"])


def pause(engine: LocalEngine, arn: str, **options: Any) -> None:
    assert engine.client.pause_durable_execution(DurableExecutionArn=arn, **options) == {}


def resume(engine: LocalEngine, arn: str, **options: Any) -> None:
    assert engine.client.resume_durable_execution(DurableExecutionArn=arn, **options) == {}


def test_while_paused_timers_fire_and_the_handler_rests(engine: LocalEngine) -> None:
    register(engine, naps)
    arn = engine.start("flow", timeout=timedelta(minutes=5))
    engine.run_until_idle(skips="nothing")
    pause(engine, arn, Reason="deploying")
    paused = get(engine, arn)
    assert paused["Status"] == "PAUSED"
    assert paused["PauseDetails"] == {
        "PauseRequestTimestamp": START,
        "ExecutionTimeoutPaused": True,
        "Reason": "deploying",
    }
    assert paused["ExpectedExecutionTimeoutTimestamp"] == START + timedelta(days=366)
    assert "Reason" not in get(engine, arn, IncludeExecutionData=False)["PauseDetails"]
    engine.run_until_idle()
    assert engine.clock.now() == START + timedelta(minutes=1)
    assert kinds(engine, arn)[-2:] == ["ExecutionPaused", "WaitSucceeded"]
    engine.clock.advance_to(START + timedelta(minutes=3))
    resume(engine, arn, Reason="deployed")
    assert get(engine, arn)["ExpectedExecutionTimeoutTimestamp"] == START + timedelta(minutes=8)
    assert "PauseDetails" not in get(engine, arn)

    assert engine.wait(arn).result == "done"
    events = history(engine, arn)
    assert [event["EventType"] for event in events][2:] == [
        "InvocationCompleted",
        "ExecutionPaused",
        "WaitSucceeded",
        "ExecutionResumed",
        "InvocationCompleted",
        "ExecutionSucceeded",
    ]
    assert details(events[3]) == {
        "PauseRequestTimestamp": START,
        "ExecutionTimeoutPaused": True,
        "Reason": {"Payload": "deploying"},
    }
    assert details(events[5]) == {
        "ResumeRequestTimestamp": START + timedelta(minutes=3),
        "Reason": {"Payload": "deployed"},
    }


def test_an_execution_nothing_happened_to_goes_on_waiting_when_resumed(engine: LocalEngine) -> None:
    register(engine, naps)
    arn = engine.start("flow")
    engine.run_until_idle(skips="nothing")
    pause(engine, arn)
    resume(engine, arn)
    engine.wait(arn)

    assert kinds(engine, arn).count("InvocationCompleted") == 2
    assert details(history(engine, arn)[4]) == {"ResumeRequestTimestamp": START}


def test_the_time_out_may_run_on_during_a_pause(engine: LocalEngine) -> None:
    register(engine, naps)
    arn = engine.start("flow", timeout=timedelta(seconds=30))
    engine.run_until_idle(skips="nothing")
    pause(engine, arn, ExecutionTimeoutPaused=False)
    assert get(engine, arn)["ExpectedExecutionTimeoutTimestamp"] == START + timedelta(seconds=30)

    assert engine.wait(arn).status == "TIMED_OUT"
    assert kinds(engine, arn)[-2:] == ["ExecutionPaused", "ExecutionTimedOut"]


def test_a_paused_time_out_still_ends_after_a_year(engine: LocalEngine) -> None:
    register(engine, naps)
    arn = engine.start("flow", timeout=timedelta(days=300))
    engine.run_until_idle(skips="nothing")
    pause(engine, arn)

    assert engine.wait(arn).status == "TIMED_OUT"
    assert engine.clock.now() == START + timedelta(days=366)


def test_a_running_invocation_is_paused_at_its_next_checkpoint(engine: LocalEngine) -> None:
    tokens: list[str | None] = []

    def body(session: Session) -> Wire:
        if session.status("a") is None:
            pause(engine, session.arn)
            assert get(engine, session.arn)["Status"] == "PAUSING"
            changed = session.send(step("a", "START"), step("a", "SUCCEED", Payload="1"))
            assert [found["Status"] for found in changed] == ["SUCCEEDED"]
            tokens.append(session.token)
            assert get(engine, session.arn)["Status"] == "PAUSED"
            return PENDING
        return done()

    register(engine, body)
    arn = engine.start("flow")
    engine.run_until_idle()
    assert tokens == [None]
    assert get(engine, arn)["Status"] == "PAUSED"
    resume(engine, arn)

    assert engine.wait(arn).result == "done"  # the pause interrupted an invocation, so resuming invokes
    assert kinds(engine, arn) == [
        "ExecutionStarted",
        "StepStarted",
        "StepSucceeded",
        "ExecutionPaused",
        "InvocationCompleted",
        "ExecutionResumed",
        "InvocationCompleted",
        "ExecutionSucceeded",
    ]


def test_an_invocation_that_suspends_without_a_checkpoint_is_paused_at_its_end(engine: LocalEngine) -> None:
    def body(session: Session) -> Wire:
        if session.status("w") is None:
            session.send(wait("w", 60))
            pause(engine, session.arn)
            return PENDING
        return done()

    register(engine, body)
    arn = engine.start("flow")
    engine.run_until_idle(skips="nothing")

    assert get(engine, arn)["Status"] == "PAUSED"
    assert kinds(engine, arn)[-2:] == ["InvocationCompleted", "ExecutionPaused"]


def test_an_invocation_that_ends_the_execution_outruns_a_pause(engine: LocalEngine) -> None:
    def body(session: Session) -> Wire:
        pause(engine, session.arn)
        return done()

    register(engine, body)
    result = engine.run("flow")
    assert result.status == "SUCCEEDED"
    assert "PauseDetails" not in get(engine, result.arn)


def test_an_answer_after_the_pause_is_not_taken(engine: LocalEngine) -> None:
    answers = iter([done("1"), done("2")])

    def body(session: Session) -> Wire:
        answer = next(answers)
        if answer == done("1"):
            pause(engine, session.arn)
            session.send(step("a", "START"))
        return answer

    register(engine, body)
    arn = engine.start("flow")
    engine.run_until_idle()
    assert get(engine, arn)["Status"] == "PAUSED"
    resume(engine, arn)
    assert engine.wait(arn).result == 2


def test_a_pause_that_has_not_happened_can_be_taken_back(engine: LocalEngine) -> None:
    def body(session: Session) -> Wire:
        pause(engine, session.arn)
        resume(engine, session.arn)
        session.send(step("a", "START"), step("a", "SUCCEED"))
        assert session.token
        return done()

    register(engine, body)
    result = engine.run("flow")
    assert "ExecutionPaused" not in kinds(engine, result.arn)
    assert "ExecutionResumed" not in kinds(engine, result.arn)


def test_a_failed_invocation_is_paused_and_retried_when_resumed(engine: LocalEngine) -> None:
    calls: list[int] = []

    def body(session: Session) -> Wire:
        calls.append(1)
        if len(calls) == 1:
            pause(engine, session.arn)
            raise OSError("gone")
        return done()

    register(engine, body)
    arn = engine.start("flow")
    engine.run_until_idle()
    assert (len(calls), get(engine, arn)["Status"]) == (1, "PAUSED")
    resume(engine, arn)
    assert engine.wait(arn).status == "SUCCEEDED"


def test_only_what_runs_can_be_paused_and_only_what_is_paused_resumed(engine: LocalEngine) -> None:
    register(engine, naps)
    arn = engine.start("flow")
    conflict = ("ResourceConflictException", 409)
    refuses(*conflict, lambda: resume(engine, arn))
    pause(engine, arn, ClientToken="t1", Reason="r")
    pause(engine, arn, ClientToken="t1", Reason="r")
    refuses(*conflict, lambda: pause(engine, arn, ClientToken="t1", Reason="other"))
    refuses(*conflict, lambda: pause(engine, arn))
    resume(engine, arn, ClientToken="t2")
    resume(engine, arn, ClientToken="t2")
    refuses(*conflict, lambda: resume(engine, arn))
    engine.wait(arn)
    refuses(*conflict, lambda: pause(engine, arn))
    refuses(*conflict, lambda: resume(engine, arn))


@pytest.mark.parametrize("options", [{"Reason": "x" * 1025}, {"Reason": 7}, {"ExecutionTimeoutPaused": "yes"}])
def test_pause_options_that_make_no_sense_are_refused(engine: LocalEngine, options: Wire) -> None:
    register(engine, naps)
    arn = engine.start("flow")
    refuses("InvalidParameterValueException", 400, lambda: pause(engine, arn, **options))
    assert get(engine, arn)["Status"] == "RUNNING"


def test_a_paused_execution_can_be_stopped(engine: LocalEngine) -> None:
    register(engine, naps)
    arn = engine.start("flow")
    pause(engine, arn)
    engine.client.stop_durable_execution(DurableExecutionArn=arn)
    assert engine.wait(arn).status == "STOPPED"
    assert "PauseDetails" not in get(engine, arn)


def test_an_ended_execution_can_be_deleted(engine: LocalEngine) -> None:
    register(engine, naps)
    arn = engine.start("flow", name="n")
    refuses("ResourceConflictException", 409, lambda: engine.client.delete_durable_execution(DurableExecutionArn=arn))
    engine.wait(arn)
    deleted = engine.client.delete_durable_execution(DurableExecutionArn=arn)

    assert deleted == {"DeletionRequestTimestamp": START + timedelta(minutes=1)}
    for call in (
        lambda: get(engine, arn),
        lambda: history(engine, arn),
        lambda: engine.client.delete_durable_execution(DurableExecutionArn=arn),
        lambda: engine.client.stop_durable_execution(DurableExecutionArn=arn),
        lambda: pause(engine, arn),
        lambda: resume(engine, arn),
    ):
        refuses("ResourceNotFoundException", 404, call)
    assert engine.client.list_durable_executions_by_function(FunctionName="flow") == {"DurableExecutions": []}
    assert engine.start("flow", name="n") != arn


def test_an_execution_deleted_under_its_handler_stays_deleted(engine: LocalEngine) -> None:
    def body(session: Session) -> Wire:
        client = session.client
        client.stop_durable_execution(DurableExecutionArn=session.arn)
        client.delete_durable_execution(DurableExecutionArn=session.arn)
        with pytest.raises(ServiceError, match="Invalid checkpoint token"):
            session.send()
        return done()

    register(engine, body)
    arn = engine.start("flow")
    engine.run_until_idle()
    refuses("ResourceNotFoundException", 404, lambda: get(engine, arn))


def test_executions_are_removed_when_their_retention_is_over(engine: LocalEngine) -> None:
    register(engine, lambda session: done(), retention=timedelta(days=2))
    register(engine, naps, "naps", retention=timedelta(days=2))
    arn, open_arn = engine.run("flow").arn, engine.start("naps")
    assert isinstance(engine.clock, SkippingClock)
    engine.clock.advance(timedelta(days=2, milliseconds=-1))
    engine.resume()
    assert get(engine, arn)["Status"] == "SUCCEEDED"
    engine.clock.advance(timedelta(milliseconds=1))
    engine.resume()
    refuses("ResourceNotFoundException", 404, lambda: get(engine, arn))
    assert get(engine, open_arn)["Status"] == "RUNNING"


def test_retries_go_on_after_a_long_pause(engine: LocalEngine) -> None:
    def body(session: Session) -> Wire:
        if session.status("s") is None:
            session.send(retry("s", 10, Error={"ErrorMessage": "no"}))
            return PENDING
        session.send(step("s", "START"), step("s", "SUCCEED"))
        return done()

    register(engine, body)
    arn = engine.start("flow")
    engine.run_until_idle(skips="nothing")
    pause(engine, arn)
    engine.clock.advance_to(START + DAY)
    engine.run_until_idle()
    resume(engine, arn)
    assert engine.wait(arn).status == "SUCCEEDED"

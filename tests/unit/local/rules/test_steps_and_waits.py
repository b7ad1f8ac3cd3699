"""Steps, retries and waits: events, numbering, and the state handlers see."""

from datetime import timedelta
from typing import Any

from durable_execution.local import LocalEngine
from durable_execution.protocol import Wire
from tests.unit.local.conftest import START
from tests.unit.local.scripts import PENDING, Session, details, done, history, kinds, register, retry, step, wait


def test_a_step_is_two_events_in_one_invocation(engine: LocalEngine) -> None:
    def body(session: Session) -> Wire:
        session.send(step("a", "START", Name="greet"), step("a", "SUCCEED", Name="greet", Payload='"hi"'))
        return done('"hi"')

    register(engine, body)
    result = engine.run("flow", {"who": "me"})

    assert result.result == "hi"
    events = history(engine, result.arn)
    assert [event["EventType"] for event in events] == [
        "ExecutionStarted",
        "StepStarted",
        "StepSucceeded",
        "InvocationCompleted",
        "ExecutionSucceeded",
    ]
    assert [event["EventId"] for event in events] == [1, 2, 3, 4, 5]
    assert details(events[0]) == {"Input": {"Payload": '{"who": "me"}'}, "ExecutionTimeout": 31_622_400}
    assert (events[1]["Id"], events[1]["Name"], events[1]["SubType"]) == ("a", "greet", "Step")
    assert details(events[1]) == {}
    assert details(events[2]) == {"Result": {"Payload": '"hi"'}, "RetryDetails": {"CurrentAttempt": 1}}
    assert set(events[3]) == {"EventType", "EventId", "EventTimestamp", "InvocationCompletedDetails"}
    assert set(details(events[3])) == {"StartTimestamp", "EndTimestamp", "RequestId"}
    assert events[4]["Id"] == events[0]["Id"]
    assert details(events[4]) == {"Result": {"Payload": '"hi"'}}


def test_a_retried_step_starts_again_after_its_delay(engine: LocalEngine) -> None:
    seen: list[tuple[Any, ...]] = []

    def body(session: Session) -> Wire:
        attempt = session.operations["a"]["StepDetails"]["Attempt"] if "a" in session.operations else 0
        seen.append((session.status("a"), attempt, session.updated))
        session.send(step("a", "START"))
        if attempt < 2:
            session.send(retry("a", 7, Error={"ErrorMessage": "no", "ErrorType": "ValueError"}))
            return PENDING
        session.send(step("a", "SUCCEED", Payload="1"))
        return done("1")

    register(engine, body)
    result = engine.run("flow")

    assert seen == [(None, 0, []), ("READY", 1, ["a"]), ("READY", 2, ["a"])]
    assert kinds(engine, result.arn) == [
        "ExecutionStarted",
        *("StepStarted", "StepFailed", "InvocationCompleted") * 2,
        "StepStarted",
        "StepSucceeded",
        "InvocationCompleted",
        "ExecutionSucceeded",
    ]
    events = history(engine, result.arn)
    assert details(events[2]) == {
        "Error": {"Payload": {"ErrorMessage": "no", "ErrorType": "ValueError"}},
        "RetryDetails": {"CurrentAttempt": 1, "NextAttemptDelaySeconds": 7},
    }
    assert details(events[8])["RetryDetails"] == {"CurrentAttempt": 3}
    assert events[-1]["EventTimestamp"] == START + timedelta(seconds=14)


def test_a_final_failure_has_no_delay(engine: LocalEngine) -> None:
    def body(session: Session) -> Wire:
        session.send(step("a", "START"), step("a", "FAIL", Error={"ErrorMessage": "no"}))
        return done()

    register(engine, body)
    events = history(engine, engine.run("flow").arn)

    assert details(events[2]) == {"Error": {"Payload": {"ErrorMessage": "no"}}, "RetryDetails": {"CurrentAttempt": 1}}


def test_a_poll_that_continues_succeeds_with_its_state_and_a_delay(engine: LocalEngine) -> None:
    states: list[str | None] = []

    def body(session: Session) -> Wire:
        state = session.operations["p"]["StepDetails"].get("Result") if "p" in session.operations else "0"
        states.append(state)
        following = str(int(state or "0") + 1)
        session.send(step("p", "START"))
        if following == "3":
            session.send(step("p", "SUCCEED", Payload=following))
            return done(following)
        session.send(retry("p", 2, Payload=following))
        return PENDING

    register(engine, body)
    result = engine.run("flow")

    polls = [details(event) for event in history(engine, result.arn) if event["EventType"] == "StepSucceeded"]
    assert states == ["0", "1", "2"]
    assert [poll["Result"]["Payload"] for poll in polls] == ["1", "2", "3"]
    assert [poll["RetryDetails"] for poll in polls] == [
        {"CurrentAttempt": 1, "NextAttemptDelaySeconds": 2},
        {"CurrentAttempt": 2, "NextAttemptDelaySeconds": 2},
        {"CurrentAttempt": 3},
    ]


def test_a_step_that_polls_once_has_an_empty_result_without_a_payload(engine: LocalEngine) -> None:
    def body(session: Session) -> Wire:
        session.send(step("a", "START"), step("a", "SUCCEED"))
        return done(None)

    register(engine, body)
    result = engine.run("flow")

    assert result.result is None
    assert details(history(engine, result.arn)[2])["Result"] == {}
    assert details(history(engine, result.arn)[-1])["Result"] == {}


def test_waits_end_between_invocations_at_their_time(engine: LocalEngine) -> None:
    def body(session: Session) -> Wire:
        for identity, seconds in (("w1", 3600), ("w2", 31_622_400)):
            if session.status(identity) is None:
                session.send(wait(identity, seconds, Name=identity))
                return PENDING
            if session.status(identity) != "SUCCEEDED":
                return PENDING
        return done()

    register(engine, body)
    result = engine.run("flow")

    events = history(engine, result.arn)
    assert [event["EventType"] for event in events] == [
        "ExecutionStarted",
        "WaitStarted",
        "InvocationCompleted",
        "WaitSucceeded",
        "WaitStarted",
        "InvocationCompleted",
        "WaitSucceeded",
        "InvocationCompleted",
        "ExecutionSucceeded",
    ]
    assert details(events[1]) == {"Duration": 3600, "ScheduledEndTimestamp": START + timedelta(hours=1)}
    assert details(events[3]) == {"Duration": 3600}
    assert events[3]["Name"] == "w1"
    assert events[-1]["EventTimestamp"] == START + timedelta(seconds=3600 + 31_622_400)


def test_a_timer_that_is_due_during_an_invocation_is_told_in_the_next_checkpoint(engine: LocalEngine) -> None:
    def body(session: Session) -> Wire:
        session.send(wait("w", 1))
        engine.clock.advance_to(START + timedelta(seconds=2))
        changed = session.send(step("a", "START"))
        assert [(found["Id"], found["Status"]) for found in changed] == [("w", "SUCCEEDED"), ("a", "STARTED")]
        assert session.send() == []
        session.send(step("a", "SUCCEED"))
        return done()

    register(engine, body)
    events = kinds(engine, engine.run("flow").arn)

    assert set(events[2:4]) == {
        "StepStarted",
        "WaitSucceeded",
    }  # the scheduler may see the timer before the checkpoint does
    assert events[4:] == ["StepSucceeded", "InvocationCompleted", "ExecutionSucceeded"]


def test_a_change_nobody_was_told_of_brings_another_invocation(engine: LocalEngine) -> None:
    updated: list[list[str]] = []

    def body(session: Session) -> Wire:
        updated.append(session.updated)
        if session.status("w") is None:
            session.send(wait("w", 1), wait("long", 100))
            engine.clock.advance_to(START + timedelta(seconds=2))
        return done() if session.status("w") == "SUCCEEDED" else PENDING

    register(engine, body)
    engine.run("flow")

    assert updated == [[], ["w"]]
    assert engine.clock.now() == START + timedelta(seconds=2)


def test_a_change_the_handler_was_told_of_does_not(engine: LocalEngine) -> None:
    invocations: list[str | None] = []

    def body(session: Session) -> Wire:
        invocations.append(session.status("long"))
        if session.status("w") is None:
            session.send(wait("w", 1), wait("long", 100))
            engine.clock.advance_to(START + timedelta(seconds=2))
            session.send()
        return done() if session.status("long") == "SUCCEEDED" else PENDING

    register(engine, body)
    engine.run("flow")

    assert invocations == [None, "SUCCEEDED"]


def test_timers_that_are_due_together_share_an_invocation(engine: LocalEngine) -> None:
    updated: list[list[str]] = []

    def body(session: Session) -> Wire:
        updated.append(session.updated)
        if session.status("w1") is None:
            session.send(wait("w1", 5), wait("w2", 5))
            return PENDING
        return done()

    register(engine, body)
    result = engine.run("flow")

    assert updated == [[], ["w1", "w2"]]
    assert kinds(engine, result.arn)[3:] == [
        "InvocationCompleted",
        "WaitSucceeded",
        "WaitSucceeded",
        "InvocationCompleted",
        "ExecutionSucceeded",
    ]


def test_a_cancelled_wait_never_ends(engine: LocalEngine) -> None:
    def body(session: Session) -> Wire:
        session.send(wait("w", 5))
        session.send({"Id": "w", "Type": "WAIT", "Action": "CANCEL"})
        assert session.status("w") == "CANCELLED"
        return done()

    register(engine, body)
    result = engine.run("flow")

    assert kinds(engine, result.arn)[1:3] == ["WaitStarted", "WaitCancelled"]
    assert engine.clock.now() == START


def test_time_does_not_pass_while_a_handler_runs(engine: LocalEngine) -> None:
    def body(session: Session) -> Wire:
        if session.status("w") is None:
            session.send(wait("w", 1))
            for number in range(50):
                assert session.send(step(f"s{number}", "START"), step(f"s{number}", "SUCCEED"))
            assert session.status("w") == "STARTED"
            return PENDING
        return done()

    register(engine, body)
    result = engine.run("flow")

    assert {event["EventTimestamp"] for event in history(engine, result.arn)} == {START, START + timedelta(seconds=1)}

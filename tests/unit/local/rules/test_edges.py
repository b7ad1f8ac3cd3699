"""Rules of the engine at their edges: sizes that just fit, fields that are cleared, and what only some executions get."""

import json
from datetime import timedelta
from typing import Any

import pytest

from durable_execution.errors import ServiceError
from durable_execution.local import EngineLimits, ExecutionResult, LocalEngine, SkippingClock
from durable_execution.local.rules.callbacks import locate_callback, make_callback_id
from durable_execution.local.rules.updates import read_updates
from durable_execution.protocol import Wire
from tests.unit.local.conftest import START
from tests.unit.local.scripts import (
    PENDING,
    Session,
    callback,
    context,
    details,
    done,
    history,
    invoke,
    kinds,
    register,
    step,
    wait,
)

DAY = timedelta(days=1)


def get(engine: LocalEngine, arn: str) -> Wire:
    found: Wire = engine.client.get_durable_execution(DurableExecutionArn=arn)
    return found


def waits(session: Session) -> Wire:
    if session.status("w") is None:
        session.send(wait("w", 86_400))
    return done() if session.status("w") == "SUCCEEDED" else PENDING


def calls_back(session: Session) -> Wire:
    if session.status("c") is None:
        session.send(callback("c", timeout=60, heartbeat=60))
    return done() if session.status("c") != "STARTED" else PENDING


def beats(session: Session) -> Wire:
    if session.status("c") is None:
        session.send(callback("c", heartbeat=60))
    return done() if session.status("c") != "STARTED" else PENDING


def refused(call: Any, match: str) -> None:
    with pytest.raises(ServiceError, match=match):
        call()


@pytest.mark.parametrize("kind", ["STEP", "CONTEXT"])
def test_a_payload_may_have_a_million_bytes_and_no_more(engine: LocalEngine, kind: str) -> None:
    sizes: list[str] = []

    def body(session: Session) -> Wire:
        update = {
            "Id": "a",
            "Type": kind,
            "Action": "SUCCEED",
            "SubType": "Step" if kind == "STEP" else "RunInChildContext",
        }
        for text in ("x" * 1_048_577, "é" * 524_289):
            refused(lambda text=text: session.send({**update, "Payload": text}), "at most 1048576 bytes")
        session.send({**update, "Payload": "é" * 524_288})
        sizes.append(kind)
        return done()

    register(engine, body)
    assert engine.run("flow").status == "SUCCEEDED"
    assert sizes == [kind]


def test_the_result_of_an_execution_may_be_larger_than_that_of_a_step(engine: LocalEngine) -> None:
    most = 6 * 1024 * 1024 - len('""')

    def body(session: Session) -> Wire:
        result = {"Id": "result", "Type": "EXECUTION", "Action": "SUCCEED"}
        refused(lambda: session.send({**result, "Payload": json.dumps("x" * (most + 1))}), "at most 6291456 bytes")
        session.send({**result, "Payload": json.dumps("x" * most)})
        return done("")

    register(engine, body)
    assert len(engine.run("flow").result) == most


@pytest.mark.parametrize("is_stored", [True, False], ids=["stored", "returned"])
def test_the_result_of_an_asynchronous_execution_has_a_smaller_limit(is_stored: bool) -> None:
    result = json.dumps("x" * 99)

    def body(session: Session) -> Wire:
        if not is_stored:
            return done(result)
        session.send({"Id": "result", "Type": "EXECUTION", "Action": "SUCCEED", "Payload": result})
        return done("")

    limits = EngineLimits(async_payload_bytes=100, response_bytes=101, failed_invocations=1)
    with LocalEngine(time="skip", limits=limits, trace_sink=False) as engine:
        register(engine, body)

        def ended(kind: str) -> ExecutionResult:
            invoked = engine.client.invoke(FunctionName="flow:1", InvocationType=kind)
            return engine.wait(invoked["DurableExecutionArn"])

        assert ended("RequestResponse").result == "x" * 99
        refused_one = ended("Event")
        assert refused_one.status == "FAILED"
        assert "result of an asynchronous execution must be at most 100 bytes" in str(refused_one.error).lower()


def test_the_error_of_a_stop_has_a_limit_and_may_be_left_out(engine: LocalEngine) -> None:
    register(engine, waits)
    largest = {"ErrorMessage": "x" * (1024 * 1024 - len('{"ErrorMessage":""}'))}
    for error in ({}, None, largest):
        arn = engine.start("flow")
        refused(
            lambda arn=arn: engine.client.stop_durable_execution(
                DurableExecutionArn=arn, Error={"ErrorMessage": largest["ErrorMessage"] + "x"}
            ),
            "error of a stop must be at most 1048576 bytes",
        )
        engine.client.stop_durable_execution(DurableExecutionArn=arn, Error=error)
        assert get(engine, arn).get("Error") == (error or None)


def test_the_error_of_a_callback_has_a_limit(engine: LocalEngine) -> None:
    register(engine, calls_back)
    identity = engine.wait_for_callback_id(engine.start("flow"))
    largest = "x" * (1024 * 1024 - len('{"ErrorMessage":""}'))
    fail = engine.client.send_durable_execution_callback_failure
    refused(lambda: fail(CallbackId=identity, Error={"ErrorMessage": largest + "x"}), "error of a callback must be")
    fail(CallbackId=identity, Error={"ErrorMessage": largest})


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_a_reason_may_have_1024_characters(engine: LocalEngine, verb: str) -> None:
    register(engine, waits)
    arn = engine.start("flow")
    engine.run_until_idle(skips="nothing")
    if verb == "resume":
        engine.client.pause_durable_execution(DurableExecutionArn=arn)
    call = getattr(engine.client, f"{verb}_durable_execution")
    refused(lambda: call(DurableExecutionArn=arn, Reason="x" * 1025), "Reason must be")
    call(DurableExecutionArn=arn, Reason="x" * 1024)


@pytest.mark.parametrize(("pauses_timeout", "moved"), [(True, 3600), (None, 3600), (False, 0)])
def test_a_pause_moves_the_time_out_only_if_it_pauses_it(
    engine: LocalEngine, pauses_timeout: bool | None, moved: int
) -> None:
    register(engine, waits, execution_timeout=2 * DAY)
    arn = engine.start("flow")
    engine.run_until_idle(skips="nothing")
    before = get(engine, arn)["ExpectedExecutionTimeoutTimestamp"]
    options: dict[str, Any] = {} if pauses_timeout is None else {"ExecutionTimeoutPaused": pauses_timeout}
    engine.client.pause_durable_execution(DurableExecutionArn=arn, Reason="deployment", **options)
    assert get(engine, arn)["PauseDetails"]["Reason"] == "deployment"
    engine.advance(timedelta(hours=1))
    engine.client.resume_durable_execution(DurableExecutionArn=arn)
    resumed = get(engine, arn)
    assert resumed["ExpectedExecutionTimeoutTimestamp"] - before == timedelta(seconds=moved)
    assert "PauseDetails" not in resumed
    engine.client.pause_durable_execution(DurableExecutionArn=arn)
    assert "Reason" not in get(engine, arn)["PauseDetails"]


def test_an_execution_stopped_while_paused_is_no_longer_paused(engine: LocalEngine) -> None:
    register(engine, waits)
    arn = engine.start("flow")
    engine.run_until_idle(skips="nothing")
    engine.client.pause_durable_execution(DurableExecutionArn=arn)
    engine.client.stop_durable_execution(DurableExecutionArn=arn)
    found = get(engine, arn)
    assert found["Status"] == "STOPPED"
    assert "PauseDetails" not in found
    assert "ExpectedExecutionTimeoutTimestamp" not in found
    refused(lambda: engine.client.resume_durable_execution(DurableExecutionArn=arn), "STOPPED")


def test_a_plain_invocation_is_no_execution_of_the_api(engine: LocalEngine) -> None:
    engine.register("plain", lambda event, context: event)
    engine.client.invoke(FunctionName="plain", Payload=b"1")
    with engine._store.snapshot():
        arn = engine._store.executions.by_key(1).arn  # type: ignore[union-attr]
    for verb in ("stop", "pause", "resume", "delete"):
        refused(
            lambda verb=verb: getattr(engine.client, f"{verb}_durable_execution")(DurableExecutionArn=arn), "not found"
        )


def test_deleting_a_stopped_parent_releases_what_waits_for_its_invocation(engine: LocalEngine) -> None:
    children: list[str] = []

    def parent(session: Session) -> Wire:
        session.send(invoke("child", "child"))
        engine.client.stop_durable_execution(DurableExecutionArn=session.arn)
        engine.client.delete_durable_execution(DurableExecutionArn=session.arn)
        return PENDING

    def child(session: Session) -> Wire:
        children.append(session.arn)
        return done()

    register(engine, parent)
    register(engine, child, "child")
    engine.start("flow")
    engine.run_until_idle()
    assert len(children) == 1


def test_expired_executions_are_removed_when_one_is_started_in_real_time() -> None:
    class Clock(SkippingClock):
        is_skipping = False

    clock = Clock(START)
    with LocalEngine(None, clock=clock) as engine:
        register(engine, lambda session: done(), retention=DAY)
        arns = [engine.run("flow").arn for _ in range(12)]
        clock.advance(2 * DAY)
        engine.run("flow")
        left = [found["DurableExecutionArn"] for found in engine.executions()["DurableExecutions"]]
    assert len([arn for arn in arns if arn in left]) == 2  # ten at a time


def test_a_skipping_clock_expires_nothing(engine: LocalEngine) -> None:
    register(engine, lambda session: done(), retention=DAY)
    arn = engine.run("flow").arn
    engine.advance(30 * DAY)
    engine.run("flow")
    assert get(engine, arn)["Status"] == "SUCCEEDED"


@pytest.mark.parametrize(("seconds", "is_allowed"), [(0.5, False), (1, True), (31_622_400, True), (31_622_401, False)])
def test_an_execution_may_run_from_a_second_to_366_days(engine: LocalEngine, seconds: float, is_allowed: bool) -> None:
    register(engine, lambda session: done())
    timeout = timedelta(seconds=seconds)
    if is_allowed:
        engine.start("flow", timeout=timeout)
    else:
        refused(lambda: engine.start("flow", timeout=timeout), "ExecutionTimeout must be from 1 to 31622400 seconds")


def test_a_default_time_out_does_not_attract_a_skipping_clock(engine: LocalEngine) -> None:
    register(engine, lambda session: (session.send(callback("c")) and PENDING) or PENDING)
    arn = engine.start("flow")
    engine.run_until_idle(skips="everything")
    assert get(engine, arn)["Status"] == "RUNNING"


def test_a_callback_whose_two_time_outs_coincide_has_timed_out(engine: LocalEngine) -> None:
    """The heartbeat counts only if it lapses first."""
    register(engine, calls_back)
    arn = engine.run("flow").arn
    events = engine.client.get_durable_execution_history(DurableExecutionArn=arn)["Events"]
    (timed_out,) = [event for event in events if event["EventType"] == "CallbackTimedOut"]
    assert timed_out["CallbackTimedOutDetails"]["Error"]["Payload"]["ErrorType"] == "Callback.Timeout"


@pytest.mark.parametrize("how", ["succeed", "time out", "child"])
def test_operations_that_the_service_ends_have_an_end(engine: LocalEngine, how: str) -> None:
    ends: list[Any] = []

    def body(session: Session) -> Wire:
        if session.status("o") is None:
            session.send(invoke("o", "child") if how == "child" else callback("o", timeout=60))
            return PENDING
        ends.append(session.operations["o"]["EndTimestamp"])
        return done()

    register(engine, body)
    register(engine, lambda session: done(), "child")
    arn = engine.start("flow")
    if how == "succeed":
        identity = engine.wait_for_callback_id(arn)
        engine.client.send_durable_execution_callback_success(CallbackId=identity, Result=b"1")
    engine.wait(arn)
    assert len(ends) == 1
    assert kinds(engine, arn)[-1] == "ExecutionSucceeded"


def test_a_step_that_becomes_ready_during_a_checkpoint_can_be_started_in_it(engine: LocalEngine) -> None:
    """Only steps: a wait that ends in the same moment is delivered with the answer, after the batch."""
    seen: list[str | None] = []

    def body(session: Session) -> Wire:
        if session.status("s") is None:
            session.send(
                step("s", "RETRY", StepOptions={"NextAttemptDelaySeconds": 1}, Error={"ErrorType": "E"}), wait("w", 1)
            )
            with engine._scheduler._beginning:  # otherwise the scheduler's thread may fire the timers first
                engine.clock.advance_to(engine.clock.now() + timedelta(seconds=1))
                session.send(step("s", "START"))
            seen.extend(session.status(id_) for id_ in "sw")
            session.send(step("s", "SUCCEED", Payload="1"))
        return done()

    register(engine, body)
    arn = engine.run("flow").arn
    assert seen == ["STARTED", "SUCCEEDED"]
    events = kinds(engine, arn)
    assert events.index("StepStarted") < events.index("WaitSucceeded")


def test_limits_are_those_of_the_service() -> None:
    limits = EngineLimits()
    assert (limits.operations, limits.execution_bytes, limits.error_bytes) == (3000, 100 * 1024 * 1024, 32_768)
    assert limits.payload_bytes == limits.callback_result_bytes == limits.invoke_bytes == 1024 * 1024
    assert (limits.async_payload_bytes, limits.sync_payload_bytes) == (1024 * 1024, 6 * 1024 * 1024)
    assert (limits.response_bytes, limits.page_bytes) == (6 * 1024 * 1024, 5 * 1024 * 1024)
    assert (limits.page_items, limits.max_page_items) == (100, 1000)
    assert (limits.failed_invocations, limits.idle_answers) == (5, 3)
    assert limits.client_token_window == timedelta(minutes=15)


def test_the_trace_of_an_invoke_may_have_8192_characters(engine: LocalEngine) -> None:
    def body(session: Session) -> Wire:
        refused(lambda: session.send(invoke("a", "other", XAmznTraceId="x" * 8193)), "XAmznTraceId must have")
        session.send(invoke("a", "other", XAmznTraceId="x" * 8192))
        return done()

    register(engine, body)
    assert engine.run("flow").status == "SUCCEEDED"


def test_an_error_may_have_32768_bytes_and_an_invoke_a_million(engine: LocalEngine) -> None:
    largest = "x" * (32_768 - len('{"ErrorMessage":""}'))

    def body(session: Session) -> Wire:
        refused(lambda: session.send(step("s", "FAIL", Error={"ErrorMessage": largest + "x"})), "32768 bytes")
        session.send(step("s", "FAIL", Error={"ErrorMessage": largest}))
        for text in ("x" * 1_048_577, "é" * 524_289):
            refused(lambda text=text: session.send(invoke("i", "child", text)), "at most 1048576 bytes")
        session.send(invoke("i", "child", "é" * 524_288))
        return done()

    register(engine, body)
    register(engine, lambda session: done(), "child")
    assert engine.run("flow").status == "SUCCEEDED"


def test_a_payload_of_four_bytes_a_character_is_measured_in_bytes() -> None:
    update = {"Id": "a", "Type": "STEP", "Action": "SUCCEED"}
    assert len(read_updates([{**update, "Payload": "😀" * 25}], 100)) == 1
    refused(lambda: read_updates([{**update, "Payload": "😀" * 26}], 100), "at most 100 bytes")


def test_a_retry_needs_its_delay(engine: LocalEngine) -> None:
    def body(session: Session) -> Wire:
        refused(lambda: session.send(step("s", "RETRY", StepOptions={})), "NextAttemptDelaySeconds")
        return done()

    register(engine, body)
    assert engine.run("flow").status == "SUCCEEDED"


def test_the_attempts_of_a_step_are_counted_from_one(engine: LocalEngine) -> None:
    def body(session: Session) -> Wire:
        session.send(step("s", "START"), step("f", "START"))
        session.send(step("s", "SUCCEED"), step("f", "FAIL"))
        session.send(step("r", "RETRY", StepOptions={"NextAttemptDelaySeconds": 7}))
        attempts = {id_: session.operations[id_]["StepDetails"]["Attempt"] for id_ in "sfr"}
        assert attempts == {"s": 1, "f": 1, "r": 1}
        return done()

    register(engine, body)
    arn = engine.run("flow").arn
    ends = [event for event in history(engine, arn) if event["EventType"] in ("StepSucceeded", "StepFailed")]
    assert [details(event)["RetryDetails"]["CurrentAttempt"] for event in ends] == [1, 1, 1]
    assert details(ends[2])["RetryDetails"]["NextAttemptDelaySeconds"] == 7
    assert "NextAttemptDelaySeconds" not in details(ends[0])["RetryDetails"]


@pytest.mark.parametrize(("replays", "kept"), [(True, True), (False, False), (None, None)])
def test_a_context_keeps_whether_its_children_are_replayed(
    engine: LocalEngine, replays: bool | None, kept: bool | None
) -> None:
    def body(session: Session) -> Wire:
        options = {} if replays is None else {"ReplayChildren": replays}
        session.send(context("c", "SUCCEED", ContextOptions=options))
        assert session.operations["c"].get("ContextDetails", {}).get("ReplayChildren") is kept
        return done()

    register(engine, body)
    assert engine.run("flow").status == "SUCCEEDED"


@pytest.mark.parametrize("member", ["TimeoutSeconds", "HeartbeatTimeoutSeconds"])
def test_a_callback_may_wait_from_nothing_to_99999999_seconds(member: str) -> None:
    update = {"Id": "c", "Type": "CALLBACK", "Action": "START"}
    for seconds in (0, 99_999_999):
        (read,) = read_updates([{**update, "CallbackOptions": {member: seconds}}], 100)
        assert {read.timeout_seconds, read.heartbeat_seconds} == {seconds, None}
    for seconds in (-1, 100_000_000):
        refused(lambda s=seconds: read_updates([{**update, "CallbackOptions": {member: s}}], 100), "0 to 99999999")


def test_a_callback_can_be_completed_until_the_moment_it_times_out(engine: LocalEngine) -> None:
    register(engine, calls_back)
    for milliseconds, is_open in ((59_999, True), (60_000, False)):
        identity = engine.wait_for_callback_id(engine.start("flow"))
        engine.clock.advance_to(engine.clock.now() + timedelta(milliseconds=milliseconds))
        if is_open:
            engine.client.send_durable_execution_callback_success(CallbackId=identity)
        else:
            refused(
                lambda id_=identity: engine.client.send_durable_execution_callback_success(CallbackId=id_), "timed out"
            )


def test_a_heartbeat_gives_a_callback_its_whole_time_again(engine: LocalEngine) -> None:
    register(engine, beats)
    arn = engine.start("flow")
    identity = engine.wait_for_callback_id(arn)
    engine.clock.advance_to(engine.clock.now() + timedelta(seconds=40))
    engine.client.send_durable_execution_callback_heartbeat(CallbackId=identity)
    beat = engine.clock.now()
    engine.wait(arn)
    (lapsed,) = [event for event in history(engine, arn) if event["EventType"] == "CallbackTimedOut"]
    assert lapsed["EventTimestamp"] - beat == timedelta(seconds=60)


@pytest.mark.parametrize("place", [(0, 0), (1, 0), (7, 3), (2**62 - 1, 2**62 - 1)])
def test_a_callback_id_leads_to_its_operation(place: tuple[int, int]) -> None:
    assert locate_callback(make_callback_id(*place, "a.nonce")) == place


@pytest.mark.parametrize("place", [(-1, 1), (1, -1), (2**62, 1), (1, 2**62)])
def test_a_callback_id_beyond_what_the_store_numbers_is_foreign(place: tuple[int, int]) -> None:
    assert locate_callback(make_callback_id(*place, "nonce")) is None


def test_a_paused_time_out_is_as_far_away_as_one_can_be(engine: LocalEngine) -> None:
    """And after a long pause, an execution still ends 366 days after its start."""
    register(engine, waits, execution_timeout=2 * DAY)
    arn = engine.start("flow")
    engine.run_until_idle(skips="nothing")
    started = get(engine, arn)["StartTimestamp"]
    furthest = timedelta(seconds=31_622_400)
    engine.client.pause_durable_execution(DurableExecutionArn=arn)
    assert get(engine, arn)["ExpectedExecutionTimeoutTimestamp"] - started == furthest
    engine.advance(365 * DAY)
    engine.client.resume_durable_execution(DurableExecutionArn=arn)
    assert get(engine, arn)["ExpectedExecutionTimeoutTimestamp"] - started == furthest


def test_times_of_the_engine_are_those_of_the_service() -> None:
    limits = EngineLimits()
    assert limits.execution_timeout == timedelta(seconds=31_622_400)
    assert limits.retention == 14 * DAY
    assert limits.function_timeout == limits.invoke_wait == timedelta(minutes=15)
    assert limits.retry_delay == timedelta(seconds=5)


@pytest.mark.parametrize(("days", "retention"), [(1, DAY), (3, 3 * DAY), (1, timedelta(hours=1))])
def test_an_execution_is_kept_for_its_retention_to_the_millisecond(days: int, retention: timedelta) -> None:
    """Which the service counts in whole days, of which there is at least one."""
    with LocalEngine(None, clock=SkippingClock(START)) as engine:
        register(engine, lambda session: done(), retention=retention)
        engine.run("flow")
        engine.advance(days * DAY - timedelta(milliseconds=1))
        assert engine._control.remove_expired() == 0
        engine.advance(timedelta(milliseconds=1))
        assert engine._control.remove_expired() == 1

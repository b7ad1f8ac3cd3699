"""Quotas: going over one fails the execution, and the running handler gets no token any more."""

import pytest

from durable_execution.errors import ServiceError
from durable_execution.local import EngineLimits, LocalEngine
from durable_execution.protocol import Wire
from tests.unit.local.scripts import PENDING, Session, done, invoke, kinds, register, step


@pytest.fixture
def limits() -> EngineLimits:
    return EngineLimits(operations=3, execution_bytes=10_000, payload_bytes=6_000)


def test_too_many_operations_fail_the_execution(small_engine: LocalEngine) -> None:
    def body(session: Session) -> Wire:
        session.send(step("a", "START"), step("a", "SUCCEED"), step("b", "START"))
        session.send(step("c", "START"))
        session.send(step("b", "SUCCEED"), step("c", "SUCCEED"))
        assert session.send(step("d", "START"), invoke("e", "flow")) == []
        assert session.token is None
        assert "NextMarker" not in session.answer["NewExecutionState"]
        return PENDING

    register(small_engine, body)
    result = small_engine.run("flow")

    assert result.status == "FAILED"
    assert result.error is not None
    assert result.error.message == "The execution exceeded the limit of 3 operations."
    events = kinds(small_engine, result.arn)
    assert events[-2:] == ["InvocationCompleted", "ExecutionFailed"]
    assert events.count("StepStarted") == 3
    listed = small_engine.client.list_durable_executions_by_function(FunctionName="flow")["DurableExecutions"]
    assert len(listed) == 1  # the invoke of the refused batch has not started anything


def test_too_many_bytes_fail_the_execution(small_engine: LocalEngine) -> None:
    def body(session: Session) -> Wire:
        session.send(step("a", "SUCCEED", Payload="x" * 6_000))
        session.send(step("b", "SUCCEED", Payload="x" * 6_000))
        assert session.token is None
        with pytest.raises(ServiceError, match="CheckpointToken must be"):
            session.send()
        return done("even a result comes too late")

    register(small_engine, body)
    result = small_engine.run("flow")

    assert result.error is not None
    assert result.error.message == "The execution exceeded the limit of 10000 bytes written."


def test_the_size_of_a_payload_is_limited(small_engine: LocalEngine) -> None:
    def body(session: Session) -> Wire:
        with pytest.raises(ServiceError, match="at most 6000 bytes"):
            session.send(step("a", "SUCCEED", Payload="x" * 6_001))
        return done()

    register(small_engine, body)
    assert small_engine.run("flow").status == "SUCCEEDED"


@pytest.mark.parametrize(("more", "is_allowed"), [(0, True), (1, False)])
def test_an_execution_may_write_up_to_its_limit(small_engine: LocalEngine, more: int, is_allowed: bool) -> None:
    """The input counts, and so does an error."""
    error = {"ErrorMessage": "x" * (4_000 - len("null") + more - len('{"ErrorMessage":""}'))}

    def body(session: Session) -> Wire:
        session.send(step("a", "SUCCEED", Payload="x" * 6_000))
        session.send(step("b", "FAIL", Error=error))
        assert (session.token is not None) is is_allowed
        return done()

    register(small_engine, body)
    assert small_engine.run("flow").status == ("SUCCEEDED" if is_allowed else "FAILED")


def test_ending_the_execution_is_no_operation(small_engine: LocalEngine) -> None:
    def body(session: Session) -> Wire:
        result = {"Id": "result", "Type": "EXECUTION", "Action": "SUCCEED", "Payload": "1"}
        session.send(step("a", "START"), step("b", "START"), step("c", "START"), result)
        return done("")

    register(small_engine, body)
    assert small_engine.run("flow").result == 1


def test_updates_of_known_operations_are_no_new_ones(small_engine: LocalEngine) -> None:
    def body(session: Session) -> Wire:
        session.send(step("a", "START"), step("b", "START"))
        session.send(step("a", "SUCCEED"), step("b", "SUCCEED"), step("c", "START"))
        assert session.token is not None
        return done()

    register(small_engine, body)
    assert small_engine.run("flow").status == "SUCCEEDED"


def test_a_new_execution_has_used_nothing_of_its_limits(small_engine: LocalEngine) -> None:
    register(small_engine, lambda session: PENDING)
    arn = small_engine.start("flow")
    with small_engine._store.snapshot():
        row = small_engine._store.executions.by_arn(arn)
    assert row is not None
    assert row.written_bytes == len("null"), "only its input"
    used = (row.operation_count, row.pending_count, row.invocation, row.token_sequence)
    assert (*used, row.failures, row.idle_answers) == (0,) * 6
    assert (row.is_changed, row.pauses_timeout, row.is_held) == (False, False, False)


@pytest.mark.parametrize(("answer", "times"), [("fails", 5), ("is idle", 3)])
def test_an_execution_fails_with_the_last_invocation_that_its_limit_allows(
    engine: LocalEngine, answer: str, times: int
) -> None:
    invocations: list[str] = []

    def body(session: Session) -> Wire:
        invocations.append(session.arn)
        if answer == "fails":
            raise ValueError("no")
        return PENDING

    register(engine, body)
    assert engine.run("flow").status == "FAILED"
    assert len(invocations) == times


def test_an_invocation_that_changes_something_is_not_idle(engine: LocalEngine) -> None:
    """However often it answers that it waits."""

    def body(session: Session) -> Wire:
        number = sum(identity.startswith("s") for identity in session.operations)
        session.send(step(f"s{number}", "SUCCEED"))
        session.send()
        return done() if number == 5 else PENDING

    register(engine, body)
    assert engine.run("flow").status == "SUCCEEDED"

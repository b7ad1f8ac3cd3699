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

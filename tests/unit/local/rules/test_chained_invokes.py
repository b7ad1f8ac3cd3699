"""Chained invokes: durable and plain targets, and every way they can end."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import get_ident
from typing import Any

import pytest

from durable_execution.errors import ServiceError
from durable_execution.local import Answer, Invocation, LocalEngine
from durable_execution.local.transaction import Transaction
from durable_execution.protocol import Wire
from tests.unit.local.conftest import START
from tests.unit.local.scripts import (
    PENDING,
    Body,
    Session,
    details,
    done,
    failed,
    history,
    invoke,
    kinds,
    register,
    step,
    wait,
)


def calling(start: Wire) -> Body:
    """A handler that invokes, and returns or fails as what it invoked did."""

    def body(session: Session) -> Wire:
        if session.status("i") is None:
            session.send(start)
        if session.status("i") == "STARTED":
            return PENDING
        found = session.operations["i"]["ChainedInvokeDetails"]
        return done(found.get("Result")) if "Error" not in found else {"Status": "FAILED", "Error": found["Error"]}

    return body


def echo(session: Session) -> Wire:
    root = next(found for found in session.operations.values() if found["Type"] == "EXECUTION")
    return done(root["ExecutionDetails"]["InputPayload"])


def test_a_durable_target_runs_between_its_parents_invocations(engine: LocalEngine) -> None:
    register(engine, calling(invoke("i", "echo", '{"a": [1]}', TenantId="acme")))
    register(engine, echo, "echo")
    result = engine.run("flow")

    assert result.result == {"a": [1]}
    events = history(engine, result.arn)
    assert [event["EventType"] for event in events] == [
        "ExecutionStarted",
        "ChainedInvokeStarted",
        "InvocationCompleted",
        "ChainedInvokeSucceeded",
        "InvocationCompleted",
        "ExecutionSucceeded",
    ]
    started = details(events[1])
    child = started.pop("DurableExecutionArn")
    assert started == {
        "FunctionName": "echo",
        "TenantId": "acme",
        "Input": {"Payload": '{"a": [1]}'},
        "ExecutedVersion": "$LATEST",
    }
    assert details(events[3]) == {"Result": {"Payload": '{"a": [1]}'}}
    assert kinds(engine, child) == ["ExecutionStarted", "InvocationCompleted", "ExecutionSucceeded"]
    assert events[2]["EventTimestamp"] == START


def test_a_plain_target_is_one_invocation(engine: LocalEngine) -> None:
    contexts: list[Any] = []

    def plain(event: Any, context: Any) -> Any:
        contexts.append(context)
        return {"got": event}

    register(engine, calling(invoke("i", "plain", "[1]", TenantId="acme")))
    engine.register("plain", plain)
    result = engine.run("flow")

    assert result.result == {"got": [1]}
    assert details(history(engine, result.arn)[1]) == {
        "FunctionName": "plain",
        "TenantId": "acme",
        "Input": {"Payload": "[1]"},
        "ExecutedVersion": "$LATEST",
    }
    (context,) = contexts
    assert context.function_name == "plain"
    assert context.invoked_function_arn == "arn:aws:lambda:us-east-1:123456789012:function:plain:$LATEST"
    assert context.tenant_id == "acme"
    assert context.get_remaining_time_in_millis() == 15 * 60 * 1000
    assert context.log_group_name == "/aws/lambda/plain"
    assert context.client_context is None
    listed = engine.client.list_durable_executions_by_function(FunctionName="plain")
    assert listed == {"DurableExecutions": []}


def raising(event: Any, context: Any) -> Any:
    raise ValueError("no")


def unserializable(event: Any, context: Any) -> Any:
    return {1, 2}


def exiting(event: Any, context: Any) -> Any:
    raise SystemExit(3)


@pytest.mark.parametrize(
    ("target", "kind", "message"),
    [
        (raising, "ValueError", "no"),
        (unserializable, "Runtime.MarshalError", "not JSON serializable"),
        (exiting, "Runtime.ExitError", "SystemExit 3"),
        (lambda event, context: "x" * 1_048_577, "Function.ResponseSizeTooLarge", "1048576"),
    ],
)
def test_a_plain_target_that_fails_is_not_retried(engine: LocalEngine, target: Any, kind: str, message: str) -> None:
    calls: list[Any] = []

    def counted(event: Any, context: Any) -> Any:
        calls.append(event)
        return target(event, context)

    register(engine, calling(invoke("i", "plain")))
    engine.register("plain", counted)
    result = engine.run("flow")

    assert result.error is not None
    assert result.error.type == kind
    assert message in (result.error.message or "")
    assert len(calls) == 1
    assert kinds(engine, result.arn)[3] == "ChainedInvokeFailed"


def test_a_child_that_fails_fails_the_operation_with_its_error(engine: LocalEngine) -> None:
    register(engine, calling(invoke("i", "child")))
    register(engine, lambda session: failed("broken", "shop.Broken"), "child")
    result = engine.run("flow")

    assert result.error is not None
    assert (result.error.type, result.error.message) == ("shop.Broken", "broken")
    assert details(history(engine, result.arn)[3]) == {
        "Error": {"Payload": {"ErrorMessage": "broken", "ErrorType": "shop.Broken"}}
    }


def test_an_unknown_function_fails_in_the_same_answer(engine: LocalEngine) -> None:
    def body(session: Session) -> Wire:
        (found,) = session.send(invoke("i", "nobody", '{"secret": 1}'))
        assert found["Status"] == "FAILED"
        assert found["ChainedInvokeDetails"]["Error"]["ErrorType"] == "ResourceNotFoundException"
        return done()

    register(engine, body)
    events = history(engine, engine.run("flow").arn)

    assert [event["EventType"] for event in events][1:3] == ["ChainedInvokeStarted", "ChainedInvokeFailed"]
    assert "secret" not in json.dumps(events, default=str)


def test_a_child_that_times_out(engine: LocalEngine) -> None:
    register(engine, calling(invoke("i", "child")))

    def body(session: Session) -> Wire:
        session.send(wait("w", 100))
        return PENDING

    register(engine, body, "child", execution_timeout=timedelta(seconds=9))
    result = engine.run("flow")

    assert result.error is not None
    assert result.error.to_wire() == {
        "ErrorMessage": "CHAINED_INVOKE timed out after 9 seconds.",
        "ErrorType": "ChainedInvoke.Timeout",
    }
    assert kinds(engine, result.arn)[3] == "ChainedInvokeTimedOut"


@pytest.mark.parametrize("error", [None, {"ErrorMessage": "enough", "ErrorType": "Operator"}])
def test_a_child_that_is_stopped(engine: LocalEngine, error: Wire | None) -> None:
    def body(session: Session) -> Wire:
        session.client.stop_durable_execution(DurableExecutionArn=session.arn, Error=error)
        return PENDING

    def parent(session: Session) -> Wire:
        if session.status("i") is None:
            session.send(invoke("i", "child"))
            return PENDING
        assert session.status("i") == "STOPPED"
        return done()

    register(engine, body, "child")
    register(engine, parent)
    result = engine.run("flow")

    event = history(engine, result.arn)[3]
    assert event["EventType"] == "ChainedInvokeStopped"
    assert details(event) == {"Error": {"Payload": error} if error else {}}


def test_a_child_whose_result_is_too_large_fails(engine: LocalEngine) -> None:
    register(engine, calling(invoke("i", "child")))
    register(engine, lambda session: done('"' + "x" * 1_048_576 + '"'), "child")
    result = engine.run("flow")

    assert result.status == "FAILED"
    assert kinds(engine, result.arn)[3] == "ChainedInvokeFailed"


def test_a_child_whose_checkpointed_result_is_too_large_is_refused(engine: LocalEngine) -> None:
    def body(session: Session) -> Wire:
        with pytest.raises(ServiceError, match="at most 1048576 bytes"):
            session.send({"Id": "r", "Type": "EXECUTION", "Action": "SUCCEED", "Payload": "x" * 1_048_577})
        return done("1")

    register(engine, calling(invoke("i", "child")))
    register(engine, body, "child")
    assert engine.run("flow").result == 1


def test_a_tenant_isolated_function_needs_a_tenant(engine: LocalEngine) -> None:
    def body(session: Session) -> Wire:
        with pytest.raises(ServiceError, match="needs a TenantId"):
            session.send(invoke("i", "child"))
        session.send(invoke("i", "child", TenantId="acme"))
        return done()

    register(engine, body)
    register(engine, echo, "child", tenant_isolated=True)
    assert engine.run("flow").status == "SUCCEEDED"
    with pytest.raises(ServiceError, match="needs a TenantId"):
        engine.start("child")


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("echo", "$LATEST"),
        ("echo:$LATEST", "$LATEST"),
        ("echo:live", "$LATEST"),
        ("echo:7", "7"),
        ("123456789012:function:echo:7", "7"),
        ("arn:aws:lambda:us-east-1:123456789012:function:echo", "$LATEST"),
        ("arn:aws:lambda:us-east-1:123456789012:function:echo:12", "12"),
    ],
)
def test_a_target_may_be_named_in_many_ways(engine: LocalEngine, name: str, version: str) -> None:
    register(engine, calling(invoke("i", name, "5")))
    register(engine, echo, "echo")
    result = engine.run("flow")

    started = details(history(engine, result.arn)[1])
    assert result.result == 5
    assert started["FunctionName"] == name
    assert started["ExecutedVersion"] == version
    assert f":function:echo:{version}/" in started["DurableExecutionArn"]


def test_without_a_payload_a_plain_target_gets_an_empty_object(engine: LocalEngine) -> None:
    register(engine, calling(invoke("i", "plain", None)))
    engine.register("plain", lambda event, context: [event])
    assert engine.run("flow").result == [{}]


def test_many_children_share_their_parents_next_invocation(engine: LocalEngine) -> None:
    invocations: list[list[str]] = []

    def body(session: Session) -> Wire:
        invocations.append(session.updated)
        if session.status("i0") is None:
            session.send(*(invoke(f"i{number}", "echo", str(number)) for number in range(20)))
            return PENDING
        return done()

    register(engine, body)
    register(engine, echo, "echo")
    engine.run("flow")

    assert invocations == [[], [f"i{number}" for number in range(20)]]


def test_a_child_may_have_waits_and_children_of_its_own(engine: LocalEngine) -> None:
    def middle(session: Session) -> Wire:
        if session.status("w") is None:
            session.send(wait("w", 60))
        if session.status("w") == "STARTED":
            return PENDING
        answer: Wire = calling(invoke("i", "echo", '"deep"'))(session)
        return answer

    register(engine, calling(invoke("i", "middle")))
    register(engine, middle, "middle")
    register(engine, echo, "echo")
    result = engine.run("flow")

    assert result.result == "deep"
    assert engine.clock.now() == START + timedelta(seconds=60)


def test_stopping_a_parent_does_not_stop_its_children(engine: LocalEngine) -> None:
    register(engine, calling(invoke("i", "child")))
    register(engine, echo, "child")
    arn = engine.start("flow")

    def body(session: Session) -> Wire:
        session.client.stop_durable_execution(DurableExecutionArn=arn)
        session.send(step("s", "START"), step("s", "SUCCEED"))
        return done()

    register(engine, body, "child")
    result = engine.wait(arn)
    engine.run_until_idle()

    assert result.status == "STOPPED"
    assert kinds(engine, arn)[-1] == "ExecutionStopped"
    (child,) = engine.client.list_durable_executions_by_function(FunctionName="child")["DurableExecutions"]
    assert child["Status"] == "SUCCEEDED"


class LateHost:
    """Loads its function when it is asked whether it is durable, which can take seconds.

    Args:
        is_in_transaction: Whether the thread that asks has a transaction open.
    """

    def __init__(self, is_in_transaction: Callable[[], bool]) -> None:
        self._is_in_transaction = is_in_transaction
        self.loaded: list[bool] = []

    @property
    def is_durable(self) -> bool:
        self.loaded.append(self._is_in_transaction())
        return False

    def invoke(self, invocation: Invocation) -> Answer:
        return Answer(invocation.event)

    def close(self) -> None:
        """Release nothing."""


@pytest.mark.parametrize("name", ["late", "late:$LATEST", "arn:aws:lambda:us-east-1:123456789012:function:late"])
def test_an_invoked_function_is_loaded_before_the_transaction_that_starts_it(
    name: str, engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other executions go on while a module is imported."""
    within: list[int] = []
    transaction = engine._backend.transaction

    @contextmanager
    def noted() -> Iterator[Transaction]:
        with transaction() as made:
            within.append(get_ident())
            yield made
            within.remove(get_ident())

    monkeypatch.setattr(engine._backend, "transaction", noted)
    host = LateHost(lambda: get_ident() in within)
    register(engine, calling(invoke("i", name, "5")))
    engine.register("late", host)
    assert engine.run("flow").result == 5
    assert host.loaded[:2] == [False, True], "loaded by the first question, and asked again when it starts"


@pytest.mark.parametrize(
    ("options", "message"),
    [(None, "ChainedInvokeOptions"), ({}, "ChainedInvokeOptions"), ({"FunctionName": "a b"}, "function name")],
    ids=["no options", "no name", "a malformed name"],
)
def test_a_checkpoint_refuses_an_invoke_without_a_function_that_can_be_loaded(
    options: Wire | None, message: str, engine: LocalEngine
) -> None:
    def body(session: Session) -> Wire:
        with pytest.raises(ServiceError, match=message):
            session.send({**invoke("i", "x"), "ChainedInvokeOptions": options})
        return done()

    register(engine, body)
    assert engine.run("flow").status == "SUCCEEDED"

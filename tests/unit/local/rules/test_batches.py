"""Which updates are accepted: what is refused changes nothing."""

from typing import Any

import pytest

from durable_execution.errors import ServiceError
from durable_execution.local import LocalEngine
from durable_execution.protocol import Wire
from tests.unit.local.scripts import (
    Session,
    callback,
    context,
    done,
    history,
    invoke,
    register,
    retry,
    step,
    update,
    wait,
)

ERROR = {"ErrorMessage": "no", "ErrorType": "ValueError"}
EXECUTION = {"Id": "result", "Type": "EXECUTION", "Action": "SUCCEED", "Payload": "1"}
OLD = (
    step("started", "START"),
    step("done", "START"),
    step("done", "SUCCEED"),
    context("open", "START"),
    step("inside", "START", ParentId="open"),
    context("closed", "START"),
    context("closed", "SUCCEED"),
    wait("wait", 5),
    callback("callback"),
    retry("pending", 5, Error=ERROR),
)


def in_one_invocation(engine: LocalEngine, body: Any) -> str:
    """Run a session's body once, with the operations of `OLD` recorded."""

    def handler(session: Session) -> Wire:
        session.send(*OLD)
        body(session)
        return done()

    register(engine, handler)
    result = engine.run("flow")
    assert result.status == "SUCCEEDED"
    return result.arn


REFUSED: dict[str, tuple[tuple[Any, ...], str]] = {
    "two executions": ((EXECUTION, {**EXECUTION, "Id": "r2"}), "multiple EXECUTION"),
    "execution not last": ((EXECUTION, step("n", "START")), "must be the last"),
    "execution started": ((update("r", "EXECUTION", "START"),), "Invalid action START"),
    "execution succeeds with an error": (({**EXECUTION, "Error": ERROR},), "Cannot provide an Error"),
    "same step twice": ((step("n", "SUCCEED"), step("n", "SUCCEED")), "same ID"),
    "step start twice": ((step("n", "START"), step("n", "START")), "same ID"),
    "step start and two more": ((step("n", "START"), retry("n", 1), step("n", "SUCCEED")), "same ID"),
    "wait twice": ((wait("n", 1), update("n", "WAIT", "CANCEL")), "same ID"),
    "unknown parent": ((step("n", "START", ParentId="nobody"),), "Invalid parent"),
    "parent is a step": ((step("n", "START", ParentId="started"),), "Invalid parent"),
    "parent starts later": ((step("n", "START", ParentId="ctx"), context("ctx", "START")), "Invalid parent"),
    "parent is a step of the batch": ((step("s", "START"), step("n", "START", ParentId="s")), "Invalid parent"),
    "other type": ((context("started", "SUCCEED"),), "Inconsistent operation type"),
    "other subtype": ((update("started", "STEP", "SUCCEED", SubType="Other"),), "Inconsistent operation subtype"),
    "other name": ((step("started", "SUCCEED", Name="other"),), "Inconsistent operation name"),
    "other parent": ((step("started", "SUCCEED", ParentId="open"),), "Inconsistent parent"),
    "large error": ((step("started", "FAIL", Error={"ErrorMessage": "x" * 33_000}),), "Error object size"),
    "large invoke": ((invoke("n", "child", "x" * 1_048_577),), "input of a CHAINED_INVOKE"),
    "wait succeeds": ((update("wait", "WAIT", "SUCCEED"),), "Invalid action SUCCEED"),
    "callback succeeds": ((update("callback", "CALLBACK", "SUCCEED"),), "Invalid action SUCCEED"),
    "invoke fails": ((update("n", "CHAINED_INVOKE", "FAIL"),), "Invalid action FAIL"),
    "context retries": ((update("open", "CONTEXT", "RETRY"),), "Invalid action RETRY"),
    "step cancels": ((step("started", "CANCEL"),), "Invalid action CANCEL"),
    "started step starts": ((step("started", "START"),), "STEP state to start"),
    "pending step starts": ((step("pending", "START"),), "STEP state to start"),
    "pending step succeeds": ((step("pending", "SUCCEED"),), "STEP state to close"),
    "done step succeeds": ((step("done", "SUCCEED"),), "STEP state to close"),
    "done step retries": ((retry("done", 1),), "STEP state to re-attempt"),
    "retry without options": ((step("started", "RETRY"),), "NextAttemptDelaySeconds"),
    "retry with both": ((retry("started", 1, Error=ERROR, Payload="1"),), "both Error and Payload"),
    "fail with a payload": ((step("started", "FAIL", Payload="1"),), "Cannot provide a Payload"),
    "succeed with an error": ((step("started", "SUCCEED", Error=ERROR),), "Cannot provide an Error"),
    "open context starts": ((context("open", "START"),), "already exists"),
    "closed context closes": ((context("closed", "FAIL"),), "CONTEXT state to close"),
    "wait starts again": ((wait("wait", 5),), "already exists"),
    "wait without seconds": ((update("n", "WAIT", "START"),), "WaitSeconds"),
    "unknown wait cancels": ((update("n", "WAIT", "CANCEL"),), "Cannot cancel"),
    "callback starts again": ((callback("callback"),), "already exists"),
    "invoke without options": ((update("n", "CHAINED_INVOKE", "START"),), "FunctionName"),
    "invoke in another account": (
        (invoke("n", "arn:aws:lambda:us-east-1:999999999999:function:x"),),
        "different account",
    ),
    "invoke in another region": (
        (invoke("n", "arn:aws:lambda:eu-west-1:123456789012:function:x"),),
        "different region",
    ),
    "invoke of nonsense": ((invoke("n", "not a name!"),), "Invalid function name"),
    "not an update": (("x",), "must be an object"),
    "no id": (({"Type": "STEP", "Action": "START"},), "Id must match"),
    "long id": ((step("x" * 65, "START"),), "Id must match"),
    "odd id": ((step("a/b", "START"),), "Id must match"),
    "unknown type": ((update("n", "NAP", "START"),), "Type must be one of"),
    "unknown action": ((step("n", "BEGIN"),), "Action must be one of"),
    "type is a list": (({"Id": "n", "Type": [], "Action": "START"},), "Type must be one of"),
    "name with a newline": ((step("n", "START", Name="a\nb"),), "Name must match"),
    "empty name": ((step("n", "START", Name=""),), "Name must match"),
    "long subtype": ((update("n", "STEP", "START", SubType="x" * 33),), "SubType must match"),
    "payload is an object": ((step("n", "SUCCEED", Payload={"a": 1}),), "Payload must be a string"),
    "error is a text": ((step("n", "FAIL", Error="no"),), "must be an ErrorObject"),
    "error message is a number": ((step("n", "FAIL", Error={"ErrorMessage": 1}),), "ErrorMessage must be a string"),
    "stack is a text": ((step("n", "FAIL", Error={"StackTrace": "x"}),), "list of strings"),
    "wait of nothing": ((wait("n", 0),), "from 1 to 31622400"),
    "wait too long": ((wait("n", 31_622_401),), "from 1 to 31622400"),
    "wait of a fraction": (({**wait("n", 1), "WaitOptions": {"WaitSeconds": 1.5}},), "whole number"),
    "wait of a truth": (({**wait("n", 1), "WaitOptions": {"WaitSeconds": True}},), "whole number"),
    "retry at once": ((retry("started", 0),), "from 1 to 31622400"),
    "callback too long": ((callback("n", timeout=100_000_000),), "from 0 to 99999999"),
    "options are a list": (({**wait("n", 1), "WaitOptions": []},), "WaitOptions must be an object"),
    "replay children is a text": ((context("n", "SUCCEED", ContextOptions={"ReplayChildren": "yes"}),), "boolean"),
    "odd tenant": ((invoke("n", "child", TenantId="a!b"),), "TenantId must match"),
    "half a surrogate pair": ((step("n", "SUCCEED", Payload="\ud800"),), "surrogate"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refused_batch_changes_nothing(engine: LocalEngine, case: str) -> None:
    updates, reason = REFUSED[case]

    def body(session: Session) -> None:
        before = (session.token, history(engine, session.arn))
        with pytest.raises(ServiceError, match=reason) as refused:
            session.send(step("good", "START"), *updates)
        assert (refused.value.code, refused.value.status) == ("InvalidParameterValueException", 400)
        assert not refused.value.is_retriable
        assert (session.token, history(engine, session.arn)) == before
        assert [found["Id"] for found in session.send(step("good", "START"))] == ["good"]  # the token is still good

    in_one_invocation(engine, body)


ACCEPTED = {
    "step ends without a start": (step("n", "SUCCEED", Payload="1"),),
    "step fails without a start": (step("n", "FAIL", Error=ERROR),),
    "step fails without an error": (step("n", "FAIL"),),
    "step retries without a start": (retry("n", 1, Payload="1"),),
    "step starts and retries": (step("n", "START"), retry("n", 1, Error=ERROR)),
    "context ends without a start": (context("n", "SUCCEED"),),
    "context starts and fails": (context("n", "START"), context("n", "FAIL", Error=ERROR)),
    "child of a recorded context": (step("n", "START", ParentId="open"),),
    "child of a context of the batch": (context("c", "START"), step("n", "START", ParentId="c")),
    "child of a closed context": (step("n", "START", ParentId="closed"),),
    "members left out match": (update("started", "STEP", "SUCCEED"),),
    "a parent left out matches": (update("inside", "STEP", "SUCCEED"),),
    "user's own subtype": (update("n", "STEP", "START", SubType="My-Step_1"),),
    "empty payload": (step("n", "SUCCEED", Payload=""),),
    "callback without options": (update("n", "CALLBACK", "START"),),
    "options that do not concern it": ({**step("n", "START"), "WaitOptions": {"WaitSeconds": 3}},),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_an_acceptable_batch_is_applied_in_order(engine: LocalEngine, case: str) -> None:
    def body(session: Session) -> None:
        before = len(history(engine, session.arn))
        session.send(*ACCEPTED[case])
        assert [event["Id"] for event in history(engine, session.arn)[before:]] == [one["Id"] for one in ACCEPTED[case]]

    in_one_invocation(engine, body)


def test_delays_are_kept_to_the_second(engine: LocalEngine) -> None:
    def body(session: Session) -> None:
        session.send(wait("w", 31_622_400), retry("r", 31_622_400))
        gap = session.operations["w"]["WaitDetails"]["ScheduledEndTimestamp"] - engine.clock.now()
        assert gap.total_seconds() == 31_622_400
        assert session.operations["r"]["StepDetails"]["NextAttemptTimestamp"] == engine.clock.now() + gap

    in_one_invocation(engine, body)


def test_a_large_result_is_checkpointed_and_ends_the_execution(engine: LocalEngine) -> None:
    large = '"' + "x" * 6_000_000 + '"'

    def body(session: Session) -> Wire:
        session.send(step("a", "START"), step("a", "SUCCEED"), {**EXECUTION, "Payload": large})
        assert session.token is None
        assert engine.result(session.arn) is None
        return done("")

    register(engine, body)
    result = engine.run("flow")

    assert result.result == large[1:-1]
    assert [event["EventType"] for event in history(engine, result.arn)][-2:] == [
        "InvocationCompleted",
        "ExecutionSucceeded",
    ]


def test_a_large_error_is_checkpointed_and_fails_the_execution(engine: LocalEngine) -> None:
    def body(session: Session) -> Wire:
        session.send({"Id": "r", "Type": "EXECUTION", "Action": "FAIL", "Error": ERROR})
        return {"Status": "FAILED"}

    register(engine, body)
    result = engine.run("flow")

    assert result.status == "FAILED"
    assert result.error is not None
    assert result.error.to_wire() == ERROR


@pytest.mark.parametrize("kind", ["STEP", "CONTEXT"])
@pytest.mark.parametrize("error", [ERROR, None], ids=["error", "none"])
def test_a_failed_operation_keeps_its_error(engine: LocalEngine, kind: str, error: Wire | None) -> None:
    """Without one it has an error that says nothing, not none."""

    def body(session: Session) -> None:
        session.send(update("n", kind, "FAIL", **({} if error is None else {"Error": error})))
        assert session.operations["n"][f"{kind.title()}Details"]["Error"] == (error or {})

    arn = in_one_invocation(engine, body)
    event = next(event for event in history(engine, arn) if event["Id"] == "n")
    assert event[f"{kind.title()}FailedDetails"]["Error"]["Payload"] == (error or {})

"""Handlers written by hand: they speak the service's envelope and call the API themselves."""

from collections.abc import Callable
from typing import Any

import pytest

from durable_execution.local import LocalEngine
from durable_execution.protocol import Wire

PENDING: Wire = {"Status": "PENDING"}


class Session:
    """One invocation, seen from the handler.

    Attributes:
        arn: The execution.
        token: Good for the next checkpoint; None when there is none.
        operations: All operations known, by id.
        updated: `UpdatedOperationIds`.
        context: Lambda's context object.
        answer: The last checkpoint's answer.
    """

    def __init__(self, client: Any, event: Wire, context: Any = None) -> None:
        self.client = client
        self.arn: str = event["DurableExecutionArn"]
        self.token: str | None = event["CheckpointToken"]
        self.operations: dict[str, Wire] = {
            found["Id"]: found for found in event["InitialExecutionState"]["Operations"]
        }
        self.next_marker = event["InitialExecutionState"]["NextMarker"]
        self.updated: list[str] = event["UpdatedOperationIds"]
        self.context = context
        self.answer: Wire = {}

    def send(self, *updates: Wire, client_token: str | None = None) -> list[Wire]:
        """Checkpoint, and learn what changed."""
        options = {} if client_token is None else {"ClientToken": client_token}
        self.answer = self.client.checkpoint_durable_execution(
            DurableExecutionArn=self.arn, CheckpointToken=self.token, Updates=list(updates), **options
        )
        assert "NewExecutionState" in self.answer
        self.token = self.answer.get("CheckpointToken")
        changed: list[Wire] = self.answer["NewExecutionState"]["Operations"]
        self.operations.update({found["Id"]: found for found in changed})
        return changed

    def status(self, identity: str) -> str | None:
        """Where an operation stands, as far as known."""
        return self.operations[identity]["Status"] if identity in self.operations else None


Body = Callable[[Session], Any]


FAILED: list[BaseException] = []
"""Assertions that failed inside handlers of the running test, and members of an answer that were missing there."""


def scripted(client: Any, body: Body) -> Callable[[Any, Any], Any]:
    """A durable handler out of a function of a session.

    The engine takes an assertion that fails in a handler for an error of the handler, and retries. So it is kept as well, and
    so is the error of an answer without a member.
    """

    def handler(event: Any, context: Any) -> Any:
        try:
            return body(Session(client, event, context))
        except (AssertionError, KeyError, pytest.fail.Exception) as failed:
            FAILED.append(failed)
            raise

    return handler


def register(engine: LocalEngine, body: Body, name: str = "flow", **options: Any) -> None:
    """Register a durable handler."""
    engine.register(name, scripted(engine.client, body), durable=True, **options)


def done(result: str | None = '"done"') -> Wire:
    """The answer of a finished execution."""
    return {"Status": "SUCCEEDED", "Result": result}


def failed(message: str = "no", kind: str = "ValueError") -> Wire:
    """The answer of a failed execution."""
    return {"Status": "FAILED", "Error": {"ErrorMessage": message, "ErrorType": kind}}


def update(identity: str, kind: str, action: str, **members: Any) -> Wire:
    """An operation update."""
    return {"Id": identity, "Type": kind, "Action": action, **members}


def step(identity: str, action: str, **members: Any) -> Wire:
    """An update of a STEP."""
    return update(identity, "STEP", action, SubType="Step", **members)


def retry(identity: str, seconds: int, **members: Any) -> Wire:
    """A RETRY of a STEP."""
    return step(identity, "RETRY", StepOptions={"NextAttemptDelaySeconds": seconds}, **members)


def wait(identity: str, seconds: int, **members: Any) -> Wire:
    """The START of a WAIT."""
    return update(identity, "WAIT", "START", SubType="Wait", WaitOptions={"WaitSeconds": seconds}, **members)


def callback(identity: str, *, timeout: int = 0, heartbeat: int = 0, **members: Any) -> Wire:
    """The START of a CALLBACK."""
    options = {"TimeoutSeconds": timeout, "HeartbeatTimeoutSeconds": heartbeat}
    return update(identity, "CALLBACK", "START", SubType="Callback", CallbackOptions=options, **members)


def context(identity: str, action: str, **members: Any) -> Wire:
    """An update of a CONTEXT."""
    return update(identity, "CONTEXT", action, SubType="RunInChildContext", **members)


def invoke(identity: str, function: str, payload: str | None = "{}", **options: Any) -> Wire:
    """The START of a CHAINED_INVOKE."""
    members = {} if payload is None else {"Payload": payload}
    return update(
        identity,
        "CHAINED_INVOKE",
        "START",
        SubType="ChainedInvoke",
        ChainedInvokeOptions={"FunctionName": function, **options},
        **members,
    )


def history(engine: LocalEngine, arn: str, **options: Any) -> list[Wire]:
    """All events of an execution, with data."""
    events: list[Wire] = []
    marker: Wire = {}
    while True:
        found = engine.client.get_durable_execution_history(
            DurableExecutionArn=arn, IncludeExecutionData=True, MaxItems=1000, **marker, **options
        )
        events.extend(found["Events"])
        if "NextMarker" not in found:
            return events
        marker = {"Marker": found["NextMarker"]}


def kinds(engine: LocalEngine, arn: str) -> list[str]:
    """Event types of an execution, in order."""
    return [event["EventType"] for event in history(engine, arn)]


def details(event: Wire) -> Any:
    """The details of an event. That a payload is complete is left out."""
    found = event[event["EventType"] + "Details"]
    return {name: _complete(value) for name, value in found.items()}


def _complete(value: Any) -> Any:
    if isinstance(value, dict) and value.get("Truncated") is False:
        return {name: inner for name, inner in value.items() if name != "Truncated"}
    return value

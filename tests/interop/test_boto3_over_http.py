"""An unmodified boto3 client against the local engine's server: every operation, its errors and its pages."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from durable_execution.local import LocalEngine
from durable_execution.protocol import Wire
from tests.interop.serving import served
from tests.unit.local.scripts import PENDING, Body, Session, callback, done, scripted, step, wait

pytestmark = pytest.mark.interop


class Cloud:
    """A served engine whose handlers talk to it with boto3, as functions in other processes do."""

    def __init__(self, engine: LocalEngine, url: str, client: Any) -> None:
        self.engine = engine
        self.url = url
        self.client = client

    def register(self, name: str, body: Body, **options: Any) -> None:
        self.engine.register(name, scripted(self.client, body), durable=True, **options)

    def run(self, name: str, payload: bytes = b"{}", **options: Any) -> tuple[str, bytes]:
        answer = self.client.invoke(FunctionName=f"{name}:$LATEST", Payload=payload, **options)
        assert "FunctionError" not in answer, answer["Payload"].read()
        return answer["DurableExecutionArn"], answer["Payload"].read()

    def start(self, name: str, payload: bytes = b"{}", **options: Any) -> str:
        answer = self.client.invoke(FunctionName=f"{name}:$LATEST", Payload=payload, InvocationType="Event", **options)
        assert answer["StatusCode"] == 202
        assert answer["Payload"].read() == b""
        arn: str = answer["DurableExecutionArn"]
        return arn

    def wait_until(self, arn: str, status: str) -> Wire:
        def is_so() -> bool:
            return bool(self.client.get_durable_execution(DurableExecutionArn=arn)["Status"] == status)

        assert self.engine.run_until(is_so, timeout=timedelta(seconds=20))
        found: Wire = self.client.get_durable_execution(DurableExecutionArn=arn)
        return found


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with LocalEngine(None) as engine, served(engine) as (url, client):
        yield Cloud(engine, url, client)


def refused(call: Any, code: str, status: int) -> ClientError:
    with pytest.raises(ClientError) as caught:
        call()
    response = caught.value.response
    assert (response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]) == (code, status)
    assert response["Error"]["Message"]
    return caught.value


def test_invoke_checkpoint_and_state(cloud: Cloud) -> None:
    contexts: list[Any] = []

    def body(session: Session) -> Wire:
        contexts.append(session.context)
        session.send(step("a", "START", Name="greet"), step("a", "SUCCEED", Name="greet", Payload='"ü/%2F"'))
        found = session.client.get_durable_execution_state(
            DurableExecutionArn=session.arn, CheckpointToken=session.token, MaxItems=1
        )
        assert [operation["Type"] for operation in found["Operations"]] == ["EXECUTION"]
        found = session.client.get_durable_execution_state(
            DurableExecutionArn=session.arn, CheckpointToken=session.token, Marker=found["NextMarker"]
        )
        (operation,) = found["Operations"]
        assert operation["StepDetails"] == {"Attempt": 1, "Result": '"ü/%2F"'}
        assert abs(operation["StartTimestamp"] - datetime.now(UTC)) < timedelta(minutes=1)
        assert operation["StartTimestamp"].microsecond % 1000 == 0
        session.send(wait("w", 1))
        assert (
            session.operations["w"]["WaitDetails"]["ScheduledEndTimestamp"] - timedelta(seconds=1)
            >= operation["StartTimestamp"]
        )
        return done('"ü"')

    cloud.register("flow", body, tenant_isolated=True)
    arn, payload = cloud.run("flow", '{"who": "ü"}'.encode(), DurableExecutionName="order-7", TenantId="acme")

    assert payload.decode() == '"ü"'
    assert "/durable-execution/order-7/" in arn
    assert contexts[0].tenant_id == "acme"


def test_get_and_history(cloud: Cloud) -> None:
    def body(session: Session) -> Wire:
        if session.status("w") is None:
            session.send(step("a", "SUCCEED", Payload="1"), wait("w", 1))
            return PENDING
        return done("[1]")

    cloud.register("flow", body, execution_timeout=timedelta(hours=1), retention=timedelta(days=2))
    arn, _ = cloud.run("flow", b'{"a": 1}')
    found = cloud.client.get_durable_execution(DurableExecutionArn=arn)
    own = cloud.engine.client.get_durable_execution(DurableExecutionArn=arn)
    del found["ResponseMetadata"]
    assert found == own
    assert found["DurableConfig"] == {"RetentionPeriodInDays": 2, "ExecutionTimeout": 3600}
    assert (found["InputPayload"], found["Result"]) == ('{"a": 1}', "[1]")
    bare = cloud.client.get_durable_execution(DurableExecutionArn=arn, IncludeExecutionData=False)
    assert "Result" not in bare

    own_events = cloud.engine.client.get_durable_execution_history(DurableExecutionArn=arn, IncludeExecutionData=True)
    page = cloud.client.get_durable_execution_history(DurableExecutionArn=arn, IncludeExecutionData=True)
    assert page["Events"] == own_events["Events"]
    assert "NextMarker" not in page
    pages = cloud.client.get_paginator("get_durable_execution_history").paginate(
        DurableExecutionArn=arn, ReverseOrder=True, PaginationConfig={"PageSize": 3}
    )
    numbers = [event["EventId"] for found in pages for event in found["Events"]]
    assert numbers == list(range(len(own_events["Events"]), 0, -1))


def test_list(cloud: Cloud) -> None:
    cloud.register("flow", lambda session: done())
    cloud.register("fails", lambda session: {"Status": "FAILED", "Error": {"ErrorMessage": "no"}})
    names = [f"e{number}" for number in range(5)]
    for name in names:
        cloud.run("flow", DurableExecutionName=name)
    cloud.client.invoke(FunctionName="fails", Qualifier="live", Payload=b"{}")

    def listed(function: str = "flow", **options: Any) -> list[str]:
        pages = cloud.client.get_paginator("list_durable_executions_by_function").paginate(
            FunctionName=function, PaginationConfig={"PageSize": 2}, **options
        )
        return [row["DurableExecutionName"] for page in pages for row in page["DurableExecutions"]]

    assert listed(ReverseOrder=True) == names
    assert listed() == names[::-1]
    assert listed(Statuses=["RUNNING", "FAILED"]) == []
    assert len(listed("fails", Statuses=["RUNNING", "FAILED"])) == 1
    assert listed(DurableExecutionName="e2") == ["e2"]
    assert listed(StartedBefore=datetime.now(UTC) - timedelta(hours=1)) == []
    assert len(listed(StartedAfter=datetime.now(UTC) - timedelta(hours=1))) == 5
    assert listed(Qualifier="$LATEST", ReverseOrder=True) == names
    assert listed("arn:aws:lambda:us-east-1:123456789012:function:flow:$LATEST", ReverseOrder=True) == names


def waiting(session: Session) -> Wire:
    """Waits for a callback, and returns or fails as it does."""
    if session.status("c") is None:
        session.send(callback("c", Name="approval", timeout=60, heartbeat=60))
    if session.status("c") == "STARTED":
        return PENDING
    found = session.operations["c"]["CallbackDetails"]
    return done(found.get("Result")) if "Error" not in found else {"Status": "FAILED", "Error": found["Error"]}


def test_callbacks(cloud: Cloud) -> None:
    cloud.register("flow", waiting)
    arn = cloud.start("flow")
    callback_id = cloud.engine.wait_for_callback_id(arn, "approval")
    cloud.client.send_durable_execution_callback_heartbeat(CallbackId=callback_id)
    cloud.client.send_durable_execution_callback_success(CallbackId=callback_id, Result='{"ok": "ü"}'.encode())
    assert cloud.wait_until(arn, "SUCCEEDED")["Result"] == '{"ok": "ü"}'
    refused(
        lambda: cloud.client.send_durable_execution_callback_success(CallbackId=callback_id, Result=b"2"),
        "CallbackTimeoutException",
        400,
    )

    arn = cloud.start("flow")
    error = {"ErrorType": "Rejected", "ErrorMessage": "no", "ErrorData": "{}", "StackTrace": ["a"]}
    callback_id = cloud.engine.wait_for_callback_id(arn)
    cloud.client.send_durable_execution_callback_failure(CallbackId=callback_id, Error=error)
    assert cloud.wait_until(arn, "FAILED")["Error"] == error

    arn = cloud.start("flow")
    cloud.client.send_durable_execution_callback_success(CallbackId=cloud.engine.wait_for_callback_id(arn))
    assert "Result" not in cloud.wait_until(arn, "SUCCEEDED")
    with pytest.raises(cloud.client.exceptions.ResourceNotFoundException):
        cloud.client.send_durable_execution_callback_heartbeat(CallbackId="a/b+c=")


def test_stop_pause_resume_delete(cloud: Cloud) -> None:
    client = cloud.client
    cloud.register("flow", waiting)
    arn = cloud.start("flow")
    cloud.engine.wait_for_callback_id(arn)
    with pytest.raises(client.exceptions.ResourceConflictException):
        client.resume_durable_execution(DurableExecutionArn=arn)
    paused = client.pause_durable_execution(DurableExecutionArn=arn, Reason="deploy", ExecutionTimeoutPaused=False)
    assert paused["ResponseMetadata"]["HTTPStatusCode"] == 202
    found = client.get_durable_execution(DurableExecutionArn=arn)
    assert found["Status"] == "PAUSED"
    assert found["PauseDetails"]["Reason"] == "deploy"
    assert found["PauseDetails"]["ExecutionTimeoutPaused"] is False
    resumed = client.resume_durable_execution(DurableExecutionArn=arn, Reason="deployed", ClientToken="t")
    assert resumed["ResponseMetadata"]["HTTPStatusCode"] == 202
    refused(lambda: client.delete_durable_execution(DurableExecutionArn=arn), "ResourceConflictException", 409)
    error = {"ErrorMessage": "enough", "ErrorType": "Operator"}
    stopped = client.stop_durable_execution(DurableExecutionArn=arn, Error=error)
    found = client.get_durable_execution(DurableExecutionArn=arn)
    assert (found["Status"], found["Error"], found["EndTimestamp"]) == ("STOPPED", error, stopped["StopTimestamp"])
    kinds = [event["EventType"] for event in client.get_durable_execution_history(DurableExecutionArn=arn)["Events"]]
    assert kinds[-3:] == ["ExecutionPaused", "ExecutionResumed", "ExecutionStopped"]
    deleted = client.delete_durable_execution(DurableExecutionArn=arn)
    assert deleted["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert deleted["DeletionRequestTimestamp"] >= stopped["StopTimestamp"]
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_durable_execution(DurableExecutionArn=arn)


def test_stop_without_an_error(cloud: Cloud) -> None:
    cloud.register("flow", waiting)
    arn = cloud.start("flow")
    cloud.client.stop_durable_execution(DurableExecutionArn=arn)
    assert "Error" not in cloud.wait_until(arn, "STOPPED")


def test_invoke_of_plain_functions_and_failures(cloud: Cloud) -> None:
    def plain(event: Any, context: Any) -> Any:
        if event == "boom":
            raise ValueError("no")
        return [event, context.client_context]

    cloud.engine.register("plain", plain)
    cloud.register("fails", lambda session: {"Status": "FAILED", "Error": {"ErrorMessage": "no", "ErrorType": "T"}})
    answer = cloud.client.invoke(FunctionName="plain", Payload=b"[1]", ClientContext="eyJhIjogMX0=", LogType="Tail")
    assert (answer["StatusCode"], answer["Payload"].read()) == (200, b'[[1], {"a": 1}]')
    assert answer["ExecutedVersion"] == "$LATEST"
    assert "DurableExecutionArn" not in answer
    answer = cloud.client.invoke(FunctionName="plain", Payload=b'"boom"')
    assert answer["FunctionError"] == "Unhandled"
    assert b'"errorMessage": "no"' in answer["Payload"].read()
    answer = cloud.client.invoke(FunctionName="fails", Qualifier="3", Payload=b"{}")
    assert answer["FunctionError"] == "Unhandled"
    assert answer["Payload"].read() == b'{"errorMessage": "no", "errorType": "T"}'
    assert ":function:fails:3/" in answer["DurableExecutionArn"]
    answer = cloud.client.invoke(FunctionName="plain", InvocationType="DryRun")
    assert answer["StatusCode"] == 204


def test_idempotent_starts(cloud: Cloud) -> None:
    cloud.register("flow", lambda session: done())
    first = cloud.run("flow", b"[1]", DurableExecutionName="n")
    assert cloud.run("flow", b"[1]", DurableExecutionName="n") == first
    with pytest.raises(cloud.client.exceptions.DurableExecutionAlreadyStartedException):
        cloud.run("flow", b"[2]", DurableExecutionName="n")


ARN = "arn:aws:lambda:us-east-1:123456789012:function:flow:$LATEST/durable-execution/n/i"


@pytest.mark.parametrize(
    ("method", "arguments", "code", "status"),
    [
        ("get_durable_execution", {"DurableExecutionArn": ARN}, "ResourceNotFoundException", 404),
        ("get_durable_execution_history", {"DurableExecutionArn": ARN}, "ResourceNotFoundException", 404),
        ("stop_durable_execution", {"DurableExecutionArn": ARN}, "ResourceNotFoundException", 404),
        ("pause_durable_execution", {"DurableExecutionArn": ARN}, "ResourceNotFoundException", 404),
        ("resume_durable_execution", {"DurableExecutionArn": ARN}, "ResourceNotFoundException", 404),
        ("delete_durable_execution", {"DurableExecutionArn": ARN}, "ResourceNotFoundException", 404),
        ("list_durable_executions_by_function", {"FunctionName": "nobody"}, "ResourceNotFoundException", 404),
        ("send_durable_execution_callback_success", {"CallbackId": "eA=="}, "ResourceNotFoundException", 404),
        ("send_durable_execution_callback_failure", {"CallbackId": "eA=="}, "ResourceNotFoundException", 404),
        ("send_durable_execution_callback_heartbeat", {"CallbackId": "eA=="}, "ResourceNotFoundException", 404),
        (
            "checkpoint_durable_execution",
            {"DurableExecutionArn": ARN, "CheckpointToken": "eA=="},
            "InvalidParameterValueException",
            400,
        ),
        (
            "get_durable_execution_state",
            {"DurableExecutionArn": ARN, "CheckpointToken": "eA=="},
            "InvalidParameterValueException",
            400,
        ),
        ("invoke", {"FunctionName": "nobody:1"}, "ResourceNotFoundException", 404),
        ("invoke", {"FunctionName": "flow"}, "InvalidParameterValueException", 400),
        ("invoke", {"FunctionName": "flow:1", "Payload": b"{"}, "InvalidRequestContentException", 400),
        (
            "invoke",
            {"FunctionName": "flow:1", "Payload": b'"' + b"x" * 6_291_455 + b'"'},
            "RequestTooLargeException",
            413,
        ),
    ],
    ids=range(16),
)
def test_errors_arrive_as_boto3_knows_them(cloud: Cloud, method: str, arguments: Wire, code: str, status: int) -> None:
    cloud.register("flow", lambda session: done())
    error = refused(lambda: getattr(cloud.client, method)(**arguments), code, status)
    assert isinstance(error, getattr(cloud.client.exceptions, code))


def test_a_stale_token_has_the_text_that_sdks_look_for(cloud: Cloud) -> None:
    messages: list[str] = []

    def body(session: Session) -> Wire:
        token = session.token
        session.send()
        session.token = token
        messages.append(refused(session.send, "InvalidParameterValueException", 400).response["Error"]["Message"])
        return done()

    cloud.register("flow", body)
    cloud.run("flow")
    assert messages == ["Invalid checkpoint token"]


def test_a_repeated_request_gets_the_same_answer(cloud: Cloud) -> None:
    """boto3 sends a ClientToken with every checkpoint, and repeats it when it retries."""

    def body(session: Session) -> Wire:
        token = session.token
        session.send(step("a", "START"), client_token="once")
        first = {**session.answer, "ResponseMetadata": None}
        session.token = token
        session.send(step("a", "START"), client_token="once")
        assert {**session.answer, "ResponseMetadata": None} == first
        return done()

    cloud.register("flow", body)
    cloud.run("flow")


def test_many_callers_wait_at_once(cloud: Cloud) -> None:
    from concurrent.futures import ThreadPoolExecutor

    def body(session: Session) -> Wire:
        if session.status("w") is None:
            session.send(wait("w", 1))
            return PENDING
        return done()

    cloud.register("flow", body)
    with ThreadPoolExecutor(20) as callers:
        assert {payload for _, payload in callers.map(lambda _: cloud.run("flow"), range(20))} == {b'"done"'}


def test_with_a_skipping_clock_waits_take_no_time_and_callbacks_leave_some() -> None:
    def body(session: Session) -> Wire:
        if session.status("w") is None:
            session.send(wait("w", 86_400))
        if session.status("w") == "STARTED":
            return PENDING
        return waiting(session)

    with LocalEngine(None, time="skip") as engine, served(engine) as (url, client):
        cloud = Cloud(engine, url, client)
        cloud.register("flow", body)
        arn = cloud.start("flow")
        callback_id = engine.wait_for_callback_id(arn, timeout=timedelta(seconds=20))
        client.send_durable_execution_callback_success(CallbackId=callback_id, Result=b"1")
        found = cloud.wait_until(arn, "SUCCEEDED")
    took = found["EndTimestamp"] - found["StartTimestamp"]
    assert timedelta(days=1) <= took < timedelta(days=1, seconds=20)

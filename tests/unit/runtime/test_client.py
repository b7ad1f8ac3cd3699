"""The service through boto3: requests as the API wants them, and its errors told apart."""

import asyncio
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore import exceptions
from botocore.stub import Stubber

from durable_execution.errors import ServiceError
from durable_execution.runtime import client as client_module
from durable_execution.runtime.client import Boto3ServiceClient
from durable_execution.runtime.service import CheckpointAnswer, StatePage
from tests.unit.fake_service import ARN

UPDATE = {"Id": "1", "Type": "STEP", "SubType": "Step", "Name": "a", "Action": "SUCCEED", "Payload": "1"}
STARTED = datetime(2025, 12, 1, tzinfo=UTC)


@pytest.fixture
def boto() -> Any:
    return boto3.client("lambda", region_name="eu-west-1", aws_access_key_id="a", aws_secret_access_key="b")


@pytest.fixture
def stub(boto: Any) -> Iterator[Stubber]:
    with Stubber(boto) as stub:
        yield stub
        stub.assert_no_pending_responses()


def checkpoint(boto: Any) -> CheckpointAnswer:
    return asyncio.run(Boto3ServiceClient(boto).checkpoint(ARN, "token", [UPDATE]))


def test_a_checkpoint_is_sent_and_answered(boto: Any, stub: Stubber) -> None:
    operation = {"Id": "1", "Type": "STEP", "Status": "SUCCEEDED", "StartTimestamp": STARTED}
    stub.add_response(
        "checkpoint_durable_execution",
        {"CheckpointToken": "next", "NewExecutionState": {"Operations": [operation], "NextMarker": "m"}},
        {"DurableExecutionArn": ARN, "CheckpointToken": "token", "Updates": [UPDATE]},
    )
    assert checkpoint(boto) == CheckpointAnswer("next", [operation], "m")


def test_an_answer_may_have_no_token_and_no_state(boto: Any, stub: Stubber) -> None:
    stub.add_response("checkpoint_durable_execution", {"NewExecutionState": {}})
    assert checkpoint(boto) == CheckpointAnswer(None, [], None)


def test_pages_are_as_large_as_the_service_allows(boto: Any, stub: Stubber) -> None:
    stub.add_response(
        "get_durable_execution_state",
        {"Operations": [], "NextMarker": ""},
        {"DurableExecutionArn": ARN, "CheckpointToken": "token", "Marker": "m", "MaxItems": 1000},
    )
    assert asyncio.run(Boto3ServiceClient(boto).get_state(ARN, "token", "m")) == StatePage([], None)


@pytest.mark.parametrize(
    ("code", "status", "message", "retriable"),
    [
        ("TooManyRequestsException", 429, "Rate exceeded", True),
        ("ServiceException", 500, "oops", True),
        ("InvalidParameterValueException", 400, "Invalid checkpoint token", True),
        ("InvalidParameterValueException", 400, "Inconsistent operation type.", False),
        ("KMSAccessDeniedException", 502, "no key", False),
    ],
)
def test_what_the_service_says_is_kept(
    boto: Any, stub: Stubber, code: str, status: int, message: str, retriable: bool
) -> None:
    stub.add_client_error("checkpoint_durable_execution", code, message, http_status_code=status)
    with pytest.raises(ServiceError) as raised:
        checkpoint(boto)
    error = raised.value
    assert (error.code, error.message, error.status, error.is_retriable) == (code, message, status, retriable)
    assert isinstance(error.__cause__, exceptions.ClientError)


class Raising:
    """A boto3 client whose calls all fail in the same way."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def checkpoint_durable_execution(self, **options: Any) -> Any:
        raise self.error


@pytest.mark.parametrize(
    ("error", "retriable"),
    [
        (exceptions.EndpointConnectionError(endpoint_url="https://lambda"), True),
        (exceptions.ReadTimeoutError(endpoint_url="https://lambda"), True),
        (exceptions.ConnectTimeoutError(endpoint_url="https://lambda"), True),
        (exceptions.ConnectionClosedError(endpoint_url="https://lambda"), True),
        (exceptions.ParamValidationError(report="Updates"), False),
        (exceptions.NoCredentialsError(), False),
        (exceptions.NoRegionError(), False),
        (exceptions.PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_never_reached_the_service_is_told_apart(error: Exception, retriable: bool) -> None:
    with pytest.raises(ServiceError) as raised:
        checkpoint(Raising(error))
    assert raised.value.code == type(error).__name__
    assert raised.value.is_retriable is retriable


def test_calls_run_on_a_thread_of_their_own() -> None:
    threads: list[str] = []

    class Watching:
        def checkpoint_durable_execution(self, **options: Any) -> Any:
            threads.append(threading.current_thread().name)
            return {"CheckpointToken": "next", "NewExecutionState": {"Operations": []}}

    async def twice() -> None:
        service = Boto3ServiceClient(Watching())  # type: ignore[arg-type]
        await service.checkpoint(ARN, "token", [])
        await service.checkpoint(ARN, "token", [])

    asyncio.run(twice())
    assert len(set(threads)) == 1
    assert threads[0].startswith("durable-service")


def test_a_client_is_made_when_the_first_call_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []

    class Made:
        def get_durable_execution_state(self, **options: Any) -> Any:
            return {"Operations": []}

    def make() -> Made:
        made.append(object())
        return Made()

    monkeypatch.setattr(client_module, "_make_client", make)
    service = Boto3ServiceClient()
    assert made == []
    for _ in range(2):
        asyncio.run(service.get_state(ARN, "token", "m"))
    assert len(made) == 1


def test_the_client_that_is_made_does_not_wait_longer_than_an_invocation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    made = client_module._make_client()
    assert made.meta.service_model.service_name == "lambda"
    assert made.meta.config.connect_timeout <= 10
    assert made.meta.config.read_timeout <= 60

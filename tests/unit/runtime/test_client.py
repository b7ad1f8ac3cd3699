"""The service on AWS: calls through a boto3 client of the user's, the threads they run on, and what is checked first."""

import asyncio
import threading
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore import exceptions
from botocore.stub import Stubber

from durable_execution import BlockingContext, DurableContext, StepContext, durable_execution
from durable_execution.errors import ServiceError, ServiceUnavailableError
from durable_execution.runtime import loop as loop_module
from durable_execution.runtime.client import LOWEST_BOTO3, LambdaService, environment_service
from durable_execution.runtime.service import CheckpointAnswer, StatePage
from tests.unit.fake_service import ARN, envelope

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
    return asyncio.run(LambdaService(boto).checkpoint(ARN, "token", [UPDATE]))


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
    assert asyncio.run(LambdaService(boto).get_state(ARN, "token", "m")) == StatePage([], None)


@pytest.mark.parametrize(
    ("code", "status", "message", "retriable"),
    [
        ("TooManyRequestsException", 429, "Rate exceeded", True),
        ("ServiceException", 500, "oops", True),
        ("InvalidParameterValueException", 400, "Invalid checkpoint token", True),
        ("InvalidParameterValueException", 400, "Inconsistent operation type.", False),
        ("KMSAccessDeniedException", 502, "no key", False),
        ("UnrecognizedClientException", 403, "the key is not valid", False),
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


class Answering:
    """A boto3 client that answers everything, and notes the thread of each call."""

    def __init__(self) -> None:
        self.threads: list[str] = []

    def checkpoint_durable_execution(self, **options: Any) -> Any:
        self.threads.append(threading.current_thread().name)
        operations = [
            {"Id": update["Id"], "Type": update["Type"], "Status": "SUCCEEDED", "StartTimestamp": STARTED}
            for update in options["Updates"]
        ]
        return {"CheckpointToken": "next", "NewExecutionState": {"Operations": operations}}

    @property
    def are_here(self) -> set[bool]:
        return {thread == threading.current_thread().name for thread in self.threads}


def run(handler: Any, client: Any, lambda_context: Any = None) -> dict[str, Any]:
    answer: dict[str, Any] = durable_execution(client=client)(handler)(envelope(), lambda_context)
    return answer


@pytest.fixture
def fresh_loop(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An event loop without tasks that other tests have left behind: those may need its thread."""
    monkeypatch.setattr(loop_module, "_thread_state", threading.local())
    yield
    loop_module.environment_loop().close()


@pytest.mark.usefixtures("fresh_loop")
class TestThreads:
    def test_calls_run_on_a_thread_of_their_own(self) -> None:
        client = Answering()

        async def twice() -> None:
            service = LambdaService(client)  # type: ignore[arg-type]
            await service.checkpoint(ARN, "token", [])
            await service.checkpoint(ARN, "token", [])

        asyncio.run(twice())
        assert client.threads == [client.threads[0]] * 2
        assert client.threads[0].startswith("durable-service")

    def test_a_sequential_workflow_calls_on_the_thread_of_the_loop(self) -> None:
        client = Answering()

        async def handler(_: Any, ctx: DurableContext) -> int:
            async def body(step: StepContext) -> int:
                return 1

            return await ctx.step(body) + await ctx.step(lambda step: 2)

        assert run(handler, client)["Result"] == "3"
        assert (len(client.threads), client.are_here) == (2, {True})

    def test_so_does_a_sequential_blocking_handler(self) -> None:
        client = Answering()

        def handler(_: Any, ctx: BlockingContext) -> int:
            return ctx.step(lambda step: 1) + ctx.step(lambda step: 2)

        assert run(handler, client)["Result"] == "3"
        assert (len(client.threads), client.are_here) == (2, {True})

    def test_branches_do_not_stop_each_other(self) -> None:
        client = Answering()

        async def handler(_: Any, ctx: DurableContext) -> int:
            return sum(await asyncio.gather(ctx.step(lambda step: 1), ctx.step(lambda step: 2)))

        assert run(handler, client)["Result"] == "3"
        assert client.are_here == {False}

    def test_a_background_task_is_not_stopped(self) -> None:
        client = Answering()
        running: list[asyncio.Task[None]] = []

        async def handler(_: Any, ctx: DurableContext) -> int:
            async def connect(step: StepContext) -> None:
                running.append(asyncio.ensure_future(asyncio.sleep(3600)))

            await ctx.step(connect)
            running[0].cancel()
            await asyncio.wait(running)
            return await ctx.step(lambda step: 2)

        assert run(handler, client)["Result"] == "2"
        assert [thread.startswith("durable-service") for thread in client.threads] == [True, False]

    def test_blocking_branches_do_not_stop_each_other(self) -> None:
        client = Answering()

        def handler(_: Any, ctx: BlockingContext) -> int:
            branches = [lambda branch: branch.step(lambda step: 1), lambda branch: branch.step(lambda step: 2)]
            return sum(ctx.parallel(branches).get_results())

        assert run(handler, client)["Result"] == "3"
        assert False in client.are_here


class TestBeforeTheFirstStep:
    def test_a_boto3_client_without_the_operations_is_a_configuration_error(self) -> None:
        charged: list[int] = []

        async def handler(_: Any, ctx: DurableContext) -> None:
            await ctx.step(lambda step: charged.append(1))

        error = run(handler, object())["Error"]
        assert error["ErrorType"] == "durable_execution.errors.ConfigurationError"
        assert f"boto3 {LOWEST_BOTO3} or later" in error["ErrorMessage"]
        assert charged == []

    def test_the_named_version_is_the_one_that_the_package_requires(self, repository: Path) -> None:
        project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))
        assert f"boto3>={LOWEST_BOTO3}" in project["project"]["dependencies"]

    def test_missing_configuration_fails_the_execution(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("AWS_DEFAULT_REGION", "AWS_REGION", "AWS_PROFILE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "A")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "B")
        environment_service.cache_clear()
        charged: list[int] = []

        async def handler(_: Any, ctx: DurableContext) -> None:
            await ctx.step(lambda step: charged.append(1))

        error = run(handler, None)["Error"]
        assert error["ErrorType"] == "durable_execution.errors.CheckpointRejectedError"
        assert "NoRegionError" in error["ErrorMessage"]
        assert charged == []

    def test_an_invocation_without_time_for_a_call_is_retried(self) -> None:
        class Ending:
            @staticmethod
            def get_remaining_time_in_millis() -> int:
                return 20

        async def handler(_: Any, ctx: DurableContext) -> None:
            await ctx.step(lambda step: 1)

        with pytest.raises(ServiceUnavailableError, match=r"not started, 0\.0 seconds before the time-out"):
            run(handler, Answering(), Ending())

"""The cloud runner: the same face, through the Lambda API; against the local engine's own client and over HTTP."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import boto3
import pytest

from durable_execution.errors import ServiceError
from durable_execution.local import LocalEngine
from durable_execution.protocol import ExecutionStatus
from durable_execution.testing import CloudRunner, RunnerError
from tests.unit.testing.workflows import asks, echo, everything, fails, process_order


class DrivingPatience:
    """While a test waits for the deployed function, the engine that stands for the cloud does its work."""

    def __init__(self, engine: LocalEngine) -> None:
        self.engine = engine
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        self.engine.run_until_idle()


@pytest.fixture
def engine() -> Iterator[LocalEngine]:
    with LocalEngine(None, time="skip") as engine:
        for handler in (process_order, everything, asks, fails):
            engine.register(handler.function.__name__, handler)
        engine.register("echo", echo)
        yield engine


def cloud(engine: LocalEngine, function: str, **options: Any) -> CloudRunner:
    return CloudRunner(function, client=engine.client, patience=DrivingPatience(engine), **options)


def test_a_deployed_function_runs_to_its_end(engine: LocalEngine) -> None:
    result = cloud(engine, "process_order").run({"id": "7"})
    assert result.assert_succeeded() == "shipped pay_7"
    assert result.step("charge").attempt_count == 1
    assert [view.name for view in result.children] == ["charge", "cooling_off", "ship"]


def test_a_failure_is_a_result(engine: LocalEngine) -> None:
    result = cloud(engine, "fails").run({})
    assert result.status is ExecutionStatus.FAILED
    assert str(result.error) == "ValueError: no such card"


def test_callbacks_are_found_and_completed(engine: LocalEngine) -> None:
    execution = cloud(engine, "everything").start({})
    execution.heartbeat("approval")
    execution.succeed_callback("approval", "yes")
    assert execution.finish().result[-1] == "yes"


def test_a_callback_can_fail(engine: LocalEngine) -> None:
    execution = cloud(engine, "asks").start({})
    execution.fail_callback(error="no")
    assert str(execution.finish().error) == "Error: no"


def test_it_is_watched_until_it_waits(engine: LocalEngine) -> None:
    execution = cloud(engine, "asks").start({"names": ["first", "second"]})
    report = execution.until_waiting()
    assert report.status is ExecutionStatus.RUNNING
    assert report.callback("first").status == "STARTED"


def test_it_can_be_stopped_paused_and_resumed(engine: LocalEngine) -> None:
    execution = cloud(engine, "asks").start({})
    execution.until_waiting()
    execution.pause("why not")
    assert execution.status is ExecutionStatus.PAUSED
    execution.resume()
    assert execution.stop("enough").status is ExecutionStatus.STOPPED


def test_one_that_does_not_end_in_time_is_shown(engine: LocalEngine) -> None:
    runner = cloud(engine, "asks", timeout=timedelta(minutes=1), poll_interval=timedelta(seconds=7))
    with pytest.raises(
        RunnerError, match=r"(?s)has not reached the expected state in 60 seconds.*answer callback STARTED"
    ):
        runner.run({})


def test_an_execution_that_was_started_elsewhere(engine: LocalEngine) -> None:
    arn = engine.start("process_order", {"id": "7"})
    assert cloud(engine, "process_order").execution(arn).finish().result == "shipped pay_7"


def test_a_name_makes_an_execution_one_of_a_kind(engine: LocalEngine) -> None:
    runner = cloud(engine, "process_order")
    assert runner.run({"id": "7"}, name="order-7").arn == runner.run({"id": "7"}, name="order-7").arn
    with pytest.raises(ServiceError, match="DurableExecutionAlreadyStartedException"):
        runner.start({"id": "8"}, name="order-7")


def test_a_function_that_is_not_durable_is_refused(engine: LocalEngine) -> None:
    with pytest.raises(RunnerError, match="has no DurableConfig"):
        cloud(engine, "echo").start({})


def test_a_function_that_is_not_there_is_the_services_error(engine: LocalEngine) -> None:
    with pytest.raises(ServiceError, match="ResourceNotFoundException"):
        cloud(engine, "nope").start({})


def test_pages_of_the_history_are_put_together(engine: LocalEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    from durable_execution.testing import calls

    monkeypatch.setattr(calls, "PAGE_ITEMS", 2)
    result = cloud(engine, "process_order").run({"id": "7"})
    assert [event["EventId"] for event in result.history] == list(range(1, len(result.history) + 1))
    assert len(result.history) > 6


def test_botocores_errors_become_the_services() -> None:
    from botocore.stub import Stubber

    client = boto3.client("lambda", region_name="eu-west-1", aws_access_key_id="a", aws_secret_access_key="b")
    with Stubber(client) as stub:
        stub.add_client_error("invoke", "TooManyRequestsException", "slow down", http_status_code=429)
        with pytest.raises(ServiceError) as raised:
            CloudRunner("f", client=client).start({})
    assert (raised.value.code, raised.value.message, raised.value.status) == (
        "TooManyRequestsException",
        "slow down",
        429,
    )


def test_other_errors_are_left_alone(engine: LocalEngine) -> None:
    class Broken:
        def invoke(self, **options: Any) -> None:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        CloudRunner("f", client=Broken()).start({})


@pytest.mark.real_time
def test_over_http_with_an_unmodified_boto3_client() -> None:
    from durable_execution.local.http.server import LocalServer

    with LocalEngine(None) as engine:
        engine.register("asks", asks)
        with LocalServer(engine, port=0) as server:
            client = boto3.client(
                "lambda",
                endpoint_url=server.url,
                region_name="us-east-1",
                aws_access_key_id="a",
                aws_secret_access_key="b",
            )
            execution = CloudRunner("asks", client=client, poll_interval=timedelta(milliseconds=5)).start({})
            assert execution.until_waiting().callback("answer").status == "STARTED"
            execution.succeed_callback("answer", {"by": "Grace"})
            result = execution.finish()
    assert result.result == ['{"by": "Grace"}']
    assert result.event_types[0] == "ExecutionStarted"
    assert result.callback().callback_id

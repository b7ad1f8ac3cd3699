"""AWS's SDK for Python as the function, on the local engine: every operation, event by event."""

import logging
from collections.abc import Iterator
from typing import Any, cast

import pytest

from durable_execution.local import CountingIds, EngineLimits, LocalEngine
from tests.interop.aws_workflows import WORKFLOWS, handler_of

pytestmark = pytest.mark.interop

START, END = "ExecutionStarted", "InvocationCompleted"


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """AWS's SDK logs every failure, also the intended ones."""
    caplog.set_level(logging.CRITICAL, logger="aws_durable_execution_sdk_python")


@pytest.fixture
def engine() -> Iterator[LocalEngine]:
    with LocalEngine(None, time="skip", ids=CountingIds()) as made:
        for workflow in WORKFLOWS:
            made.register(workflow.__name__, handler_of(workflow.__name__, made.client), durable=True)
        yield made


def story(engine: LocalEngine, arn: str) -> list[str]:
    """The history as `type name`, without the first event."""
    asked: dict[str, Any] = {"DurableExecutionArn": arn, "MaxItems": 1000, "IncludeExecutionData": False}
    events = engine.client.get_durable_execution_history(**asked)["Events"]  # with its data, a large result is a page
    assert [event["EventId"] for event in events] == list(range(1, len(events) + 1))
    assert events[0]["EventType"] == START
    return [
        event["EventType"]
        if event["EventType"].startswith("Execution")
        else f"{event['EventType']} {event.get('Name', '')}".strip()
        for event in events[1:]
    ]


def details(engine: LocalEngine, arn: str, number: int) -> Any:
    events = engine.client.get_durable_execution_history(DurableExecutionArn=arn, IncludeExecutionData=True)["Events"]
    event = events[number - 1]
    return event[event["EventType"] + "Details"]


STORIES: dict[str, tuple[Any, Any, list[str]]] = {
    "a_step": ({"who": "me"}, {"hello": "me"}, ["StepStarted greet", "StepSucceeded greet", END, "ExecutionSucceeded"]),
    "a_step_that_is_retried": (
        {},
        3,
        [
            *("StepStarted flaky", "StepFailed flaky", END) * 2,
            "StepStarted flaky",
            "StepSucceeded flaky",
            END,
            "ExecutionSucceeded",
        ],
    ),
    "a_step_that_fails": ({}, None, ["StepStarted broken", "StepFailed broken", END, "ExecutionFailed"]),
    "a_caught_failure": (
        {},
        "caught ValueError",
        [
            "StepStarted broken",
            "StepFailed broken",
            "StepStarted recover",
            "StepSucceeded recover",
            END,
            "ExecutionSucceeded",
        ],
    ),
    "an_at_most_once_step_that_crashes": (
        {"in_process": True},
        None,
        ["StepStarted once", END, "StepFailed once", END, "ExecutionFailed"],
    ),
    "two_waits": (
        {},
        "rested",
        [
            "WaitStarted first",
            END,
            "WaitSucceeded first",
            "WaitStarted second",
            END,
            "WaitSucceeded second",
            END,
            "ExecutionSucceeded",
        ],
    ),
    "nested_contexts": (
        {},
        3,
        [
            "ContextStarted outer",
            "StepStarted one",
            "StepSucceeded one",
            "ContextStarted inner",
            "WaitStarted",
            END,
            "WaitSucceeded",
            "StepStarted two",
            "StepSucceeded two",
            "ContextSucceeded inner",
            "ContextSucceeded outer",
            END,
            "ExecutionSucceeded",
        ],
    ),
    "a_large_context": (
        {},
        300_000,
        [
            "ContextStarted large",
            "StepStarted seed",
            "StepSucceeded seed",
            "ContextSucceeded large",
            "WaitStarted",
            END,
            "WaitSucceeded",
            END,
            "ExecutionSucceeded",
        ],
    ),
    "an_invoke": (
        {"n": 4},
        8,
        ["ChainedInvokeStarted call", END, "ChainedInvokeSucceeded call", END, "ExecutionSucceeded"],
    ),
    "a_condition": (
        {},
        3,
        [
            *("StepStarted poll", "StepSucceeded poll", END) * 3,
            "ExecutionSucceeded",
        ],
    ),
    "a_map": (
        {},
        [10, 21, 32],
        [
            "ContextStarted tens",
            *(
                line
                for number in range(3)
                for line in (
                    f"ContextStarted map-item-{number}",
                    "StepStarted times",
                    "StepSucceeded times",
                    f"ContextSucceeded map-item-{number}",
                )
            ),
            "ContextSucceeded tens",
            END,
            "ExecutionSucceeded",
        ],
    ),
    "a_flat_map": (
        {},
        [1, 3],
        [
            "ContextStarted flat",
            *("StepStarted add", "StepSucceeded add") * 2,
            "ContextSucceeded flat",
            END,
            "ExecutionSucceeded",
        ],
    ),
    "a_parallel": (
        {},
        ["quick", "slow"],
        [
            "ContextStarted both",
            "ContextStarted parallel-branch-0",
            "StepStarted work",
            "StepSucceeded work",
            "ContextSucceeded parallel-branch-0",
            "ContextStarted parallel-branch-1",
            "WaitStarted nap",
            END,
            "WaitSucceeded nap",
            "ContextSucceeded parallel-branch-1",
            "ContextSucceeded both",
            END,
            "ExecutionSucceeded",
        ],
    ),
    "a_tolerated_failure": (
        {},
        [1, 1, "ALL_COMPLETED"],
        [
            "ContextStarted tolerant",
            "ContextStarted parallel-branch-0",
            "ContextFailed parallel-branch-0",
            "ContextStarted parallel-branch-1",
            "ContextSucceeded parallel-branch-1",
            "ContextSucceeded tolerant",
            END,
            "ExecutionSucceeded",
        ],
    ),
    "a_large_result": ({}, "x" * 6_291_420, [END, "ExecutionSucceeded"]),
}


@pytest.mark.parametrize("name", STORIES)
def test_a_workflow_written_for_awss_sdk(engine: LocalEngine, name: str) -> None:
    payload, expected, events = STORIES[name]
    result = engine.run(name, payload)

    assert story(engine, result.arn) == events
    assert result.result == expected
    assert (result.error is None) == (events[-1] == "ExecutionSucceeded")


def test_retry_details_on_the_wire(engine: LocalEngine) -> None:
    arn = engine.run("a_step_that_is_retried", {}).arn
    assert details(engine, arn, 3)["RetryDetails"] == {"CurrentAttempt": 1, "NextAttemptDelaySeconds": 7}
    assert details(engine, arn, 9)["RetryDetails"] == {"CurrentAttempt": 3}
    arn = engine.run("a_condition", {}).arn
    assert [details(engine, arn, number)["Result"]["Payload"] for number in (3, 6, 9)] == ["1", "2", "3"]


def test_an_interrupted_step_is_reported_as_lambda_does(engine: LocalEngine) -> None:
    result = engine.run("an_at_most_once_step_that_crashes", {"in_process": True})
    assert details(engine, result.arn, 3)["Error"]["Payload"]["ErrorType"] == "Runtime.ExitError"
    assert details(engine, result.arn, 4)["RetryDetails"] == {"CurrentAttempt": 1}
    assert result.error is not None
    assert "was previously interrupted" in (result.error.message or "")


def test_a_failing_target(engine: LocalEngine) -> None:
    result = engine.run("an_invoke", {"n": -1})
    assert story(engine, result.arn)[2] == "ChainedInvokeFailed call"
    started = details(engine, result.arn, 2)
    assert (started["FunctionName"], started["TenantId"], started["ExecutedVersion"]) == ("target", "acme", "$LATEST")
    assert result.error is not None
    assert result.error.message == "negative"


@pytest.mark.parametrize("name", ["a_callback", "a_wait_for_callback"])
def test_callbacks_succeed_and_fail(engine: LocalEngine, name: str) -> None:
    client = engine.client
    arn = engine.start(name, {})
    callback_id = engine.wait_for_callback_id(arn, "approval")
    client.send_durable_execution_callback_heartbeat(CallbackId=callback_id)
    client.send_durable_execution_callback_success(CallbackId=callback_id, Result=b"fine")
    assert engine.wait(arn).result == "fine"

    arn = engine.start(name, {})
    error = {"ErrorType": "Rejected", "ErrorMessage": "no"}
    client.send_durable_execution_callback_failure(CallbackId=engine.wait_for_callback_id(arn, "approval"), Error=error)
    failed = engine.wait(arn)
    assert failed.error is not None
    assert failed.error.message == "no"

    late = engine.run(name, {})
    assert late.status == "FAILED"
    assert any(line.startswith("CallbackTimedOut") for line in story(engine, late.arn))


def test_a_wait_for_callback_is_a_context_with_a_callback_and_a_step(engine: LocalEngine) -> None:
    arn = engine.start("a_wait_for_callback", {})
    callback_id = engine.wait_for_callback_id(arn, "approval")
    engine.client.send_durable_execution_callback_success(CallbackId=callback_id)
    assert engine.wait(arn).result is None
    assert [line.split()[0] for line in story(engine, arn)] == [
        "ContextStarted",
        "CallbackStarted",
        "StepStarted",
        "StepSucceeded",
        END,
        "CallbackSucceeded",
        "ContextSucceeded",
        END,
        "ExecutionSucceeded",
    ]


def test_a_state_of_many_pages_is_replayed() -> None:
    with LocalEngine(None, time="skip", limits=EngineLimits(page_bytes=20_000)) as engine:

        def pages(event: Any, ctx: Any) -> Any:
            from aws_durable_execution_sdk_python.config import Duration

            first = [ctx.step(lambda _, n=number: n) for number in range(200)]
            ctx.wait(Duration.from_seconds(1))
            return sum(first)

        import aws_durable_execution_sdk_python as aws

        engine.register("pages", aws.durable_execution(pages, boto3_client=cast(Any, engine.client)), durable=True)
        assert engine.run("pages", {}).result == sum(range(200))


def test_a_quota_stops_the_sdk_and_fails_the_execution() -> None:
    with LocalEngine(None, time="skip", limits=EngineLimits(operations=20)) as engine:
        engine.register("many", handler_of("many_operations", engine.client), durable=True)
        result = engine.run("many", {"n": 50})
    assert result.error is not None
    assert result.error.type == "DurableExecution.OperationLimitExceeded"


def test_a_pause_stops_the_sdk_and_resuming_finishes(engine: LocalEngine) -> None:
    import aws_durable_execution_sdk_python as aws
    from aws_durable_execution_sdk_python.config import StepConfig, StepSemantics

    # The start of other steps is recorded while they run: the pause may come first, and the step runs again and pauses again.
    started_first = StepConfig(step_semantics=StepSemantics.AT_MOST_ONCE_PER_RETRY)

    def pausing(event: Any, ctx: Any) -> Any:
        arn = ctx.execution_context.durable_execution_arn

        def pause(_: Any) -> str:
            engine.client.pause_durable_execution(DurableExecutionArn=arn)
            return "paused"

        first = ctx.step(pause, name="pause", config=started_first)
        return [first, ctx.step(lambda _: "went on", name="go on")]

    engine.register("pausing", aws.durable_execution(pausing, boto3_client=cast(Any, engine.client)), durable=True)
    arn = engine.start("pausing", {})
    engine.run_until_idle()
    assert engine.client.get_durable_execution(DurableExecutionArn=arn)["Status"] == "PAUSED"
    engine.client.resume_durable_execution(DurableExecutionArn=arn)
    assert engine.wait(arn).result == ["paused", "went on"]
    assert [line.split()[0] for line in story(engine, arn)] == [
        "StepStarted",
        "StepSucceeded",
        "ExecutionPaused",
        END,
        "ExecutionResumed",
        "StepStarted",
        "StepSucceeded",
        END,
        "ExecutionSucceeded",
    ]

"""What the body of a step is told."""

import logging
from datetime import timedelta
from typing import Any

import pytest

from durable_execution import DurableContext, StepConfig, StepContext, durable_execution
from durable_execution.protocol import operation_id
from durable_execution.retry import exponential_backoff
from tests.unit.fake_clock import START, FixedClock
from tests.unit.fake_service import ARN, FakeService, invoke

TWICE = StepConfig(retry_strategy=exponential_backoff(max_attempts=2, initial_delay=timedelta(seconds=1)))


def test_a_body_knows_what_it_is_part_of() -> None:
    told: list[Any] = []

    def body(step: StepContext) -> None:
        told.extend([step.attempt, step.name, step.operation_id, step.execution_arn, step.path, step.now()])

    @durable_execution
    async def handler(_: Any, ctx: DurableContext) -> None:
        await ctx.step(body, "charge")

    invoke(handler, FakeService(), clock=FixedClock())
    assert told == [1, "charge", operation_id(None, 1), ARN, "handler/charge", START]


def test_attempts_are_counted_over_invocations() -> None:
    attempts: list[int] = []
    service = FakeService()

    @durable_execution
    async def handler(_: Any, ctx: DurableContext) -> None:
        def body(step: StepContext) -> None:
            attempts.append(step.attempt)
            raise ValueError("no")

        await ctx.step(body, config=TWICE)

    assert invoke(handler, service) == {"Status": "PENDING"}
    for wire in service.operations.values():
        wire["Status"] = "READY"
    assert invoke(handler, service)["Status"] == "FAILED"
    assert attempts == [1, 2]


def test_its_logger_says_where_it_comes_from(caplog: pytest.LogCaptureFixture) -> None:
    @durable_execution
    async def handler(_: Any, ctx: DurableContext) -> None:
        await ctx.step(lambda step: step.logger.warning("declined", extra={"card": 7}), "charge")

    invoke(handler, FakeService())
    (record,) = caplog.records
    fields = vars(record)
    assert record.name == "durable_execution.user"
    assert (fields["executionArn"], fields["operationId"]) == (ARN, operation_id(None, 1))
    assert (fields["operationName"], fields["operationPath"], fields["attempt"]) == ("charge", "handler/charge", 1)
    assert fields["card"] == 7


def test_a_contexts_logger_says_nothing_twice(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    service = FakeService()

    @durable_execution
    async def handler(_: Any, ctx: DurableContext) -> None:
        ctx.logger.info("before")
        await ctx.wait(timedelta(hours=1))
        ctx.logger.info("after")

    assert invoke(handler, service) == {"Status": "PENDING"}
    for wire in service.operations.values():
        wire["Status"] = "SUCCEEDED"
    assert invoke(handler, service)["Status"] == "SUCCEEDED"
    assert [record.getMessage() for record in caplog.records] == ["before", "after"]


def test_unless_it_is_told_to(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    service = FakeService()

    @durable_execution(log_while_replaying=True)
    async def handler(_: Any, ctx: DurableContext) -> None:
        ctx.logger.info("before")
        await ctx.wait(timedelta(hours=1))

    invoke(handler, service)
    for wire in service.operations.values():
        wire["Status"] = "SUCCEEDED"
    invoke(handler, service)
    assert [record.getMessage() for record in caplog.records] == ["before", "before"]


def test_a_childs_logger_names_the_child(caplog: pytest.LogCaptureFixture) -> None:
    @durable_execution
    async def handler(_: Any, ctx: DurableContext) -> None:
        async def body(child: DurableContext) -> None:
            child.logger.warning("inside")

        await ctx.run_in_child_context(body, "notify")

    invoke(handler, FakeService())
    fields = vars(caplog.records[0])
    assert (fields["operationName"], fields["operationPath"]) == ("notify", "handler/notify")
    assert "attempt" not in fields

"""A payload that comes near a limit is reported with its operation and its size."""

import logging

import pytest

from durable_execution import ChildConfig, DurableContext, durable_execution
from durable_execution.serdes.sizes import size_in_bytes
from durable_execution.testing import LocalRunner

KIB = 1024


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


@durable_execution
async def stores(payload: dict[str, int], ctx: DurableContext) -> str:
    await ctx.step(lambda step: "x" * payload["step"], name="bulky")

    async def body(child: DurableContext) -> str:
        return "ä" * payload["context"]

    await ctx.run_in_child_context(body, name="wordy", config=ChildConfig())
    return "x" * payload["result"]


def run(step: int = 0, context: int = 0, result: int = 0) -> None:
    with LocalRunner(stores) as runner:
        runner.run({"step": step, "context": context, "result": result}).assert_succeeded()


def test_ordinary_payloads_are_not_worth_a_word(caplog: pytest.LogCaptureFixture) -> None:
    run(step=830_000, context=30_000, result=4_000_000)
    assert warnings_of(caplog) == []


def test_a_step_near_the_limit_is_named_with_its_size(caplog: pytest.LogCaptureFixture) -> None:
    run(step=860_158)
    (text,) = warnings_of(caplog)
    assert "the result of stores/bulky has 860,160 bytes, 82 % of the 1,048,576 that the service stores" in text
    assert "Above that limit, the service refuses it." in text
    assert "OffloadedSerDes" in text
    (record,) = caplog.records
    assert record.__dict__["payloadBytes"] == 860_160
    assert record.__dict__["operationPath"] == "stores/bulky"
    assert record.__dict__["executionArn"].startswith("arn:aws:lambda:")


def test_a_context_is_measured_in_bytes(caplog: pytest.LogCaptureFixture) -> None:
    run(context=40_000)  # six bytes each, as JSON escapes them
    (text,) = warnings_of(caplog)
    assert "the result of stores/wordy has 240,002 bytes, 92 %" in text
    assert "runs again on every replay" in text


def test_the_handlers_result_is_compared_with_what_a_function_can_return(caplog: pytest.LogCaptureFixture) -> None:
    run(result=5_500_000)
    (text,) = warnings_of(caplog)
    assert "the result of stores has 5,500,041 bytes, 87 % of the 6,291,406 that a function can return" in text


def test_a_context_that_is_rebuilt_is_not_reported_again(caplog: pytest.LogCaptureFixture) -> None:
    from datetime import timedelta

    @durable_execution
    async def waits_afterwards(_: dict[str, int], ctx: DurableContext) -> int:
        async def body(child: DurableContext) -> str:
            return "x" * 300 * KIB

        found = await ctx.run_in_child_context(body, name="large")
        await ctx.wait(timedelta(minutes=1))
        await ctx.wait(timedelta(minutes=1))
        return len(found)

    with LocalRunner(waits_afterwards) as runner:
        assert runner.run().result == 300 * KIB
    assert len(warnings_of(caplog)) == 1


@pytest.mark.parametrize(("text", "size"), [("", 0), ("abc", 3), ("ä", 2), ("€", 3), ("😀", 4), ("\ud800", 3)])
def test_bytes_are_counted_as_utf_8(text: str, size: int) -> None:
    assert size_in_bytes(text) == size

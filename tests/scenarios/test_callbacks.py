"""Callbacks: the outside world answers, refuses, or forgets."""

from datetime import timedelta
from typing import Any

import pytest

from durable_execution import CallbackConfig, CallbackError, DurableContext, StepContext, WaitForCallbackConfig
from durable_execution.errors import (
    CallbackFailedError,
    CallbackHeartbeatError,
    CallbackSubmitterError,
    CallbackTimeoutError,
    ConfigurationError,
    ServiceError,
)
from durable_execution.retry import RetryPresets
from tests.scenarios.scenario import Scenario

MINUTE = timedelta(minutes=1)


class NotTodayError(Exception):
    """What the approver says."""


async def ask(event: Any, ctx: DurableContext) -> Any:
    callback = await ctx.create_callback("approval", config=CallbackConfig(**event_options(event)))
    try:
        return await callback.result()
    except CallbackError as error:
        return [type(error).__mro__[0].__name__, error.error_type, str(error), error.operation]


def event_options(event: Any) -> dict[str, Any]:
    return {name: timedelta(seconds=seconds) for name, seconds in (event or {}).items()}


def test_an_answer_is_the_text_that_was_sent(scenario: Scenario) -> None:
    arn = scenario.start(ask)
    scenario.answer(arn, "approval", {"approved": True})
    assert scenario.ended(arn).result == '{"approved": true}'


def test_nothing_sent_is_none(scenario: Scenario) -> None:
    arn = scenario.start(ask)
    scenario.answer(arn, "approval")
    assert scenario.ended(arn).result is None


def test_a_refusal_keeps_its_type_and_text(scenario: Scenario) -> None:
    arn = scenario.start(ask)
    scenario.refuse(arn, "approval", "PolicyViolation", "over the limit")
    assert scenario.ended(arn).result == ["CallbackFailedError", "PolicyViolation", "over the limit", "ask/approval"]


def test_nobody_answers(scenario: Scenario) -> None:
    arn = scenario.start(ask, {"timeout": 60})
    assert scenario.ended(arn).result[:3] == ["CallbackTimeoutError", "Callback.Timeout", "Callback timed out"]


def test_heartbeats_stop(scenario: Scenario) -> None:
    arn = scenario.start(ask, {"timeout": 600, "heartbeat_timeout": 60})
    assert scenario.ended(arn).result[:2] == ["CallbackHeartbeatError", "Callback.Heartbeat"]


def test_heartbeats_keep_a_callback_alive_but_not_for_ever(scenario: Scenario) -> None:
    arn = scenario.start(ask, {"timeout": 100, "heartbeat_timeout": 60})
    callback_id = scenario.engine.wait_for_callback_id(arn, "approval")
    scenario.engine.client.send_durable_execution_callback_heartbeat(CallbackId=callback_id)
    scenario.engine.clock.advance_to(scenario.engine.clock.now() + timedelta(seconds=50))
    scenario.engine.client.send_durable_execution_callback_heartbeat(CallbackId=callback_id)
    assert scenario.ended(arn).result[:2] == ["CallbackTimeoutError", "Callback.Timeout"]


def test_a_second_answer_is_refused(scenario: Scenario) -> None:
    arn = scenario.start(ask)
    callback_id = scenario.engine.wait_for_callback_id(arn, "approval")
    scenario.engine.client.send_durable_execution_callback_success(CallbackId=callback_id, Result=b"1")
    with pytest.raises(ServiceError, match="completed already"):
        scenario.engine.client.send_durable_execution_callback_success(CallbackId=callback_id, Result=b"2")
    assert scenario.ended(arn).result == "1"


def test_code_between_creation_and_answer_sees_no_failure(scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> list[Any]:
        callback = await ctx.create_callback("approval")
        await ctx.wait(MINUTE)
        between = await ctx.step(lambda _: "between")
        try:
            await callback.result()
        except CallbackFailedError as error:
            return [between, str(error)]
        return []

    arn = scenario.start(workflow)
    scenario.refuse(arn, "approval", "Refused", "no")
    assert scenario.ended(arn).result == ["between", "no"]


def test_an_answer_is_read_as_its_type(scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> Any:
        callback = await ctx.create_callback("count", config=CallbackConfig(result_type=list[int]))
        numbers = await callback.result()
        await ctx.wait(MINUTE)
        return sum(numbers)

    arn = scenario.start(workflow)
    scenario.answer(arn, "count", [1, 2, 3])
    assert scenario.ended(arn).result == 6


def test_an_answer_may_be_awaited_twice(scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> list[Any]:
        callback = await ctx.create_callback("approval")
        return [await callback.result(), await callback.result()]

    arn = scenario.start(workflow)
    scenario.answer(arn, "approval", "yes")
    assert scenario.ended(arn).result == ['"yes"', '"yes"']


@pytest.mark.parametrize("seconds", [0.5, 100_000_000])
def test_a_timeout_the_service_does_not_take_is_refused(seconds: float) -> None:
    with pytest.raises(ConfigurationError, match="timeout must be from 1 to 99999999 seconds"):
        CallbackConfig(timeout=timedelta(seconds=seconds))


def test_a_submitter_is_given_the_callback_id_and_runs_once(scenario: Scenario) -> None:
    handed: list[str] = []

    async def workflow(_event: Any, ctx: DurableContext) -> Any:
        async def submit(callback_id: str, step: StepContext) -> None:
            handed.append(callback_id)
            assert step.name == "approval submitter"

        answer = await ctx.wait_for_callback(submit, "approval")
        await ctx.wait(MINUTE)
        return answer

    arn = scenario.start(workflow)
    scenario.engine.run_until_idle()
    scenario.engine.client.send_durable_execution_callback_success(CallbackId=handed[0], Result=b"yes")
    assert scenario.ended(arn).result == "yes"
    assert len(handed) == 1


async def ask_with_submitter(event: Any, ctx: DurableContext) -> Any:
    async def submit(_callback_id: str, step: StepContext) -> None:
        if event == "fail":
            raise NotTodayError(f"attempt {step.attempt}")

    config = WaitForCallbackConfig(timeout=MINUTE, heartbeat_timeout=MINUTE / 2, retry_strategy=RetryPresets.linear())
    try:
        return await ctx.wait_for_callback(submit, "approval", config=config)
    except CallbackError as error:
        caught = error
    await ctx.wait(timedelta(seconds=1))
    return [type(caught).__mro__[0].__name__, str(caught), isinstance(caught, CallbackTimeoutError)]


def test_a_submitter_that_fails_for_good_is_told_from_a_refusal(scenario: Scenario) -> None:
    arn = scenario.start(ask_with_submitter, "fail")
    assert scenario.ended(arn).result == ["CallbackSubmitterError", "the submitter failed: attempt 6", False]


def test_a_refusal_is_told_from_a_lapse(scenario: Scenario) -> None:
    arn = scenario.start(ask_with_submitter)
    scenario.refuse(arn, "approval", "Refused", "not today")
    assert scenario.ended(arn).result == ["CallbackFailedError", "not today", False]


def test_a_lapse_of_heartbeats_is_a_timeout_of_its_own(scenario: Scenario) -> None:
    arn = scenario.start(ask_with_submitter)
    assert scenario.ended(arn).result == ["CallbackHeartbeatError", "Callback timed out on heartbeat", True]


def test_errors_of_callbacks_form_a_tree() -> None:
    assert issubclass(CallbackHeartbeatError, CallbackTimeoutError)
    assert issubclass(CallbackTimeoutError, CallbackError)
    assert issubclass(CallbackSubmitterError, CallbackError)
    assert not issubclass(CallbackSubmitterError, CallbackFailedError)

"""A service that throttles, breaks, refuses, or has given the execution to somebody else."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from durable_execution import DurableContext
from durable_execution.errors import ServiceError, ServiceUnavailableError
from durable_execution.local import EngineLimits, ExecutionResult, LocalEngine
from durable_execution.protocol import ExecutionStatus
from tests.scenarios.bodies import gives, notes
from tests.scenarios.faults import NETWORK, Fault, FaultyService, When
from tests.scenarios.scenario import FUNCTION, Scenario, Subject

MINUTE = timedelta(minutes=1)

THROTTLED = ServiceError("TooManyRequestsException", "Rate exceeded", status=429)
BROKEN = ServiceError("ServiceException", "Internal error", status=500)
UNAVAILABLE = ServiceError("ServiceUnavailable", "Try again", status=503)
STALE = ServiceError("InvalidParameterValueException", "Invalid checkpoint token: superseded", status=400)
INVALID = ServiceError("InvalidParameterValueException", "Inconsistent operation type.", status=400)
DENIED = ServiceError("AccessDeniedException", "not authorized", status=403)
KMS = ServiceError("KMSDisabledException", "the key is disabled", status=502)

RETRIED = [THROTTLED, BROKEN, UNAVAILABLE, STALE, NETWORK]
FINAL = [INVALID, DENIED, KMS]


def code(error: ServiceError) -> str:
    return f"{error.code}-{error.status}"


async def workflow(_event: Any, ctx: DurableContext) -> list[Any]:
    first = await ctx.step(lambda _: "first", "first")
    await ctx.wait(MINUTE)
    second = await ctx.step(lambda _: "second", "second")
    return [first, second]


def run(scenario: Scenario, service: FaultyService) -> tuple[ExecutionResult, Subject]:
    subject = scenario.subject(workflow, wrapping=service)
    return scenario.engine.run(FUNCTION), subject


@pytest.mark.parametrize("error", RETRIED, ids=code)
@pytest.mark.parametrize("at", [0, 1, 2])
@pytest.mark.parametrize("when", When, ids=lambda when: when.value)
def test_passing_trouble_repeats_the_invocation(scenario: Scenario, error: ServiceError, at: int, when: When) -> None:
    ended, subject = run(scenario, FaultyService([Fault(at, error, when)]))
    assert ended.result == ["first", "second"]
    raised = [answer for answer in subject.answers if isinstance(answer, Exception)]
    assert [type(one) for one in raised] == [ServiceUnavailableError]
    assert error.code in str(raised[0])


@pytest.mark.parametrize("error", FINAL, ids=code)
@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_refusal_for_good_fails_the_execution(scenario: Scenario, error: ServiceError, at: int) -> None:
    ended, subject = run(scenario, FaultyService([Fault(at, error)]))
    assert ended.status is ExecutionStatus.FAILED
    assert ended.error is not None
    assert ended.error.type == "durable_execution.errors.CheckpointRejectedError"
    assert error.code in (ended.error.message or "")
    assert not any(isinstance(answer, Exception) for answer in subject.answers)


def test_a_service_that_stays_broken_fails_the_execution_in_the_end(scenario: Scenario) -> None:
    ended, subject = run(scenario, FaultyService([Fault(number, BROKEN) for number in range(20)]))
    assert ended.status is ExecutionStatus.FAILED
    assert len(subject.answers) == EngineLimits().failed_invocations


def test_user_code_cannot_catch_a_broken_service(scenario: Scenario) -> None:
    caught: list[str] = []

    async def catching(_event: Any, ctx: DurableContext) -> str:
        try:
            return await ctx.step(gives("done"))
        except Exception as error:  # noqa: BLE001  # this is what must not happen
            caught.append(repr(error))
            return "caught"

    scenario.subject(catching, wrapping=FaultyService([Fault(0, BROKEN)]))
    assert scenario.engine.run(FUNCTION).result == "done"
    assert caught == []


def test_an_answer_without_a_token_ends_the_invocation_as_pending(scenario: Scenario) -> None:
    """The execution was paused, or has hit a quota: whatever the handler has come to, it is not to be told."""
    bodies: list[str] = []

    async def going_on(_event: Any, ctx: DurableContext) -> str:
        await ctx.step(notes(bodies, "first", None))
        await ctx.step(notes(bodies, "second", None))
        return "done"

    service = FaultyService(without_token=lambda number: number == 0)
    subject = scenario.subject(going_on, wrapping=service)
    assert scenario.engine.run(FUNCTION).result == "done"
    assert subject.answers[0] == {"Status": "PENDING"}
    assert bodies == ["first", "second"]
    assert service.checkpoints == 2


def test_a_handler_that_ends_after_a_revocation_is_pending_as_well(scenario: Scenario) -> None:
    async def one_step(_event: Any, ctx: DurableContext) -> str:
        return await ctx.step(gives("done"))

    subject = scenario.subject(one_step, wrapping=FaultyService(without_token=lambda number: number == 0))
    assert scenario.engine.run(FUNCTION).result == "done"
    assert subject.answers == [{"Status": "PENDING"}, {"Status": "SUCCEEDED", "Result": '"done"'}]


class TestPages:
    """Reading what the envelope has no room for."""

    @pytest.fixture
    def skipping_engine(self) -> Iterator[LocalEngine]:
        limits = EngineLimits(page_bytes=500)
        with LocalEngine(store=None, time="skip", trace_sink=False, limits=limits) as engine:
            yield engine

    @pytest.mark.parametrize("error", RETRIED, ids=code)
    def test_passing_trouble_repeats_the_invocation(self, scenario: Scenario, error: ServiceError) -> None:
        ended, subject = run(scenario, FaultyService(state_error=error))
        assert ended.result == ["first", "second"]
        assert [type(answer) for answer in subject.answers if isinstance(answer, Exception)] == [
            ServiceUnavailableError
        ]

    @pytest.mark.parametrize("error", FINAL, ids=code)
    def test_a_refusal_for_good_fails_the_execution(self, scenario: Scenario, error: ServiceError) -> None:
        ended, _ = run(scenario, FaultyService(state_error=error))
        assert ended.status is ExecutionStatus.FAILED
        assert ended.error is not None
        assert error.code in (ended.error.message or "")


def test_a_quota_that_is_used_up_fails_the_execution(scenario: Scenario) -> None:
    async def endless(_event: Any, ctx: DurableContext) -> None:
        for number in range(4_000):
            await ctx.step(gives(number))

    ended = scenario.run(endless)
    assert ended.status is ExecutionStatus.FAILED
    assert ended.error is not None
    assert "3000" in (ended.error.message or "").replace(",", "")


@pytest.mark.parametrize("size", [7_000_000])
def test_a_payload_that_no_checkpoint_takes_fails_the_execution(scenario: Scenario, size: int) -> None:
    async def large(_event: Any, ctx: DurableContext) -> None:
        await ctx.step(gives("x" * size), "large")

    ended = scenario.run(large)
    assert ended.status is ExecutionStatus.FAILED
    assert ended.error is not None
    assert "Payload" in (ended.error.message or "")

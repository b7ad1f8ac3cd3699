"""What was caught on the first run is caught on every replay: same class, same text, same details."""

import json
from datetime import timedelta
from typing import Any

import pytest

from durable_execution import DurableContext, RetryPresets, StepConfig, StepError
from durable_execution.errors import ChildContextError, OperationError
from durable_execution.protocol import ExecutionStatus
from tests.scenarios.scenario import Scenario

MINUTE = timedelta(minutes=1)
ONCE = StepConfig(retry_strategy=RetryPresets.none())


class CardDeclinedError(Exception):
    """An error with an argument of its own."""

    def __init__(self, card: str, *, code: int) -> None:
        super().__init__(f"{card} was declined ({code})")
        self.card = card
        self.code = code


class WithDetailsError(Exception):
    """An error that carries details for whoever catches it."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.error_data = json.dumps({"shelf": 7})


def raising(name: str) -> Exception:
    errors: dict[str, Exception] = {
        "builtin": ValueError("no"),
        "own": CardDeclinedError("4711", code=51),
        "local": type("LocalError", (Exception,), {})("made on the spot"),
        "empty": KeyError(),
        "os": FileNotFoundError(2, "No such file", "missing.txt"),
        "unicode": UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
        "group": ExceptionGroup("several", [ValueError("a"), KeyError("b")]),
        "operation": StepError("made by hand", "shop.HandMade"),
    }
    return errors[name]


KINDS = ["builtin", "own", "local", "empty", "os", "unicode", "group", "operation"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", ["step", "child"])
def test_the_same_error_is_raised_every_time(scenario: Scenario, kind: str, place: str) -> None:
    seen: list[tuple[list[str], str, str, str | None]] = []

    async def workflow(_event: Any, ctx: DurableContext) -> None:
        async def fail(_ignored: Any) -> None:
            raise raising(kind)

        try:
            if place == "step":
                await ctx.step(fail, config=ONCE)
            else:
                await ctx.run_in_child_context(fail)
        except OperationError as error:
            bases = [base.__name__ for base in type(error).__mro__]
            seen.append((bases, str(error), error.error_type, error.operation))
        await ctx.wait(MINUTE)

    scenario.result(workflow)
    assert len(seen) == 2
    assert seen[0] == seen[1]


def test_the_original_class_can_be_caught(scenario: Scenario) -> None:
    seen: list[list[Any]] = []

    async def workflow(_event: Any, ctx: DurableContext) -> None:
        async def charge(_step: Any) -> None:
            raise CardDeclinedError("4711", code=51)

        try:
            await ctx.step(charge, "charge", config=ONCE)
        except CardDeclinedError as error:
            found: Any = error
            seen.append(
                [str(error), isinstance(error, StepError), found.error_type.rpartition(".")[2], found.operation]
            )
        await ctx.wait(MINUTE)

    scenario.result(workflow)
    assert seen == [["4711 was declined (51)", True, "CardDeclinedError", "workflow/charge"]] * 2


def test_details_survive(scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> Any:
        async def fail(_step: Any) -> None:
            raise WithDetailsError("no")

        found: list[Any] = []
        try:
            await ctx.step(fail, config=ONCE)
        except StepError as error:
            found = [json.loads(error.data or "null"), bool(error.stack_trace), "in fail" in str(error.stack_trace)]
        await ctx.wait(MINUTE)
        return found

    assert scenario.result(workflow) == [{"shelf": 7}, True, True]


def test_an_error_goes_through_contexts_with_its_details(scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> None:
        async def fail(_step: Any) -> None:
            raise WithDetailsError("no")

        async def child(inner: DurableContext) -> None:
            await inner.step(fail, config=ONCE)

        try:
            await ctx.run_in_child_context(child)
        except ChildContextError:
            await ctx.wait(MINUTE)
            raise

    ended = scenario.run(workflow)
    assert ended.status is ExecutionStatus.FAILED
    assert ended.error is not None
    assert ended.error.type == f"{WithDetailsError.__module__}.WithDetailsError"
    assert ended.error.data == '{"shelf": 7}'
    assert ended.error.stack_trace


def test_a_user_s_error_fails_the_execution_once(scenario: Scenario) -> None:
    async def workflow(_event: Any, _ctx: DurableContext) -> None:
        raise CardDeclinedError("4711", code=51)

    ended = scenario.run(workflow)
    assert ended.status is ExecutionStatus.FAILED
    assert ended.error is not None
    assert ended.error.message == "4711 was declined (51)"
    assert scenario.invocations(ended.arn) == 1

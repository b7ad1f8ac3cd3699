"""`@durable_step`: calls that run nothing until `ctx.step` runs them."""

import inspect
from typing import Any

from durable_execution import BoundStep, DurableContext, StepContext, durable_execution, durable_step
from tests.unit.fake_service import FakeService, invoke


@durable_step
async def charge(step: StepContext, order: str, *, amount: int = 1) -> str:
    """Take the money."""
    return f"{order}:{amount}:{step.attempt}"


@durable_step
def ship(step: StepContext, order: str) -> str:
    return f"shipped {order}"


def test_a_call_binds_and_runs_nothing() -> None:
    bound = charge("A-17", amount=5)
    assert isinstance(bound, BoundStep)
    assert bound.name == "charge"
    assert repr(bound) == "BoundStep(charge)"


def test_it_knows_whether_it_is_a_coroutine_function() -> None:
    assert charge("A-17").is_async
    assert not ship("A-17").is_async


def test_the_function_keeps_its_docstring_and_name() -> None:
    assert inspect.getdoc(charge) == "Take the money."
    assert charge.__dict__["__wrapped__"].__name__ == "charge"


def test_the_name_of_the_function_is_the_name_of_the_step() -> None:
    service = FakeService()

    @durable_execution
    async def handler(_: Any, ctx: DurableContext) -> list[str]:
        return [await ctx.step(charge("A-17", amount=5)), await ctx.step(ship("A-17"), "send")]

    assert invoke(handler, service)["Result"] == '["A-17:5:1","shipped A-17"]'
    assert service.actions == [["START charge", "SUCCEED charge"], ["START send", "SUCCEED send"]]


def test_wrong_arguments_are_found_when_it_runs() -> None:
    service = FakeService()

    @durable_execution
    async def handler(_: Any, ctx: DurableContext) -> None:
        await ctx.step(charge("A-17", amounts=5))  # type: ignore[call-arg]

    invoke(handler, service)
    error = service.calls[0][-1]["Error"]
    assert error["ErrorType"] == "durable_execution.errors.ConfigurationError"
    assert "got an unexpected keyword argument 'amounts'" in error["ErrorMessage"]


def test_the_same_call_can_be_made_again() -> None:
    bound = charge("A-17")
    service = FakeService()

    @durable_execution
    async def handler(_: Any, ctx: DurableContext) -> list[str]:
        return [await ctx.step(bound), await ctx.step(bound)]

    assert invoke(handler, service)["Result"] == '["A-17:1:1","A-17:1:1"]'

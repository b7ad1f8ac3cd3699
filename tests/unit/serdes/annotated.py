"""A user's module as linters like it: what only annotations need is imported for the type checker alone."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, SecretStr

from durable_execution import durable_execution, durable_step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from durable_execution import DurableContext, StepContext


class Order(BaseModel):
    order_id: str
    phrase: SecretStr | None = None


class Receipt(BaseModel):
    order_id: str


@durable_step
async def charge(_step: StepContext, order: Order) -> Receipt:
    return Receipt(order_id=order.order_id)


@durable_execution
async def flow(order: Order, ctx: DurableContext) -> list[str]:
    receipt = await ctx.step(charge(order))
    return [type(order).__name__, type(receipt).__name__]


@durable_execution
async def hidden_payload(order: Sequence[Order], ctx: DurableContext) -> None: ...


class Callable:
    def __call__(self, _step: StepContext) -> Receipt: ...  # type: ignore[empty-body]


def wrapped(function: Any) -> Any:
    @functools.wraps(function)
    def around(*arguments: Any) -> Any:
        return function(*arguments)

    return around


@wrapped
def inner(_step: StepContext) -> Receipt: ...  # type: ignore[empty-body]


def hidden_return(_step: StepContext) -> Sequence[Receipt]: ...  # type: ignore[empty-body]


class Holder:
    def method(self, _step: StepContext) -> Receipt: ...  # type: ignore[empty-body]

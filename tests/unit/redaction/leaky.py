"""A workflow that puts secrets wherever user code can put them. Not a test."""

import logging
from dataclasses import dataclass
from typing import Any

from durable_execution import (
    DurableContext,
    DurableHandler,
    RetryPresets,
    StepConfig,
    StepContext,
    StepError,
    durable_execution,
)
from tests.unit.redaction import secrets

DATABASE = "postgres://app:leak901zq7@db:5432/orders"
API_KEY = "leak902zq7"  # password: leak903zq7
ONCE = StepConfig(retry_strategy=RetryPresets.none())


@dataclass
class Account:
    """Shows its secret in its `repr`."""

    password: str


def marker(number: int) -> str:
    """The secret value that stands for a name."""
    return f"leak{number:03d}zq7"


def written() -> list[str]:
    """The secrets that stand in the code of this module."""
    return [marker(number) for number in range(901, 906)]


def values() -> dict[str, str]:
    """One secret value for each name."""
    return {name: marker(number) for number, name in enumerate(secrets.NAMES)}


def said(handler: "DurableHandler[Any]") -> "DurableHandler[Any]":
    """The handler, with a log record before its code."""

    async def logged(event: dict[str, Any], ctx: DurableContext) -> Any:
        logging.getLogger("shop").info("started")
        return await handler.function(event, ctx)

    return durable_execution(logged)


@durable_execution
async def leaks(event: dict[str, Any], ctx: DurableContext) -> dict[str, Any]:
    """Take secrets, return secrets, and raise errors that quote them."""
    account = Account(event["plain"]["password"])
    api_key = event["plain"]["api_key"]
    headers = {"Authorization": "leak904zq7", "accept": "json"}
    found: dict[str, Any] = {"shapes": list(secrets.SHAPES)}

    def body(step: StepContext) -> dict[str, Any]:
        del step
        return {"nested": event["nested"], "account": {"password": account.password}}

    def fails(step: StepContext) -> None:
        del step
        lines = [f"{name}={value!r}" for name, value in event["plain"].items()]
        raise ValueError(
            f"{account!r} cannot log in with api key {api_key!r}: {', '.join(lines)}; {' '.join(secrets.SHAPES)}"
        )

    found["step"] = await ctx.step(body, name="body" if headers and API_KEY and DATABASE else "none")
    try:
        await ctx.step(fails, name="fails", config=ONCE)
    except StepError as error:
        found["error"] = str(error)

    async def item(child: DurableContext, pair: list[str]) -> dict[str, str]:
        name, value = pair
        return await child.step(lambda _: {name: value}, name="item")

    mapped = await ctx.map([list(pair) for pair in list(event["plain"].items())[:5]], item, name="pairs")
    return {**found, "mapped": mapped.get_results(), "request": event["nested"]}


@durable_execution
async def changed(event: dict[str, Any], ctx: DurableContext) -> dict[str, Any]:
    """Diverges from `leaks`, and returns something else."""
    password = "leak905zq7"
    await ctx.step(lambda _: event["plain"], name="another" if password else "none")
    plain: dict[str, Any] = event["plain"]
    return plain


@durable_execution
async def fails_at_last(event: dict[str, Any], ctx: DurableContext) -> None:
    """Fail with an error that quotes a secret."""
    await ctx.step(lambda _: event["nested"], name="body")
    raise RuntimeError(f"login failed: {event['plain']}")

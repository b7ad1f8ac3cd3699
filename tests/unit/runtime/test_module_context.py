"""An invocation sees what modules set in the thread that imports them, in the local engine and in replays, as on Lambda."""

import decimal
from contextvars import ContextVar, copy_context
from typing import Any

import pytest

from durable_execution import BlockingContext, DurableContext, durable_execution
from durable_execution.call_site import caller
from durable_execution.replay import Replayer
from durable_execution.runtime.module_context import SPAN, context_of_modules
from durable_execution.testing import LocalRunner
from tests.replay.recording import recorded

TENANT: ContextVar[str] = ContextVar("tenant", default="nobody")
SPAN_OF_CALLER: ContextVar[str] = ContextVar(SPAN, default="none")


async def names(_event: Any, ctx: DurableContext) -> str:
    await ctx.step(lambda _: 1, name=f"{TENANT.get()} {decimal.Decimal(1) / 3}")
    decimal.getcontext().prec = 2
    TENANT.set("another")
    return TENANT.get()


def blocking_names(_event: Any, ctx: BlockingContext) -> None:
    ctx.step(lambda _: 1, name=f"{TENANT.get()} {decimal.Decimal(1) / 3}")


@pytest.fixture
def _set(monkeypatch: pytest.MonkeyPatch) -> Any:
    token, precision = TENANT.set("acme"), decimal.getcontext().prec
    decimal.getcontext().prec = 4
    yield
    TENANT.reset(token)
    decimal.getcontext().prec = precision


@pytest.mark.usefixtures("_set")
@pytest.mark.parametrize("function", [names, blocking_names])
def test_the_local_engine_and_replays_start_with_what_modules_set(function: Any) -> None:
    with LocalRunner(durable_execution(function)) as runner:
        assert [step.name for step in runner.run({}).children] == ["acme 0.3333"]
    execution = recorded(function)
    assert [one.name for one in execution.operations] == ["acme 0.3333"]
    assert Replayer(durable_execution(function)).replay(execution).is_same
    assert (TENANT.get(), decimal.getcontext().prec) == ("acme", 4)


def test_a_call_that_is_in_progress_is_left_out() -> None:
    def made() -> tuple[Any, ...]:
        caller.set((made.__code__, 1, 1))
        SPAN_OF_CALLER.set("a request")
        TENANT.set("acme")
        found = context_of_modules()
        return found.get(caller), found.get(SPAN_OF_CALLER), found.get(TENANT)

    assert copy_context().run(made) == (None, None, "acme")

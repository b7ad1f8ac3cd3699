"""What people write by mistake, and what the error tells them to write."""

import gc
import warnings
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from durable_execution import (
    DurableContext,
    MapConfig,
    StepConfig,
    StepContext,
    durable_context,
    durable_execution,
    durable_step,
)
from durable_execution.errors import ConfigurationError
from durable_execution.local import LocalEngine, run
from durable_execution.testing import CloudRunner, LocalRunner

FIVE: Any = 5


@durable_step
async def charge(step: StepContext, amount: int) -> str:
    return f"pay_{amount}"


@durable_context
async def reserve(ctx: DurableContext, amount: int) -> int:
    return amount


async def identity(ctx: DurableContext, item: int) -> int:
    return item


async def awaits_a_step(ctx: Any) -> Any:
    return await charge(1)  # type: ignore[misc]


async def awaits_a_context(ctx: Any) -> Any:
    return await reserve(1)  # type: ignore[misc]


async def passes_an_uncalled_step(ctx: Any) -> Any:
    return await ctx.step(charge)


async def maps_a_set(ctx: Any) -> Any:
    return await ctx.map({1, 2}, identity)


async def maps_a_number(ctx: Any) -> Any:
    return await ctx.map(5, identity)


async def gives_a_config_as_name(ctx: Any) -> Any:
    return await ctx.step(charge(1), StepConfig())


async def gives_a_map_config_as_name(ctx: Any) -> Any:
    return await ctx.map([1], identity, MapConfig())


@pytest.mark.parametrize(
    ("body", "fix"),
    [
        (awaits_a_step, "write `await ctx.step(charge(...))`"),
        (awaits_a_context, "write `await ctx.run_in_child_context(reserve(...))`"),
        (passes_an_uncalled_step, "call it with its arguments, ctx.step(charge(...))"),
        (maps_a_set, "write sorted(items)"),
        (maps_a_number, "ctx.map takes a sequence of items, not 5"),
        (gives_a_config_as_name, "write config=StepConfig(...)"),
        (gives_a_map_config_as_name, "write config=MapConfig(...)"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_error_says_what_to_write(body: Callable[[Any], Awaitable[Any]], fix: str) -> None:
    @durable_execution
    async def flow(_: Any, ctx: DurableContext) -> Any:
        return await body(ctx)

    result = run(flow, store=None, time="skip")
    assert result.status == "FAILED"
    assert result.error is not None
    assert result.error.type is not None
    assert result.error.type.endswith("ConfigurationError")
    assert fix in (result.error.message or "")


@durable_execution
async def nothing(_: Any, ctx: DurableContext) -> None: ...


def engine_call(call: Callable[[LocalEngine], Any]) -> Callable[[], Any]:
    def run_it() -> None:
        with LocalEngine(None, time="skip") as engine:
            engine.register("nothing", nothing)
            call(engine)

    return run_it


DURATIONS: dict[str, Callable[[], Any]] = {
    "LocalRunner(timeout)": lambda: LocalRunner(nothing, timeout=FIVE),
    "CloudRunner(timeout)": lambda: CloudRunner("f", client=object(), timeout=FIVE),
    "run(timeout)": lambda: run(nothing, store=None, timeout=FIVE),
    "register(timeout)": engine_call(lambda engine: engine.register("f", nothing, timeout=FIVE)),
    "register(execution_timeout)": engine_call(lambda engine: engine.register("f", nothing, execution_timeout=FIVE)),
    "register(retention)": engine_call(lambda engine: engine.register("f", nothing, retention=FIVE)),
    "start(timeout)": engine_call(lambda engine: engine.start("nothing", timeout=FIVE)),
    "run_until(timeout)": engine_call(lambda engine: engine.run_until(lambda: True, timeout=FIVE)),
    "wait(timeout)": engine_call(lambda engine: engine.wait(engine.start("nothing"), timeout=FIVE)),
    "advance": engine_call(lambda engine: engine.advance(FIVE)),
}


@pytest.mark.parametrize("call", DURATIONS.values(), ids=DURATIONS)
def test_a_number_is_not_a_duration(call: Callable[[], Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"must be a timedelta, not 5: write timedelta\(seconds=5\)"):
        call()


def test_a_forgotten_await_is_warned_of_with_the_call_that_was_not_awaited() -> None:
    @durable_execution
    async def flow(_: Any, ctx: DurableContext) -> str:
        ctx.step(charge(1))  # type: ignore[unused-coroutine]
        ctx.wait(timedelta(seconds=1))  # type: ignore[unused-coroutine]
        return "done"

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert run(flow, store=None, time="skip").result == "done"
        gc.collect()
    messages = [str(warning.message) for warning in caught]
    assert "coroutine 'ctx.step' was never awaited" in messages
    assert "coroutine 'ctx.wait' was never awaited" in messages

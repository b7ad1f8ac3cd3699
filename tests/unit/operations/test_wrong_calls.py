"""What people write by mistake, and what the error tells them to write."""

import asyncio
import gc
import warnings
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pydantic
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
from durable_execution.protocol.enums import MAX_PAYLOAD_BYTES
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


async def gives_all_a_list(ctx: Any) -> Any:
    return await ctx.all([ctx.step(charge(1)), ctx.step(charge(2))])


async def gives_race_a_generator(ctx: Any) -> Any:
    return await ctx.race(ctx.step(charge(number)) for number in range(2))


async def gives_any_values(ctx: Any) -> Any:
    return await ctx.any(await ctx.step(charge(1)), ctx.step(charge(2)))


async def settles_a_call_twice(ctx: Any) -> Any:
    call = ctx.step(charge(1))
    return await ctx.all_settled(call, call)


def yields(_: Any) -> Any:
    yield 1


async def yields_later(_ctx: Any, item: Any, _index: int) -> Any:
    yield item


async def steps_a_generator(ctx: Any) -> Any:
    return await ctx.step(yields)


async def maps_an_async_generator(ctx: Any) -> Any:
    return await ctx.map([1], yields_later)


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
        (gives_all_a_list, "write ctx.all(*calls)"),
        (gives_race_a_generator, "write ctx.race(*calls)"),
        (gives_any_values, "ctx.any takes calls such as ctx.step(...), without `await`, and not the value 'pay_1'"),
        (settles_a_call_twice, "ctx.all_settled was given the same call twice"),
        (steps_a_generator, "ctx.step takes a function that returns its result, and yields is a generator"),
        (maps_an_async_generator, "ctx.map takes a function that returns its result, and yields_later is a generator"),
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


async def runs_a_loop(ctx: Any) -> Any:
    call = ctx.step(charge(1))
    try:
        return asyncio.run(call)
    finally:
        call.close()


async def runs_until_complete(ctx: Any) -> Any:
    call = ctx.step(charge(1))
    try:
        return asyncio.get_running_loop().run_until_complete(call)
    finally:
        call.close()


async def closes_the_loop(ctx: Any) -> Any:
    asyncio.get_running_loop().close()


async def awaits_twice(ctx: Any) -> Any:
    call = ctx.step(charge(1))
    return [await call, await call]


async def awaits_a_cancelled_task(ctx: Any) -> Any:
    task = asyncio.create_task(ctx.step(charge(1)))
    task.cancel()
    await task


@pytest.mark.parametrize(
    ("body", "fix"),
    [
        (runs_a_loop, "write `await call` in place of asyncio.run(call)"),
        (runs_until_complete, "write `await call` in place of asyncio.run(call)"),
        (closes_the_loop, "do not close it"),
        (awaits_twice, "can be awaited once: keep its result"),
        (awaits_a_cancelled_task, "Catch asyncio.CancelledError"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_an_error_of_asyncio_comes_with_what_to_write(body: Callable[[Any], Awaitable[Any]], fix: str) -> None:
    @durable_execution
    async def flow(_: Any, ctx: DurableContext) -> Any:
        return await body(ctx)

    result = run(flow, store=None, time="skip")
    assert result.error is not None
    assert result.error.type == "durable_execution.errors.ExecutionError"
    assert fix in (result.error.message or "")
    assert any("test_wrong_calls.py" in line for line in result.error.stack_trace or ())


def test_an_error_of_the_same_class_stays_as_it_is() -> None:
    @durable_execution
    async def flow(_: Any, ctx: DurableContext) -> None:
        raise RuntimeError("the printer is on fire")

    result = run(flow, store=None, time="skip")
    assert result.error is not None
    assert (result.error.type, result.error.message) == ("RuntimeError", "the printer is on fire")


def numbers() -> Any:
    return (number for number in range(3))


async def returns_a_coroutine(ctx: Any) -> Any:
    return await ctx.step(lambda _: [asyncio.sleep(0)])


async def returns_a_call(ctx: Any) -> Any:
    return ctx.step(charge(1))


async def returns_a_generator(ctx: Any) -> Any:
    return await ctx.step(lambda _: numbers())


async def returns_itself(ctx: Any) -> Any:
    endless: list[Any] = []
    endless.append(endless)
    return await ctx.step(lambda _: endless)


async def returns_a_secret(ctx: Any) -> Any:
    return await ctx.step(lambda _: pydantic.SecretStr("hunter2"))


async def returns_too_much(ctx: Any) -> Any:
    return await ctx.step(lambda _: "x" * MAX_PAYLOAD_BYTES, name="report")


@pytest.mark.parametrize(
    ("body", "fix"),
    [
        (returns_a_coroutine, "it is the coroutine of sleep(...), which has not run: write `await sleep(...)`"),
        (returns_a_call, "it is the coroutine of ctx.step(...), which has not run: write `await ctx.step(...)`"),
        (returns_a_generator, "it is the generator numbers.<locals>.<genexpr>, which has not run: return a list"),
        (returns_itself, "it contains itself, or is nested too deeply for JSON"),
        (returns_a_secret, "keep the secret in a secret store and pass its name"),
        (returns_too_much, "has 1,048,578 bytes, more than the 1,048,576 that the service stores. Return less, or use"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_result_that_cannot_be_stored_is_an_error_with_the_fix(
    body: Callable[[Any], Awaitable[Any]], fix: str
) -> None:
    @durable_execution
    async def flow(_: Any, ctx: DurableContext) -> Any:
        return await body(ctx)

    result = run(flow, store=None, time="skip")
    assert result.error is not None
    message = result.error.message or ""
    assert fix in message
    assert "hunter2" not in message
    assert "Annotate" not in message


async def uses_a_call(ctx: Any) -> Any:
    return ctx.create_callback("approval").callback_id


async def adds_to_a_call(ctx: Any) -> Any:
    return ctx.step(charge(1)) + 1


@pytest.mark.filterwarnings("ignore:coroutine 'ctx.:RuntimeWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            uses_a_call,
            "no attribute 'callback_id'. ctx.create_callback(...) has not run: write `await ctx.create_callback(...)`",
        ),
        (
            adds_to_a_call,
            "'coroutine' and 'int'. A coroutine has not run: put `await` before the call that returned it",
        ),
    ],
)
def test_a_call_that_is_used_without_await_says_what_to_write(
    body: Callable[[Any], Awaitable[Any]], message: str
) -> None:
    @durable_execution
    async def flow(_: Any, ctx: DurableContext) -> Any:
        return await body(ctx)

    result = run(flow, store=None, time="skip")
    gc.collect()
    assert result.error is not None
    assert (result.error.message or "").endswith(message)


def test_a_handler_that_waits_for_something_else_is_reported(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would wait until Lambda ends it, and the log would say nothing else."""
    monkeypatch.setattr("durable_execution.runtime.state.FOREIGN_WAIT_SECONDS", 0)

    @durable_execution
    async def flow(_: Any, ctx: DurableContext) -> str:
        thread = asyncio.get_running_loop().create_future()
        monkeypatch.setattr(caplog.handler, "emit", lambda record: thread.set_result(record.getMessage()))
        return str(await thread)

    assert "waited 0 seconds for something that is not a durable operation" in str(run(flow, store=None).result)


@pytest.mark.parametrize(
    "declare", [durable_execution, durable_step, durable_context], ids=["handler", "step", "context"]
)
def test_a_generator_is_refused_where_it_is_declared(declare: Callable[[Any], Any]) -> None:
    with pytest.raises(ConfigurationError, match="yields is a generator: calling it runs nothing"):
        declare(yields)


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

"""The engine's operations as coroutines."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from durable_execution import CallbackConfig, DurableContext, durable_execution
from durable_execution.errors import ConfigurationError, EngineError
from durable_execution.local import AsyncLocalEngine


@durable_execution
async def approve(order: dict[str, str], ctx: DurableContext) -> str:
    await ctx.wait(timedelta(days=1), name="cooling off")
    callback = await ctx.create_callback("approval", config=CallbackConfig(result_type=str))
    return f"{order['id']}: {await callback.result()}"


def test_a_web_service_starts_signals_and_waits() -> None:
    async def service() -> tuple[Any, ...]:
        async with AsyncLocalEngine(None, time="skip") as engine:
            engine.register("approve", approve)
            arns = [await engine.start("approve", {"id": str(number)}, name=f"o{number}") for number in range(3)]
            again = await engine.start("approve", {"id": "0"}, name="o0")
            assert await engine.result(arns[0]) is None
            results = asyncio.gather(*(engine.wait(arn) for arn in arns))
            for arn in arns[:2]:
                await engine.succeed_callback(await engine.callback_id(arn, "approval"), "yes")
            await engine.fail_callback(await engine.callback_id(arns[2]), "no budget")
            return again == arns[0], *(await results)

    is_same, first, second, third = asyncio.run(service())
    assert is_same
    assert (first.result, second.result, third.status) == ("0: yes", "1: yes", "FAILED")


def test_waiting_has_a_limit_and_no_thread() -> None:
    async def service() -> None:
        async with AsyncLocalEngine(None, time="skip") as engine:
            engine.register("approve", approve)
            arn = await engine.start("approve", {"id": "1"})
            waits = [engine.wait(arn, timeout=timedelta(milliseconds=150)) for _ in range(60)]
            found = await asyncio.gather(*waits, return_exceptions=True)
            assert {type(each) for each in found} == {EngineError}
            with pytest.raises(ConfigurationError, match="timedelta"):
                await engine.wait(arn, timeout=5)  # type: ignore[arg-type]

    asyncio.run(service())


def test_an_unfinished_execution_is_resumed_after_a_restart(tmp_path: Any) -> None:
    store = tmp_path / "executions.db"

    async def first() -> str:
        async with AsyncLocalEngine(store, time="skip") as engine:
            engine.register("approve", approve)
            arn = await engine.start("approve", {"id": "1"})
            await engine.callback_id(arn)
            return arn

    async def second(arn: str) -> Any:
        async with AsyncLocalEngine(store, time="skip") as engine:
            engine.register("approve", approve)
            await engine.resume()
            await engine.succeed_callback(await engine.callback_id(arn), "late")
            return (await engine.wait(arn)).result

    assert asyncio.run(second(asyncio.run(first()))) == "1: late"

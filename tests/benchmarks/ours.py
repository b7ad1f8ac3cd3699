"""The workloads, written for this SDK."""

import asyncio
import functools
import logging
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from durable_execution import DurableContext, MapConfig, StepContext, durable_execution
from durable_execution.local import LocalEngine
from durable_execution.runtime.client import LambdaService
from tests.benchmarks.seams import ARN, TOKEN, updates
from tests.benchmarks.service import BotoShapedClient, LambdaContext, MemoryService, OurClient, event

logging.disable(logging.CRITICAL)


def steps(count: int, *, recorded: int = 0, seam: str = "memory", is_plain: bool = False) -> None:
    """A handler of so many steps in a row, of which so many are recorded, over a seam; see `seams.py`."""
    body = plain_constant if is_plain else constant

    async def handler(_event: Any, context: DurableContext) -> int:
        for number in range(1, count + 1):
            await context.step(body(number), name="work")
        return count

    _run(handler, recorded, _service(seam))


def one_call(count: int) -> Callable[[], object]:
    """Makes one real checkpoint call with so many updates."""
    client, wires = _service("http"), updates(count)
    return lambda: client.checkpoint_now(ARN, TOKEN, wires)


def map_of_plain_bodies(count: int, *, concurrency: int) -> int:
    """A map of one plain step each; the number of checkpoint calls it makes."""

    async def item(context: DurableContext, number: int, _index: int) -> int:
        return await context.step(plain_constant(number), name="call")

    async def handler(_event: Any, context: DurableContext) -> int:
        config = MapConfig(max_concurrency=concurrency)
        return len((await context.map(range(count), item, name="items", config=config)).succeeded())

    service = MemoryService()
    _run(handler, 0, LambdaService(BotoShapedClient(service)))
    return service.calls


def map_items(count: int, *, concurrency: int, call_seconds: float) -> None:
    """A map whose items each make one call of a given length in one step."""

    async def item(context: DurableContext, number: int, _index: int) -> int:
        async def call(_step: StepContext) -> int:
            await asyncio.sleep(call_seconds)
            return number

        return await context.step(call, name="call")

    async def handler(_event: Any, context: DurableContext) -> int:
        config = MapConfig(max_concurrency=concurrency)
        return len((await context.map(range(count), item, name="items", config=config)).succeeded())

    _run(handler, 0)


def durable_steps(count: int) -> float:
    """Steps in a row on the local engine over a file; the seconds between the first and the last."""
    taken: list[float] = []

    async def handler(_event: Any, context: DurableContext) -> int:
        began = time.perf_counter()
        for number in range(count):
            await context.step(constant(number), name="work")
        taken.append(time.perf_counter() - began)
        return count

    with tempfile.TemporaryDirectory() as folder, LocalEngine(Path(folder) / "store.db", trace_sink=False) as engine:
        engine.register("bench", durable_execution(handler))
        result = engine.run("bench", {}, timeout=timedelta(minutes=10))
    assert result.error is None, result
    return taken[-1]


def constant(number: int) -> Callable[[StepContext], Awaitable[int]]:
    """A step's body."""

    async def body(_step: StepContext) -> int:
        return number

    return body


def plain_constant(number: int) -> Callable[[StepContext], int]:
    """A step's body that is no coroutine function."""
    return lambda _: number


def _service(seam: str) -> Any:
    if seam == "memory":
        return OurClient(MemoryService())
    if seam == "boto3":
        return LambdaService(BotoShapedClient(MemoryService()))
    return environment_service()


@functools.cache
def environment_service() -> LambdaService:
    """The service that the environment names, as on Lambda: one for all invocations."""
    return LambdaService()


def _run(handler: Any, recorded: int, client: Any = None) -> None:
    client = client or OurClient(MemoryService())
    answer = durable_execution(handler).invoke(event(recorded), LambdaContext(), client=client)
    assert answer["Status"] == "SUCCEEDED", answer

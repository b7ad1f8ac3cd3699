"""Serializers that wait for something do not stop the other branches, and a map's items are kept once."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from durable_execution import ChildConfig, DurableContext, MapConfig, StepConfig, StepContext, durable_execution
from durable_execution.errors import InvocationError, SerializationError
from durable_execution.serdes import CompressedSerDes, JsonSerDes, OffloadedSerDes, SerDesContext
from tests.unit.fake_service import FakeService, invoke
from tests.unit.serdes.memory_store import MemoryStore


class Watching(JsonSerDes):
    """JSON, and the threads that were used for it."""

    def __init__(self, *, is_blocking: bool = True) -> None:
        self.is_blocking = is_blocking
        self.threads: set[int] = set()

    def serialize(self, value: Any, context: SerDesContext = SerDesContext()) -> str:  # noqa: B008
        self.threads.add(threading.get_ident())
        return super().serialize(value)

    def deserialize(self, data: str, context: SerDesContext = SerDesContext()) -> Any:  # noqa: B008
        self.threads.add(threading.get_ident())
        return super().deserialize(data)


async def body(step: StepContext) -> int:
    return 7


async def child_body(child: DurableContext) -> int:
    return 7


OPERATIONS: dict[str, Callable[[DurableContext, Any], Any]] = {
    "step": lambda ctx, serdes: ctx.step(body, config=StepConfig(serdes=serdes)),
    "child": lambda ctx, serdes: ctx.run_in_child_context(child_body, config=ChildConfig(serdes=serdes)),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_serializer_that_waits_is_called_elsewhere(operation: str) -> None:
    watching, service = Watching(), FakeService()

    @durable_execution
    async def handler(_: Any, ctx: DurableContext) -> int:
        return int(await OPERATIONS[operation](ctx, watching))

    assert invoke(handler, service)["Result"] == "7"
    assert invoke(handler, service)["Result"] == "7"
    assert threading.get_ident() not in watching.threads


@pytest.mark.parametrize("operation", OPERATIONS)
def test_one_that_does_not_is_called_right_here(operation: str) -> None:
    watching = Watching(is_blocking=False)

    @durable_execution
    async def handler(_: Any, ctx: DurableContext) -> int:
        return int(await OPERATIONS[operation](ctx, watching))

    invoke(handler, FakeService())
    assert watching.threads == {threading.get_ident()}


def test_the_others_go_on_meanwhile() -> None:
    other_has_run = threading.Event()

    class Patient(JsonSerDes):
        is_blocking = True

        def serialize(self, value: Any, context: SerDesContext = SerDesContext()) -> str:  # noqa: B008
            assert other_has_run.wait(timeout=30)
            return super().serialize(value)

    @durable_execution
    async def handler(_: Any, ctx: DurableContext) -> list[int]:
        async def other(step: StepContext) -> int:
            other_has_run.set()
            return 8

        return list(await asyncio.gather(ctx.step(body, config=StepConfig(serdes=Patient())), ctx.step(other)))

    assert invoke(handler, FakeService())["Result"] == "[7,8]"


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("is_blocking", [True, False])
def test_what_it_raises_means_the_same_wherever_it_runs(operation: str, is_blocking: bool) -> None:
    class Broken(Watching):
        error: Exception = SerializationError("no such value")

        def serialize(self, value: Any, context: SerDesContext = SerDesContext()) -> str:  # noqa: B008
            raise self.error

    broken = Broken(is_blocking=is_blocking)

    @durable_execution
    async def handler(_: Any, ctx: DurableContext) -> int:
        return int(await OPERATIONS[operation](ctx, broken))

    answer = invoke(handler, FakeService())
    assert "cannot be stored: no such value" in answer["Error"]["ErrorMessage"]
    broken.error = InvocationError("the bucket does not answer")
    with pytest.raises(InvocationError, match="the bucket does not answer"):
        invoke(handler, FakeService())


def test_an_item_of_a_map_is_kept_once() -> None:
    store = MemoryStore()
    serdes = OffloadedSerDes(None, store=store, above_bytes=100)

    @durable_execution
    async def handler(_: Any, ctx: DurableContext) -> list[int]:
        async def item(child: DurableContext, value: int) -> str:
            return str(value) * 1000

        found = await ctx.map([1, 2, 3], item, config=MapConfig(item_serdes=serdes))
        return [len(text) for text in found.get_results()]

    service = FakeService()
    assert invoke(handler, service)["Result"] == "[1000,1000,1000]"
    assert store.puts == 3
    serdes = OffloadedSerDes(None, store=store)
    assert invoke(handler, service)["Result"] == "[1000,1000,1000]"
    assert store.gets == 3


def test_a_wrapper_waits_if_what_it_wraps_does() -> None:
    assert CompressedSerDes(OffloadedSerDes(None, store=MemoryStore())).is_blocking
    assert not CompressedSerDes().is_blocking

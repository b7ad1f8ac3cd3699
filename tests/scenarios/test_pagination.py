"""Histories that do not fit on one page are replayed as a whole."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from durable_execution import DurableContext, MapConfig
from durable_execution.local import EngineLimits, LocalEngine
from tests.scenarios.bodies import gives, notes
from tests.scenarios.scenario import Scenario

MINUTE = timedelta(minutes=1)


@pytest.fixture
def skipping_engine() -> Iterator[LocalEngine]:
    """An engine whose pages are small."""
    limits = EngineLimits(page_bytes=2_000, max_page_items=7)
    with LocalEngine(store=None, time="skip", trace_sink=False, limits=limits) as engine:
        yield engine


def test_many_operations_take_many_pages(scenario: Scenario) -> None:
    bodies: list[int] = []

    async def workflow(_event: Any, ctx: DurableContext) -> int:
        async def item(inner: DurableContext, number: int, _index: int) -> int:
            return await inner.step(notes(bodies, number, number))

        total = sum((await ctx.map(range(100), item, config=MapConfig(max_concurrency=10))).get_results())
        await ctx.wait(MINUTE)
        for number in range(50):
            total += await ctx.step(gives(number))
        await ctx.wait(MINUTE)
        return total

    assert scenario.result(workflow) == sum(range(100)) + sum(range(50))
    assert sorted(bodies) == list(range(100))


def test_a_checkpoint_s_answer_may_take_several_pages(scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> int:
        async def item(inner: DurableContext, number: int, _index: int) -> str:
            callback = await inner.create_callback(f"callback-{number}")
            return callback.callback_id

        batch = await ctx.map(range(40), item)
        return len(set(batch.get_results()))

    assert scenario.result(workflow) == 40


def test_large_payloads_are_read_page_by_page(scenario: Scenario) -> None:
    async def workflow(_event: Any, ctx: DurableContext) -> int:
        texts = [await ctx.step(gives("x" * size)) for size in (10, 5_000, 20_000, 10)]
        await ctx.wait(MINUTE)
        return sum(len(text) for text in texts)

    assert scenario.result(workflow) == 25_020

"""Executions of AWS's SDK for JavaScript, replayed against handlers written with this one."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from durable_execution import BatchResult, BlockingContext, DurableContext, durable_execution
from durable_execution.history.reading import read_history
from durable_execution.replay import Replayer

FRUITS = ("apple", "banana", "orange")


def comprehensive(*, name: str = "map-step-{}", check: Any = None) -> Any:
    async def item(ctx: DurableContext, number: int, index: int) -> int:
        return int(await ctx.step(lambda _: number, name=name.format(index)))

    def branch(number: int) -> Any:
        async def run(ctx: DurableContext) -> str:
            return str(await ctx.step(lambda _: "never", name=f"fruit-step-{number}"))

        return run

    async def execution(event: Any, ctx: DurableContext) -> None:
        await ctx.step(lambda _: "never", name="step1")
        await ctx.wait(timedelta(seconds=1))
        numbers = await ctx.map([1, 2, 3, 4, 5], item, name="map-numbers")
        fruits = await ctx.parallel([branch(1), branch(2), branch(3)])
        if check is not None:
            check(numbers, fruits)

    return durable_execution(execution)


def comprehensive_blocking(check: Any) -> Any:
    def item(ctx: BlockingContext, number: int, index: int) -> int:
        return int(ctx.step(lambda _: number, name=f"map-step-{index}"))

    def branch(number: int) -> Any:
        return lambda ctx: ctx.step(lambda _: "never", name=f"fruit-step-{number}")

    def execution(event: Any, ctx: BlockingContext) -> None:
        ctx.step(lambda _: "never", name="step1")
        ctx.wait(timedelta(seconds=1))
        numbers = ctx.map([1, 2, 3, 4, 5], item, name="map-numbers")
        check(numbers, ctx.parallel([branch(1), branch(2), branch(3)]))

    return durable_execution(execution)


@pytest.fixture
def recording(shared_histories: Path) -> Any:
    text = (shared_histories / "js-comprehensive-operations.history.json").read_text(encoding="utf-8")
    return read_history(json.loads(text))


@pytest.mark.parametrize("face", ["async", "blocking"])
def test_results_of_batches_are_what_was_recorded(recording: Any, face: str) -> None:
    found: list[list[Any]] = []

    def check(numbers: BatchResult[int], fruits: BatchResult[str]) -> None:
        found.append([numbers.get_results(), fruits.get_results()])

    handler = comprehensive(check=check) if face == "async" else comprehensive_blocking(check)
    report = Replayer(handler).replay(recording)
    assert found[0] == [[1, 2, 3, 4, 5], list(FRUITS)]
    assert [one.kind for one in report.roots if one.severity == "error"] == []
    assert report.outcome == "SUCCEEDED"


def test_a_finished_batch_is_not_run_again_to_rebuild_it(recording: Any) -> None:
    report = Replayer(comprehensive(), inside=False).replay(recording)
    assert report.calls == 4


def test_a_change_in_a_branch_is_found(recording: Any) -> None:
    report = Replayer(comprehensive(name="number-{}")).replay(recording)
    assert [(one.kind, one.path) for one in report.roots if one.severity == "error"] == [
        ("renamed", "execution/map-numbers#0/map-step-0")
    ]

"""A call site is the user's line: in coroutines and plain functions, in tasks, threads and pools."""

import asyncio
import inspect
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from durable_execution import BlockingContext, DurableContext, durable_execution
from durable_execution.local import LocalEngine
from durable_execution.protocol import operation_id
from durable_execution.trace import MemorySink, read_traces
from tests.unit.fake_service import FakeService, invoke, step_operation


def one(_step: Any) -> int:
    return 1


def plain(_event: Any, ctx: BlockingContext) -> None:
    def inside(inner: BlockingContext) -> None:
        inner.step(one, "in_child")

    marker = "SITE"
    ctx.step(one, "direct")
    ctx.run_in_child_context(inside, "child")
    with ThreadPoolExecutor(1) as pool:
        pool.submit(ctx.step, one, "in_pool").result()
        pool.submit(lambda: ctx.step(one, "in_function_in_pool")).result()
    ctx.map([1], lambda branch, item, index: branch.step(one, "in_map"), "map")
    ctx.parallel([lambda branch: branch.step(one, "in_parallel")], "parallel")
    ctx.wait(timedelta(seconds=1), "wait")
    assert marker


async def coroutine(_event: Any, ctx: DurableContext) -> None:
    await asyncio.gather(
        ctx.step(one, "gathered"), ctx.map([1], lambda branch, item, index: branch.step(one, "in_map"), "map")
    )
    await asyncio.create_task(ctx.step(one, "task"))
    await asyncio.wait_for(ctx.step(one, "timed"), 60)
    await ctx.run_in_child_context(lambda inner: inner.step(one, "in_child"), "child")
    await ctx.wait(timedelta(seconds=1), "wait")


def sites_of(function: Callable[..., Any], *, with_locals: bool = False) -> dict[str, Any]:
    sink = MemorySink()
    with LocalEngine(None, time="skip", trace_sink=sink) as engine:
        engine.register("flow", durable_execution(function))
        arn = engine.start("flow", {})
        engine.run_until_idle()
    traces = read_traces(sink.texts[arn])
    found: dict[str, Any] = {}
    for trace in traces:
        for entry in trace.entries:
            if entry.name:  # the first invocation that made a call has its variables
                found.setdefault(entry.name, entry)
    return found


@pytest.mark.parametrize("function", [plain, coroutine])
def test_every_call_site_is_the_line_that_names_the_call(function: Callable[..., Any]) -> None:
    lines, first = inspect.getsourcelines(function)
    entries = sites_of(function)
    assert len(entries) >= 7
    for name, entry in entries.items():
        if entry.subtype in ("MapIteration", "ParallelBranch"):
            assert entry.call_site is None
            continue
        assert entry.call_site is not None, name
        assert entry.call_site.file == __file__
        assert f'"{name}"' in lines[entry.call_site.line - first], (name, entry.call_site)


def test_locals_of_a_plain_function_are_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DURABLE_REPLAY_TRACE_LOCALS", "1")
    assert sites_of(plain)["direct"].locals["marker"] == "'SITE'"


@pytest.mark.parametrize("function", [plain, coroutine])
def test_an_error_names_the_line_without_observers(function: Callable[..., Any]) -> None:
    recorded = step_operation(operation_id(None, 1), 1, Name="recorded")
    answer = invoke(durable_execution(function), FakeService(), operations=[recorded])
    assert answer["Error"]["ErrorType"].endswith("NondeterminismError")
    message = answer["Error"]["ErrorMessage"]
    assert f"in {function.__name__}" in message, message
    assert "events.py" not in message

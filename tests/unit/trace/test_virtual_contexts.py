"""Virtual contexts leave no record. A trace has each once, however often invocations enter it again."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from durable_execution import ChildConfig, CompletionConfig, DurableContext, MapConfig, NestingType, durable_execution
from durable_execution.local import LocalEngine
from durable_execution.trace import MemorySink, TraceRecorder, read_traces
from durable_execution.trace.schema import InvocationTrace

VIRTUAL = ChildConfig(is_virtual=True)
FLAT = MapConfig(nesting_type=NestingType.FLAT, completion_config=CompletionConfig(tolerated_failure_count=1000))


async def rest(ctx: DurableContext, seconds: int) -> None:
    """A step and a wait."""
    await ctx.step(lambda _: seconds, name="step")
    await ctx.wait(timedelta(hours=1, seconds=seconds), name="rest")


async def each_round(rounds: int, ctx: DurableContext) -> None:
    """A virtual context each time."""
    for _ in range(rounds):
        await ctx.run_in_child_context(lambda inner: rest(inner, 1), name="round", config=VIRTUAL)


async def flat(rounds: int, ctx: DurableContext) -> None:
    """Items without contexts."""
    await ctx.map(range(rounds), rest, name="items", config=FLAT)


async def nested(rounds: int, ctx: DurableContext) -> None:
    """A virtual context in a virtual context, each time."""
    for _ in range(rounds):
        await ctx.run_in_child_context(
            lambda outer: outer.run_in_child_context(lambda inner: rest(inner, 1), name="inner", config=VIRTUAL),
            name="outer",
            config=VIRTUAL,
        )


async def empty(rounds: int, ctx: DurableContext) -> None:
    """A virtual context without calls before each round."""

    async def nothing(inner: DurableContext) -> int:
        del inner
        return 3

    for _ in range(rounds):
        await ctx.run_in_child_context(nothing, name="nothing", config=VIRTUAL)
        await rest(ctx, 1)


async def gathering(rounds: int, ctx: DurableContext) -> None:
    """Flat items whose calls are made by tasks."""

    async def item(inner: DurableContext, number: int) -> None:
        await asyncio.gather(rest(inner, number), rest(inner, number))

    await ctx.map(range(rounds), item, name="items", config=FLAT)


async def failing(rounds: int, ctx: DurableContext) -> None:
    """Flat items of which each second fails after a call, and each third has no calls."""

    async def item(inner: DurableContext, number: int) -> None:
        if number % 3 == 1:
            return
        await rest(inner, number)
        if number % 2:
            raise ValueError(number)

    await ctx.map(range(rounds), item, name="items", config=FLAT)


async def sleeping(rounds: int, ctx: DurableContext) -> None:
    """Flat items that all start before the first of them makes a call."""

    async def item(inner: DurableContext, number: int) -> None:
        await asyncio.sleep(0)
        await rest(inner, number)

    await ctx.map(range(rounds), item, name="items", config=FLAT)


async def in_children(rounds: int, ctx: DurableContext) -> None:
    """Child contexts in flat items."""

    async def item(inner: DurableContext, number: int) -> None:
        await inner.run_in_child_context(lambda child: rest(child, number), name="child")

    await ctx.map(range(rounds), item, name="items", config=FLAT)


PROGRAMS: list[Callable[..., Any]] = [each_round, flat, nested, empty, gathering, failing, sleeping, in_children]


def trace_of(function: Callable[..., Any], rounds: int, folder: Path) -> str:
    sink = MemorySink()
    handler = durable_execution(observers=[TraceRecorder(sink)])(function)
    with LocalEngine(folder / f"{rounds}.db", time="skip", trace_sink=False) as engine:
        engine.register("flow", handler)
        engine.run("flow", rounds)
    (text,) = sink.texts.values()
    return text


def calls_of(trace: InvocationTrace) -> list[tuple[str, str | None, bool]]:
    return [(entry.path, entry.status, entry.is_virtual) for entry in trace.entries]


@pytest.mark.parametrize("function", [each_round, flat, empty, sleeping], ids=lambda function: function.__name__)
def test_traces_grow_with_what_happened(function: Callable[..., Any], tmp_path: Path) -> None:
    small, large = (len(trace_of(function, rounds, tmp_path)) for rounds in (8, 32))
    assert large / small < 4.4, "4 times is linear"


@pytest.mark.parametrize("function", PROGRAMS, ids=lambda function: function.__name__)
def test_a_reader_finds_all_calls(function: Callable[..., Any], tmp_path: Path) -> None:
    """Each invocation repeats the calls of those before; a virtual context is there once, before the calls in it."""
    traces = read_traces(trace_of(function, 9, tmp_path))
    assert all(trace.notes == () for trace in traces)
    before: set[str] = set()
    for trace in traces:
        calls = calls_of(trace)
        paths = [path for path, _, _ in calls]
        assert len(paths) == len(set(paths))
        assert before <= set(paths)
        before = {
            path for path in paths if "/child/" not in path
        }  # a replay does not enter child contexts that have ended
        assert [entry.seq for entry in trace.entries] == list(range(1, len(paths) + 1))
        place = {entry.id: number for number, entry in enumerate(trace.entries)}
        assert all(place[entry.context_id] < place[entry.id] for entry in trace.entries if entry.context_id in place)
        assert not trace.entries.changed  # type: ignore[attr-defined]
    statuses = {path: status for path, status, is_virtual in calls_of(traces[-1]) if is_virtual}
    assert statuses
    assert set(statuses.values()) <= ({"SUCCEEDED", "FAILED"} if function is failing else {"SUCCEEDED"})


def test_an_open_context_is_pending_and_an_ended_one_is_replayed(tmp_path: Path) -> None:
    traces = read_traces(trace_of(nested, 3, tmp_path))
    third = {entry.path: (entry.happened, entry.status) for entry in traces[2].entries if entry.is_virtual}
    assert third == {
        "nested/outer": ("replayed", "SUCCEEDED"),
        "nested/outer/inner": ("replayed", "SUCCEEDED"),
        "nested/outer(2)": ("executed", "SUCCEEDED"),
        "nested/outer(2)/inner": ("executed", "SUCCEEDED"),
        "nested/outer(3)": ("pending", "STARTED"),
        "nested/outer(3)/inner": ("pending", "STARTED"),
    }


def test_the_end_is_unknown_where_its_invocation_was_cut_off(tmp_path: Path) -> None:
    """The invocation in which a context ended wrote nothing of it."""
    lines = trace_of(nested, 3, tmp_path).splitlines(keepends=True)
    starts = [number for number, line in enumerate(lines) if '"record": "invocation"' in line]
    cut = lines[: starts[1] + 1] + lines[starts[2] :]
    third = read_traces("".join(cut))[2]
    first = next(entry for entry in third.entries if entry.path == "nested/outer")
    assert (first.happened, first.status) == ("replayed", None)

"""Repeated calls: recorded as runs, and built from earlier invocations when they are looked at."""

import asyncio
import functools
import json
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_execution import (
    BlockingContext,
    DurableContext,
    MapConfig,
    NestingType,
    StepContext,
    durable_execution,
    durable_step,
)
from durable_execution.history.reading import execution_of_traces
from durable_execution.local import LocalEngine
from durable_execution.trace import MemorySink, read_traces, write_traces
from durable_execution.trace.lazy_calls import Coverage, Numbers, TraceCalls
from durable_execution.trace.runs import CUT, CUT_DIGITS, ReplayRun, digest_of_keys
from durable_execution.trace.schema import VERSION, InvocationTrace
from durable_execution.trace.siblings import Origin, SiblingRuns, joined, sibling_id

HOUR = timedelta(hours=1)
FLAT = MapConfig(nesting_type=NestingType.FLAT)


@durable_step
async def poll(step: StepContext, number: int) -> int:
    return number


@durable_execution
async def poller(rounds: int, ctx: DurableContext) -> int:
    for number in range(rounds):
        await ctx.step(poll(number))
        await ctx.wait(HOUR, name="hourly")
    return rounds


@durable_execution
async def two_branches(rounds: int, ctx: DurableContext) -> None:
    async def branch(inner: DurableContext, item: int) -> None:
        for number in range(rounds):
            await inner.step(poll(number))
            await inner.wait(HOUR * (item + 1))

    await asyncio.gather(
        ctx.map([0, 1], branch, name="nested"),
        ctx.map([0, 1], branch, name="flat", config=FLAT),
    )
    await ctx.step(poll(0), name="last")


def text_of(handler: Any, rounds: int) -> str:
    sink = MemorySink()
    with LocalEngine(None, time="skip", trace_sink=sink) as engine:
        engine.register("f", handler)
        result = engine.run("f", rounds)
        assert result.error is None
        return sink.texts[result.arn]


async def rounds_apart(rounds: int, ctx: DurableContext, item: int) -> None:
    for number in range(rounds):
        await ctx.step(poll(number))
        await ctx.wait(HOUR + timedelta(seconds=item))


@durable_execution
async def open_map(size: int, ctx: DurableContext) -> None:
    async def work(inner: DurableContext, item: int) -> None:
        await rounds_apart(1, inner, item)

    await ctx.map(range(size), work, name="all")


@durable_execution
async def open_branches(size: int, ctx: DurableContext) -> None:
    async def branch(inner: DurableContext) -> None:
        await rounds_apart(size // 4, inner, 0)

    await ctx.parallel([branch] * 4, name="all")


@durable_execution
async def rounds_in_child(rounds: int, ctx: DurableContext) -> None:
    async def inside(inner: DurableContext) -> None:
        await rounds_apart(rounds, inner, 0)

    await ctx.run_in_child_context(inside, name="inner")


@durable_execution
async def gathered(size: int, ctx: DurableContext) -> None:
    await asyncio.gather(*(rounds_apart(1, ctx, item) for item in range(size)))


@durable_execution
async def uneven(size: int, ctx: DurableContext) -> None:
    async def work(inner: DurableContext, item: int) -> None:
        await rounds_apart(item % 4, inner, item)
        await inner.map(range(item % 3), work_inside)

    async def work_inside(inner: DurableContext, item: int) -> None:
        await rounds_apart(2, inner, item)

    await asyncio.gather(ctx.map(range(size), work), *(rounds_apart(2, ctx, item) for item in range(3)))


@durable_execution
def blocking(rounds: int, ctx: BlockingContext) -> None:
    for number in range(rounds):
        ctx.step(poll(number))
        ctx.wait(HOUR)


async def _resting(ctx: DurableContext, number: int) -> None:
    await ctx.step(poll(number))
    await ctx.wait(timedelta(hours=1, seconds=number))


@durable_execution
async def flat_in_flat(rounds: int, ctx: DurableContext) -> None:
    async def group(inner: DurableContext, number: int) -> None:
        await inner.map([4 * number, 4 * number + 1], _resting, name="inner", config=FLAT)

    await ctx.map(range(rounds), group, name="outer", config=FLAT)


@durable_execution
async def tasks_in_flat_items(rounds: int, ctx: DurableContext) -> None:
    async def group(inner: DurableContext, number: int) -> None:
        await asyncio.gather(*(_resting(inner, 4 * number + task) for task in range(2)))

    await ctx.map(range(rounds), group, name="outer", config=FLAT)


SHAPES = [poller, rounds_in_child, open_map, open_branches, gathered, blocking]


@pytest.fixture(scope="module")
def text() -> str:
    return text_of(poller, 70)


@pytest.fixture(scope="module")
def traces(text: str) -> tuple[InvocationTrace, ...]:
    return read_traces(text)


@pytest.mark.parametrize("handler", SHAPES, ids=lambda handler: handler.__name__)
def test_a_trace_grows_with_the_calls_and_not_with_their_square(handler: Any) -> None:
    sizes = [len(text_of(handler, rounds)) for rounds in (10, 20, 40)]
    assert sizes[1] < 2.2 * sizes[0]
    assert sizes[2] < 2.2 * sizes[1]


def test_runs_of_siblings_are_the_runs_of_each_context(monkeypatch: pytest.MonkeyPatch) -> None:
    joined = read_traces(text_of(uneven, 9))
    parts = [part for trace in joined if isinstance(trace.entries, TraceCalls) for part in trace.entries.parts]
    assert {part.of_tasks for part in parts if isinstance(part, SiblingRuns)} == {True, False}
    assert read_traces("".join(write_traces(joined))) == joined
    assert not [change for trace in joined for change in _changed(trace)]
    monkeypatch.setattr("durable_execution.trace.siblings.MAX_WIDTH", 0)
    alone = read_traces(text_of(uneven, 9))
    assert [_called(trace) for trace in joined] == [_called(trace) for trace in alone]
    coverage = Coverage(joined)
    for id_ in {entry.id for trace in joined for entry in trace.entries}:
        for happened, found in (("executed", coverage.executed_by), ("replayed", coverage.replayed_by)):
            numbers = [
                trace.invocation
                for trace in joined
                for entry in trace.entries
                if entry.id == id_ and (entry.happened == "replayed") == (happened == "replayed")
            ]
            assert list(found(id_, None)) == numbers


def test_a_change_in_siblings_is_found_and_placed() -> None:
    text = text_of(open_map, 12)
    line = next(line for line in text.splitlines() if '"record":"siblings"' in line)
    run = json.loads(line)
    changed = {**run, "cuts": "f" * len(run["cuts"])}
    traces = read_traces(text.replace(line, json.dumps(changed), 1))
    assert [trace.invocation for trace in traces if _changed(trace)] == [2]
    calls = traces[1].entries
    assert isinstance(calls, TraceCalls)
    assert list(calls.changed_paths()) == ["open_map/all#1/poll", "open_map/all#11/poll"]


@pytest.mark.parametrize(
    "damage",
    [
        {"siblings": []},
        {"siblings": [[3, 2]]},
        {"siblings": [[0, 1], [1, 2]]},
        {"siblings": [[0, 90_000_000]]},
        {"siblings": [[0]]},
        {"first": 3},
        {"last": 90_000_000},
        {"first": 1, "last": 40, "cuts": ""},
        {"inner": [[[], False]]},
        {"inner": [[[[2, 1]], False]]},
        {"inner": [[[[0, 90_000_000]], False]]},
        {"inner": [[[[0, 0]], False]] * 9},
    ],
)
def test_a_damaged_line_of_siblings_is_noted(damage: dict[str, Any]) -> None:
    header = {"record": "invocation", "schema": "durable-replay-trace", "version": 3, "execution_arn": "arn"}
    run = {"record": "siblings", "siblings": [[0, 9]], "first": 1, "last": 2, "cuts": "0" * 6}
    good, bad = (
        read_traces("".join(json.dumps(record) + "\n" for record in (header, line, {"record": "end"})))[0]
        for line in (run, {**run, **damage})
    )
    assert not good.notes
    assert "cannot be read and is ignored" in bad.notes[0]


@given(st.sets(st.integers(0, 200), min_size=2), st.integers(1, 32), st.booleans())
def test_runs_of_siblings_cover_exactly_the_contexts_given(numbers: set[int], width: int, of_tasks: bool) -> None:
    ids = {number: sibling_id("c", number, of_tasks=of_tasks) for number in sorted(numbers)}
    keys = {number: [f"key {number} {each}" for each in range(width)] for number in ids}
    groups: dict[tuple[str | None, bool], list[tuple[int, list[str]]]] = {
        (id_, False): [(5, keys[number])] for number, id_ in ids.items()
    }
    (runs,) = joined(groups, {id_: ("c", number, of_tasks) for number, id_ in ids.items()})
    assert isinstance(runs, SiblingRuns)
    segments = list(runs.segments())
    assert [number for inside, _ in segments for number in inside] == sorted(numbers)
    assert runs.cut_count == len(segments)
    assert (runs.count, runs.width) == (len(numbers) * width, width)
    for inside, digest in segments:
        assert len(inside) * width <= CUT
        assert digest == digest_of_keys(key for number in inside for key in keys[number])
    assert [run.context_id for run in runs.runs()] == list(ids.values())


@given(
    st.dictionaries(st.integers(0, 9), st.sets(st.tuples(st.integers(1, 4), st.booleans())), min_size=1, max_size=6),
    st.integers(1, 3),
)
def test_runs_in_contexts_of_siblings_are_the_runs_of_each_context(
    items: dict[int, set[tuple[int, bool]]], width: int
) -> None:
    """Each item has a context at position 1, in which contexts and tasks make calls."""
    origins: dict[str, Origin | None] = {}
    groups: dict[tuple[str | None, bool], list[tuple[int, list[str]]]] = {}
    for item, inside in items.items():
        around = sibling_id("map", item, of_tasks=False)
        child = sibling_id(around, 1, of_tasks=False)
        origins |= {around: ("map", item, False), child: (around, 1, False)}
        for number, of_tasks in inside:
            id_ = sibling_id(child, number, of_tasks=of_tasks)
            origins[id_] = child, number, of_tasks
            groups[id_, False] = [(1, [f"{id_} {position}" for position in range(1, width + 1)])]
    found = list(joined(groups, origins))
    each = [run for part in found for run in (part.runs() if isinstance(part, SiblingRuns) else [part])]
    assert sorted(run.context_id or "" for run in each) == sorted(id_ or "" for id_, _ in groups)
    assert {(run.first, run.last) for run in each} <= {(1, width)}
    for part in found:
        if not isinstance(part, SiblingRuns):
            continue
        assert part.cut_count == len(part.cuts) // CUT_DIGITS
        for numbers, digest in part.segments():
            ids = [id_ for number in numbers for id_ in part.contexts(number)]
            assert digest == digest_of_keys(f"{id_} {position}" for id_ in ids for position in range(1, width + 1))


@pytest.mark.parametrize("handler", [flat_in_flat, tasks_in_flat_items], ids=lambda handler: handler.__name__)
def test_equal_items_share_a_line_whatever_is_in_them(handler: Any) -> None:
    assert len(text_of(handler, 24)) < 2.2 * len(text_of(handler, 12))
    traces = read_traces(text_of(handler, 6))
    assert all(not trace.notes and not _changed(trace) for trace in traces)
    assert read_traces("".join(write_traces(traces))) == traces
    parts = [part for trace in traces if isinstance(trace.entries, TraceCalls) for part in trace.entries.parts]
    assert {len(part.inner) for part in parts if isinstance(part, SiblingRuns)} >= {0, 1}


def test_every_invocation_shows_all_its_calls(traces: tuple[InvocationTrace, ...]) -> None:
    for number, trace in enumerate(traces[:-1]):
        assert [entry.position for entry in trace.entries] == list(range(1, 2 * number + 3))
        assert [entry.seq for entry in trace.entries] == list(range(1, 2 * number + 3))
        happened = Counter(entry.happened for entry in trace.entries)
        assert happened == Counter(replayed=max(2 * number - 1, 0), executed=1 + (number > 0), pending=1)


def test_a_repeated_call_is_the_call_that_was_made(traces: tuple[InvocationTrace, ...]) -> None:
    made, repeated = traces[0].entries[0], traces[60].entries[0]
    assert repeated == replace(made, happened="replayed", at=repeated.at, ended=None, attempts=())
    assert (repeated.call_site, repeated.result_digest) == (made.call_site, made.result_digest)
    assert repeated.function == "poll"


def test_the_last_calls_before_a_new_one_have_lines_of_their_own(traces: tuple[InvocationTrace, ...]) -> None:
    calls = traces[60].entries
    assert isinstance(calls, TraceCalls)
    assert [(run.first, run.last) for run in calls.runs] == [(1, 117)]
    assert [entry.position for entry in calls.written] == [118, 119, 120, 121, 122]


def test_writing_and_reading_again_changes_nothing(text: str, traces: tuple[InvocationTrace, ...]) -> None:
    again = "".join(write_traces(traces))
    assert len(again) < 1.1 * len(text)
    assert read_traces(again) == traces


def test_calls_in_branches_are_complete_and_parents_come_first() -> None:
    traces = list(read_traces(text_of(two_branches, 4)))
    for trace in traces:
        seen: set[str | None] = {None}
        for entry in trace.entries:
            assert entry.parent_id in seen, entry.path
            seen.add(entry.id)
        assert len(seen) == len(trace.entries) + 1
    paths = {entry.path for entry in traces[-1].entries}
    assert {"two_branches/nested", "two_branches/flat", "two_branches/last"} <= paths


def test_without_the_earlier_invocations_what_was_written_remains(text: str) -> None:
    headers = [index for index, line in enumerate(text.splitlines()) if '"record": "invocation"' in line]
    last = "\n".join(text.splitlines()[headers[-2] :])
    first, second = read_traces(last)
    assert [entry.happened for entry in first.entries][-2:] == ["executed", "pending"]
    assert len(first.entries) < 10
    assert len(second.entries) < 10


def test_a_change_of_the_code_between_two_invocations_is_found_and_placed(text: str) -> None:
    lines = text.splitlines(keepends=True)
    lines[1] = lines[1].replace('"function":"poll"', '"function":"renamed"')
    assert lines[1] != text.splitlines(keepends=True)[1]
    traces = read_traces("".join(lines))
    found = [(trace.invocation, *place) for trace in traces for place in _changed(trace)]
    assert found == [(2, None, 1, 1)]
    assert "invocation 2 called poller/poll differently" in "".join(execution_of_traces(traces).notes)


def test_a_change_of_code_that_only_replays_is_placed_within_64_calls(text: str) -> None:
    cuts = {line for line in text.splitlines() if '"last":129,' in line}
    assert len(cuts) == 1
    (line,) = cuts
    run = json.loads(line)
    changed = {**run, "cuts": run["cuts"][:6] + "ffffff" + run["cuts"][12:]}
    traces = read_traces(text.replace(line, json.dumps(changed)))
    found = [(trace.invocation, *place) for trace in traces for place in _changed(trace)]
    assert found == [(67, None, 64, 127), (68, None, 64, 127)]  # there, and back again


def test_unchanged_code_is_not_reported(traces: tuple[InvocationTrace, ...]) -> None:
    assert not [change for trace in traces for change in _changed(trace)]


def test_functions_with_one_decorator_are_told_apart() -> None:
    """They share the decorator's code, and these the call site and the name as well."""

    def logged(function: Any) -> Any:
        @functools.wraps(function)
        async def wrapper(step: StepContext) -> int:
            return int(await function(step))

        return wrapper

    @logged
    async def reserve(_step: StepContext) -> int:
        return 1

    @logged
    async def charge(_step: StepContext) -> int:
        return 2

    @durable_execution
    async def handler(_: int, ctx: DurableContext) -> None:
        for function in (reserve, charge):
            await ctx.step(function, name="work")
        for _ in range(4):
            await ctx.wait(HOUR, name="hourly")

    traces = read_traces(text_of(handler, 1))
    steps = [entry.function for entry in traces[-1].entries if entry.type == "STEP"]
    assert [str(name).rpartition(".")[2] for name in steps] == ["reserve", "charge"]
    assert not [change for trace in traces for change in _changed(trace)]


def test_a_trace_of_the_first_version_is_read() -> None:
    header = {"record": "invocation", "schema": "durable-replay-trace", "version": 1, "execution_arn": "arn"}
    call = {"record": "call", "seq": 1, "id": "x", "path": "f/a", "type": "STEP", "position": 1, "status": "SUCCEEDED"}
    run = {"record": "replayed", "first": 1, "last": 1, "cuts": "000000"}
    end = {"record": "end", "outcome": "PENDING"}
    records = [header, {**call, "happened": "executed"}, end, {**header, "version": 2}, run, end]
    old, new = read_traces("".join(json.dumps(record) + "\n" for record in records))
    assert [entry.happened for entry in old.entries] == ["executed"]
    assert [entry.happened for entry in new.entries] == ["replayed"]
    assert not list(_changed(new))


def test_executed_and_replayed_are_counted_without_building_calls(traces: tuple[InvocationTrace, ...]) -> None:
    execution = execution_of_traces(traces)
    step, wait = execution.operations[:2]
    assert (list(step.executed_by), list(step.replayed_by)) == ([1], list(range(2, 72)))
    assert (list(wait.executed_by), list(wait.replayed_by)) == ([1, 2], list(range(3, 72)))


@given(st.lists(st.tuples(st.integers(1, 5), st.booleans()), max_size=6), st.integers(0, 3))
def test_coverage_agrees_with_the_calls_one_by_one(shape: list[tuple[int, bool]], skipped: int) -> None:
    lines = [
        {
            "record": "call",
            "seq": n,
            "id": str(n),
            "path": str(n),
            "type": "WAIT",
            "position": n,
            "happened": "executed",
        }
        for n in range(1, 6)
    ]
    records: list[dict[str, Any]] = []
    header = {"record": "invocation", "schema": "durable-replay-trace", "version": 2, "execution_arn": "arn"}
    for index, (last, is_open) in enumerate([(0, False), *shape]):
        run = {"record": "open" if is_open else "replayed", "first": 1, "last": last}
        records += [header, *(lines if not index else [run]), {"record": "end"}]
    traces = [
        replace(trace, invocation=trace.invocation + (skipped if trace.invocation > 2 else 0))
        for trace in read_traces("".join(json.dumps(record) + "\n" for record in records))
    ]
    coverage = Coverage(traces)
    for number in range(1, 6):
        executed = [
            one.invocation for one in traces for e in one.entries if e.id == str(number) and e.happened != "replayed"
        ]
        replayed = [
            one.invocation for one in traces for e in one.entries if e.id == str(number) and e.happened == "replayed"
        ]
        assert list(coverage.executed_by(str(number), None)) == executed
        assert list(coverage.replayed_by(str(number), None)) == replayed


@given(st.sets(st.integers(0, 200), min_size=1), st.randoms(use_true_random=False))
def test_runs_cover_exactly_the_positions_given(positions: set[int], random: Random) -> None:
    parts: list[tuple[int, list[str]]] = []
    for position in sorted(positions):
        if parts and parts[-1][0] + len(parts[-1][1]) == position and random.random() < 0.8:
            parts[-1][1].append(f"key {position}")
        else:
            parts.append((position, [f"key {position}"]))
    random.shuffle(parts)
    runs = [run for run in joined({("c", False): parts}, {}) if isinstance(run, ReplayRun)]
    assert [p for run in runs for p in range(run.first, run.last + 1)] == sorted(positions)
    for run in runs:
        segments = list(run.segments())
        assert [p for first, last, _ in segments for p in range(first, last + 1)] == list(
            range(run.first, run.last + 1)
        )
        for first, last, digest in segments:
            assert last - first < CUT
            assert digest == digest_of_keys(f"key {position}" for position in range(first, last + 1))


def test_numbers_behave_like_a_tuple() -> None:
    numbers = Numbers([range(2, 5), range(9, 10)])
    assert (list(numbers), len(numbers), numbers[-1], numbers[0]) == ([2, 3, 4, 9], 4, 9, 2)
    assert [number in numbers for number in (1, 2, 4, 5, 9, "2")] == [False, True, True, False, True, False]


def _called(trace: InvocationTrace) -> Counter[tuple[str, str, str | None]]:
    return Counter((entry.path, entry.happened, entry.status) for entry in trace.entries)


def _changed(trace: InvocationTrace) -> tuple[tuple[str | None, int, int], ...]:
    return trace.entries.changed if isinstance(trace.entries, TraceCalls) else ()


def test_contexts_of_earlier_versions_had_no_functions() -> None:
    """An execution goes on with a newer SDK: what only the newer one records is not a change of the code."""
    lines = [json.loads(line) for line in text_of(rounds_in_child, 4).splitlines()]
    contexts = [line for line in lines if line.get("type") == "CONTEXT"]
    assert all(line["function"] and line["body"] for line in contexts)
    invocation = 0
    for line in lines:
        invocation += line["record"] == "invocation"
        if invocation < 3 and line["record"] == "invocation":
            line["version"] = 3
        if invocation > 2 and line["record"] in ("open", "replayed"):
            line["cuts"] = "f" * len(line["cuts"])  # of the same calls, with the functions of contexts
    traces = read_traces("".join(json.dumps(line) + "\n" for line in lines))
    assert not [change for trace in traces for change in _changed(trace)]
    assert [trace.version for trace in traces] == [3, 3, *[VERSION] * (len(traces) - 2)]

"""The cause of a difference is named with its line and its evidence, and none is invented."""

import json
import linecache
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from durable_execution import DurableContext, StepContext, durable_execution, durable_step
from durable_execution.divergence import DivergenceKind, Evidence, Severity
from durable_execution.history.reading import read_history
from durable_execution.replay import (
    FORMATS,
    Handlers,
    Replayer,
    ReplayReport,
    Source,
    check_in_workers,
    load_history,
    render,
)
from durable_execution.replay.cause.dependence import Dependences
from durable_execution.replay.cause.evidence import CauseSearch
from durable_execution.replay.cause.reproduction import FIRST_CALLS, LAST_CALLS, Variant, blank_of, variants_here
from durable_execution.replay.lines.line_recording import EventKind, LineEvent, LineRecording
from durable_execution.replay.recorded_state import contexts_to_open
from durable_execution.replay.surroundings import Surroundings
from durable_execution.replay.workers import cause_finder
from durable_execution.replay.workers.cause_finder import CauseFinder, Replays
from durable_execution.replay.workers.messages import Ready
from durable_execution.replay.workers.supervisor import WorkerOptions
from durable_execution.trace import MemorySink, read_traces
from tests.replay import cause_corpus, varying
from tests.replay.causes.hash_shard.handler import EVENT
from tests.replay.causes.hash_shard.handler import handler as sharded
from tests.replay.recording import history_of


def report_of(recorded: Any, replayed: Any, **options: Any) -> ReplayReport:
    events, arn = history_of(recorded, {})
    return Replayer(replayed, **options).replay(read_history(events, arn=arn))


@pytest.mark.parametrize("is_blocking", [False, pytest.param(True, marks=pytest.mark.acceptance)])
@pytest.mark.parametrize("name", sorted(varying.SELF_VARYING))
def test_code_that_varies_by_itself_is_reproduced(name: str, is_blocking: bool) -> None:
    handler = varying.naming(varying.SELF_VARYING[name], is_blocking=is_blocking)
    root = report_of(handler, handler).root
    assert root is not None
    assert root.cause is not None
    assert root.cause.evidence is Evidence.REPRODUCED
    assert (Path(root.cause.file).name, root.cause.line) == ("varying.py", varying.marked(name)), root.likely
    assert root.likely == f"{root.cause.text} (reproduced)"
    assert root.fix == root.cause.fix


@pytest.mark.parametrize("name", sorted(varying.OBSERVED))
def test_what_varies_between_processes_is_observed(name: str) -> None:
    varies = varying.OBSERVED[name]
    recorded, replayed = varying.naming(lambda: f"other {varies('key')}"), varying.naming(lambda: varies("key"))
    root = report_of(recorded, replayed).root
    assert root is not None
    assert root.cause is not None
    assert root.cause.evidence is Evidence.OBSERVED
    assert root.cause.line == varying.marked(name), root.likely


@pytest.mark.parametrize("name", sorted(varying.LOST))
def test_what_a_skipped_function_would_have_changed_is_observed(name: str) -> None:
    handler = varying.LOST[name]
    report = report_of(handler, handler)
    root = report.root
    assert root is not None, report
    assert root.cause is not None
    assert root.cause.evidence is Evidence.OBSERVED
    assert (Path(root.cause.file).name, root.cause.line) == ("varying.py", varying.marked(name)), root.likely
    assert root.fix is not None
    assert "return the value from the step or context" in root.fix or root.kind is DivergenceKind.OUTCOME


def test_what_two_replays_in_one_process_show_was_not_read_at_import() -> None:
    handler = varying.naming(varying.copied_shallowly)
    root = report_of(handler, handler).root
    assert root is not None
    assert root.likely is not None
    assert "makes `TEMPLATE`, which keeps its contents between executions" in root.likely


def test_the_order_in_which_tasks_finish_is_possible() -> None:
    """No replay finishes them in a different order."""
    root = report_of(varying.finishing("before"), varying.finishing("after")).root
    assert root is not None
    assert root.cause is not None
    assert root.cause.evidence is Evidence.POSSIBLE
    assert (Path(root.cause.file).name, root.cause.line) == ("varying.py", varying.marked("finishing")), root.likely
    assert "depends on which operation completes first: finished.append(name)" in root.cause.text


def test_an_exception_class_that_is_not_found_is_the_likely_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    events, arn = history_of(varying.catching, {})
    recording = read_history(events, arn=arn)
    assert Replayer(varying.catching).replay(recording).divergences == ()
    monkeypatch.setattr(varying, "caught", KeyError)
    monkeypatch.delattr(varying, "DeclinedError")
    root = Replayer(varying.catching).replay(recording).root
    assert root is not None
    assert root.likely is not None
    assert (
        "raises the recorded error tests.replay.varying.DeclinedError, and there is no such class any more"
        in root.likely
    )
    assert (
        root.fix == "keep `DeclinedError` importable from `tests.replay.varying` until running executions have finished"
    )
    assert root.cause is not None
    assert root.cause.evidence is Evidence.POSSIBLE


def test_a_result_that_a_step_returns_is_not_blamed() -> None:
    assert report_of(varying.returned_by_a_step, varying.returned_by_a_step).divergences == ()


@durable_execution
async def plain(event: Any, ctx: DurableContext) -> int:
    started = varying.harmless()
    total = 0
    for number in (1, 2, 3):
        total += await ctx.step(varying.body, name=f"load_{number}")
    if total > 2:
        await ctx.step(varying.body, name="large")
    return total if started else 0


@durable_execution
async def renamed(event: Any, ctx: DurableContext) -> int:
    started = varying.harmless()
    total = 0
    for number in (1, 2, 3):
        total += await ctx.step(varying.body, name=f"fetch_{number}")
    if total > 2:
        await ctx.step(varying.body, name="large")
    return total if started else 0


@durable_execution
async def shortened(event: Any, ctx: DurableContext) -> int:
    varying.harmless()
    total = 0
    for number in (1, 2, 3):
        total += await ctx.step(varying.body, name=f"load_{number}")
    if total > 4:
        await ctx.step(varying.body, name="large")
    return total


@durable_execution
async def long(event: Any, ctx: DurableContext) -> int:
    total = 0
    for number in range(200):
        total += await ctx.step(varying.body, name=f"load_{number}")
        if total < 0:
            break
    await ctx.step(varying.body, name=varying.clock())
    return total


def test_the_work_for_a_long_execution_is_bounded() -> None:
    report = report_of(long, long)
    root = report.root
    assert root is not None
    assert root.cause is not None
    assert root.cause.line == varying.marked("clock")
    assert report.replays < 10, "a call that differs in every replay is edited into the recording again and again"
    (variant,) = variants_here(long, read_history(history_of(long, {})[0]), seconds=10, count=1)
    assert variant.diverged is not None
    followed = Dependences.of_call(variant.lines, variant.diverged).origins
    assert len(followed) < 250, "every round of a loop is followed"


def test_no_cause_is_invented_for_a_change_of_code() -> None:
    for replayed in (renamed, shortened):
        report = report_of(plain, replayed)
        assert report.root is not None
        for one in report.divergences:
            assert one.cause is None or one.cause.evidence in (Evidence.CHANGED, Evidence.POSSIBLE), one.likely


def test_no_cause_is_looked_for_where_nothing_differs() -> None:
    assert report_of(plain, plain).divergences == ()


def same() -> str:
    return "key"


def two_steps(first: Any = same, second: Any = same) -> Any:
    async def handler(event: Any, ctx: DurableContext) -> None:
        await ctx.step(varying.body, name=f"first {first()}")
        await ctx.step(varying.body, name=f"second {second()}")

    return durable_execution(handler)


def test_what_differs_at_a_later_call_is_not_the_cause_of_the_first_difference() -> None:
    """The replays that look for the cause may go as recorded at the first difference, and differ at a later one."""
    varies = varying.SELF_VARYING["module_counter"]
    events, arn = history_of(two_steps(), {})
    execution = read_history(events, arn=arn)
    divergences = Replayer(two_steps(lambda: "changed"), cause=False).replay(execution).divergences
    variants = list(variants_here(two_steps(second=varies), execution, seconds=60))
    assert [one.diverged is not None for one in variants] == [True] * len(variants)
    (root, *_) = CauseSearch([variants], ()).explain(divergences)
    assert root.is_root
    assert root.cause is None, root.likely


def test_a_replay_that_ended_at_an_earlier_call_shows_nothing_about_a_later_one() -> None:
    varies = varying.SELF_VARYING["module_counter"]
    events, arn = history_of(two_steps(), {})
    execution = read_history(events, arn=arn)
    divergences = Replayer(two_steps(second=lambda: "changed"), cause=False).replay(execution).divergences
    early = variants_here(two_steps(varies), execution, seconds=60)
    late = variants_here(two_steps(), execution, seconds=60)
    (root, *_) = CauseSearch([[*late, *early]], ()).explain(divergences)
    assert root.is_root
    assert root.cause is None, root.likely


places = iter(range(10**6))


@durable_execution
async def places_in_a_loop(drawn: int, ctx: DurableContext) -> None:
    seen: list[int] = []
    chosen = next(places) if drawn < 0 else 0
    for number in range(150):
        seen.append(number)
        if number == drawn:
            chosen = next(places)  # the cause
        await ctx.step(varying.body, name="round")
    await ctx.step(varying.body, name=f"place {chosen}")


@pytest.mark.parametrize(("drawn", "again"), [(-1, False), (149, False), (75, True)], ids=["first", "last", "middle"])
def test_values_far_from_the_difference_are_recorded_only_if_they_are_asked_for(drawn: int, again: bool) -> None:
    """A recording of a long execution with every value takes seconds."""
    events, arn = history_of(places_in_a_loop, drawn)
    execution = read_history(events, arn=arn)
    divergences = Replayer(places_in_a_loop, cause=False).replay(execution).divergences
    blank = blank_of(*variants_here(places_in_a_loop, execution, seconds=60, count=1, calls_only=True))
    assert blank == (FIRST_CALLS, 150 - LAST_CALLS)
    asked: list[str] = []

    def whole(variants: Sequence[Variant]) -> list[Variant]:
        asked.extend(one.name for one in variants)
        return list(variants_here(places_in_a_loop, execution, seconds=60))

    variants = list(variants_here(places_in_a_loop, execution, seconds=60, blank=blank))
    middle = variants[0].lines.events[slice(*variants[0].lines.blank)]
    assert len(middle) > 300
    assert not any(event.changed or event.reads for event in middle)
    (root, *_) = CauseSearch([variants], (), whole=whole).explain(divergences)
    assert bool(asked) is again
    assert root.cause is not None
    assert root.cause.evidence is Evidence.REPRODUCED
    assert "next(places)" in linecache.getline(root.cause.file, root.cause.line)


rounds: list[int] = []


@durable_execution
async def extra_in_one_round(event: Any, ctx: DurableContext) -> None:
    rounds.append(1)  # the cause
    for number in range(3):
        await ctx.step(varying.body, name="round")
        if number == len(rounds) % 3:
            await ctx.step(varying.body, name="extra")


def test_what_is_decided_anew_in_each_round_shows_at_a_different_round_in_each_replay() -> None:
    rounds[:] = [1]
    events, arn = history_of(extra_in_one_round, {})  # in round 2
    execution = read_history(events, arn=arn)
    rounds[:] = [1, 1]
    divergences = Replayer(extra_in_one_round, cause=False).replay(execution).divergences  # in round 0
    rounds[:] = []
    variants = list(variants_here(extra_in_one_round, execution, seconds=60, count=2))  # in rounds 1 and 2
    (root, *_) = CauseSearch([variants], ()).explain(divergences)
    assert root.cause is not None
    assert root.cause.evidence is Evidence.REPRODUCED
    assert "test_causes.py" in root.cause.file
    assert "`rounds`" in root.cause.text


turns: list[int] = []
DOORS = ["north", "east", "south", "west"]


@durable_step
async def kept(step: StepContext, doors: list[str]) -> list[str]:
    return doors


@durable_execution
async def doors_in_turn(event: Any, ctx: DurableContext) -> None:
    turns.append(1)  # the cause
    first = len(turns) % len(DOORS)

    async def shut(ctx: DurableContext, door: str) -> None:
        await ctx.step(varying.body, name=f"shut_{door}")

    doors = DOORS[first:] + DOORS[:first]
    await ctx.map(doors, shut, name="doors")
    await ctx.step(kept(doors))


def test_the_order_of_the_items_of_a_map_is_explained_by_the_calls_of_its_items() -> None:
    """The map itself is called with the same number of items in every replay."""
    turns[:] = [1]
    sink = MemorySink()
    events, arn = history_of(doors_in_turn, {}, sink=sink)
    execution = read_history(events, arn=arn, traces=read_traces(sink.texts[arn]))
    divergences = Replayer(doors_in_turn, cause=False).replay(execution).divergences
    at_map, at_step, inner = divergences
    assert (at_step.severity, inner.kind) == (Severity.WARNING, DivergenceKind.RENAMED)
    moved = replace(
        inner,
        kind=DivergenceKind.REORDERED,
        path=at_map.path,
        context_path=at_map.context_path,
        recorded=at_map.recorded,
        replayed=at_map.replayed,
    )  # as a comparison says it where several calls in items changed places
    opened = contexts_to_open(divergences, execution)
    variants = list(variants_here(doors_in_turn, execution, seconds=60, count=2, opened=opened))
    beside, found = CauseSearch([variants], ()).explain([at_step, moved])
    assert found.cause is not None
    assert found.cause.evidence is Evidence.REPRODUCED
    assert "`turns`" in found.cause.text
    assert beside.cause is None


def test_the_search_can_be_left_out() -> None:
    handler = varying.naming(varying.SELF_VARYING["module_counter"])
    root = report_of(handler, handler, cause=False).root
    assert root is not None
    assert root.cause is None


@pytest.mark.parametrize("form", sorted(FORMATS))
def test_every_format_names_the_cause(form: str) -> None:
    handler = varying.naming(varying.SELF_VARYING["module_counter"])
    report = report_of(handler, handler)
    written = render([report], form)
    assert f"varying.py:{varying.marked('module_counter')} changes " in written.replace("\\u0060", "`")
    assert "reproduced" in written


def test_a_cause_survives_json() -> None:
    handler = varying.naming(varying.SELF_VARYING["module_counter"])
    root = report_of(handler, handler).root
    assert root is not None
    assert type(root).from_wire(json.loads(json.dumps(root.to_wire()))).cause == root.cause


def test_a_different_hash_seed_is_reproduced_in_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events, arn = history_of(sharded, EVENT)
    for event in events:
        if event["EventType"].startswith("Step") and str(event.get("Name", "")).startswith("book_"):
            event["Name"] = "book_ledger_none"
    path = tmp_path / "order.json"
    path.write_text(json.dumps({"DurableExecutionArn": arn, "Events": events}, default=str))
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))
    source = Source(path.name, lambda: load_history(path))
    (report,) = check_in_workers([source], Handlers.parse([sharded.name]))
    root = report.root
    assert root is not None
    assert root.severity is Severity.ERROR
    assert root.cause is not None
    assert root.cause.evidence is Evidence.REPRODUCED
    assert f"sharding.py:{root.cause.line}" in cause_corpus.marked("hash_shard")


class Home:
    """A process whose replays go as `goes` says, without running anything."""

    def __init__(self, surroundings: Surroundings, asked: list[str], goes: dict[str, list[str]]) -> None:
        self.name = surroundings.name
        self.asked = asked
        self.goes = goes.get(self.name, ["as recorded"] * surroundings.replays)
        self.ready = Ready("handler", "", (), (), ())

    def fork(self) -> "Home":
        return self

    def end(self) -> None:
        pass

    kill = close = end

    def record_lines(self, execution: Any, name: str, *, count: int, calls_only: bool, **options: Any) -> list[Variant]:
        if not calls_only:
            self.asked.append(f"{count} in {name}")
        lines = LineRecording() if calls_only else LineRecording((), (LineEvent(EventKind.LINE, 0, 1),))
        calls = enumerate(self.goes[:count], 1)
        return [Variant(f"replay {n} in {name}", {"1": one}, None, None, False, "1", lines) for n, one in calls]


@pytest.mark.parametrize(
    ("goes", "recorded"),
    [
        ({}, ["1 in a fresh process"]),
        ({"a fresh process": ["as recorded", "differently"]}, ["2 in a fresh process"]),
        ({"a process 200 days ahead": ["differently"]}, ["1 in a fresh process", "1 in a process 200 days ahead"]),
    ],
    ids=["nowhere", "in one process", "elsewhere"],
)
def test_lines_are_recorded_only_where_the_calls_differ(
    monkeypatch: pytest.MonkeyPatch, goes: dict[str, list[str]], recorded: list[str]
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(
        cause_finder, "HandlerProcess", lambda reference, options, surroundings: Home(surroundings, asked, goes)
    )
    events, arn = history_of(varying.catching, {})
    execution = read_history(events, arn=arn)
    report = Replayer(varying.catching).replay(execution)
    with Replays(CauseFinder(WorkerOptions()), report, execution, "m:h", deadline=math.inf) as replays:
        variants = [one for found in replays for one in found]
    assert sorted(asked) == recorded
    assert len({one.name for one in variants if one.has_lines}) == sum(int(one[0]) for one in recorded)
    assert {"a process at the recorded time", "a process 12 hours ahead"} <= {one.place for one in variants}

"""Which processes a search for a cause starts, and what it asks of each, with processes that only say how their replays go."""

import math
import os
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from enum import Enum
from threading import Event
from types import ModuleType
from typing import Any, cast

import pytest

from durable_execution.call_site import CallSite
from durable_execution.divergence import Cause, Divergence, DivergenceKind, Evidence, Severity, Side
from durable_execution.errors import DurableError
from durable_execution.replay.cause.reproduction import Variant
from durable_execution.replay.lines.line_recording import EventKind, LineEvent, LineRecording
from durable_execution.replay.report import ReplayReport, Verdict
from durable_execution.replay.surroundings import FRESH, HASHED, STEADY, WORN, Surroundings, surroundings_for
from durable_execution.replay.workers import cause_finder, worker
from durable_execution.replay.workers.cause_finder import MAX_SEARCHES, CauseFinder, Replays
from durable_execution.replay.workers.supervisor import WorkerOptions

EXECUTION = cast("Any", type("Recording", (), {"started_at": None, "operations": (), "traces": ()})())
CAUSE = Cause(Evidence.REPRODUCED, "flow.py", 3, "flow.py:3 reads the clock", "read it in a step")


def side(line: int) -> Side:
    return Side("STEP", "Step", "b", call_site=CallSite("flow.py", line, "flow"), id="1")


def difference(line: int = 5, *, recorded_line: int | None = None, is_root: bool = True) -> Divergence:
    return Divergence(
        kind=DivergenceKind.INSERTED,
        severity=Severity.ERROR,
        handler="flow:flow",
        path="flow/b",
        context_path="flow",
        position=2,
        recorded=side(recorded_line) if recorded_line is not None else None,
        replayed=side(line),
        likely=None,
        effect="",
        fix="",
        is_root=is_root,
    )


def report_of(*divergences: Divergence) -> ReplayReport:
    return ReplayReport("a.json", "flow:flow", Verdict.DIVERGED, divergences, execution=EXECUTION)


class Searching(CauseFinder):
    """Counts its searches; each finds the cause."""

    def __init__(self, cause: Cause | None = CAUSE) -> None:
        super().__init__(WorkerOptions())
        self.cause = cause
        self.searched: list[tuple[ReplayReport, str]] = []

    def _search(self, report: ReplayReport, execution: Any, reference: str) -> list[Divergence]:
        self.searched.append((report, reference))
        return [replace(one, cause=self.cause) if one.is_root else one for one in report.divergences]


def test_differences_of_the_same_call_share_a_search() -> None:
    finder = Searching()
    first = report_of(difference(), difference(9, is_root=False))
    assert [one.cause for one in finder.explain(first, "flow.py:flow").divergences] == [CAUSE, None]
    again = finder.explain(first, "flow.py:flow")
    assert [one.cause for one in again.divergences] == [CAUSE, None]
    assert again.divergences[0].likely == str(CAUSE)
    assert len(finder.searched) == 1
    finder.explain(report_of(difference(6)), "flow.py:flow")
    finder.explain(first, "other.py:flow")
    assert [reference for _, reference in finder.searched] == ["flow.py:flow", "flow.py:flow", "other.py:flow"]


def test_recordings_of_different_versions_of_a_line_share_a_search() -> None:
    finder = Searching()
    for recorded_line in (3, 4):
        finder.explain(report_of(difference(7, recorded_line=recorded_line)), "flow.py:flow")
    assert len(finder.searched) == 1


def test_a_cause_that_was_not_found_is_not_looked_for_again() -> None:
    finder = Searching(cause=None)
    for _ in range(3):
        found = finder.explain(report_of(difference()), "flow.py:flow")
        assert [one.cause for one in found.divergences] == [None]
    assert len(finder.searched) == 1


def test_a_check_searches_for_twenty_causes() -> None:
    finder = Searching()
    for line in range(MAX_SEARCHES + 3):
        found = finder.explain(report_of(difference(line)), "flow.py:flow")
        assert (found.divergences[0].cause is not None) is (line < 20)
    assert len(finder.searched) == MAX_SEARCHES == 20
    assert finder.explain(report_of(difference(0)), "flow.py:flow").divergences[0].cause is CAUSE


@pytest.mark.parametrize(
    "report", [report_of(), replace(report_of(difference()), execution=None)], ids=["no difference", "no recording"]
)
def test_without_a_difference_or_a_recording_there_is_nothing_to_search(report: ReplayReport) -> None:
    finder = Searching()
    assert [one.cause for one in finder.explain(report, "flow.py:flow").divergences] == [None] * len(report.divergences)
    assert finder.searched == []


Calls = Mapping[str, str]

AS_RECORDED: Calls = {"1": "flow/a STEP Step {} None"}
DIFFERENTLY: Calls = {"1": "flow/b STEP Step {} None"}
WITH_A_DIFFERENT_ARGUMENT: Calls = {"1": "flow/a STEP Step {} 2"}


def hundred(parting: int = 100) -> Calls:
    """A hundred calls, which differ from a number on."""
    return {str(n): f"flow/{'a' if n < parting else 'b'} STEP Step {{}} {n}" for n in range(100)}


class World:
    """The processes that a search starts.

    Attributes:
        goes: How the replays of a process go, by its name: the calls of each. As recorded by default.
        fails: Names of processes that cannot be started.
        breaks: Names of processes whose replays fail.
        hangs: What the replays of a process wait for, by its name.
        asked: What was recorded by line, with the calls without values.
    """

    def __init__(self) -> None:
        self.goes: dict[str, list[Calls]] = {}
        self.fails: set[str] = set()
        self.breaks: set[str] = set()
        self.asked: list[tuple[str, int, Any]] = []
        self.seconds: list[float] = []
        self.started: list[str] = []
        self.killed: list[str] = []
        self.closed: list[str] = []
        self.hangs: dict[str, Event] = {}
        self.is_hanging = Event()

    def home(self, _reference: str, _options: Any, surroundings: Surroundings) -> Any:
        self.started.append(surroundings.name)
        if surroundings.name in self.fails:
            raise DurableError("no process")
        return Home(self, surroundings)


class Home:
    """A process."""

    def __init__(self, world: World, surroundings: Surroundings) -> None:
        self.name, self.world = surroundings.name, world
        self.goes = world.goes.get(self.name, [AS_RECORDED] * surroundings.replays)
        self.ready = cast("Any", type("Ready", (), {"variables": {"SHOP": None}, "members": ()})())

    def fork(self) -> "Home":
        return self

    def end(self) -> None:
        """End a fork."""

    def kill(self) -> None:
        self.world.killed.append(self.name)

    def close(self) -> None:
        self.world.closed.append(self.name)

    def record_lines(
        self, execution: Any, name: str, *, count: int, seconds: float, calls_only: bool, blank: Any, opened: Any
    ) -> list[Variant]:
        self.world.seconds.append(seconds)
        if self.name in self.world.hangs:
            self.world.is_hanging.set()
            self.world.hangs[self.name].wait()
        if self.name in self.world.breaks:
            raise TimeoutError
        if not calls_only:
            self.world.asked.append((name, count, blank))
        events = () if calls_only else (LineEvent(EventKind.LINE, 0, 1),)
        return [
            Variant(
                f"replay {n} in {name}", one, None, None, False, "1", LineRecording((), events, False, blank or (0, 0))
            )
            for n, one in enumerate(self.goes[:count], 1)
        ]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    monkeypatch.setattr(cause_finder, "HandlerProcess", made.home)
    return made


def test_one_process_has_the_opposite_time_of_day() -> None:
    """A zone that is chosen as well may undo the hours by which its clock is moved."""
    (half,) = (one for one in OTHERS if one.clock_offset == 12 * 3_600)
    assert "TZ" not in half.environ
    zones = {one.environ["TZ"] for one in OTHERS if "TZ" in one.environ}
    assert len(zones) > 1


def test_the_keys_of_a_table_are_tried_for_a_variable_and_those_of_data_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module: Any = ModuleType("settings")
    module.LIMITS = {"safe": 10, "fast": 20}
    module.ROWS = {str(number): number for number in range(100)}
    module.NUMBERS = {1: "a", 2: "b"}

    class Mode(Enum):
        ONE = "one"
        TWO = "two"

    module.Mode = Mode
    monkeypatch.setattr(worker, "user_modules", lambda: [module])
    members = worker.values_beside_each_other()
    assert members == (("one", "two"), ("safe", "fast"))
    monkeypatch.setenv("SHOP_MODE", "safe")
    others = surroundings_for(EXECUTION, (), {"SHOP_MODE": None}, members)
    assert "fast" in {one.environ.get("SHOP_MODE") for one in others}


AHEAD = "a process 200 days ahead"
OTHERS = surroundings_for(EXECUTION, (), {"SHOP": None})


def replays(deadline: float = math.inf, home: Any = None) -> Replays:
    finder = CauseFinder(WorkerOptions(), home=lambda _: home)
    return Replays(finder, report_of(difference()), EXECUTION, "m:h", deadline)


def test_the_first_replay_is_recorded_and_those_elsewhere_only_if_they_go_differently(world: World) -> None:
    world.goes[AHEAD] = [DIFFERENTLY]
    with replays() as found:
        (first, *others) = list(found)
    assert [one.name for one in first] == ["replay 1 in a fresh process"]
    assert first[0].has_lines
    recorded = [one for one in others if any(each.has_lines for each in one)]
    assert [[each.name for each in one] for one in recorded] == [
        ["replay 1 in a fresh process", f"replay 1 in {AHEAD}"]
    ]
    assert sorted(name for name, *_ in world.asked) == ["a fresh process", AHEAD]
    assert len(world.started) == len(set(world.started)), "each process starts once, and has a name of its own"
    assert "a process with other values of SHOP" in world.started, "it was read at import"


def test_a_search_goes_on_after_each_replay_that_goes_differently(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replay that goes differently holds back the next one until it was compared."""
    later = [WORN, *HASHED]
    asked: list[tuple[LineRecording, list[str]]] = []

    def depends(lines: LineRecording, ids: list[str]) -> bool:
        asked.append((lines, ids))
        return True

    for decides in ("depends_on_kept_state", "depends_on_order"):
        monkeypatch.setattr(cause_finder, decides, depends)
    for one in later:
        world.goes[one.name] = [DIFFERENTLY]
    world.goes[FRESH.name] = [AS_RECORDED, DIFFERENTLY]
    with replays() as found:
        (first, *others) = list(found)
    assert [variants[-1].place for variants in others][-len(later) :] == [one.name for one in later]
    assert [ids for _, ids in asked] == [["1"], ["1"]], "the call that differs"
    assert all(lines is first[0].lines for lines, _ in asked)


def test_a_fresh_process_whose_second_replay_goes_differently_records_both(world: World) -> None:
    world.goes["a fresh process"] = [AS_RECORDED, DIFFERENTLY]
    with replays() as found:
        first = next(iter(found))
    assert [one.name for one in first] == ["replay 1 in a fresh process", "replay 2 in a fresh process"]
    assert [(name, count) for name, count, _ in world.asked] == [("a fresh process", FRESH.replays)]


def test_processes_end_with_the_search(world: World) -> None:
    with replays() as found:
        list(found)
    assert sorted(world.closed) == sorted(world.started)
    assert found.is_over
    count = len(world.started)
    assert list(replays().whole([])) == []
    assert len(world.started) == count


def test_a_process_that_runs_elsewhere_is_borrowed_and_goes_on(world: World) -> None:
    borrowed = Home(world, FRESH)
    with replays(home=borrowed) as found:
        list(found)
    assert "a fresh process" not in world.started
    assert "a fresh process" not in (*world.killed, *world.closed)
    assert ("a fresh process", 1) in [(name, count) for name, count, _ in world.asked]


@pytest.mark.parametrize("how", ["fails", "breaks"])
@pytest.mark.parametrize("name", ["a fresh process", AHEAD])
def test_a_process_that_fails_gives_no_replay(how: str, name: str, world: World) -> None:
    getattr(world, how).add(name)
    with replays() as found:
        names = [one.place for each in found for one in each]
    assert name not in names
    assert names, "the others go on"
    assert name not in world.closed or how == "breaks"


def test_without_a_first_replay_the_others_are_recorded(world: World) -> None:
    world.breaks.add("a fresh process")
    with replays() as found:
        variants = [one for each in found for one in each]
    assert all(one.has_lines for one in variants)
    assert all(blank is None for _, _, blank in world.asked)


def test_each_process_has_the_time_that_is_left_and_a_moment_if_none_is(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    with replays(107.5) as found:
        next(iter(found))
    assert set(world.seconds) == {7.5}
    world.seconds.clear()
    with replays(90.0) as found:
        next(iter(found))
    assert set(world.seconds) == {0.1}


def test_replays_that_left_values_out_are_recorded_again_with_all_of_them(world: World) -> None:
    world.goes[AHEAD] = [DIFFERENTLY]
    with replays() as found:
        variants = [one for each in found for one in each if one.has_lines]
        world.asked.clear()
        short = [replace(one, lines=replace(one.lines, blank=(0, 1))) for one in variants if one.place == AHEAD]
        kept = [one for one in variants if one.place != AHEAD]
        whole = found.whole([*kept, *short])
    assert [one.name for one in whole] == [*(one.name for one in kept), *(one.name for one in short)]
    assert all(one.is_whole for one in whole)
    assert [name for name, *_ in world.asked] in ([AHEAD], []), "one that was recorded whole is known"


@pytest.mark.parametrize(
    ("second", "ahead", "left_out"),
    [
        (hundred(), hundred(), {FRESH.name: None}),
        (hundred(90), hundred(), {FRESH.name: (8, 66)}),
        (hundred(), hundred(80), {FRESH.name: (8, 56), AHEAD: (8, 56)}),
        (hundred(90), hundred(90), {FRESH.name: (8, 66), AHEAD: (8, 66)}),
    ],
    ids=["nowhere", "in the same process", "in a different process", "in both"],
)
def test_values_far_from_where_a_replay_differs_from_the_first_are_left_out(
    second: Calls, ahead: Calls, left_out: dict[str, Any], world: World
) -> None:
    """They take most of the time: those of 8 calls at the start are kept, and those of 24 before the one that differs."""
    world.goes = {one.name: [hundred()] for one in OTHERS}
    world.goes |= {FRESH.name: [hundred(), second], AHEAD: [ahead]}
    with replays() as found:
        list(found)
    assert {name: blank for name, _, blank in world.asked} == left_out


@pytest.mark.parametrize(
    ("finder", "left"),
    [(CauseFinder(WorkerOptions()), 30.0), (CauseFinder(WorkerOptions(), seconds=7.0), 7.0)],
    ids=["default", "given"],
)
def test_a_search_has_its_time_from_when_it_starts(
    finder: CauseFinder, left: float, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    finder.explain(report_of(difference()), "m:h")
    assert set(world.seconds) == {left}


@pytest.mark.parametrize(("cores", "at_once"), [(None, 2), (1, 2), (8, 8)])
def test_replays_run_on_every_core(cores: int | None, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pools: list[int] = []

    def pool(workers: int) -> ThreadPoolExecutor:
        pools.append(workers)
        return ThreadPoolExecutor(workers)

    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    monkeypatch.setattr(cause_finder, "ThreadPoolExecutor", pool)
    with replays():
        assert pools == [at_once]


def test_the_end_of_a_search_waits_for_no_replay(world: World) -> None:
    world.hangs[AHEAD] = Event()
    with replays() as found:
        next(iter(found))
        world.is_hanging.wait()
    assert AHEAD in world.killed
    assert AHEAD not in world.closed, "its thread does that"
    world.hangs[AHEAD].set()


def test_an_interrupted_search_ends_its_processes_and_waits_for_no_replay(world: World) -> None:
    hanging = world.hangs[AHEAD] = Event()
    with replays() as found, ThreadPoolExecutor(1) as pool:
        rest = pool.submit(lambda: [one.place for each in found for one in each])
        world.is_hanging.wait()
        found.interrupt()
        assert AHEAD not in rest.result()
        assert AHEAD in world.killed
        assert found.is_over
        asked = len(world.asked)
        assert found.is_steady(), "nothing is replayed that could show the opposite"
        assert len(world.asked) == asked
    hanging.set()


def test_an_interrupted_finder_ends_its_search_and_starts_no_other(world: World) -> None:
    hanging = world.hangs[AHEAD] = Event()
    finder = CauseFinder(WorkerOptions())
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(finder.explain, report_of(difference()), "flow.py:flow")
        world.is_hanging.wait()
        finder.interrupt()
        assert [one.cause for one in found.result().divergences] == [None]
    started = len(world.started)
    assert [one.cause for one in finder.explain(report_of(difference(9)), "flow.py:flow").divergences] == [None]
    assert len(world.started) == started
    hanging.set()


@pytest.mark.parametrize(
    ("here", "elsewhere", "is_steady"),
    [
        (AS_RECORDED, AS_RECORDED, True),
        (AS_RECORDED, WITH_A_DIFFERENT_ARGUMENT, True),
        (AS_RECORDED, DIFFERENTLY, False),
        (None, DIFFERENTLY, True),
    ],
    ids=["the same", "different arguments", "different calls", "unknown"],
)
def test_calls_are_steady_if_they_are_the_same_in_other_surroundings(
    here: Calls | None, elsewhere: Calls, is_steady: bool, world: World
) -> None:
    as_here, _, last = (one.name for one in STEADY)
    world.goes = {as_here: [here] if here is not None else [], last: [elsewhere]}
    with replays() as found:
        assert found.is_steady() is is_steady

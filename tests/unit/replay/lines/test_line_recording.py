"""A replay recorded line by line: the same events from `sys.settrace` and from `sys.monitoring`.

These tests run on the interpreter at hand; the last one runs code on the others it finds, and compares what they report.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from durable_execution import BlockingContext, DurableContext, durable_execution
from durable_execution.history.reading import read_history
from durable_execution.redaction import Redaction
from durable_execution.replay.lines.line_recorder import LineRecorder
from durable_execution.replay.lines.line_recording import EventKind, LineRecording
from durable_execution.replay.lines.value_text import ValueText
from durable_execution.replay.recorded_state import RecordedState
from durable_execution.replay.run import ReplayRun, run_once
from tests.replay.recording import history_of

RATES = {"eur": 1}


def recorded(handler: Any, **options: Any) -> tuple[LineRecording, ReplayRun]:
    events, arn = history_of(handler, {})
    recorder = LineRecorder(is_recorded=lambda file: file == __file__, **options)
    run = run_once(handler, RecordedState.of(read_history(events, arn=arn)), seconds=20, watch=False, recorder=recorder)
    return recorder.recording(), run


def of_function(recording: LineRecording, name: str) -> list[tuple[str, int, dict[str, str | None], str | None]]:
    """Events of a function: kind, line within it, what changed, text."""
    return [
        (event.kind.value, event.line - recording.frames[event.frame].first_line, dict(event.changed), event.text)
        for event in recording.events
        if recording.frames[event.frame].function.endswith(name)
    ]


def kinds(recording: LineRecording, name: str) -> list[str]:
    return [kind for kind, *_ in of_function(recording, name)]


def doubled(number: int) -> int:
    result = number * 2
    return result  # noqa: RET504  # a local that is written


@durable_execution
async def adds(event: Any, ctx: DurableContext) -> int:
    total = 0
    for amount in (1, 2):
        total += await ctx.step(lambda step: 5, name=f"load_{amount}")
    return doubled(total)


@durable_execution
def adds_blocking(event: Any, ctx: BlockingContext) -> int:
    total = 0
    for amount in (1, 2):
        total += ctx.step(lambda step: 5, name=f"load_{amount}")
    return doubled(total)


@pytest.mark.parametrize("handler", [adds, adds_blocking])
def test_lines_and_what_they_changed(handler: Any) -> None:
    recording, run = recorded(handler)
    name = handler.function.__name__
    ids = list(run.collector.calls)
    assert of_function(recording, name) == [
        ("call", 0, {"event": "{}", "ctx": f"<{'DurableContext' if handler is adds else 'BlockingContext'}>"}, None),
        ("line", 2, {}, None),
        ("line", 3, {"total": "0"}, None),
        ("line", 4, {"amount": "1"}, None),
        ("operation", 4, {}, ids[0]),
        ("line", 3, {"total": "5"}, None),
        ("line", 4, {"amount": "2"}, None),
        ("operation", 4, {}, ids[1]),
        ("line", 3, {"total": "10"}, None),
        ("line", 5, {}, None),
        ("return", 5, {}, "20"),
    ]
    assert of_function(recording, "doubled") == [
        ("call", 0, {"number": "10"}, None),
        ("line", 1, {}, None),
        ("line", 2, {"result": "20"}, None),
        ("return", 2, {}, "20"),
    ]


def test_locals_and_stack_can_be_asked_for_in_both_directions() -> None:
    recording, _ = recorded(adds)
    at = next(
        index
        for index, event in enumerate(recording.events)
        if event.kind is EventKind.LINE and "result" in event.changed
    )
    assert [frame.function for frame in recording.stack_at(at)] == ["adds", "doubled"]
    assert recording.locals_at(at) == {"number": "10", "result": "20"}
    assert recording.locals_at(at - 1) == {"number": "10"}
    assert recording.locals_at(at) == {"number": "10", "result": "20"}
    child = recording.stack_at(at)[-1]
    assert child.caller is not None
    assert recording.locals_at(child.caller)["total"] == "10"
    line = recording.caller_line(child)
    assert line is not None
    assert line - recording.frames[0].first_line == 5


def test_an_operation_is_found_by_its_id() -> None:
    recording, run = recorded(adds)
    for id_, collected in run.collector.calls.items():
        at = recording.operation(id_)
        assert at is not None
        site = collected.call.call_site
        assert site is not None
        assert recording.events[at].line == site.line
    assert recording.operation("unknown") is None


@durable_execution
async def gathers(event: Any, ctx: DurableContext) -> tuple[int, int]:
    async def side(number: int) -> int:
        await ctx.step(lambda step: number, name=f"side_{number}")
        return number

    return await asyncio.gather(side(1), side(2))


def test_tasks_are_told_apart_and_suspension_is_not_a_return() -> None:
    recording, _ = recorded(gathers)
    assert recording.tasks() == ["gathers", "gathers~1", "gathers~2"]
    assert kinds(recording, "gathers")[-3:] == ["suspend", "resume", "return"]
    for number in (1, 2):
        own = [recording.events[index].kind.value for index in recording.of_task(f"gathers~{number}")]
        assert own == ["call", "line", "operation", "line", "return"]


@durable_execution
async def fails(event: Any, ctx: DurableContext) -> str:
    try:
        await raises(ctx)
    except ValueError as error:
        return str(error)
    return "no"


async def raises(ctx: DurableContext) -> None:
    await ctx.step(lambda step: 1, name="first")
    raise ValueError("wrong")


def test_exceptions_without_the_one_that_ends_an_await() -> None:
    recording, _ = recorded(fails)
    assert kinds(recording, "raises") == ["call", "line", "operation", "line", "exception", "unwind"]
    assert [text for kind, _, _, text in of_function(recording, "raises") if kind == "exception"] == [
        "ValueError('wrong')"
    ]
    assert kinds(recording, "fails") == ["call", "line", "line", "exception", "line", "line", "return"]


@durable_execution
async def comprehends(event: Any, ctx: DurableContext) -> list[int]:
    names = [f"load_{number}" for number in (1, 2)]
    return list(await asyncio.gather(*(ctx.step(lambda step: 1, name=name) for name in names)))


def test_comprehensions_are_no_frames() -> None:
    recording, run = recorded(comprehends)
    assert {frame.function for frame in recording.frames} == {"comprehends"}
    assert all(recording.operation(id_) is not None for id_ in run.collector.calls)


@durable_execution
async def generates(event: Any, ctx: DurableContext) -> int:
    total = 0
    for number in counted(2):
        total += number
    await ctx.step(lambda step: 1, name="end")
    return total


def counted(limit: int) -> Any:
    for number in range(limit):
        yield number + 0


def counting() -> Generator[int, None, None]:
    yield from (1, 2)


def guarded() -> Generator[int, None, None]:
    try:
        yield 1
    except GeneratorExit:
        return
    yield 2


def first_of(numbers: Generator[int, None, None]) -> int:
    found = next(numbers)
    numbers.close()
    return found


def test_a_generator_that_is_closed_gives_no_further_value() -> None:
    recorder = LineRecorder(is_recorded=lambda file: file == __file__)
    recorder.run(lambda: first_of(counting()) + first_of(guarded()))
    found = recorder.recording()
    assert kinds(found, "counting") == ["call", "line", "suspend", "resume", "exception", "unwind"]
    ends = ["suspend", "resume", "exception", "line", "line", "return"]
    assert kinds(found, "guarded") == ["call", "line", "line", *ends]


def test_a_generator_is_one_frame() -> None:
    recording, _ = recorded(generates)
    assert [frame.function for frame in recording.frames] == ["generates", "counted"]
    assert kinds(recording, "counted").count("suspend") == 2
    assert kinds(recording, "counted")[-1] == "return"


@durable_execution
async def secrets(event: Any, ctx: DurableContext) -> int:
    api_token = "abc"
    settings = {"password": "abc", "user": "me"}
    await ctx.step(lambda step: 1, name="one")
    return len(api_token) + len(settings)


def test_secrets_are_hidden() -> None:
    recording, _ = recorded(secrets, secrets=Redaction())
    assert "abc" not in json.dumps(recording.to_wire())
    last = recording.locals_at(len(recording.events) - 1)
    assert last["api_token"] == "<redacted>"
    assert last["settings"] == "{'password': <redacted>, 'user': 'me'}"


@durable_execution
async def reads_shared_values(event: Any, ctx: DurableContext) -> int:
    await ctx.step(lambda step: 1, name="one")
    return RATES["eur"]


def test_shared_values_are_recorded_when_asked_for() -> None:
    recording, _ = recorded(reads_shared_values, paths=lambda file, line: ("RATES", "missing", "ctx.path"))
    assert recording.events[-2].reads == {"RATES": "{'eur': 1}"}
    assert all(not event.reads for event in recorded(reads_shared_values)[0].events)


@durable_execution
async def loops(event: Any, ctx: DurableContext) -> int:
    total = 0
    for number in range(500):
        total += number
    await ctx.step(lambda step: 1, name="end")
    return total


def test_a_long_recording_is_cut_and_says_so() -> None:
    recording, run = recorded(loops, limit=100)
    assert recording.is_cut
    assert len(recording.events) == 100
    assert run.answer is not None
    assert run.answer["Status"] == "SUCCEEDED"
    assert not recorded(loops)[0].is_cut


@pytest.mark.parametrize("handler", [adds, gathers, fails, generates])
def test_a_recording_survives_json(handler: Any) -> None:
    recording, _ = recorded(handler)
    read = LineRecording.from_wire(json.loads(json.dumps(recording.to_wire())))
    assert list(read.events) == list(recording.events)
    assert list(read.frames) == list(recording.frames)
    assert read.is_cut is recording.is_cut


def test_only_the_thread_that_entered_is_recorded() -> None:
    recorder = LineRecorder(is_recorded=lambda file: file == __file__)
    other = threading.Thread(target=doubled, args=(1,))
    with recorder.here():
        other.start()
        other.join()
        doubled(2)
    doubled(3)
    recording = recorder.recording()
    assert [event.changed.get("number") for event in recording.events if event.kind is EventKind.CALL] == ["2"]


@pytest.mark.skipif(hasattr(sys, "monitoring"), reason="sys.monitoring does not use the trace function")
def test_a_tracer_that_is_active_is_restored() -> None:
    seen: list[str] = []

    def tracer(frame: Any, event: str, argument: Any) -> Any:
        seen.append(event)

    recorder = LineRecorder(is_recorded=lambda file: file == __file__)
    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        assert recorder.run(lambda: doubled(2)) == 4
        assert sys.gettrace() is tracer
    finally:
        sys.settrace(before)
    assert recorder.recording().frames


def in_place() -> list[int]:
    items = [1]
    items.append(2)
    gone = 1
    del gone
    return items


def in_place_of_class() -> "Box":
    box = Box(1)
    box.grow()
    return box


class Box:
    __slots__ = ("size",)

    def __init__(self, size: int) -> None:
        self.size = size

    def grow(self) -> None:
        self.size += 1

    def __repr__(self) -> str:
        raise AssertionError("the user's repr must not run")


def changes_of(function: Callable[[], Any], name: str) -> list[str | None]:
    recorder = LineRecorder(is_recorded=lambda file: file == __file__)
    recorder.run(function)
    recording = recorder.recording()
    frame = next(one for one in recording.frames if one.function == function.__name__)
    events = [recording.events[index] for index in recording.of_frame(frame.number)]
    return [event.changed[name] for event in events if name in event.changed]


def test_mutation_in_place_and_deletion_show() -> None:
    assert changes_of(in_place, "items") == ["[1]", "[1, 2]"]
    assert changes_of(in_place, "gone") == ["1", None]
    assert changes_of(in_place_of_class, "box") == ["Box(size=1)", "Box(size=2)"]


KEPT: dict[str, list[Any]] = {}


class Shelf:
    rows: list[Any] = []  # noqa: RUF012  # shared on purpose

    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def put(self, item: Any) -> None:
        self.items.append(item)
        self.rows.append(item)


def keep(name: str, value: list[Any]) -> None:
    KEPT[name] = value


def put_kept(name: str) -> None:
    KEPT[name].append(name)


def changed(change: Callable[[], object]) -> int:
    change()
    return 0


def shelves(given: list[Any]) -> Any:
    first: list[Any] = []
    private: list[Any] = [0]
    same = first
    shelf = Shelf(first)
    again = shelf
    again.put(1)
    nested = {"in": [first]}
    nested["in"][0].append(2)
    put = private.append
    put(3)
    later = partial(private.insert, 0)
    later(4)
    keep("private", private)
    put_kept("private")
    pair = (given, len(given))
    KEPT["given"].append(5)
    rows = Shelf.rows
    Shelf.rows.append(6)
    Shelf([]).put(7)

    def inner() -> None:
        same.append(8)

    inner()
    sorted([0], key=lambda one: changed(given.clear))
    counts = {"a": 1}
    total = counts
    for number in first:
        total["a"] += number
    box: dict[str, Any] = {}
    unpacked: list[Any] = [first, 1, 2]
    left, *others = unpacked
    box["left"] = left
    match box:
        case {"left": [*found]}:
            box["left"].append(9)
            found.append(10)
        case _:
            pass
    steps = iter(private)
    number = next(steps)
    taken = private.pop() if private else first
    first, private = private, first
    private.append(11)
    locals()["first"].append(12)
    words = sorted(private, key=lambda one: changed(partial(first.append, one)))
    wanted = [changed(partial(first.append, one)) for one in (13,)]
    del box["left"], total
    return same, pair, rows, counts, number, others, words, wanted, taken


async def suspended(first: list[Any]) -> None:
    other: list[Any] = []
    both = [other]

    async def fill() -> None:
        both[0].append(1)
        await asyncio.sleep(0)
        both[0].append(2)

    task = asyncio.ensure_future(fill())
    await asyncio.sleep(0)
    first.append(3)
    await task


def test_looking_at_what_a_line_can_change_misses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def run() -> LineRecording:
        KEPT.clear()
        Shelf.rows.clear()
        recorder = LineRecorder(is_recorded=lambda file: file == __file__)
        given: list[Any] = [0]
        KEPT["given"] = given
        recorder.run(lambda: (shelves(given), asyncio.run(suspended(given))))
        return recorder.recording()

    found = run()
    monkeypatch.setattr(LineRecorder, "_touched", lambda self, running, values: None)
    everything = run()
    assert len(found.events) > 100
    for index, event in enumerate(everything.events):
        assert (found.events[index], found.locals_at(index)) == (event, everything.locals_at(index))


def test_values_that_no_line_can_reach_are_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    of_shape = ValueText.shape

    def shape(self: ValueText, value: Any) -> bytes | None:
        seen.append(type(value).__name__)
        return of_shape(self, value)

    def sums(given: dict[str, int]) -> int:
        history = [1, 2]
        total = 0
        for number in range(20):
            total += number
            given["n"] = doubled(number)
        history.append(total)
        return total

    monkeypatch.setattr(ValueText, "shape", shape)
    LineRecorder(is_recorded=lambda file: file == __file__).run(lambda: sums({}))
    assert seen.count("list") < 5
    assert seen.count("dict") > 20


def interpreters() -> list[str]:
    """Interpreters of other versions that are installed."""
    names = [f"python3.{minor}" for minor in range(11, 16) if minor != sys.version_info.minor]
    found = [path for name in names if (path := shutil.which(name)) is not None]
    kept = Path.home() / ".pyenv" / "versions"
    found += [str(one) for name in names for one in sorted(kept.glob(f"{name[6:]}.*/bin/python"))]
    return [one for one in found if can_run(one)]


def can_run(interpreter: str) -> bool:
    return subprocess.run([interpreter, "-c", ""], capture_output=True, check=False).returncode == 0


def test_every_interpreter_reports_the_same() -> None:
    others = interpreters()
    if not others:
        pytest.skip("no other version of Python is installed")
    reports = [
        subprocess.run(
            [interpreter, str(Path(__file__).with_name("recorded_program.py"))],
            env={**os.environ, "PYTHONPATH": "src"},
            cwd=Path(__file__).parents[4],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for interpreter in (sys.executable, *others)
    ]
    assert len(reports[0].splitlines()) > 40
    assert set(reports) == {reports[0]}

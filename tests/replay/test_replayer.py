"""The Replayer: nothing runs, nothing leaves, and what was found is named."""

import asyncio
import gc
import json
import logging
import os
import random
import socket
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from durable_execution import BlockingContext, DurableContext, MapConfig, NestingType, durable_execution
from durable_execution.history.reading import UnreadableHistoryError, read_history
from durable_execution.history.recorded import RecordedExecution
from durable_execution.replay import DivergenceKind, Replayer, SuspectKind, UnusableHandlerError, Verdict, state_at
from durable_execution.trace import MemorySink, read_traces
from tests.replay import workflows
from tests.replay.recording import history_of, recorded


@pytest.fixture(scope="module")
def recording() -> RecordedExecution:
    events, arn = history_of(workflows.plain)
    return read_history(events, arn=arn)


def test_an_unchanged_handler(recording: RecordedExecution) -> None:
    workflows.STEP_BODIES_RUN.clear()
    report = Replayer(workflows.plain).replay(recording)
    assert (report.verdict, report.exit_code, report.outcome, report.error) == (Verdict.SAME, 0, "SUCCEEDED", None)
    assert report.calls == 3
    assert report.root is None
    assert workflows.STEP_BODIES_RUN == []


@pytest.mark.parametrize("name", workflows.DECISIONS)
def test_what_decided_is_named_with_its_line(recording: RecordedExecution, name: str) -> None:
    decide, kind, what = workflows.DECISIONS[name]
    workflows.STEP_BODIES_RUN.clear()
    report = Replayer(workflows.deciding(decide)).replay(recording)
    assert report.root is not None
    assert (report.root.kind, report.root.path) == ("inserted", "plain/extra")
    assert what in report.root.suspects[0]
    assert "workflows.py:" in report.root.suspects[0]
    assert report.root.likely is not None
    assert what in report.root.likely
    assert next(one for one in report.suspects if what in one.what).kind == SuspectKind(kind)
    assert workflows.STEP_BODIES_RUN == []


def seeded(pattern: str) -> None:
    """Seed `random` so that its next numbers are below one half (`-`) or not (`+`)."""
    for seed in range(10_000):
        random.seed(seed)
        if all((random.random() < 0.5) is (sign == "-") for sign in pattern):
            random.seed(seed)
            return


@pytest.mark.parametrize("is_inside", [False, True])
def test_code_that_decides_by_chance_is_found_when_the_first_replays_go_as_recorded(*, is_inside: bool) -> None:
    async def audited(ctx: DurableContext) -> None:
        if random.random() < 0.5:
            await ctx.step(workflows.body("audit"), name="audit")

    @durable_execution
    async def sampled(event: Any, ctx: DurableContext) -> None:
        await (ctx.run_in_child_context(audited, "sample") if is_inside else audited(ctx))

    seeded("-")
    events, arn = history_of(sampled)
    recording = read_history(events, arn=arn)
    seeded("-+-+++++" if is_inside else "-++++")
    report = Replayer(sampled, cause=False).replay(recording)
    assert report.verdict is Verdict.DIVERGED
    assert report.root is not None
    assert report.root.path.endswith("audit")
    seeded("-" * 12)
    assert Replayer(sampled).replay(recording).verdict is Verdict.SAME


def test_what_the_garbage_collector_calls_is_nobody_s_decision(recording: RecordedExecution) -> None:
    def note(phase: str, info: dict[str, int]) -> None:
        time.perf_counter()

    gc.callbacks.append(note)
    try:
        report = Replayer(workflows.acting(gc.collect)).replay(recording)
    finally:
        gc.callbacks.remove(note)
    assert (report.verdict, report.suspects, report.effects) == (Verdict.SAME, (), ())


def test_the_branch_is_named_where_it_stands_in_the_handler(recording: RecordedExecution) -> None:
    decide, _, _ = workflows.DECISIONS["datetime.now"]
    report = Replayer(workflows.deciding(decide)).replay(recording)
    assert report.root is not None
    assert report.root.likely is not None
    assert "reads the clock outside a step: datetime.now(); workflows.py:" in report.root.likely
    assert report.root.likely.endswith("branches on it (observed)")


def test_what_decides_nothing_is_noted_and_not_held_against_the_code(recording: RecordedExecution) -> None:
    report = Replayer(workflows.acting(time.time)).replay(recording)
    assert report.is_same
    assert [one.kind for one in report.suspects] == ["clock"]
    assert report.suspects[0].path == "plain/a"


def test_a_seeded_generator_of_ones_own_is_no_suspect(recording: RecordedExecution) -> None:
    import random

    report = Replayer(workflows.acting(lambda: random.Random(7).random())).replay(recording)
    assert (report.verdict, report.suspects) == (Verdict.SAME, ())


@pytest.fixture
def port() -> Iterator[int]:
    """A local port that counts connections; none may arrive."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.01)
        yield server.getsockname()[1]
        with pytest.raises(TimeoutError):
            server.accept()


@pytest.mark.parametrize("face", [workflows.acting, workflows.acting_blocking], ids=["async", "blocking"])
def test_no_connection_leaves(recording: RecordedExecution, port: int, face: Any) -> None:
    report = Replayer(face(workflows.connect(port))).replay(recording)
    assert (report.verdict, report.exit_code) == (Verdict.EFFECTS, 1)
    assert report.effects[0].kind is SuspectKind.NETWORK
    assert report.effects[0].site.function.endswith("act")
    assert "Move it into a step" in (report.error or "")


def test_no_datagram_leaves(recording: RecordedExecution) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(0.01)
        report = Replayer(workflows.acting(workflows.send_datagram(receiver.getsockname()[1]))).replay(recording)
        with pytest.raises(TimeoutError):
            receiver.recv(1)
    assert report.effects[0].kind is SuspectKind.NETWORK


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (workflows.write_file, SuspectKind.FILE),
        (workflows.make_directory, SuspectKind.FILE),
        (workflows.open_database, SuspectKind.FILE),
        (workflows.run_program, SuspectKind.PROCESS),
        (workflows.start_thread, SuspectKind.FILE),
        (workflows.give_to_pool, SuspectKind.FILE),
        (workflows.give_to_older_pool, SuspectKind.FILE),
        (workflows.start_bare_thread, SuspectKind.THREAD),
        (workflows.start_bare_thread_by_name, SuspectKind.THREAD),
    ],
)
@pytest.mark.parametrize("face", [workflows.acting, workflows.acting_blocking], ids=["async", "blocking"])
def test_nothing_is_written(
    recording: RecordedExecution, tmp_path: Path, make: Any, kind: SuspectKind, face: Any
) -> None:
    report = Replayer(face(make(tmp_path / "trace"))).replay(recording)
    assert (report.verdict, report.effects[0].kind) == (Verdict.EFFECTS, kind)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_removed(recording: RecordedExecution, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.touch()
    assert Replayer(workflows.acting(workflows.remove_file(precious))).replay(recording).effects
    assert precious.exists()


def test_threads_of_asyncio_are_isolated_too(recording: RecordedExecution, tmp_path: Path) -> None:
    report = Replayer(workflows.in_other_thread(tmp_path / "x")).replay(recording)
    assert [one.kind for one in report.effects] == ["file"]
    assert list(tmp_path.iterdir()) == []


def test_credentials_are_not_there_and_asking_for_them_is_reported(
    recording: RecordedExecution, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "sesame")
    seen: list[str | None] = []
    report = Replayer(workflows.acting(lambda: seen.append(os.environ.get("AWS_SECRET_ACCESS_KEY")))).replay(recording)
    assert seen[:1] == [None]
    assert report.effects[0].kind is SuspectKind.CREDENTIALS
    assert os.environ["AWS_SECRET_ACCESS_KEY"] == "sesame"
    assert "sesame" not in json.dumps(report.to_wire())


def test_boto3_finds_no_credentials(recording: RecordedExecution, monkeypatch: pytest.MonkeyPatch) -> None:
    boto3 = pytest.importorskip("boto3")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "sesame")
    found: list[Any] = []
    Replayer(workflows.acting(lambda: found.append(boto3.Session().get_credentials()))).replay(recording)
    assert found[:1] == [None]


@pytest.mark.parametrize("face", [workflows.acting, workflows.acting_blocking], ids=["async", "blocking"])
def test_sleeping_takes_no_time_and_is_reported(recording: RecordedExecution, face: Any) -> None:
    began = time.monotonic()
    report = Replayer(face(lambda: time.sleep(600)), seconds=30).replay(recording)
    assert time.monotonic() - began < 20
    assert (report.effects[0].kind, report.effects[0].what) == (SuspectKind.SLEEP, "time.sleep(600)")


@pytest.mark.parametrize("face", [workflows.acting, workflows.acting_blocking], ids=["async", "blocking"])
def test_a_sleep_taken_by_name_is_skipped_and_reported(recording: RecordedExecution, face: Any) -> None:
    began = time.monotonic()
    report = Replayer(face(workflows.sleep_by_name), seconds=30).replay(recording)
    assert time.monotonic() - began < 20
    assert (report.effects[0].kind, report.effects[0].what) == (SuspectKind.SLEEP, "time.sleep(600)")
    assert vars(workflows)["sleep"] is time.sleep


def test_an_async_sleep_taken_by_name_is_skipped_and_reported(recording: RecordedExecution) -> None:
    report = Replayer(workflows.acting_async(workflows.sleep_async_by_name), seconds=30).replay(recording)
    assert (report.verdict, [one.what for one in report.effects]) == (Verdict.EFFECTS, ["asyncio.sleep(600)"])
    assert vars(workflows)["async_sleep"] is asyncio.sleep


def test_a_sleep_that_is_hidden_in_an_object_is_reported(recording: RecordedExecution) -> None:
    report = Replayer(workflows.acting(lambda: workflows.Napping.nap(0.001))).replay(recording)
    assert [(one.kind, one.what) for one in report.effects] == [(SuspectKind.SLEEP, "time.sleep()")]


@pytest.mark.parametrize("face", [workflows.acting, workflows.acting_blocking], ids=["async", "blocking"])
def test_nothing_leaves_over_a_connection_that_was_there_before(recording: RecordedExecution, face: Any) -> None:
    here, there = socket.socketpair()
    with here, there:
        there.settimeout(0.01)
        report = Replayer(face(workflows.speak(here))).replay(recording)
        with pytest.raises(TimeoutError):
            there.recv(1)
        assert [(one.kind, one.what) for one in report.effects] == [(SuspectKind.NETWORK, "socket.sendall()")]
        here.sendall(b"afterwards")
        assert there.recv(20) == b"afterwards"
    assert "sendall" not in vars(socket.socket)


@pytest.mark.parametrize("is_blocking", [False, True], ids=["async", "blocking"])
def test_effects_in_a_context_that_has_ended_are_reported_too(tmp_path: Path, is_blocking: bool) -> None:
    events, arn = history_of(workflows.acting_inside(lambda: None, is_blocking=is_blocking))
    act = workflows.write_file(tmp_path / "trace")
    report = Replayer(workflows.acting_inside(act, is_blocking=is_blocking)).replay(read_history(events, arn=arn))
    assert (report.verdict, [one.kind for one in report.effects]) == (Verdict.EFFECTS, [SuspectKind.FILE])
    assert report.divergences == ()
    assert list(tmp_path.iterdir()) == []


def test_other_threads_are_left_alone(recording: RecordedExecution, tmp_path: Path) -> None:
    """While a replay runs, the rest of the process goes on as ever."""
    wrote: list[int] = []

    def outside() -> None:
        ready.wait(5)
        wrote.append((tmp_path / "mine").write_text("x", encoding="utf-8"))
        done.set()

    def act() -> None:
        ready.set()
        done.wait(5)

    ready, done = threading.Event(), threading.Event()
    thread = threading.Thread(target=outside)
    thread.start()
    report = Replayer(workflows.acting(act)).replay(recording)
    thread.join(5)
    assert wrote == [1]
    assert report.is_same


def stuck(kind: str) -> Any:
    async def busy(event: Any, ctx: DurableContext) -> None:
        await ctx.step(workflows.body("a"), name="a")
        while True:
            pass

    async def waiting(event: Any, ctx: DurableContext) -> None:
        await ctx.step(workflows.body("a"), name="a")
        await asyncio.get_running_loop().create_future()

    async def stubborn(event: Any, ctx: DurableContext) -> None:
        while True:
            try:
                while True:
                    pass
            except Exception:  # noqa: BLE001
                pass

    def blocking(event: Any, ctx: BlockingContext) -> None:
        while True:
            pass

    return durable_execution({"busy": busy, "waiting": waiting, "stubborn": stubborn, "blocking": blocking}[kind])


@pytest.mark.parametrize("kind", ["busy", "waiting", "stubborn"])
def test_a_handler_that_never_ends_is_stopped(recording: RecordedExecution, kind: str) -> None:
    report = Replayer(stuck(kind), seconds=0.3).replay(recording)
    assert (report.verdict, report.exit_code) == (Verdict.STUCK, 4)
    assert "did not finish within 0.3 s" in (report.error or "")
    assert f"in stuck.<locals>.{kind}" in (report.error or "")


def test_a_replay_gives_logging_no_handler_to_forget(
    recording: RecordedExecution, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[logging.Handler] = []
    monkeypatch.setattr(logging, "_addHandlerRef", made.append)
    Replayer(workflows.plain).replay(recording)
    assert made == []


def test_a_handler_that_raises(recording: RecordedExecution) -> None:
    def fail() -> None:
        raise KeyError("no such thing")

    report = Replayer(workflows.acting(fail)).replay(recording)
    assert (report.verdict, report.exit_code) == (Verdict.FAILED, 4)
    assert report.error == "KeyError: 'no such thing'"
    assert [(one.kind, one.path) for one in report.roots] == [("outcome", "plain")]


def test_a_running_execution_ends_where_the_recording_ends() -> None:
    events, _ = history_of(workflows.plain)
    report = Replayer(workflows.plain).replay(events[:3])
    assert (report.verdict, report.outcome) == (Verdict.SAME, "PENDING")
    assert report.ends == ("plain/w",)


def test_the_state_after_any_event(recording: RecordedExecution) -> None:
    for event_id in range(1, len(recording.events)):
        report = Replayer(workflows.plain).replay(recording, until_event=event_id)
        assert report.verdict is Verdict.SAME
        assert len(state_at(recording, event_id).events) == event_id


def test_what_is_no_durable_handler_is_refused(recording: RecordedExecution) -> None:
    with pytest.raises(UnusableHandlerError, match="@durable_execution"):
        Replayer(print).replay(recording)


def test_what_is_no_history_is_refused() -> None:
    with pytest.raises(UnreadableHistoryError):
        Replayer(workflows.plain).replay({"Operations": []})


def test_observers_of_the_handler_are_not_told(recording: RecordedExecution) -> None:
    from durable_execution import Observer

    told: list[Any] = []

    class Telling(Observer):
        def on_invocation_started(self, notification: Any) -> None:
            told.append(notification)

    handler = durable_execution(observers=[Telling()])(workflows.plain.function)
    assert Replayer(handler).replay(recording).is_same
    assert told == []


def test_the_policy_of_the_handler_does_not_matter(recording: RecordedExecution) -> None:
    decide, _, _ = workflows.DECISIONS["time.time"]
    function = workflows.deciding(decide).function
    for policy in ("warn", "retry"):
        report = Replayer(durable_execution(on_nondeterminism=policy)(function)).replay(recording)
        assert [one.path for one in report.roots] == ["plain/extra"]


def test_differences_inside_an_ended_context_do_not_break_a_running_execution() -> None:
    def make(name: str) -> Any:
        async def flow(event: Any, ctx: DurableContext) -> None:
            await ctx.run_in_child_context(lambda inner: inner.step(workflows.body("x"), name=name), name="child")
            await ctx.wait(timedelta(seconds=5))
            await ctx.step(workflows.body("b"))

        return durable_execution(flow)

    events, _ = history_of(make("inner"))
    whole = Replayer(make("other")).replay(events)
    assert [(one.kind, one.path) for one in whole.roots] == [("renamed", "flow/child/inner")]
    running = Replayer(make("other")).replay(events[:7])
    assert running.verdict is Verdict.SAME
    assert [one.severity for one in running.divergences] == ["info"]


def test_what_a_context_computes_may_vary_where_its_result_is_recorded() -> None:
    @durable_execution
    async def flow(event: Any, ctx: DurableContext) -> None:
        async def body(inner: DurableContext) -> float:
            await inner.step(workflows.body("x"))
            return time.time()

        at = await ctx.run_in_child_context(body, name="child")
        if at == 0:
            await ctx.step(workflows.body("never"))
        await ctx.wait(timedelta(seconds=5))

    events, _ = history_of(flow)
    report = Replayer(flow).replay(events)
    assert [(one.kind, one.severity) for one in report.roots if one.severity == "error"] == []


def test_an_outcome_that_varies_by_itself_is_not_held_against_the_code() -> None:
    @durable_execution
    async def flow(event: Any, ctx: DurableContext) -> float:
        await ctx.step(workflows.body("x"))
        return time.time()

    events, _ = history_of(flow)
    report = Replayer(flow).replay(events)
    assert report.verdict is Verdict.SAME
    assert [(one.kind, one.severity) for one in report.divergences] == [("outcome", "info")]


def test_tasks_races_and_guarded_changes() -> None:
    def make(change: str) -> Any:
        async def flow(event: Any, ctx: DurableContext) -> None:
            async def worker(number: int) -> None:
                await ctx.step(workflows.body("x"), name=f"w{number}")
                await ctx.wait(timedelta(seconds=3 - number), name=f"p{number}")
                if change == "in task" and number == 1:
                    await ctx.step(workflows.body("x"), name="extra")
                await ctx.step(workflows.body("x"), name=f"e{number}")

            await asyncio.gather(*(worker(number) for number in range(3)))
            await ctx.race(ctx.wait(timedelta(seconds=5), name="slow"), ctx.wait(timedelta(seconds=1), name="fast"))
            if change == "guarded" and ctx.patched("more"):
                await ctx.step(workflows.body("x"), name="more")
            await ctx.step(workflows.body("x"), name="end")

        return durable_execution(flow)

    events, arn = history_of(make(""))
    recording = read_history(events, arn=arn)
    assert Replayer(make("")).replay(recording).divergences == ()
    assert Replayer(make("guarded")).replay(recording).divergences == ()
    assert [(one.kind, one.path) for one in Replayer(make("in task")).replay(recording).roots] == [
        ("inserted", "flow~2/extra")
    ]


def test_random_numbers_of_the_context_need_the_arn() -> None:
    @durable_execution
    async def flow(event: Any, ctx: DurableContext) -> str:
        for number in range(8):
            if ctx.random().random() < 0.5:
                await ctx.step(workflows.body("x"), name=f"s{number}")
        return str(ctx.uuid())

    events, arn = history_of(flow)
    assert Replayer(flow).replay(read_history(events, arn=arn)).divergences == ()
    without = Replayer(flow).replay(read_history(events))
    assert without.verdict is Verdict.SAME
    assert "ARN" in without.notes[0]


def test_swapped_functions_are_told_apart_by_a_trace() -> None:
    def make(*order: int) -> Any:
        async def flow(event: Any, ctx: DurableContext) -> None:
            functions = [lambda _: "left".upper(), lambda _: "right".lower()]
            for index in order:
                await ctx.step(functions[index])

        return durable_execution(flow)

    sink = MemorySink()
    events, arn = history_of(make(0, 1), sink=sink)
    recording = read_history(events, arn=arn, traces=read_traces(sink.texts[arn]))
    assert Replayer(make(0, 1)).replay(recording).is_same
    swapped = Replayer(make(1, 0)).replay(recording)
    assert [(one.kind, one.path) for one in swapped.roots] == [("reordered", "flow/step(1)")]
    assert Replayer(make(1, 0)).replay(read_history(events, arn=arn)).is_same  # cannot be told without


def test_histories_of_other_sdks(shared_histories: Path) -> None:
    @durable_execution
    async def parallel_wait(event: Any, ctx: DurableContext) -> str:
        def branch(seconds: int, name: str) -> Any:
            return lambda inner: inner.wait(timedelta(seconds=seconds), name)

        await ctx.parallel(
            [branch(1, "wait-1-second"), branch(2, "wait-2-seconds"), branch(5, "wait-5-seconds")], "parent-block"
        )
        return "Completed waits"

    events = json.loads((shared_histories / "js-parallel-wait.history.json").read_text(encoding="utf-8"))
    report = Replayer(parallel_wait).replay(events)
    assert [(one.kind, one.path) for one in report.divergences if one.severity != "info"] == []


def test_two_hundred_megabytes_of_payloads() -> None:
    events, _ = history_of(workflows.plain)
    large = json.dumps("x" * 100_000_000)
    for event in events:
        if event["EventType"] == "StepSucceeded":
            event["StepSucceededDetails"]["Result"]["Payload"] = large
    assert Replayer(workflows.plain).replay(events).verdict is Verdict.SAME


def test_hostile_names() -> None:
    events, _ = history_of(workflows.plain)
    text = json.dumps(events, default=str).replace('"a"', json.dumps("\x1b[31m\n\r\u202e" + "a" * 500))
    report = Replayer(workflows.plain).replay(json.loads(text))
    assert report.root is not None
    assert report.root.headline.isprintable()


def test_flat_branches_are_replayed_inside() -> None:
    def make(name: str) -> Any:
        async def flow(event: Any, ctx: DurableContext) -> None:
            async def each(inner: DurableContext, item: int) -> None:
                await inner.step(workflows.body("x"), name="s")
                await inner.wait(timedelta(seconds=item), name=name)

            await ctx.map([1, 2], each, "m", config=MapConfig(nesting_type=NestingType.FLAT))

        return durable_execution(flow)

    events, _ = history_of(make("w"))
    assert Replayer(make("w")).replay(events).divergences == ()
    assert [(one.kind, one.path) for one in Replayer(make("v")).replay(events).roots] == [("renamed", "flow/m#0/w")]


def test_an_error_before_recorded_calls_names_its_line_and_the_call_that_is_not_reached() -> None:
    async def recorded_flow(_event: Any, ctx: DurableContext) -> None:
        await ctx.step(lambda _: 1, name="reserve")
        await ctx.step(lambda _: 1, name="charge")

    @durable_execution
    async def flow(_event: Any, ctx: DurableContext) -> None:
        await ctx.step(lambda _: 1, name="reserve")
        raise KeyError("gone")

    (found,) = Replayer(flow).replay(recorded(recorded_flow)).divergences
    assert found.kind is DivergenceKind.OUTCOME
    line = flow.function.__code__.co_firstlineno + 3
    assert found.likely == f"{Path(__file__).name}:{line} raises KeyError: 'gone', where the recording went on"
    assert found.effect == 'the execution fails here and never reaches "charge", which the recording made'

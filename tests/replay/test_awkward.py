"""Deterministic code that looks as if it were not; none of it is blamed."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from durable_execution import (
    BlockingContext,
    CompletionConfig,
    DurableContext,
    MapConfig,
    NestingType,
    RetryPresets,
    StepConfig,
    StepError,
    WithRetryConfig,
    durable_execution,
)
from durable_execution.divergence import Severity
from durable_execution.errors import ChildContextError, InvocationError
from durable_execution.history.reading import read_history
from durable_execution.replay import Replayer, Verdict
from durable_execution.replay.checks import replay_every_prefix
from durable_execution.retry import Jitter, exponential_backoff
from durable_execution.serdes import EncryptedSerDes, OffloadedSerDes
from durable_execution.serdes.error_texts import UnavailableError
from tests.replay.recording import history_of, recorded
from tests.replay.workflows import body

SECOND = timedelta(seconds=1)
ONCE = StepConfig(retry_strategy=RetryPresets.none())
MUCH_JITTER = exponential_backoff(initial_delay=timedelta(hours=1), max_delay=timedelta(hours=9), jitter=Jitter.FULL)

Flow = Callable[[Any, DurableContext], Awaitable[Any]]


async def fails(_: Any) -> None:
    raise ValueError("no")


def retried(*, is_named: bool, has_context: bool) -> Flow:
    async def flow(event: Any, ctx: DurableContext) -> None:
        async def block(inner: DurableContext, attempt: int) -> None:
            await inner.step(body("x"), name="x")
            if attempt < 3:
                raise ValueError("again")

        config = WithRetryConfig(retry_strategy=MUCH_JITTER, child_context=has_context)
        await ctx.with_retry(block, name="block" if is_named else None, config=config)
        await ctx.step(body("end"), name="end")

    return flow


async def enough_flat_branches_above_the_limit(event: Any, ctx: DurableContext) -> int:
    async def item(inner: DurableContext, number: int) -> str:
        await inner.wait((number + 1) * SECOND)
        await inner.step(body("more"), name="more")
        return "x" * 100_000

    config = MapConfig(nesting_type=NestingType.FLAT, completion_config=CompletionConfig(min_successful=4))
    batch = await ctx.map(range(7), item, name="big", config=config)
    await ctx.wait(20 * SECOND)
    return len(batch.get_results())


async def a_task_group(event: Any, ctx: DurableContext) -> list[str]:
    async def pipeline(seconds: int) -> str:
        await ctx.wait(seconds * SECOND, name=f"wait-{seconds}")
        return str(await ctx.step(body(f"step-{seconds}"), name=f"step-{seconds}"))

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(pipeline(seconds)) for seconds in (5, 1, 3)]
    await ctx.step(body("end"), name="end")
    return [task.result() for task in tasks]


async def failures_on_the_way(event: Any, ctx: DurableContext) -> None:
    async def child(inner: DurableContext) -> None:
        await inner.step(body("in"), name="in")
        raise KeyError("k")

    try:
        await ctx.run_in_child_context(child, name="child")
    except ChildContextError:
        await ctx.step(body("recover"), name="recover")
    gathered = await asyncio.gather(
        ctx.step(fails, name="bad", config=ONCE), ctx.wait(3 * SECOND, name="wait"), return_exceptions=True
    )
    await ctx.step(body("end"), name=type(gathered[0]).__name__)
    raise ValueError("final")


async def drawn_from_the_execution(event: Any, ctx: DurableContext) -> None:
    await ctx.step(body("drawn"), name="low" if ctx.random().random() < 0.5 else "high")
    await ctx.step(body("uuid"), name=f"step-{ctx.uuid().hex[:6]}")
    now = await ctx.now()
    await ctx.wait(SECOND)
    await ctx.step(body("year"), name=f"year-{now.year}")
    if ctx.patched("more"):
        await ctx.step(body("more"), name="more")


def blocking(event: Any, ctx: BlockingContext) -> None:
    def block(inner: BlockingContext, attempt: int) -> None:
        inner.step(lambda _: 1, name="x")
        if attempt < 3:
            raise ValueError("again")

    ctx.with_retry(block, name="block", config=WithRetryConfig(retry_strategy=MUCH_JITTER))

    def item(inner: BlockingContext, number: int, _: int) -> None:
        inner.wait(number * SECOND)
        inner.step(lambda _: number, name="n")

    ctx.map([1, 2], item, name="map")
    try:
        ctx.step(lambda _: 1 / 0, name="bad", config=ONCE)
    except StepError:
        ctx.step(lambda _: 1, name="recover")


FLOWS: dict[str, Any] = {
    "retried block": retried(is_named=True, has_context=True),
    "retried block without a name": retried(is_named=False, has_context=True),
    "retried block without a context": retried(is_named=True, has_context=False),
    "enough flat branches": enough_flat_branches_above_the_limit,
    "task group": a_task_group,
    "failures": failures_on_the_way,
    "random, uuid, now, patched": drawn_from_the_execution,
    "blocking": blocking,
}


@pytest.mark.parametrize("name", FLOWS)
def test_nothing_is_said_about_deterministic_code(name: str) -> None:
    handler = durable_execution(FLOWS[name])
    events, arn = history_of(handler)
    recording = read_history(events, arn=arn)
    assert recording.status in ("SUCCEEDED", "FAILED")
    report = Replayer(handler).replay(recording)
    assert (report.verdict, report.roots, report.effects) == (Verdict.SAME, (), ())
    every = replay_every_prefix(handler, recording, states=25)
    assert (every.verdict, every.roots) == (Verdict.SAME, ())


class Lost:
    """A store that works when the execution is recorded, and not when it is replayed."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.found: dict[str, bytes] | None = {}

    def put(self, key: str, data: bytes) -> None:
        assert self.found is not None
        self.found[key] = data

    def get(self, key: str) -> bytes:
        if self.found is None:
            raise self.error
        return self.found[key]


@pytest.mark.parametrize(
    "error",
    [
        UnavailableError("s3://shop/a does not exist"),
        InvocationError("S3 cannot read s3://shop/a at the moment"),
        KeyError("s3://shop/a"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("catches", [False, True])
def test_a_payload_that_is_not_at_hand_is_no_difference(error: Exception, *, catches: bool) -> None:
    store = Lost(error)

    async def flow(event: Any, ctx: DurableContext) -> None:
        # a serializer keeps what it stored recently, and a replay elsewhere has a new one
        config = StepConfig(serdes=OffloadedSerDes(None, store=store, above_bytes=10))
        await ctx.step(lambda _: 1, name="first")
        try:
            text = await ctx.step(lambda _: "x" * 100, name="large", config=config)
        except Exception:
            if not catches:
                raise
            text = ""
        await ctx.step(lambda _: 1, name=f"of_{len(text)}")

    execution = recorded(flow)
    assert Replayer(durable_execution(flow)).replay(execution).is_same
    store.found = None
    report = Replayer(durable_execution(flow)).replay(execution)
    assert report.verdict is Verdict.UNREADABLE
    assert report.exit_code == 3
    assert "flow/large" in (report.error or "")
    assert "s3://shop/a" in (report.error or "")
    assert "DirectoryStore" in (report.error or "")
    assert all(one.severity is Severity.INFO for one in report.divergences)


def test_a_payload_of_a_different_key_is_no_difference() -> None:
    keys = {"used": b"a"}

    def encrypt(data: bytes, _: Any) -> bytes:
        return keys["used"] + data

    def decrypt(data: bytes, _: Any) -> bytes:
        if data[:1] != keys["used"]:
            raise ValueError("the tag does not match")
        return data[1:]

    async def flow(event: Any, ctx: DurableContext) -> None:
        config = StepConfig(serdes=EncryptedSerDes(None, encrypt=encrypt, decrypt=decrypt))
        await ctx.step(lambda _: 1, name="card", config=config)

    execution = recorded(flow)
    keys["used"] = b"b"
    report = Replayer(durable_execution(flow)).replay(execution)
    assert report.verdict is Verdict.UNREADABLE
    assert "flow/card" in (report.error or "")


def test_a_difference_before_a_payload_that_is_not_at_hand_is_found() -> None:
    store = Lost(UnavailableError("gone"))

    def made(name: str) -> Any:
        async def flow(event: Any, ctx: DurableContext) -> None:
            config = StepConfig(serdes=OffloadedSerDes(None, store=store, above_bytes=10))
            await ctx.step(lambda _: 1, name=name)
            await ctx.step(lambda _: "x" * 100, name="large", config=config)

        return flow

    execution = recorded(made("first"))
    store.found = None
    report = Replayer(durable_execution(made("other"))).replay(execution)
    assert report.verdict is Verdict.DIVERGED
    assert report.root is not None
    assert report.root.path == "flow/first"


@dataclass
class Count:
    """How many pieces, as the recorded code stores it."""

    pieces: int


@dataclass
class CountOfUnits(Count):
    """With a field that the recorded result does not have."""

    unit: str


def test_a_result_that_does_not_fit_the_type_is_a_failure_of_the_code() -> None:
    def made(kind: Any) -> Any:
        async def flow(event: Any, ctx: DurableContext) -> None:
            await ctx.step(lambda _: Count(3), name="count", config=StepConfig(result_type=kind))

        return flow

    execution = recorded(made(Count))
    assert Replayer(durable_execution(made(Count))).replay(execution).is_same
    report = Replayer(durable_execution(made(CountOfUnits))).replay(execution)
    assert report.verdict is Verdict.FAILED
    assert report.root is not None
    assert report.root.likely == "the type of a result does not accept the recorded value any more"
    assert "a default for each new field" in report.root.fix
    assert "patched" not in report.root.fix


def test_a_result_that_does_not_fit_the_type_is_said_also_where_the_recording_goes_on() -> None:
    def made(kind: Any) -> Any:
        async def flow(event: Any, ctx: DurableContext) -> None:
            await ctx.step(lambda _: Count(3), name="count", config=StepConfig(result_type=kind))
            await (await ctx.create_callback("pause")).result()

        return flow

    report = Replayer(durable_execution(made(CountOfUnits))).replay(recorded(made(Count)))
    assert report.root is not None
    assert report.root.likely == "the type of a result does not accept the recorded value any more"
    assert report.root.effect == 'the execution fails here and never reaches "pause", which the recording made'
    assert "patched" not in report.root.fix


def test_an_event_that_does_not_fit_the_type_is_said() -> None:
    def made(kind: Any) -> Any:
        async def flow(event: Any, ctx: DurableContext) -> None:
            await ctx.step(lambda _: 1, name="count")

        flow.__annotations__["event"] = kind
        return flow

    report = Replayer(durable_execution(made(CountOfUnits))).replay(recorded(made(Count), {"pieces": 3}))
    assert report.root is not None
    assert report.root.likely == "the type of the handler's event does not accept the recorded event any more"
    assert report.root.effect == "running executions would fail here, although the recorded one did not"


def test_unnamed_calls_that_were_merged_are_no_loop() -> None:
    async def before(event: Any, ctx: DurableContext) -> None:
        await ctx.step(lambda _: 1)
        await ctx.step(lambda _: 2)
        await ctx.step(body("ship"), name="ship")

    async def after(event: Any, ctx: DurableContext) -> None:
        await ctx.step(lambda _: 3)
        await ctx.step(body("ship"), name="ship")

    root = Replayer(durable_execution(after)).replay(recorded(before)).root
    assert root is not None
    assert root.kind.value == "skipped"
    assert "loop" not in f"{root.likely} {root.fix}"

"""What decided is named wherever it stands: in blocking and async code, in contexts and branches, ended or not."""

import os
import random
import secrets
import socket
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from durable_execution import BlockingContext, DurableContext, MapConfig, NestingType, durable_execution
from durable_execution.history.reading import read_history
from durable_execution.history.recorded import RecordedExecution
from durable_execution.replay import Replayer
from tests.replay.recording import history_of
from tests.replay.workflows import body

HERE = Path(__file__)
Decide = Callable[[], Any]


def can_connect() -> bool:
    with suppress(OSError):
        socket.create_connection(("127.0.0.1", 9)).close()
    return True


DECISIONS: dict[str, tuple[Decide, str]] = {
    "time.time": (time.time, "clock"),
    "datetime.now": (lambda: datetime.now(UTC), "clock"),
    "date.today": (date.today, "clock"),
    "time.localtime": (time.localtime, "clock"),
    "random.uniform": (lambda: random.uniform(1, 2), "random"),
    "random.Random": (lambda: random.Random().random() < 2, "random"),
    "secrets": (secrets.token_bytes, "random"),
    "uuid4": (uuid.uuid4, "uuid"),
    "os.getenv": (lambda: os.getenv("PATH"), "environment"),
    "in os.environ": (lambda: "PATH" in os.environ, "environment"),
    "os.environ": (lambda: list(os.environ), "environment"),
    "read_text": (HERE.read_text, "file"),
    "exists": (HERE.exists, "file"),
    "getmtime": (lambda: os.path.getmtime(HERE), "file"),  # noqa: PTH204  # what users write
    "glob": (lambda: list(HERE.parent.glob("*.py")), "file"),
    "connect": (can_connect, "network"),
}


def blocking_calls(ctx: BlockingContext, decide: Decide | None) -> None:
    ctx.step(lambda _: 1, name="a")
    if decide is not None and decide():
        ctx.step(lambda _: 1, name="extra")
    ctx.wait(timedelta(seconds=1), name="w")
    ctx.step(lambda _: 1, name="b")


async def async_calls(ctx: DurableContext, decide: Decide | None) -> None:
    await ctx.step(body("a"), name="a")
    if decide is not None and decide():
        await ctx.step(body("extra"), name="extra")
    await ctx.wait(timedelta(seconds=1), name="w")
    await ctx.step(body("b"), name="b")


def blocking_flow(place: str, decide: Decide | None) -> Any:
    def flow(event: Any, ctx: BlockingContext) -> None:
        match place:
            case "root":
                blocking_calls(ctx, decide)
            case "nested children":
                ctx.run_in_child_context(
                    lambda outer: outer.run_in_child_context(lambda inner: blocking_calls(inner, decide), name="inner"),
                    name="outer",
                )
            case "parallel":
                ctx.parallel(
                    [
                        lambda branch: blocking_calls(branch, None),
                        lambda branch: branch.run_in_child_context(lambda inner: blocking_calls(inner, decide)),
                    ]
                )
            case _:
                nesting = NestingType.FLAT if place == "flat map" else NestingType.NESTED
                config = MapConfig(nesting_type=nesting)
                ctx.map([1, 2], lambda branch, _: blocking_calls(branch, decide), name="map", config=config)
        ctx.step(lambda _: 1, name="end")

    return durable_execution(flow)


def async_flow(place: str, decide: Decide | None) -> Any:
    async def flow(event: Any, ctx: DurableContext) -> None:
        match place:
            case "root":
                await async_calls(ctx, decide)
            case "nested children":
                await ctx.run_in_child_context(
                    lambda outer: outer.run_in_child_context(lambda inner: async_calls(inner, decide), name="inner"),
                    name="outer",
                )
            case "parallel":
                await ctx.parallel(
                    [
                        lambda branch: async_calls(branch, None),
                        lambda branch: branch.run_in_child_context(lambda inner: async_calls(inner, decide)),
                    ]
                )
            case _:
                nesting = NestingType.FLAT if place == "flat map" else NestingType.NESTED
                config = MapConfig(nesting_type=nesting)
                await ctx.map([1, 2], lambda branch, _: async_calls(branch, decide), name="map", config=config)
        await ctx.step(body("end"), name="end")

    return durable_execution(flow)


FLOWS = {"blocking": blocking_flow, "async": async_flow}
PLACES = ("root", "nested children", "map", "flat map", "parallel")
BETWEEN_EDITS = (("async", "root"), ("blocking", "map"))
"""What `make test` tries; the rest of this corpus is for `make acceptance`."""


def everywhere() -> list[Any]:
    pairs = [(style, place) for style in FLOWS for place in PLACES]
    return [
        pytest.param(pair, marks=[] if pair in BETWEEN_EDITS else [pytest.mark.acceptance], id=" ".join(pair))
        for pair in pairs
    ]


@pytest.fixture(scope="module", params=everywhere())
def recorded(request: pytest.FixtureRequest) -> tuple[Any, str, RecordedExecution, RecordedExecution]:
    """A recording as a whole, and as it was at its first wait."""
    style, place = request.param
    events, arn = history_of(FLOWS[style](place, None))
    waiting = next(number for number, event in enumerate(events) if event["EventType"] == "InvocationCompleted")
    return FLOWS[style], place, read_history(events, arn=arn), read_history(events[:waiting], arn=arn)


@pytest.mark.parametrize("name", DECISIONS)
def test_what_decided_is_named(recorded: tuple[Any, str, RecordedExecution, RecordedExecution], name: str) -> None:
    flow, place, whole, waiting = recorded
    decide, kind = DECISIONS[name]
    for recording in (whole, waiting) if name in ("time.time", "uuid4", "exists") else (whole,):
        report = Replayer(flow(place, decide), cause=False).replay(recording)
        assert [(one.kind, one.path.rpartition("/")[2]) for one in report.roots] == [("inserted", "extra")]
        named = [str(one) for one in report.suspects if one.kind == kind]
        assert set(named) & set(report.roots[0].suspects)


def test_other_threads_of_the_process_are_not_suspected(
    recorded: tuple[Any, str, RecordedExecution, RecordedExecution],
) -> None:
    """Not even those that are started while a replay runs, when new threads are watched."""
    flow, place, whole, _ = recorded
    asked, answered = threading.Event(), threading.Event()

    def somebody_else() -> None:
        asked.wait(5)
        inner = threading.Thread(target=time.time)
        inner.start()
        inner.join()
        answered.set()

    def decide() -> bool:
        asked.set()
        answered.wait(5)
        return False

    thread = threading.Thread(target=somebody_else)
    thread.start()
    report = Replayer(flow(place, decide)).replay(whole)
    thread.join(5)
    assert (report.is_same, report.suspects) == (True, ())

"""The cause finder ranks suspects: those that decide a branch, then those in the calling function, then the nearest."""

import os
import time
import uuid
from datetime import timedelta
from typing import Any

import pytest

from durable_execution import DurableContext, durable_execution
from durable_execution.history.reading import read_history
from durable_execution.history.recorded import RecordedExecution
from durable_execution.replay import Replayer
from tests.replay.recording import history_of
from tests.replay.workflows import body


@durable_execution
async def recorded_flow(event: Any, ctx: DurableContext) -> None:
    await ctx.step(body("a"), name="a")
    await ctx.wait(timedelta(seconds=1), name="w")
    await ctx.step(body("b"), name="b")


@durable_execution
async def decided_early(event: Any, ctx: DurableContext) -> None:
    is_late = time.time() > 0
    await ctx.step(body("a"), name="a")
    request_id = uuid.uuid4()
    region = os.getenv("PATH")
    if is_late:
        await ctx.step(body("extra"), name="extra")
    await ctx.wait(timedelta(seconds=1), name="w")
    await ctx.step(body("b"), name="b")
    del request_id, region


def _log_line() -> str:
    return f"{uuid.uuid4()}"


@durable_execution
async def helped(event: Any, ctx: DurableContext) -> None:
    started = time.time()
    await ctx.step(body("a"), name="a")
    line = _log_line()
    await ctx.step(body("extra"), name="extra")
    await ctx.wait(timedelta(seconds=1), name="w")
    await ctx.step(body("b"), name="b")
    del started, line


@durable_execution
async def undecided(event: Any, ctx: DurableContext) -> None:
    far = time.time()
    await ctx.step(body("a"), name="a")
    near = uuid.uuid4()
    await ctx.step(body("extra"), name="extra")
    await ctx.wait(timedelta(seconds=1), name="w")
    await ctx.step(body("b"), name="b")
    del far, near


@pytest.fixture(scope="module")
def recording() -> RecordedExecution:
    events, arn = history_of(recorded_flow)
    return read_history(events, arn=arn)


@pytest.mark.parametrize(
    ("handler", "ranked"),
    [
        (decided_early, ["time.time()", "uuid.uuid4()", "os.environ['PATH']"]),
        (helped, ["uuid.uuid4()", "time.time()"]),
        (undecided, ["uuid.uuid4()", "time.time()"]),
    ],
    ids=["what decides the branch first", "a helper of the function counts as the function", "then the nearest"],
)
def test_suspects_are_ranked_by_evidence_then_by_distance(
    recording: RecordedExecution, handler: Any, ranked: list[str]
) -> None:
    report = Replayer(handler).replay(recording)
    assert report.root is not None
    assert (report.root.kind, report.root.path.rpartition("/")[2]) == ("inserted", "extra")
    named = [suspect.partition(": ")[2] for suspect in report.root.suspects]
    assert named == ranked
    assert report.root.likely is not None
    blamed = ranked[:1] if handler is decided_early else []
    assert [one for one in ranked if one in report.root.likely] == blamed, "only what the call depends on is named"


def test_without_a_search_the_nearest_is_only_a_guess(recording: RecordedExecution) -> None:
    root = Replayer(undecided, cause=False).replay(recording).root
    assert root is not None
    assert (root.likely or "").startswith("perhaps uuid.uuid4()")
    assert (root.likely or "").endswith("(possible)")

"""Losers of `ctx.race`, `ctx.any` and `ctx.all` on a replay: they are not begun, and nobody complains about it."""

import gc
import warnings
from datetime import timedelta
from typing import Any

import pytest

from durable_execution import DurableContext, durable_execution
from durable_execution.history.reading import read_history
from durable_execution.replay import Replayer
from durable_execution.replay.checks import replay_every_prefix
from tests.replay.recording import history_of
from tests.replay.workflows import body


async def slow(ctx: DurableContext) -> str:
    await ctx.wait(timedelta(minutes=1), name="slow")
    return "slow"


def wait(ctx: DurableContext, name: str) -> Any:
    return ctx.wait(timedelta(minutes=2), name=name)


def contest(word: str, winner: str = "winner") -> Any:
    async def flow(event: Any, ctx: DurableContext) -> Any:
        combine = getattr(ctx, word)
        first = await combine(
            ctx.step(body(winner), name=winner), wait(ctx, "a"), slow(ctx), combine(wait(ctx, "b"), slow(ctx))
        )
        settled = await ctx.all_settled(
            combine(ctx.step(body("c"), name="c"), slow(ctx)), ctx.step(body("d"), name="d")
        )
        await ctx.wait(timedelta(seconds=1), name="end")
        return [first, [one.value for one in settled]]

    flow.__qualname__ = flow.__name__ = "flow"
    return durable_execution(flow)


@pytest.mark.parametrize("word", ["race", "any"])
@pytest.mark.parametrize("winner", ["winner", pytest.param("renamed", marks=pytest.mark.acceptance)])
def test_nobody_complains_about_losers(word: str, winner: str) -> None:
    events, arn = history_of(contest(word))
    gc.freeze()  # what other tests left is not collected here, with its warnings
    with warnings.catch_warnings(record=True) as complaints:
        warnings.simplefilter("always")
        report = replay_every_prefix(contest(word, winner), read_history(events, arn=arn))
        gc.collect()
    assert [str(complaint.message) for complaint in complaints] == []
    assert report.is_same is (winner == "winner")


def test_a_combinator_that_is_never_decided_leaves_its_operands_in_peace() -> None:
    """The whole contest is an operand that is given up before it is begun."""

    @durable_execution
    async def flow(event: Any, ctx: DurableContext) -> Any:
        return await ctx.race(
            ctx.step(body("quick"), name="quick"), ctx.race(slow(ctx), ctx.any(wait(ctx, "a"), ctx.all(slow(ctx))))
        )

    events, arn = history_of(flow)
    gc.freeze()  # what other tests left is not collected here, with its warnings
    with warnings.catch_warnings(record=True) as complaints:
        warnings.simplefilter("always")
        report = Replayer(flow).replay(read_history(events, arn=arn))
        gc.collect()
    assert ([str(complaint.message) for complaint in complaints], report.is_same) == ([], True)

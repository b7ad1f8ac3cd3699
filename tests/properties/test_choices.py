"""What happens next is a choice of the plan: where steps begin and end, callbacks are answered, and timers fire."""

import asyncio
import itertools
import threading
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest

from durable_execution import CallbackConfig, DurableContext, StepContext, durable_execution
from durable_execution.errors import CallbackError
from durable_execution.testing.properties import WorkflowRun
from durable_execution.testing.workflow_plan import ALL_AT_ONCE, Failure, Plan, PlannedOutcomes

NAMES = ("a", "b", "c")


@durable_execution
async def gathered(_event: Any, ctx: DurableContext) -> list[str]:
    ended: list[str] = []

    def step_of(name: str) -> Any:
        async def body(_step: StepContext) -> str:
            return name

        return body

    async def run(name: str) -> None:
        ended.append(await ctx.step(step_of(name), name))

    await asyncio.gather(*(run(name) for name in NAMES))
    return ended


@durable_execution
async def mapped(_event: Any, ctx: DurableContext) -> list[str]:
    ended: list[str] = []

    async def run(inner: DurableContext, name: str, _index: int) -> None:
        ended.append(await inner.step(lambda _: name, "same"))

    await ctx.map(list(NAMES), run, "items")
    return ended


@durable_execution
def blocking(_event: Any, ctx: Any) -> list[str]:
    ended: list[str] = []

    def branch(name: str) -> Any:
        return lambda inner: ended.append(inner.step(lambda _: name, name))

    ctx.parallel([branch(name) for name in NAMES], "branches")
    return ended


ORDERS = ((), *itertools.product((0, 1, 2, 3), repeat=2), (ALL_AT_ONCE,), (ALL_AT_ONCE, 2))


def run_of(handler: Any, **plan: Any) -> WorkflowRun:
    return WorkflowRun(handler, Plan(None, **plan), {})


@pytest.mark.parametrize("handler", [gathered, mapped, blocking])
def test_steps_end_in_every_order_and_a_plan_always_in_the_same(handler: Any) -> None:
    found = {order: run_of(handler, order=order) for order in ORDERS}
    assert {"".join(run.result.result) for run in found.values()} == {"".join(each) for each in permutations(NAMES)}
    assert "".join(found[()].result.result) == "abc"
    assert not found[()].order
    for order, run in found.items():
        assert run_of(handler, order=order).order == run.order


@durable_execution
async def patient(_event: Any, ctx: DurableContext) -> str:
    async def slow(_step: StepContext) -> str:
        return "done"

    async def work() -> str:
        return await ctx.step(slow, "work")

    async def time_out() -> str:
        await ctx.wait(timedelta(minutes=5), "time-out")
        return "late"

    return await ctx.race(work(), time_out())


def test_a_timer_fires_while_a_body_runs() -> None:
    assert run_of(patient).result.result == "done"
    late = run_of(patient, order=(1,))
    assert late.result.result == "late"
    assert late.order == ["a timer fires before 'work' begins"]


@durable_execution
async def never_ends(_event: Any, ctx: DurableContext) -> str:
    async def tick() -> str:
        while True:
            await ctx.wait(timedelta(seconds=1), "tick")

    return await ctx.race(ctx.step(lambda _: "done", "work"), tick())


def test_short_waits_do_not_hold_a_body_forever() -> None:
    assert run_of(never_ends, order=(1,)).result.result == "done"


@durable_execution
async def far_away(_event: Any, ctx: DurableContext) -> str:
    async def rest() -> str:
        await ctx.wait(timedelta(hours=1), "rest")
        return "rested"

    return await ctx.race(ctx.step(lambda _: "done", "work"), rest())


def test_no_body_takes_longer_than_lambda_allows() -> None:
    assert run_of(far_away, order=(1,)).result.result == "done"


@durable_execution
async def asks(_event: Any, ctx: DurableContext) -> list[Any]:
    answers: list[Any] = []

    async def ask(number: int) -> None:
        callback = await ctx.create_callback("question", config=CallbackConfig(result_type=int))
        try:
            answers.append([number, await callback.result()])
        except CallbackError as error:
            answers.append([number, str(error)])

    await asyncio.gather(ask(1), ask(2), ctx.step(lambda _: "seen", "look"))
    return answers


def test_callbacks_of_one_name_have_answers_of_their_own_in_the_order_of_the_plan() -> None:
    planned = {"question": PlannedOutcomes(7, first=((Failure(ValueError("busy")),),))}
    first = run_of(asks, callbacks=planned).result.result
    assert first == [[1, "busy"], [2, 7]]
    other = run_of(asks, callbacks=planned, order=(2, 0, 1))
    assert other.result.result == [[2, 7], [1, "busy"]]
    assert other.order[0] == "callback 'question' is answered before 'look' begins and callback 'question' is answered"


def test_outcomes_belong_to_operations_and_not_to_the_order_in_which_they_run() -> None:
    @durable_execution
    async def same_names(_event: Any, ctx: DurableContext) -> list[Any]:
        async def item(inner: DurableContext, _item: int, _index: int) -> list[Any]:
            return [await inner.step(str, "first"), await inner.step(str, "then")]

        return (await ctx.map([1, 2, 3], item, "items")).get_results()

    planned = {"first": PlannedOutcomes(0, ((1,), (2,), (3,))), "then": PlannedOutcomes(0, ((4,), (5,), (6,)))}
    for order in ORDERS:
        run = run_of(same_names, steps=planned, order=order)
        assert run.undisturbed().result.result == run.result.result


def test_bodies_that_wait_for_each_other_are_not_held_forever() -> None:
    @durable_execution
    async def meeting(_event: Any, ctx: DurableContext) -> str:
        both = threading.Barrier(2)
        return "/".join(
            await asyncio.gather(*(ctx.step(lambda _: "met" if both.wait(5) < 2 else "", name) for name in "ab"))
        )

    run = run_of(meeting, order=(1,))
    assert run.result.result == "met/met"

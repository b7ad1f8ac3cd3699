"""With a replay trace, a replay finds changed arguments and items, and other functions in branches and contexts."""

import functools
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel, SecretStr

from durable_execution import DurableContext, StepContext, durable_context, durable_execution, durable_step
from durable_execution.divergence import Divergence, DivergenceKind, Severity
from durable_execution.replay import Replayer, Verdict
from durable_execution.trace.arguments import UNKNOWN, Digests, listed, text_of, texts_of
from tests.replay.recording import recorded


@durable_step
async def charge(step: StepContext, order_id: object, total: object = 0, *, password: str = "") -> str:
    """Charge an order."""
    return "charged"


@durable_context
async def ship(ctx: DurableContext, order_id: Any) -> None:
    """Ship an order."""
    await ctx.step(lambda _: order_id, name="ship")


async def work(ctx: DurableContext, item: Any) -> None:
    """Work on an item."""
    await ctx.step(lambda _: 1, name="work")


async def first(ctx: DurableContext) -> int:
    """A branch."""
    return await ctx.step(lambda _: 1, name="s")


async def second(ctx: DurableContext) -> int:
    """A different branch."""
    return await ctx.step(lambda _: 2, name="s") + 0


def replayed(before: Callable[..., Any], after: Callable[..., Any], payload: Any = None) -> list[Divergence]:
    """The divergences of a program that changed."""
    report = Replayer(durable_execution(after), cause=False).replay(recorded(before, payload, traces=True))
    assert report.verdict is (Verdict.DIVERGED if any(_counts(one) for one in report.divergences) else Verdict.SAME)
    return list(report.divergences)


def _counts(divergence: Divergence) -> bool:
    return divergence.is_root and divergence.severity is not Severity.INFO


def steps(*arguments: Any, **options: Any) -> Callable[..., Any]:
    async def flow(event: Any, ctx: DurableContext) -> None:
        await ctx.step(charge(*arguments, **options))
        await ctx.step(lambda _: 2, name="last")

    return flow


def test_a_changed_argument() -> None:
    (found,) = replayed(steps("a-1", total=10), steps("a-1", total=12))
    assert (found.kind, found.severity) == (DivergenceKind.INPUT, Severity.WARNING)
    assert found.recorded is not None
    assert found.replayed is not None
    assert found.recorded.detail == 'step "charge", argument total'
    assert found.replayed.detail == 'step "charge", a different value of total'
    assert "compute the argument total in a step" in found.fix
    assert found.sentence == 'your code calls step "charge" with a different value of total than recorded'
    (found,) = replayed(steps("a-1", total=10), steps("a-2", total=12))
    assert found.recorded is not None
    assert found.recorded.detail == 'step "charge", arguments order_id and total'


def test_the_same_arguments_written_differently() -> None:
    for after in (steps("a-1", 10), steps(order_id="a-1", total=10)):
        assert replayed(steps("a-1", total=10), after) == []
    assert replayed(steps("a-1"), steps("a-1", 0)) == []


def test_the_arguments_of_a_context_and_of_a_partial() -> None:
    def in_context(order: str) -> Callable[..., Any]:
        async def flow(event: Any, ctx: DurableContext) -> None:
            await ctx.run_in_child_context(ship(order))

        return flow

    def in_partial(total: int) -> Callable[..., Any]:
        def body(total: int, step: StepContext) -> int:
            return total

        async def flow(event: Any, ctx: DurableContext) -> None:
            await ctx.step(functools.partial(body, total), name="total")

        return flow

    (found,) = replayed(in_context("a"), in_context("b"))
    assert found.recorded is not None
    assert found.recorded.detail == 'context "ship", argument order_id'
    (found,) = replayed(in_partial(1), in_partial(2))
    assert found.recorded is not None
    assert found.recorded.detail == 'step "total", argument total'
    assert replayed(in_partial(1), in_partial(1)) == []


def mapped(items: list[Any]) -> Callable[..., Any]:
    async def flow(event: Any, ctx: DurableContext) -> None:
        await ctx.map(items, work, name="orders")

    return flow


def test_changed_items_of_a_finished_map() -> None:
    details = []
    for items in (["a", "b", "x"], ["a", "c", "b"], ["x", "y", "c"]):
        (found,) = replayed(mapped(["a", "b", "c"]), mapped(items))
        assert (found.kind, found.severity) == (DivergenceKind.INPUT, Severity.WARNING)
        assert found.replayed is not None
        details.append((found.replayed.detail or "").partition(", ")[2])
    assert details == ["a different item 2", "the same items in a different order", "different items 0 and 1"]


def test_arguments_of_calls_in_the_items_of_a_map_follow_from_its_items() -> None:
    def mapped_to_charges(items: list[str]) -> Callable[..., Any]:
        async def pay(ctx: DurableContext, item: str) -> None:
            await ctx.step(charge(item), name="charge")

        async def handler(event: Any, ctx: DurableContext) -> None:
            await ctx.map(items, pay, name="orders")

        return handler

    root, *inside = replayed(mapped_to_charges(["a", "b", "c"]), mapped_to_charges(["c", "a", "b"]))
    assert root.recorded is not None
    assert root.recorded.detail == 'map "orders" 3 items, in the recorded order'
    assert (root.path, root.follow_on) == ("handler/orders", 3)
    assert [(one.kind, one.is_root) for one in inside] == [(DivergenceKind.INPUT, False)] * 3


def test_unnamed_branches_and_contexts_that_changed_places() -> None:
    def parallel(*branches: Any) -> Callable[..., Any]:
        async def flow(event: Any, ctx: DurableContext) -> None:
            await ctx.parallel(branches, name="both")
            await ctx.wait(timedelta(hours=1))

        return flow

    def children(*functions: Any) -> Callable[..., Any]:
        async def flow(event: Any, ctx: DurableContext) -> None:
            for function in functions:
                await ctx.run_in_child_context(function)

        return flow

    found = replayed(children(first, second), children(second, first))
    assert [one.kind for one in found if one.is_root] == [DivergenceKind.REORDERED]
    assert replayed(children(first, second), children(first, second)) == []
    recording = recorded(parallel(first, second), traces=True)
    bodies = [one.details.get("function") for one in recording.operations if one.subtype == "ParallelBranch"]
    assert bodies == ["first", "second"]
    report = Replayer(durable_execution(parallel(second, first)), cause=False).replay(recording)
    assert [one.kind for one in report.divergences if one.kind is DivergenceKind.REORDERED]


def never(name: str) -> bool:
    """Hides nothing."""
    return False


class Color(Enum):
    """An enum."""

    RED = "red"


@dataclass
class Money:
    """A dataclass."""

    amount: Decimal
    currency: str = "EUR"


class Order(BaseModel):
    """A model."""

    id: UUID
    tags: set[str]


class Opaque:
    """Its text contains an address."""


STABLE = (
    ([1, 2], (1, 2)),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    (Decimal("0.1"), 0.1),
    (Money(Decimal("1.5")), {"amount": 1.5, "currency": "EUR"}),
    ({"x", "yy", "zzz"}, frozenset({"zzz", "x", "yy"})),
    ([Color.RED], ["red"]),
    (datetime(2026, 1, 2), datetime(2026, 1, 2)),
    (Order(id=UUID(int=1), tags={"a", "b"}), Order(id=UUID(int=1), tags={"b", "a"})),
)
UNSTABLE: tuple[Any, ...] = (
    Opaque(),
    [Opaque()],
    lambda: 1,
    SecretStr("x"),
    {1: "a", "b": 2},
    {(1, 2): 3},
    iter([1]),
    "x" * 200_000,
    ["x" * 200_000],
)


@pytest.mark.parametrize("index", range(len(STABLE)))
def test_values_that_mean_the_same(index: int) -> None:
    pair = STABLE[index]
    assert text_of(pair[0]) == text_of(pair[1])
    assert text_of(pair[0]) is not None
    assert not any(_counts(one) for one in replayed(steps(pair[0]), steps(pair[1])))


@pytest.mark.parametrize("index", range(len(UNSTABLE)))
def test_values_that_are_not_compared(index: int) -> None:
    value = UNSTABLE[index]
    assert text_of(value) is None
    assert replayed(steps(value, total=1), steps([Opaque(), 1], total=1)) == []
    assert (Digests("arn", never).items([value, 1]) or "").startswith(UNKNOWN)


def test_a_cycle_is_not_compared() -> None:
    value: list[Any] = []
    value.append(value)
    assert text_of(value) is None


def test_an_argument_with_the_name_of_a_secret_is_not_digested() -> None:
    recording = recorded(steps("a", password="hunter2"), traces=True)
    (entry,) = [one for one in recording.traces[0].entries if one.name == "charge"]
    assert set(entry.arguments) == {"order_id"}
    assert replayed(steps("a", password="hunter2"), steps("a", password="hunter3")) == []


def test_digests_of_executions_differ() -> None:
    bound = charge("a", 1)
    one, other = (json.loads(Digests(arn, never).arguments(bound)) for arn in ("arn:1", "arn:2"))
    assert one.keys() == other.keys() == {"order_id", "total"}
    assert not set(one.values()) & set(other.values())
    assert texts_of(bound, None) == {"texts": {"order_id": '"a', "total": "1"}, "items": None}


def test_a_value_that_always_changes_is_a_note() -> None:
    async def flow(event: Any, ctx: DurableContext) -> None:
        await ctx.step(charge(random.random()))

    found = replayed(flow, flow)
    assert all(one.severity is Severity.INFO for one in found)


def test_results_that_are_not_recorded_change_nothing() -> None:
    """A trace without payloads: the arguments that depend on a result are unknown."""

    async def flow(event: Any, ctx: DurableContext) -> None:
        first = await ctx.step(lambda _: 3, name="first")
        await ctx.step(charge(first))

    recording = recorded(flow, traces=True)
    report = Replayer(durable_execution(flow), cause=False).replay(recording.traces)
    assert not [one for one in report.divergences if one.kind is DivergenceKind.INPUT]


def test_an_argument_that_comes_from_a_result_is_the_recorded_one() -> None:
    async def flow(event: Any, ctx: DurableContext) -> None:
        money = await ctx.step(lambda _: {"amount": Decimal("1.10"), "tags": ["a"]}, name="money")
        await ctx.step(charge(money, (1, 2.5, event)))
        await ctx.wait(timedelta(days=1))
        await ctx.map([money, event], work)

    assert replayed(flow, flow, {"when": "2026"}) == []


def test_a_step_that_has_not_ended_is_not_compared() -> None:
    """Its next attempt takes today's arguments."""

    @durable_step
    async def fails(step: StepContext, number: int) -> None:
        raise OSError(number)

    def flow_of(number: int) -> Callable[..., Any]:
        async def flow(event: Any, ctx: DurableContext) -> None:
            await ctx.step(fails(number))

        return flow

    recording = recorded(flow_of(1), traces=True, skips=0)
    if any(one.status.is_terminal for one in recording.operations):
        return
    report = Replayer(durable_execution(flow_of(2)), cause=False).replay(recording)
    assert not report.divergences


def test_many_changed_items_are_counted_behind_the_first_ones() -> None:
    assert listed([3]) == "item 3"
    assert listed([0, 2, 4]) == "items 0, 2 and 4"
    assert listed(range(8)) == "items 0, 1, 2, 3, 4 and 3 more"


def test_arguments_of_a_call_that_changed_places_follow_from_the_move() -> None:
    async def before(_: Any, ctx: DurableContext) -> None:
        price = await ctx.step(lambda _: 5, name="price")
        await ctx.step(charge("7", price))
        await ctx.step(lambda _: 1, name="ship")

    async def swapped(_: Any, ctx: DurableContext) -> None:
        await ctx.step(charge("7", 0))
        await ctx.step(lambda _: 5, name="price")
        await ctx.step(lambda _: 1, name="ship")

    async def elsewhere(_: Any, ctx: DurableContext) -> None:
        await ctx.step(lambda _: 1, name="ship")
        price = await ctx.step(lambda _: 5, name="price")
        await ctx.step(charge("8", price))

    (root, *later) = [one for one in replayed(before, swapped) if one.kind is not DivergenceKind.CODE_CHANGED]
    assert (root.kind, root.follow_on) == (DivergenceKind.REORDERED, 2)
    assert DivergenceKind.INPUT in {one.kind for one in later}
    assert not any(one.is_root for one in later)
    roots = [one.kind for one in replayed(before, elsewhere) if one.is_root]
    assert roots == [DivergenceKind.REORDERED], "ship went past both"


def test_arguments_of_a_call_that_left_a_loop_follow_from_that() -> None:
    async def before(_: Any, ctx: DurableContext) -> None:
        for item in (1, 2, 3):
            await ctx.step(charge("7", item))
        await ctx.step(lambda _: 1, name="ship")

    async def after(_: Any, ctx: DurableContext) -> None:
        await ctx.step(charge("7", [1, 2, 3]))
        await ctx.step(lambda _: 1, name="ship")

    (root,) = [one for one in replayed(before, after) if _counts(one)]
    assert (root.kind, root.follow_on) == (DivergenceKind.SKIPPED, 3)
    assert root.likely is not None
    assert "into or out of a loop" in root.likely


def test_the_result_of_a_context_that_a_call_left_follows_from_that() -> None:
    async def paying(ctx: DurableContext) -> str:
        return await ctx.step(charge("7", 5))

    async def empty(ctx: DurableContext) -> str:
        return ""

    async def before(_: Any, ctx: DurableContext) -> None:
        await ctx.run_in_child_context(paying, name="pay")
        await ctx.step(lambda _: 1, name="ship")

    async def after(_: Any, ctx: DurableContext) -> None:
        await ctx.step(charge("7", 6))
        await ctx.run_in_child_context(empty, name="pay")
        await ctx.step(lambda _: 1, name="ship")

    (root,) = [one for one in replayed(before, after) if _counts(one)]
    assert root.kind is DivergenceKind.INSERTED

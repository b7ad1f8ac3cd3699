"""Each way of editing a workflow is named for what it is, and the fix is code that restores the recorded path."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from durable_execution import DurableContext, WaitForConditionConfig, durable_execution, poll_until
from durable_execution.comparison import Divergence, DivergenceKind
from durable_execution.comparison.call_tree import UNKNOWN_BLOCK, CallNode, is_same_function
from durable_execution.divergence import Side
from durable_execution.replay import Replayer
from tests.replay.recording import recorded

MINUTE = timedelta(minutes=1)


def load(_step: Any) -> int:
    return 1


def check(_step: Any) -> str:
    return "checked"


def ship(_step: Any) -> list[int]:
    return [3]


Body = Callable[[DurableContext], Any]


def flow_of(body: Body) -> Any:
    async def flow(_event: Any, ctx: DurableContext) -> None:
        await body(ctx)

    return flow


def root_of(before: Body, after: Body, *, traces: bool = False) -> Divergence:
    execution = recorded(flow_of(before), traces=traces)
    report = Replayer(durable_execution(flow_of(after))).replay(execution)
    (root,) = report.roots
    return root


async def plain(ctx: DurableContext) -> None:
    await ctx.step(load, "load")
    await ctx.step(check, "check")
    await ctx.wait(MINUTE, "pause")
    await ctx.step(ship, "ship")


async def with_child(ctx: DurableContext) -> None:
    async def inside(inner: DurableContext) -> None:
        await inner.step(check, "check")

    await ctx.step(load, "load")
    await ctx.run_in_child_context(inside, "verify")
    await ctx.wait(MINUTE, "pause")
    await ctx.step(ship, "ship")


def loops(count: int) -> Body:
    async def body(ctx: DurableContext) -> None:
        for _ in range(count):
            await ctx.step(load, "load")
        await ctx.wait(MINUTE, "pause")
        await ctx.step(ship, "ship")

    return body


async def split(ctx: DurableContext) -> None:
    await ctx.step(load, "load")
    await ctx.step(check, "check_stock")
    await ctx.step(check, "check_price")
    await ctx.wait(MINUTE, "pause")
    await ctx.step(ship, "ship")


async def renamed(ctx: DurableContext) -> None:
    await ctx.step(load, "load")
    await ctx.step(check, "verify")
    await ctx.wait(MINUTE, "pause")
    await ctx.step(ship, "ship")


async def replaced(ctx: DurableContext) -> None:
    await ctx.step(load, "load")
    await ctx.step(ship, "send")
    await ctx.wait(MINUTE, "pause")
    await ctx.step(ship, "ship")


async def swapped(ctx: DurableContext) -> None:
    await ctx.step(check, "check")
    await ctx.step(load, "load")
    await ctx.wait(MINUTE, "pause")
    await ctx.step(ship, "ship")


async def removed(ctx: DurableContext) -> None:
    await ctx.step(load, "load")
    await ctx.wait(MINUTE, "pause")
    await ctx.step(ship, "ship")


EDITS = {
    "into a context": (plain, with_child, "flow/check", '"check" moved from flow into "verify"'),
    "out of a context": (with_child, plain, "flow/verify", '"check" moved out of "verify" to flow'),
    "into a loop": (loops(1), loops(3), "flow/load(2)", 'calls "load" 3 times, and once in the recording'),
    "out of a loop": (loops(3), loops(1), "flow/load(2)", 'calls "load" once, and 3 times in the recording'),
    "split": (plain, split, "flow/check", '"check" was split into "check_stock" and "check_price"'),
    "merged": (split, plain, "flow/check_stock", '"check_stock" and "check_price" were merged into "check"'),
}


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("traces", [False, True])
def test_an_edit_has_its_own_sentence(edit: str, traces: bool) -> None:
    before, after, path, sentence = EDITS[edit]
    root = root_of(before, after, traces=traces)
    assert sentence in (root.likely or ""), root.likely
    assert root.path == path
    assert "ctx.patched(" in root.fix


def in_child(before: str, inside: str, after: str) -> Body:
    """Steps by their letters: before, in and after a child context."""

    async def body(ctx: DurableContext) -> None:
        async def pack(inner: DurableContext) -> None:
            for name in inside:
                await inner.step(load, name)

        for name in before:
            await ctx.step(load, name)
        await ctx.run_in_child_context(pack, "pack")
        for name in after:
            await ctx.step(load, name)

    return body


@pytest.mark.parametrize(
    ("before", "after", "path", "sentence"),
    [
        (("", "ab", "z"), ("", "a", "bz"), "flow/b", '"b" moved out of "pack" to flow'),
        (("", "ba", "z"), ("b", "a", "z"), "flow/b", '"b" moved out of "pack" to flow'),
        (("", "a", "bz"), ("", "ab", "z"), "flow/b", '"b" moved from flow into "pack"'),
        (("b", "a", "z"), ("", "ba", "z"), "flow/b", '"b" moved from flow into "pack"'),
    ],
)
def test_a_call_that_left_or_entered_a_context_that_stays_is_one_difference(
    before: tuple[str, str, str], after: tuple[str, str, str], path: str, sentence: str
) -> None:
    root = root_of(in_child(*before), in_child(*after))
    assert (root.path, root.title, root.moved, root.sentence) == (path, "MOVED CALL", sentence, sentence)
    assert (root.likely or "").startswith(sentence)
    assert "move it only `if ctx.patched(" in root.fix
    assert root.follow_on >= 2, "the other place, and the calls that shift"
    assert Divergence.from_wire(root.to_wire()).title == root.title


def test_without_evidence_a_rename_is_one_of_two_readings_with_both_fixes() -> None:
    root = root_of(plain, renamed)
    assert root.kind is DivergenceKind.RENAMED
    assert root.likely is not None
    assert "was renamed" in root.likely
    assert "different call" in root.likely
    assert root.fix.index('ctx.patched("verify")') < root.fix.index('`name="check"`')


def test_the_same_function_under_a_different_name_is_a_rename() -> None:
    root = root_of(plain, renamed, traces=True)
    assert root.kind is DivergenceKind.RENAMED
    assert root.likely == 'the same function runs under a different name: "verify" instead of "check"'
    assert root.fix.startswith('keep `name="check"`')


def test_a_different_function_in_its_place_is_a_replacement() -> None:
    root = root_of(plain, replaced, traces=True)
    assert (root.kind, root.path) == (DivergenceKind.SKIPPED, "flow/check")
    assert '"send" took the place of "check"' in (root.likely or "")
    assert "name=" not in root.fix
    assert root.follow_on == 1


@pytest.mark.parametrize(
    ("after", "count"),
    [(renamed, ""), (removed, "; 2 later calls shift by 1"), (split, "; 2 later calls shift by 1")],
    ids=["renamed", "removed", "split"],
)
def test_the_effect_counts_the_later_calls_that_shift(after: Body, count: str) -> None:
    effect = root_of(plain, after).effect
    assert effect.endswith(f'the recorded result of "check"{count}'), effect


async def by_the_hour(ctx: DurableContext) -> None:
    await ctx.step(load, "load")
    if datetime.now(UTC) < datetime(2020, 1, 1, tzinfo=UTC):
        await ctx.step(check, "check")
    else:
        await ctx.step(check, "verify")
    await ctx.wait(MINUTE, "pause")
    await ctx.step(ship, "ship")


@pytest.mark.parametrize("traces", [False, True])
def test_a_difference_from_the_clock_never_advises_to_keep_a_name(traces: bool) -> None:
    root = root_of(plain, by_the_hour, traces=traces)
    assert "datetime.now" in (root.likely or "")
    assert "in a step" in root.fix
    assert "name=" not in root.fix


def checking(answer: str, name: str) -> Body:
    """A workflow whose check was edited, and may have a different name."""

    def check(_step: Any) -> str:
        return f"{answer} {answer}" if answer == "edited" else answer

    def edited_check(_step: Any) -> int:
        return 7

    edited_check.__qualname__ = check.__qualname__

    async def body(ctx: DurableContext) -> None:
        await ctx.step(load, "load")
        await ctx.step(edited_check if answer == "edited" else check, name)
        await ctx.wait(MINUTE, "pause")

    return body


def test_an_edited_function_under_a_different_name_is_a_rename_too() -> None:
    root = root_of(checking("checked", "check"), checking("edited", "verify"), traces=True)
    assert root.kind is DivergenceKind.RENAMED
    assert "the same function" in (root.likely or "")


async def seen(state: int, _step: Any) -> int:
    return state + 1


async def paid(state: int, _step: Any) -> int:
    return state + 2


async def pack(ctx: DurableContext, _attempt: int) -> None:
    await ctx.step(load, "load")


async def wrap(ctx: DurableContext, _attempt: int) -> None:
    await ctx.step(ship, "load")


def polls(function: Any, name: str) -> Body:
    async def body(ctx: DurableContext) -> None:
        once = WaitForConditionConfig(wait_strategy=poll_until(lambda state: state > 0), initial_state=0)
        await ctx.wait_for_condition(function, name, config=once)

    return body


def retries(function: Any, name: str) -> Body:
    async def body(ctx: DurableContext) -> None:
        await ctx.with_retry(function, name)

    return body


@pytest.mark.parametrize(("flow", "function", "other"), [(polls, seen, paid), (retries, pack, wrap)])
def test_conditions_and_retried_blocks_are_known_by_their_functions(flow: Any, function: Any, other: Any) -> None:
    renamed = root_of(flow(function, "first"), flow(function, "second"), traces=True)
    assert (renamed.likely or "").startswith(
        'the same function runs under a different name: "second" instead of "first"'
    )
    replaced = root_of(flow(function, "first"), flow(other, "second"), traces=True)
    assert replaced.kind is DivergenceKind.SKIPPED
    assert "name=" not in replaced.fix


def test_traces_of_earlier_versions_do_not_know_the_functions_of_retried_blocks() -> None:
    def node(function: str | None) -> CallNode:
        return CallNode(Side("CONTEXT", None, "block"), function=function, body="0" * 16 if function else None)

    assert is_same_function(node("pack"), node("wrap")) is None  # the code is the same, and may be of two functions
    assert is_same_function(node(UNKNOWN_BLOCK), node("wrap")) is None

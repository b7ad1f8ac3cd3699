"""Calls that moved, were split or merged, or are made more often: one root each, and what follows from it is counted."""

from dataclasses import replace

import pytest

from durable_execution.comparison.call_tree import CallNode
from durable_execution.comparison.relocation import with_relocations
from durable_execution.comparison.wording import OLD
from tests.unit.comparison.test_comparison import batch, compared, context, flow, loop, node, shown, tree


def nested(*names: str) -> CallNode:
    """A context `new` with a context `in` in it."""
    outer, inner = context("new", 1), context("in", 1, *names)
    inner.side = replace(inner.side, path="flow/new/in")
    for call in inner.children or ():
        call.side = replace(call.side, path=f"flow/new/in/{call.side.name}")
    outer.children = [inner]
    return outer


def unnamed(line: int, *names: str) -> CallNode:
    """Calls of one line, of which those called `load` have no name."""
    found = loop(line, *names)
    for call in found.children or ():
        if call.side.name == "load":
            call.side = replace(call.side, name=None, path="flow/step")
    return found


@pytest.mark.parametrize(("others", "follow_on", "inside"), [("d", 3, 1), ("de", 4, 2)])
def test_a_call_that_moved_is_one_root_at_its_recorded_place(others: str, follow_on: int, inside: int) -> None:
    found = compared(flow(node("b", 1), context("c", 2, *others)), flow(context("c", 1, "b", *others)))
    assert shown(found) == [("skipped", "flow/b", True), ("inserted", "flow/c/b", False)]
    assert [one.follow_on for one in found.divergences] == [follow_on, inside]
    assert {one.fix for one in found.divergences} == {
        f'call "b" in flow again, or move it only `if ctx.patched("b"):`, {OLD}'
    }


@pytest.mark.parametrize("names", [("b",), ("x", "b"), ("x", "b", "y")])
def test_a_call_is_found_in_a_context_of_a_new_context(names: tuple[str, ...]) -> None:
    (root,) = compared(flow(node("b", 1), node("z", 2)), flow(nested(*names), node("z", 2))).roots
    assert root.likely == '"b" moved from flow into "in"'
    (back,) = compared(flow(nested(*names), node("z", 2)), flow(node("b", 1), node("z", 2))).roots
    assert back.likely == '"b" moved out of "in" to flow'


def test_both_places_of_a_move_are_named_but_not_a_context_that_went_with_it() -> None:
    text = '"b" moved from flow into "new"'
    found = compared(flow(node("b", 1), context("c", 2, "d")), flow(context("c", 1, "b", "d")))
    assert {(one.title, one.moved) for one in found.divergences} == {("MOVED CALL", text.replace("new", "c"))}
    found = compared(flow(node("b", 1), node("z", 2)), flow(context("new", 1, "b"), node("z", 2)))
    assert [(one.title, one.moved, one.likely) for one in found.roots] == [("CHANGED KIND", None, text)]


def moved(body: str | None, other: str | None, *, name: str | None = "b") -> str:
    recorded = flow(node("b", 1), context("c", 2, "d"))
    replayed = flow(context("c", 1, "b", "d"))
    (recorded.children or [])[0].body = body
    inner = ((replayed.children or [])[0].children or [])[0]
    inner.body = other
    for call in ((recorded.children or [])[0], inner):
        call.side = replace(call.side, name=name)
    return compared(recorded, replayed).roots[0].likely or ""


def test_only_a_call_that_may_be_the_same_has_moved() -> None:
    assert "moved from flow" in moved(None, None)
    assert "moved from flow" in moved("x", "x")
    assert "moved from flow" not in moved("x", "y"), "a different function under the name"
    assert "moved from flow" not in moved(None, None, name=None), "calls without names cannot be told apart"


def test_a_call_of_another_client_has_not_moved() -> None:
    recorded = flow(node("b", 1), node("z", 2))
    (recorded.children or [])[0].is_foreign = True
    found = compared(recorded, flow(context("c", 1, "b"), node("z", 2)))
    assert all("moved from flow" not in (one.likely or "") for one in found.divergences)


def test_unnamed_calls_of_one_line_are_a_loop_only_if_today_makes_several() -> None:
    again = compared(unnamed(7, "load", "end"), unnamed(7, "load", "load", "end")).roots[0]
    assert (again.likely or "").startswith("flow.py:7 calls the step twice, and once in the recording: ")
    once = compared(unnamed(7, "load", "load", "end"), unnamed(7, "load", "end")).roots[0]
    assert (once.likely or "").startswith("the step was removed from the code")


def test_a_loop_is_guarded_under_the_name_of_its_call() -> None:
    found = compared(loop(7, "load", "end"), loop(7, "load", "load", "end")).roots[0]
    assert found.fix == (
        "compute what the loop runs over in a step; if you changed the loop, use the new loop only "
        f'`if ctx.patched("load"):`, {OLD}'
    )


@pytest.mark.parametrize(
    ("recorded", "replayed", "guard", "kept"),
    [
        (tree("a", "b", "c"), tree("a", "x", "y", "c"), "b", "the recorded call"),
        (tree("a", "x", "y", "c"), tree("a", "b", "c"), "b", "the recorded calls"),
        (tree("b"), tree("x", "y"), "b", "the recorded call"),
    ],
)
def test_a_step_that_was_split_or_merged_is_guarded_as_one(
    recorded: CallNode, replayed: CallNode, guard: str, kept: str
) -> None:
    (root,) = compared(recorded, replayed).roots
    assert root.fix == f'make the new calls only `if ctx.patched("{guard}"):`, {OLD}, and {kept} in `else:`'


def test_only_steps_with_names_are_split() -> None:
    waits = tree("a", "b", "c")
    (waits.children or [])[1] = node("b", 2, "WAIT")
    assert "split" not in (compared(waits, tree("a", "x", "y", "c")).roots[0].likely or "")
    unnamed_one = tree("a", "b", "c")
    nameless = (unnamed_one.children or [])[1]
    nameless.side = replace(nameless.side, name=None)
    assert "split" not in (compared(unnamed_one, tree("a", "x", "y", "c")).roots[0].likely or "")
    assert "split" not in (compared(tree("a", "b", "c"), tree("a", "x", "c")).roots[0].likely or "")
    assert "split" not in (compared(tree("a", "b", "d", "c"), tree("a", "x", "y", "c")).roots[0].likely or "")


@pytest.mark.parametrize(("before", "after", "shows"), [("uvw", "wuv", "w, u, v"), ("uvwx", "xuvw", "x, u, v, …")])
def test_the_first_three_items_of_another_order_are_shown(before: str, after: str, shows: str) -> None:
    (root,) = compared(batch(*before), batch(*after)).roots
    assert root.replayed is not None
    assert root.replayed.detail == f'map "m": {shows}'
    assert (root.path, root.context_path, root.position) == ("flow/m", "flow", 1)


def test_items_that_are_known_by_the_names_of_their_branches_are_in_another_order_too() -> None:
    def named(*names: str) -> CallNode:
        each = batch(*"s" * len(names))
        for branch, name in zip((each.children or [])[0].children or (), names, strict=True):
            branch.side = replace(branch.side, name=name)
        return each

    (root,) = compared(named("u", "v", "w"), named("w", "u", "v")).roots
    assert (root.kind, root.follow_on) == ("reordered", 3)


def test_one_item_that_makes_another_call_is_no_other_order() -> None:
    (root,) = compared(batch("u", "u"), batch("u", "v")).roots
    assert root.kind == "renamed"
    (alone,) = compared(batch("u", "v"), batch("u", "u")).roots
    assert alone.kind == "renamed", "one item in the place of another is not an order"


def test_what_is_behind_a_map_is_not_one_of_its_items() -> None:
    def beside(item: str, name: str) -> CallNode:
        found = batch(item, "v")
        found.children = [*(found.children or []), context("c", 2, name)]
        return found

    (root,) = compared(beside("u", "w"), beside("w", "u")).roots
    assert (root.kind, root.likely) == ("renamed", '"w" moved from flow/c to flow/m#0')


def test_rows_without_a_root_stay_as_they_are() -> None:
    rows = list(compared(tree("a", "b"), tree("a", "b")).rows)
    assert with_relocations(rows) is rows

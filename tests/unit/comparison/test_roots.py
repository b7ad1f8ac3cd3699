"""Which of many differences are roots: one for the same in many branches, none inside a call that explains it."""

from dataclasses import replace

import pytest

from durable_execution.comparison.call_tree import CallNode
from durable_execution.comparison.comparison import compare
from durable_execution.divergence import Side
from tests.unit.comparison.test_comparison import branches, compared, context, flow, node, shown, tree


def ended(call: CallNode, outcome: str, order: int) -> CallNode:
    """A call of a recording, as one that is compared with another."""
    call.outcome, call.order = f'["ended", "{outcome}"]', order
    return call


def test_the_depth_of_a_row_is_the_number_of_contexts_around_it() -> None:
    def side(name: str) -> CallNode:
        outer = context("o", 1, "x")
        inner = context("i", 2, name)
        outer.children = [*(outer.children or []), inner]
        return flow(outer)

    assert [row.depth for row in compared(side("a"), side("b")).rows] == [0, 1, 1, 2]


def test_the_same_difference_is_counted_at_its_first_place() -> None:
    """With everything that follows from it in the other branches."""
    found = compared(branches("a", "b", "c"), branches("b", "c"))
    assert [one.is_root for one in found.divergences] == [True, False, False]
    assert [one.follow_on for one in found.divergences] == [2 + 2 * 3, 2, 2]
    alone = compared(branches("a"), branches("b"))
    assert alone.roots[0].follow_on == 2


@pytest.mark.parametrize("side", ["recorded", "replayed", "both"])
def test_what_was_not_examined_is_not_compared(side: str) -> None:
    recorded, replayed = flow(context("c", 1, "x")), flow(context("c", 1, "y"))
    for name, one in (("recorded", recorded), ("replayed", replayed)):
        if side in (name, "both"):
            (one.children or [])[0].children = None
    found = compared(recorded, replayed)
    assert found.divergences == ()
    assert len(found.rows) == 1


def test_the_inside_of_a_call_that_became_another_type_is_not_compared() -> None:
    step = node("c", 1)
    found = compared(flow(context("c", 1, "x")), flow(step))
    assert [one.kind for one in found.divergences] == ["changed_kind"]
    assert len(found.rows) == 1


@pytest.mark.parametrize(
    ("was", "now", "path"), [("f/c", "g/c", "g/c/y"), ("f/c", None, "f/c/y"), (None, "g/c", "g/c/y")]
)
def test_a_new_call_is_in_the_context_that_is_replayed(was: str | None, now: str | None, path: str) -> None:
    def side(around: str | None, *names: str) -> CallNode:
        one = context("c", 1, *names)
        one.side = replace(one.side, path=around)
        for call in one.children or ():
            call.side = replace(call.side, path=None)
        return flow(one)

    found = compared(side(was, "x"), side(now, "x", "y")).divergences[0]
    assert found.context_path == path.rpartition("/")[0]


def two(left: CallNode, right: CallNode) -> list[tuple[str, str, bool]]:
    return shown(compare(left, right, handler="flow"))


def test_a_context_is_explained_by_a_call_inside_and_not_by_one_before() -> None:
    def side(before: str, result: str) -> CallNode:
        inside = context("c", 2, "x")
        for call in inside.children or ():
            ended(call, "1", 2)
        return flow(context("o", 1), ended(inside, result, 3), ended(node("z", 3), before, 4))

    assert two(side("1", "1"), side("1", "2")) == [("result", "flow/c", True)]
    assert [one[:2] for one in two(side("1", "1"), side("2", "2"))] == [("result", "flow/c"), ("result", "flow/z")]


def map_of(*results: str, inside: str = "1") -> CallNode:
    """A map as it is recorded, with the result of each item."""
    each = CallNode(Side("CONTEXT", "Map", "m", position=1, path="flow/m"))
    each.children = []
    for index, result in enumerate(results):
        branch = CallNode(Side("CONTEXT", "MapIteration", position=index, path=f"flow/m#{index}"), branch=index)
        step = CallNode(Side("STEP", "Step", "s", position=1, path=f"flow/m#{index}/s"))
        branch.children = [ended(step, inside, 2 * index + 2)]
        each.children.append(ended(branch, result, 2 * index + 3))
    return flow(ended(each, "all", 100))


def test_branches_end_independently_of_each_other() -> None:
    """Each that ended differently is a root, unless a call inside it is."""
    assert two(map_of("1", "1", "1"), map_of("2", "1", "3")) == [
        ("result", "flow/m#0", True),
        ("result", "flow/m#2", True),
    ]
    explained = two(map_of("1", "1"), map_of("2", "2", inside="2"))
    assert [path for _, path, is_root in explained if is_root] == ["flow/m#0/s", "flow/m#1/s"]


def test_a_replay_has_no_outcomes_to_explain_anything_by() -> None:
    """Its contexts and the calls inside are different in their own right."""

    def side(result: str, *names: str) -> CallNode:
        one = context("c", 1, *names)
        one.result = result
        return flow(one)

    found = compared(side("1", "a"), side("2", "b"))
    assert shown(found) == [("result", "flow/c", True), ("renamed", "flow/c/a", True)]


def test_calls_without_names_are_the_same_in_every_branch() -> None:
    recorded, replayed = branches("a"), branches("a", "b")
    for side in (recorded, replayed):
        for branch in (side.children or [])[0].children or ():
            for call in branch.children or ():
                call.side = replace(call.side, name=None, path=f"{branch.side.path}/step({call.side.position})")
    assert [one.is_root for one in compared(recorded, replayed).divergences] == [True, False, False]


@pytest.mark.parametrize(("number", "is_root"), [(1, True), (2, True)])
def test_the_same_name_in_two_contexts_is_two_roots(number: int, is_root: bool) -> None:
    recorded = flow(context("c1", 1, "x", "a"), context("c2", 2, "x", "a"))
    replayed = flow(context("c1", 1, "a"), context("c2", 2, "a"))
    roots = {one.path: one.is_root for one in compared(recorded, replayed).divergences}
    assert roots[f"flow/c{number}/x"] is is_root


def test_inside_a_renamed_context_nothing_is_a_root() -> None:
    found = compared(flow(context("c", 1, "x", "a"), node("z", 2)), flow(context("d", 1, "a"), node("z", 2)))
    assert [(one.kind, one.is_root) for one in found.divergences] == [("renamed", True), ("skipped", False)]
    behind = compared(
        flow(context("c", 1, "x"), context("e", 2, "x", "a")), flow(context("d", 1, "x"), context("e", 2, "a"))
    )
    assert [(one.path, one.is_root) for one in behind.divergences] == [("flow/c", True), ("flow/e/x", True)]


def test_equal_trees_have_no_first_difference() -> None:
    assert compared(tree("a"), tree("a")).first is None

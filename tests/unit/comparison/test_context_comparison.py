"""The calls of one context: which differences there are, which is the root, and what it does to the calls behind it."""

from dataclasses import replace

import pytest

from durable_execution.comparison.call_tree import CallNode
from durable_execution.comparison.context_comparison import _context_path, _is_taken
from durable_execution.comparison.wording import ENDED_DIFFERENTLY
from durable_execution.divergence import Divergence, Side
from durable_execution.history.positions import MAIN, ScopePath, ScopeStep, may_have_lost, paired_scopes
from tests.unit.comparison.test_comparison import compared, context, flow, node, shown, tree

RAISED = Side("EXECUTION", name="flow", detail="raised ValueError: no")


def numbered(*calls: tuple[str, int]) -> CallNode:
    """A handler whose calls have these numbers."""
    return flow(*(node(name, position) for name, position in calls))


def root_of(recorded: CallNode, replayed: CallNode) -> Divergence:
    (root,) = compared(recorded, replayed).roots
    return root


@pytest.mark.parametrize(
    ("recorded", "replayed", "effect", "follow_on"),
    [
        ("abcde", "acde", '"c" would take the recorded result of "b"; 3 later calls shift by 1', 3),
        ("abcde", "ade", '"d" would take the recorded result of "b"; 2 later calls shift by 2', 3),
        ("ade", "abcde", '"b" would take the recorded result of "d"; 2 later calls shift by 2', 3),
        ("abc", "anbc", '"n" would take the recorded result of "b"; 2 later calls shift by 1', 2),
        ("abcde", "ab", '"c" has already run, but its result is no longer used; the same for 2 later calls', 2),
        ("abcdef", "acxyef", '"c" would take the recorded result of "b"; 2 later calls shift by 1', 3),
        ("abcd", "acbd", '"c" would take the recorded result of "b"; 1 later call shifts by 1', 2),
        ("abcd", "dabc", '"d" would take the recorded result of "a"; 3 later calls shift by 1', 4),
        ("abcde", "axcye", '"x" would take the recorded result of "b"', 1),
    ],
)
def test_the_root_says_what_becomes_of_later_calls(recorded: str, replayed: str, effect: str, follow_on: int) -> None:
    root = root_of(tree(*recorded), tree(*replayed))
    assert (root.effect, root.follow_on) == (effect, follow_on)


def test_calls_that_shift_by_different_numbers_only_shift() -> None:
    root = root_of(tree(*"abcdef"), tree(*"acdxyef"))
    assert root.effect == '"c" would take the recorded result of "b"; 4 later calls shift'


def test_a_warning_before_the_root_is_a_root_of_its_own() -> None:
    recorded, replayed = (flow(*(node(name, at) for at, name in enumerate("ab", start=1))) for _ in range(2))
    for side, result in ((recorded, "1"), (replayed, "2")):
        side.children = [*(side.children or [])]
        side.children[0] = node("a", 1, "CONTEXT", result=result)
    (replayed.children or [])[1].side = node("x", 2).side
    assert shown(compared(recorded, replayed)) == [("result", "flow/a", True), ("renamed", "flow/b", True)]


@pytest.mark.parametrize(
    ("names", "paths"),
    [
        ("ab", ["flow/c", "flow/d"]),
        ("ax", ["flow/b", "flow/c", "flow/d"]),
        ("", ["flow/a", "flow/b", "flow/c", "flow/d"]),
    ],
)
def test_code_that_raised_never_reached_what_is_recorded_behind(names: str, paths: list[str]) -> None:
    replayed = tree(*names)
    replayed.raised = RAISED
    found = compared(tree(*"abcd"), replayed)
    assert [one.path for one in found.divergences] == paths
    behind = found.divergences[-1]
    assert (behind.kind, behind.replayed, behind.severity) == ("unfinished", RAISED, "error")
    assert behind.effect == 'the execution fails here and never reaches "d", which the recording made'
    assert [one.is_root for one in found.divergences] == [True] + [False] * (len(paths) - 1)


def test_a_call_that_is_gone_before_the_code_raised_was_skipped() -> None:
    replayed = numbered(("a", 1), ("c", 2))
    replayed.raised = RAISED
    assert [one.kind for one in compared(tree(*"abc"), replayed).divergences] == ["skipped"]
    assert [one.kind for one in compared(tree(*"abcde"), replayed).divergences] == ["skipped", *["unfinished"] * 2]


def test_a_call_that_moved_is_not_taken_for_a_renamed_one() -> None:
    found = compared(tree("m", "b", "c"), tree("x", "b", "c", "m"))
    assert {one.kind for one in found.divergences} == {"reordered", "inserted"}


def test_code_that_waits_for_nothing_new_has_made_all_its_calls() -> None:
    replayed = tree("a", is_ended=False)
    assert shown(compared(tree("a", "b"), replayed)) == []
    replayed.is_resting = True
    assert shown(compared(tree("a", "b"), replayed)) == [("skipped", "flow/b", True)]


def test_a_call_of_a_different_client_is_no_difference() -> None:
    recorded = tree("a", "b")
    (recorded.children or [])[1].is_foreign = True
    found = compared(recorded, tree("a"))
    assert found.divergences == ()
    assert [row.recorded is not None and row.recorded.is_foreign for row in found.rows] == [False, True]


def test_a_number_that_no_call_has_was_reserved_by_a_call_that_nobody_awaited() -> None:
    assert shown(compared(tree(*"abc"), numbered(("a", 1), ("c", 3)))) == []
    assert shown(compared(tree(*"abc"), numbered(("a", 1), ("c", 2)))) == [("skipped", "flow/b", True)]
    skipped = compared(tree(*"abcd"), numbered(("c", 2), ("d", 3)))
    assert shown(skipped) == [("skipped", "flow/b", True)], "the number of a is free, and that of b is taken"
    assert shown(compared(tree(*"abc"), numbered(("a", 1), ("b", 2)))) == [("skipped", "flow/c", True)]
    assert shown(compared(tree(*"aaa"), numbered(("a", 1), ("a", 3)))) == []


def test_a_number_is_free_where_the_calls_before_it_have_shifted() -> None:
    added = ("inserted", "flow/n", True)
    assert shown(compared(tree(*"abcd"), numbered(("n", 1), ("a", 2), ("b", 3), ("d", 5)))) == [added]
    assert shown(compared(tree(*"abc"), tree(*"nab"))) == [added, ("skipped", "flow/c", False)]
    new = compared(numbered(("n", 1), ("a", 2), ("c", 4)), tree(*"axc")).divergences
    assert [(one.path, one.severity) for one in new] == [("flow/n", "error"), ("flow/x", "warning")]


def test_a_call_with_a_number_that_the_recording_left_free_is_new_work() -> None:
    (added,) = compared(numbered(("a", 1), ("c", 3)), tree(*"abc")).divergences
    assert (added.kind, added.severity, added.path) == ("inserted", "warning", "flow/b")
    open_one = numbered(("a", 1), ("c", 3))
    open_one.is_ended = False
    assert shown(compared(open_one, tree(*"abc"))) == []


@pytest.mark.parametrize("subtype", ["All", "Any", "Race"])
def test_a_combinator_that_was_not_decided_has_no_record(subtype: str) -> None:
    replayed = flow(node("a", 1), CallNode(Side("STEP", subtype, "r", position=2, path="flow/r")), node("c", 3))
    assert shown(compared(numbered(("a", 1), ("c", 3)), replayed)) == []


def test_a_renamed_call_that_pushes_the_ones_behind_it_was_added() -> None:
    """The recorded call is created still, but not awaited: it lost to the new one."""
    pushed = root_of(tree(*"abcd"), numbered(("a", 1), ("x", 2), ("c", 4), ("d", 5)))
    assert (pushed.kind, pushed.path) == ("inserted", "flow/x")
    renamed = root_of(tree(*"abcd"), tree(*"axcd"))
    assert renamed.kind == "renamed"
    assert "the same function" not in (renamed.likely or ""), "it is not known"


def test_a_renamed_call_of_the_same_function_was_not_added() -> None:
    recorded, replayed = tree(*"abcd"), numbered(("a", 1), ("x", 2), ("c", 4), ("d", 5))
    for side in (recorded, replayed):
        (side.children or [])[1].body = "same"
    assert root_of(recorded, replayed).kind == "renamed"


def test_a_call_of_a_different_function_and_name_is_a_replacement() -> None:
    recorded, replayed = tree("a", "b"), tree("a", "x")
    (recorded.children or [])[1].body, (replayed.children or [])[1].body = "bill", "refund"
    found = compared(recorded, replayed)
    assert [one.kind for one in found.divergences] == ["skipped", "inserted"]
    assert (found.roots[0].likely or "").startswith('"x" took the place of "b" and runs a different function')
    assert (found.roots[0].replayed and found.roots[0].replayed.name) == "x"


def test_a_call_that_only_moved_up_replaces_nothing() -> None:
    recorded, replayed = tree("a", "b", "c"), tree("a", "c")
    for side in (recorded, replayed):
        for call in side.children or ():
            call.body = call.side.name
    assert root_of(recorded, replayed).likely == root_of(tree("a", "b", "c"), tree("a", "c")).likely


def test_a_position_is_that_of_the_side_at_fault() -> None:
    assert root_of(tree(*"abc"), tree(*"ac")).position == 2
    assert root_of(tree(*"ac"), tree(*"abc")).position == 2
    assert root_of(tree(*"abcd"), tree(*"adbc")).position == 2
    _, late = compared(tree(*"abc"), tree(*"naxc")).divergences
    assert (late.kind, late.path, late.position) == ("renamed", "flow/b", 3)


def test_rows_of_calls_that_have_a_different_number_are_shifted() -> None:
    found = compared(tree(*"abc"), tree(*"ac"))
    assert [row.shift for row in found.rows] == [0, 0, -1]


def batch(*branches: int, known: int | None = None, is_settled: bool = False, is_ended: bool = True) -> CallNode:
    """A map whose recorded branches have these indexes."""
    each = CallNode(Side("CONTEXT", "Map", "m", position=1, path="flow/m"), is_ended=is_ended, is_settled=is_settled)
    each.known = {} if known is None else {"branches": known}
    each.children = [
        CallNode(Side("CONTEXT", "MapIteration", position=index, path=f"flow/m#{index}"), branch=index)
        for index in branches
    ]
    return flow(each)


def test_branches_are_paired_by_index_in_whatever_order_they_started() -> None:
    found = compared(batch(2, 0, 1), batch(0, 1, 2))
    assert found.divergences == ()
    assert [row.recorded.branch for row in found.rows[1:] if row.recorded] == [0, 1, 2]


def test_calls_in_a_map_that_became_a_plain_context_are_all_shown() -> None:
    found = compared(batch(0, 1), flow(context("m", 1, "x", "y")))
    assert [one.kind for one in found.roots] == ["changed_kind"]
    assert {row.replayed.side.name for row in found.rows[1:] if row.replayed} == {"x", "y"}


def test_branches_that_changed_places_are_named() -> None:
    def parallel(*names: str) -> CallNode:
        each = CallNode(Side("CONTEXT", "Parallel", "p", position=1, path="flow/p"))
        each.children = [
            CallNode(Side("CONTEXT", "ParallelBranch", name, position=at, path=f"flow/p#{at}"), branch=at)
            for at, name in enumerate(names)
        ]
        return flow(each)

    changed = root_of(parallel("ship", "bill", "mail"), parallel("bill", "ship", "mail"))
    assert changed.likely == 'the branches changed places: "bill" is branch 0 in place of "ship"'
    for other in (
        root_of(parallel("ship", "bill"), parallel("pack", "bill")),
        root_of(tree(*"ab"), tree(*"bb")),
    ):
        assert (other.kind, "changed places" in (other.likely or "")) == ("renamed", False)


def test_a_branch_that_an_open_map_had_not_come_to_is_no_difference_unless_it_would_have() -> None:
    unsettled = batch(0, is_ended=False)
    assert shown(compared(unsettled, batch(0, 1))) == []
    settled = batch(0, is_ended=False, is_settled=True)
    (gained,) = compared(settled, batch(0, 1, 2, known=3)).divergences
    assert (gained.kind, gained.context_path, gained.path) == ("branch_count", "flow", "flow/m")
    sides = [side and side.configuration for side in (gained.recorded, gained.replayed)]
    assert sides == [{"branches": 1}, {"branches": 3}]
    (counted,) = compared(settled, batch(0, 1)).divergences
    assert counted.replayed is not None
    assert counted.replayed.configuration == {"branches": 2}, "as many as were seen, where it is not known"


def test_two_functions_of_one_name_that_changed_places_are_reordered() -> None:
    def side(*bodies: str | None) -> CallNode:
        return flow(*(node("same", at, body=body) for at, body in enumerate(bodies, start=1)))

    found = compared(side("x", "y", "z"), side("y", "x", "z"))
    assert [(one.kind, one.position) for one in found.divergences] == [("reordered", 1), ("reordered", 2)]
    assert compared(side("x", "y"), side("x", "y")).divergences == ()
    assert compared(side("x", "y"), side("x", "other")).divergences == (), "an edited body is no other order"
    assert compared(side("x", None), side(None, "x")).divergences == (), "what is unknown has not moved"


def test_arguments_of_a_call_that_a_moved_one_passed_follow_from_the_move() -> None:
    def waits(*seconds: int) -> list[CallNode]:
        return [node(f"w{at}", at, "WAIT", known={"wait_seconds": each}) for at, each in enumerate(seconds)]

    def side(*calls: CallNode) -> CallNode:
        return flow(*(replaced(call, position) for position, call in enumerate(calls, start=1)))

    def replaced(call: CallNode, position: int) -> CallNode:
        call.side = replace(call.side, position=position)
        return call

    before, behind = waits(5, 5)
    now_before, now_behind = waits(6, 7)
    found = compared(
        side(before, node("x", 0), behind, node("z", 0)), side(now_before, now_behind, node("z", 0), node("x", 0))
    )
    assert [(one.kind, one.path) for one in found.roots] == [("configuration", "flow/w0"), ("reordered", "flow/x")]
    assert ("configuration", "flow/w1", False) in shown(found)


def test_a_virtual_context_in_place_of_a_recorded_one_is_another_kind() -> None:
    virtual = context("c", 1, "x")
    virtual.is_virtual = True
    (found,) = compared(flow(context("c", 1, "x")), flow(virtual)).roots
    assert found.kind == "changed_kind"
    assert found.replayed is not None
    assert (found.replayed.detail or "").startswith("virtual branch")


@pytest.mark.parametrize(("left", "right", "differs"), [("1", "1.0", False), ("1", "2", True), (None, "2", False)])
def test_a_context_that_returns_something_else_is_a_warning(left: str | None, right: str, differs: bool) -> None:
    found = compared(flow(node("c", 1, "CONTEXT", result=left)), flow(node("c", 1, "CONTEXT", result=right)))
    assert [(one.kind, one.severity) for one in found.divergences] == [("result", "warning")] * differs


Taken = dict[tuple[ScopePath, int | None], CallNode]

TASK, OTHER_TASK = ScopeStep("task", 1), ScopeStep("task", 2)
VIRTUAL, BRANCH = ScopeStep("context", 3), ScopeStep("branch", 0, "race")


def test_scopes_are_paired_by_name_and_the_rest_in_order_of_their_kind() -> None:
    """Their numbers shift with the calls before them."""
    assert paired_scopes([MAIN, (TASK,)], [MAIN, (TASK,)]) == [(MAIN, MAIN), ((TASK,), (TASK,))]
    assert paired_scopes([MAIN, (TASK,)], [MAIN, (OTHER_TASK,)]) == [(MAIN, MAIN), ((TASK,), (OTHER_TASK,))]
    assert paired_scopes([(TASK,)], [(VIRTUAL,)]) == [((TASK,), None), (None, (VIRTUAL,))]
    nested: ScopePath = (VIRTUAL, TASK)
    deep: ScopePath = (ScopeStep("context", 4), OTHER_TASK)
    assert paired_scopes([nested], [deep]) == [(nested, deep)], "the kind is that of the innermost step"
    assert paired_scopes([nested], [(TASK, VIRTUAL)]) == [(nested, None), (None, (TASK, VIRTUAL))]
    several: list[ScopePath] = [(ScopeStep("task", number),) for number in (1, 2, 3)]
    assert paired_scopes(several[:2], several[1:]) == [(several[0], several[2]), (several[1], several[1])]


@pytest.mark.parametrize(
    ("scope", "may"),
    [
        (None, False),
        (MAIN, False),
        ((VIRTUAL,), False),
        ((VIRTUAL, VIRTUAL), True),
        ((TASK, VIRTUAL, VIRTUAL), True),
        ((VIRTUAL, TASK), False),
        ((VIRTUAL, VIRTUAL, TASK), False),
    ],
)
def test_two_nested_contexts_may_be_an_awaitable_of_a_race(scope: ScopePath | None, may: bool) -> None:
    assert may_have_lost(scope) is may


@pytest.mark.parametrize(
    ("scope", "subtype", "is_taken"),
    [
        (MAIN, "Step", False),
        ((VIRTUAL,), "Step", True),
        ((VIRTUAL,), "Race", True),
        ((VIRTUAL, TASK), "Step", True),
        ((VIRTUAL, TASK), "Race", False),
        ((ScopeStep("context", 4),), "Step", False),
        ((ScopeStep("task", 3),), "Step", False),
        ((TASK, VIRTUAL), "Step", False),
    ],
)
def test_calls_of_a_virtual_context_whose_number_is_taken_are_gone(
    scope: ScopePath, subtype: str, is_taken: bool
) -> None:
    """Unless a race has the number: its awaitables are numbered like contexts."""
    taken: Taken = {(MAIN, 3): CallNode(Side("STEP", subtype, "a", position=3))}
    assert _is_taken(scope, taken) is is_taken
    inner: Taken = {((TASK,), 3): CallNode(Side("STEP", subtype, "a", position=3))}
    assert _is_taken((TASK, VIRTUAL), inner)


def test_the_path_of_a_scope_is_that_around_its_calls() -> None:
    assert _context_path([node("a", 1), CallNode(Side("STEP", path="elsewhere/b"))], "x") == "flow"
    assert _context_path([CallNode(Side("STEP", path="alone"))], "x") == "x"
    assert _context_path([CallNode(Side("STEP"))], "x") == "x"
    assert _context_path([], "x") == "x"


def in_task(name: str, position: int, *, scope: ScopePath = (TASK,)) -> CallNode:
    made = node(name, position)
    made.side = replace(made.side, path=f"flow/task/{name}")
    made.scope = scope
    return made


def test_the_calls_of_a_task_are_compared_with_those_of_the_same_task() -> None:
    found = compared(flow(node("a", 1), in_task("t", 1)), flow(node("a", 1), in_task("u", 1)))
    assert [(one.kind, one.path, one.context_path) for one in found.divergences] == [
        ("renamed", "flow/task/t", "flow/task")
    ]


def test_a_task_with_a_different_number_does_not_find_its_recorded_results() -> None:
    def side(name: str, *tasks: int) -> CallNode:
        scopes: list[ScopePath] = [(ScopeStep("task", number),) for number in tasks]
        return flow(node(name, 1), *(in_task(call, at, scope=one) for one in scopes for at, call in enumerate("tu", 1)))

    found = compared(side("a", 1, 2), side("a", 3, 4))
    assert [(one.kind, one.path, one.context_path) for one in found.divergences] == [
        ("reordered", "flow/task/t", "flow/task")
    ]
    assert [row.divergence is None for row in found.rows] == [True, False, True, True, True]
    late = compared(flow(in_task("t", 1), in_task("u", 2)), flow(in_task("u", 2, scope=(OTHER_TASK,))))
    assert shown(late) == [("reordered", "flow/task/u", True)]
    assert compared(side("a", 1, 2), side("a", 1, 2)).divergences == ()
    assert shown(compared(side("a", 1), side("b", 2))) == [("renamed", "flow/a", True)], "the cause comes before it"


def test_a_call_of_a_task_that_the_recording_does_not_have_is_in_that_task() -> None:
    (added,) = compared(flow(node("a", 1)), flow(node("a", 1), in_task("t", 1))).divergences
    assert (added.kind, added.context_path) == ("inserted", "flow/task")


def test_calls_of_a_virtual_context_are_gone_when_a_different_call_has_its_number() -> None:
    recorded, replayed = flow(node("a", 1), in_task("t", 1, scope=(VIRTUAL,))), numbered(("a", 1), ("x", 3))
    recorded.is_ended = replayed.is_ended = False
    assert shown(compared(recorded, replayed)) == [("skipped", "flow/task/t", True)]


@pytest.mark.parametrize("side", ["recorded", "replayed"])
def test_a_task_that_was_cancelled_need_not_make_its_calls(side: str) -> None:
    recorded, replayed = flow(node("a", 1), in_task("t", 1), in_task("u", 2)), flow(node("a", 1), in_task("t", 1))
    assert shown(compared(recorded, replayed)) == [("skipped", "flow/task/u", True)]
    (recorded if side == "recorded" else replayed).cut_off.add((TASK,))
    assert compared(recorded, replayed).divergences == ()


def test_a_task_that_still_runs_may_make_its_calls_later() -> None:
    recorded, replayed = flow(in_task("t", 1), in_task("u", 2)), flow(in_task("t", 1))
    replayed.unfinished.add((TASK,))
    assert compared(recorded, replayed).divergences == ()
    replayed.is_resting = True
    assert shown(compared(recorded, replayed)) == [("skipped", "flow/task/u", True)]


def test_a_task_that_has_ended_made_all_its_calls_also_in_an_open_context() -> None:
    recorded, replayed = flow(in_task("t", 1), in_task("u", 2)), flow(in_task("t", 1))
    replayed.is_ended = False
    assert compared(recorded, replayed).divergences == ()
    replayed.finished.add((TASK,))
    assert shown(compared(recorded, replayed)) == [("skipped", "flow/task/u", True)]


def test_calls_without_numbers_are_compared_by_what_they_are() -> None:
    def side(*names: str) -> CallNode:
        return flow(*(CallNode(Side("STEP", "Step", name, path=f"flow/{name}")) for name in names))

    assert compared(side("a", "b"), side("a", "b")).divergences == ()
    assert [one.kind for one in compared(side("a", "b", "c"), side("a", "c")).divergences] == ["skipped"]
    for names, severity in (("ab", "warning"), ("ba", "error")):
        (added,) = compared(side("a"), side(*names)).divergences
        assert (added.kind, added.path, added.severity) == ("inserted", "flow/b", severity)
    mixed = side("a", "b")
    assert compared(mixed, tree("a", "b")).divergences == ()
    assert compared(side("a"), tree("a")).divergences == ()
    assert compared(tree("a"), side("a")).divergences == ()


def test_a_call_with_a_recorded_outcome_that_differs_keeps_what_that_means() -> None:
    recorded, replayed = tree("a", "b"), tree("a", "b")
    for side, outcome in ((recorded, '["ended", "1"]'), (replayed, '["ended", "2"]')):
        for call in side.children or ():
            call.outcome, call.order = outcome, 1
    (root,) = compared(recorded, replayed).roots
    assert root.effect == ENDED_DIFFERENTLY.effect
    assert root.follow_on == 1


@pytest.mark.parametrize(
    ("was", "now", "is_same"),
    [
        ('["ended", "1"]', '["ended", "1.0"]', True),
        ('["ended", null]', '["ended", "null"]', True),
        ('["ended", "1"]', '["failed", "FAILED", "A", "no"]', False),
        ('["failed", "FAILED", "A", "no"]', '["failed", "FAILED", "A", "no"]', True),
        ('["failed", "FAILED", "A", "no"]', '["failed", "FAILED", "A", "yes"]', False),
        ('["failed", "FAILED", "A", "no"]', '["failed", "TIMED_OUT", "A", "no"]', False),
        ('["open"]', '["open"]', True),
        ('["ended", "1"]', '["open"]', True),
        ('["open"]', '["ended", "1"]', False),
    ],
)
def test_outcomes_are_the_same_if_they_are_the_same_value_or_error(was: str, now: str, is_same: bool) -> None:
    recorded, replayed = tree("a"), tree("a")
    (recorded.children or [])[0].outcome, (replayed.children or [])[0].outcome = was, now
    assert (compared(recorded, replayed).divergences == ()) is is_same

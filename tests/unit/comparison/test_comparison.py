"""Two sides, call by call."""

from dataclasses import replace
from typing import Any

import pytest

from durable_execution.call_site import CallSite
from durable_execution.comparison.call_tree import CallNode, completion_reason, is_same_json, tree_of
from durable_execution.comparison.comparison import Comparison, compare, not_restated
from durable_execution.comparison.relocation import _is_same
from durable_execution.comparison.runtime_check import target_of
from durable_execution.comparison.wording import likely_of
from durable_execution.divergence import Divergence, DivergenceKind, Side
from durable_execution.history.reading import read_history
from durable_execution.protocol import operation_id
from durable_execution.trace.arguments import digest_of, key_for
from tests.unit.history.events import Script


def node(name: str, position: int, type_: str = "STEP", **more: Any) -> CallNode:
    subtype = {"STEP": "Step", "WAIT": "Wait", "CONTEXT": "RunInChildContext"}[type_]
    return CallNode(Side(type_, subtype, name, position=position, path=f"flow/{name}"), **more)


def tree(*names: str, is_ended: bool = True) -> CallNode:
    root = CallNode(Side("EXECUTION", name="flow"), is_ended=is_ended)
    root.children = [node(name, position) for position, name in enumerate(names, start=1)]
    return root


def compared(left: CallNode, right: CallNode) -> Comparison:
    return compare(left, right, handler="flow")


def shown(found: Comparison) -> list[tuple[str, str, bool]]:
    return [(one.kind.value, one.path, one.is_root) for one in found.divergences]


def test_equal_sides() -> None:
    found = compared(tree("a", "b"), tree("a", "b"))
    assert found.divergences == ()
    assert [(row.recorded is not None, row.replayed is not None) for row in found.rows] == [(True, True)] * 2


def test_what_follows_is_only_counted() -> None:
    found = compared(tree("a", "b", "c", "d", "e"), tree("a", "c", "d", "e"))
    assert shown(found) == [("skipped", "flow/b", True)]
    assert found.roots[0].follow_on == 3
    assert found.roots[0].effect.endswith("3 later calls shift by 1")


def test_the_first_difference_of_a_context_is_its_root() -> None:
    found = compared(tree("a", "b", "c", "d"), tree("a", "c", "x", "d"))
    assert [(kind, is_root) for kind, _, is_root in shown(found)] == [("skipped", True), ("inserted", False)]


def test_both_sides_of_a_place_are_shown() -> None:
    found = compared(tree("a", "b", "c"), tree("a", "new", "b", "c")).roots[0]
    assert found.recorded is not None
    assert found.replayed is not None
    assert (found.recorded.name, found.replayed.name, found.position) == ("b", "new", 2)


def test_a_swap_is_one_difference_wherever_the_alignment_puts_it() -> None:
    for left, right in ((("a", "b", "c"), ("a", "c", "b")), (("b", "c"), ("c", "b"))):
        found = compared(tree(*left), tree(*right))
        assert found.roots[0].kind == "reordered"
        assert found.roots[0].path == "flow/b"
        assert len(found.roots) == 1


def test_renamed_and_changed_kind_need_the_same_place() -> None:
    assert shown(compared(tree("a", "b", "c"), tree("a", "x", "c"))) == [("renamed", "flow/b", True)]
    other = tree("a", "b", "c")
    assert other.children is not None
    other.children[1] = node("pause", 2, "WAIT")
    assert shown(compared(tree("a", "b", "c"), other)) == [("changed_kind", "flow/b", True)]


def test_a_side_that_stopped_is_not_blamed_for_what_it_did_not_reach() -> None:
    assert shown(compared(tree("a", "b", "c"), tree("a", is_ended=False))) == []
    assert shown(compared(tree("a"), tree(is_ended=False))) == []
    assert shown(compared(tree("a", "b", "c"), tree("a", "x", is_ended=False))) == [("renamed", "flow/b", True)]


def test_calls_behind_the_end_of_a_recording() -> None:
    assert shown(compared(tree("a", is_ended=False), tree("a", "b"))) == []
    found = compared(tree("a"), tree("a", "b"))
    assert shown(found) == [("inserted", "flow/b", True)]
    assert found.roots[0].severity == "warning"
    assert {one.severity for one in compared(tree(), tree("a", "b")).divergences} == {"warning"}


def test_a_number_that_nobody_has_was_reserved() -> None:
    replayed = tree("a", "c")
    assert replayed.children is not None
    replayed.children[1].side = node("c", 3).side
    assert shown(compared(tree("a", "b", "c"), replayed)) == []


def test_the_same_difference_in_many_branches_is_one_root() -> None:
    found = compared(branches("a", "b"), branches("b"))
    assert shown(found) == [
        ("skipped", "flow/m#0/a", True),
        ("skipped", "flow/m#1/a", False),
        ("skipped", "flow/m#2/a", False),
    ]
    assert found.roots[0].follow_on == 5  # a, b of two branches, and b of the first


def test_the_same_difference_in_two_contexts_has_two_roots() -> None:
    def contexts(*names: str) -> CallNode:
        root = tree()
        root.children = [node(f"part_{number}", number, "CONTEXT") for number in (1, 2)]
        for each in root.children:
            each.children = [
                CallNode(Side("STEP", "Step", name, position=position, path=f"{each.side.path}/{name}"))
                for position, name in enumerate(names, start=1)
            ]
        return root

    found = compared(contexts("a", "b"), contexts("b"))
    assert shown(found) == [("skipped", "flow/part_1/a", True), ("skipped", "flow/part_2/a", True)]


def test_a_renamed_call_of_the_same_function_is_told_from_one_of_another() -> None:
    def side(name: str, body: str) -> CallNode:
        root = tree("a", "b", "c")
        assert root.children is not None
        root.children[1] = node(name, 2, body=body)
        return root

    same = compared(side("b", "bill"), side("x", "bill")).roots[0]
    other = compared(side("b", "bill"), side("x", "refund")).roots[0]
    assert same.recorded is not None
    assert same.replayed is not None
    expected = likely_of(DivergenceKind.RENAMED, same.recorded, same.replayed, is_same_function=True)
    assert same.likely == expected
    assert other.likely != expected


def test_a_function_of_several_calls_does_not_tell_a_rename_from_a_replacement() -> None:
    def side(name: str) -> CallNode:
        return flow(node("a", 1, function="call_api"), node(name, 2, function="call_api"))

    (root,) = compared(side("charge"), side("refund")).roots
    assert root.likely == likely_of(DivergenceKind.RENAMED, root.recorded, root.replayed)
    assert "if a different call took its place" in root.fix


@pytest.mark.parametrize(
    ("before", "after", "other", "is_rename"),
    [
        ({"to": "ann"}, {"to": "ann"}, {"to": "bob"}, True),
        ({"to": "ann"}, {"to": "eve"}, {"to": "bob"}, False),
        ({"to": "ann"}, {"to": "ann"}, {"to": "ann"}, False),  # also the arguments are those of a call of another name
        ({"to": "ann"}, {"to": "ann", "cc": "eve"}, {"to": "bob"}, False),
        ({"to": "ann"}, {"to": None}, {"to": "bob"}, False),  # not known
        ({}, {}, {}, False),
    ],
)
def test_a_function_of_several_calls_tells_a_rename_by_its_arguments(
    before: dict[str, str], after: dict[str, str | None], other: dict[str, str], is_rename: bool
) -> None:
    def digests(values: dict[str, str]) -> dict[str, object]:
        texts = {name: digest_of(value, key_for("arn")) for name, value in values.items()}
        return {"of": "arn", "arguments": texts, "items": None}

    recorded, replayed = (
        flow(node("a", 1, function="notify"), node(name, 2, function="notify")) for name in ("email", "mail")
    )
    assert recorded.children
    assert replayed.children
    recorded.children[0].given, recorded.children[1].given = digests(other), digests(before)
    replayed.children[0].given, replayed.children[1].given = {"texts": other}, {"texts": after}
    root = next(root for root in compared(recorded, replayed).roots if root.kind is DivergenceKind.RENAMED)
    assert ("if a different call took its place" not in root.fix) == is_rename


def parallel_of(*names: str, with_functions: bool) -> CallNode:
    each = CallNode(Side("CONTEXT", "Parallel", "p", id="p", position=1, path="flow/p"))
    each.children = []
    for index, name in enumerate(names):
        function, body = (f"flow.<locals>.{name}", name) if with_functions else (None, None)
        side = Side("CONTEXT", "ParallelBranch", f"parallel-branch-{index}", position=index, path=f"flow/p#{index}")
        branch = CallNode(side, branch=index, function=function, body=body)
        branch.children = [CallNode(Side("STEP", "Step", name, position=1, path=f"flow/p#{index}/{name}"))]
        each.children.append(branch)
    return flow(each)


@pytest.mark.parametrize("with_functions", [True, False], ids=["trace", "history"])
def test_branches_that_changed_places_are_one_difference(with_functions: bool) -> None:
    sides = [parallel_of(*names, with_functions=with_functions) for names in (("mail", "sms"), ("sms", "mail"))]
    (root,) = compared(*sides).roots
    assert "keep" not in root.fix
    if with_functions:
        assert root.likely == "the branches changed places: branch 0 runs `sms` in place of `mail`"
    else:
        assert root.likely == '"sms" moved from flow/p#1 to flow/p#0'


def test_a_call_without_a_counterpart_moved_nowhere() -> None:
    assert not _is_same(None, node("a", 1))
    assert not _is_same(node("a", 1), None)
    assert _is_same(node("a", 1), node("a", 2))


def test_functions_that_changed_places() -> None:
    def side(*bodies: str) -> CallNode:
        root = tree()
        root.children = [
            CallNode(Side("STEP", "Step", None, position=position, path=f"flow/step({position})"), body=body)
            for position, body in enumerate(bodies, start=1)
        ]
        return root

    assert shown(compared(side("x", "y"), side("y", "x")))[0] == ("reordered", "flow/step(1)", True)
    assert shown(compared(side("x", "y"), side("x", "z"))) == []


def test_two_recordings() -> None:
    left = read_history(Script().step(1, "a").step(2, "b").wait(3, "w", seconds=5).invocation_ends().events)
    right = read_history(Script().step(1, "a").wait(2, "w", seconds=9).invocation_ends().events)
    found = compare(tree_of(left), tree_of(right), handler="execution")
    assert [(one.kind.value, one.path) for one in found.divergences] == [
        ("skipped", "execution/b"),
        ("configuration", "execution/w"),
    ]


def test_completion_reasons_in_every_shape() -> None:
    assert completion_reason('{"all":[],"completionReason":"ALL_COMPLETED"}') == "ALL_COMPLETED"
    assert completion_reason('{"t":"br","v":{"completionReason":{"t":"s","v":"MIN_SUCCESSFUL_REACHED"}}}') == (
        "MIN_SUCCESSFUL_REACHED"
    )
    assert completion_reason("{}") is None


def test_values_are_compared_as_json() -> None:
    assert is_same_json('{"a": 1, "b": 2}', '{"b":2,"a":1}')
    assert is_same_json(None, "null")
    assert not is_same_json("1", "2")
    assert not is_same_json("<a>", "<b>")


def test_targets_of_invokes_are_compared_by_function() -> None:
    arn = "arn:aws:lambda:eu-west-1:123456789012:function:billing:live"
    assert {target_of(name) for name in ("billing", "billing:live", arn)} == {"billing"}


def test_an_event_with_a_damaged_id_is_compared_with_the_rest() -> None:
    batch = operation_id(None, 1)
    script = Script().add("ContextStarted", batch, name="all", subtype="Map")
    script.invocation_ends()
    script.events.append({**script.events[1], "Id": ["all"], "EventId": 9})
    recorded = read_history({"Events": script.events})
    assert not compared(tree_of(recorded), tree_of(recorded)).divergences


def context(name: str, position: int, *inner: str) -> CallNode:
    found = node(name, position, "CONTEXT")
    found.children = [
        CallNode(Side("STEP", "Step", one, position=number, path=f"flow/{name}/{one}"))
        for number, one in enumerate(inner, start=1)
    ]
    return found


def flow(*children: CallNode) -> CallNode:
    root = tree()
    root.children = list(children)
    return root


def loop(line: int, *names: str) -> CallNode:
    found = tree(*names)
    for one in found.children or ():
        if one.side.name == "load":
            one.side = replace(one.side, call_site=CallSite("flow.py", line, "flow"))
    return found


def batch(*items: str) -> CallNode:
    each = CallNode(Side("CONTEXT", "Map", "m", id="m", position=1, path="flow/m"))
    each.children = []
    for index, name in enumerate(items):
        branch = CallNode(Side("CONTEXT", "MapIteration", position=index, path=f"flow/m#{index}"), branch=index)
        branch.children = [CallNode(Side("STEP", "Step", name, position=1, path=f"flow/m#{index}/{name}"))]
        each.children.append(branch)
    return flow(each)


@pytest.mark.parametrize(
    ("recorded", "replayed", "likely"),
    [
        (flow(node("b", 1), context("c", 2, "d")), flow(context("c", 1, "b", "d")), '"b" moved from flow into "c"'),
        (flow(context("c", 1, "b", "d")), flow(node("b", 1), context("c", 2, "d")), '"b" moved out of "c" to flow'),
        (
            flow(context("p", 1, "b", "d"), context("q", 2, "e")),
            flow(context("p", 1, "d"), context("q", 2, "b", "e")),
            '"b" moved from flow/p to flow/q',
        ),
        (flow(node("b", 1), node("z", 2)), flow(context("new", 1, "b"), node("z", 2)), '"b" moved from flow into "new"'),
        (flow(node("b", 1)), flow(context("b", 1, "b")), '"b" moved from flow into a context of the same name'),
        (flow(context("old", 1, "b"), node("z", 2)), flow(node("b", 1), node("z", 2)), '"b" moved out of "old" to flow'),
        (
            flow(node("b", 1), node("z", 2)),
            flow(context("new", 1, "x", "y", "b"), node("z", 2)),
            '"b" moved from flow into "new"',
        ),
        (tree("a", "b", "c"), tree("a", "x", "y", "c"), '"b" was split into "x" and "y"'),
        (tree("a", "b", "c"), tree("a", "v", "w", "x", "c"), '"b" was split into "v", "w" and "x"'),
        (tree("a", "b", "c"), tree("a", "v", "w", "x", "y", "c"), '"b" was split into "v", "w", "x" and …'),
        (tree("a", "x", "y", "c"), tree("a", "b", "c"), '"x" and "y" were merged into "b"'),
    ],
)  # fmt: skip
def test_the_edit_behind_several_differences_is_named(recorded: CallNode, replayed: CallNode, likely: str) -> None:
    found = compared(recorded, replayed)
    assert [one.likely for one in found.roots] == [likely]


@pytest.mark.parametrize(
    ("recorded", "replayed", "likely"),
    [
        (2, 3, 'flow.py:7 calls "load" 3 times, and twice in the recording'),
        (1, 2, 'flow.py:7 calls "load" twice, and once in the recording'),
        (3, 1, 'flow.py:7 calls "load" once, and 3 times in the recording'),
        (0, 2, None),
        (0, 1, None),
    ],
)
def test_a_line_that_makes_a_call_more_or_less_often(recorded: int, replayed: int, likely: str | None) -> None:
    found = compared(loop(7, *["load"] * recorded, "end"), loop(7, *["load"] * replayed, "end")).roots[0]
    assert found.path == "flow/load"
    assert (found.likely or "").partition(":7 ")[1] == (":7 " if likely else "")
    assert likely is None or (found.likely or "").startswith(f"{likely}: ")


def test_calls_of_other_lines_are_not_of_the_loop() -> None:
    replayed = loop(7, "load", "load", "load", "end")
    assert replayed.children is not None
    replayed.children[2].side = replace(replayed.children[2].side, call_site=CallSite("flow.py", 9, "flow"))
    assert "in the recording" not in (compared(loop(7, "load", "load", "end"), replayed).roots[0].likely or "")


def test_the_items_of_a_map_in_another_order_are_one_difference() -> None:
    found = compared(batch("u", "v", "w", "x"), batch("x", "u", "v", "w"))
    (root,) = found.roots
    assert (root.kind.value, root.path, root.follow_on) == ("reordered", "flow/m", 4)
    assert root.recorded is not None
    assert root.replayed is not None
    assert (root.recorded.detail or "").endswith(": u, v, w, …")
    assert (root.replayed.detail or "").endswith(": x, u, v, …")
    assert root.effect == '"x" would take the recorded result of "u", and so on'
    (swapped,) = compared(batch("u", "v", "w"), batch("w", "v", "u")).roots
    assert (swapped.kind.value, swapped.follow_on) == ("reordered", 2)
    assert ((swapped.recorded and swapped.recorded.detail) or "").endswith(": u, w")


def test_items_that_were_not_recorded_are_no_other_order() -> None:
    assert [one.kind.value for one in compared(batch("u", "v"), batch("u", "y")).roots] == ["renamed"]
    assert compared(batch("u", "v"), batch("y", "u")).roots[0].kind == "renamed"


def failing(kind: str = "Failed", **error: Any) -> Script:
    id_ = operation_id(None, 1)
    details: dict[str, Any] = {"Error": {"Payload": error}} if error else {}
    script = Script().add("StepStarted", id_, name="charge", subtype="Step")
    return script.add(f"Step{kind}", id_, name="charge", subtype="Step", **details)


@pytest.mark.parametrize(
    ("left", "right", "is_same"),
    [
        (failing(ErrorType="A", ErrorMessage="no"), failing(ErrorType="A", ErrorMessage="no"), True),
        (failing(ErrorType="A", ErrorMessage="no"), failing(ErrorType="B", ErrorMessage="no"), False),
        (failing(ErrorType="A", ErrorMessage="no"), failing(ErrorType="A", ErrorMessage="yes"), False),
        (failing(ErrorType="A", ErrorMessage="no"), Script().step(1, "charge"), False),
        (Script().step(1, "charge", result="1"), Script().step(1, "charge", result="2"), False),
        (Script().step(1, "charge"), Script().step(1, "charge"), True),
    ],
    ids=["same error", "other type", "other message", "failed and not", "other result", "same result"],
)
def test_outcomes_are_compared_where_both_sides_are_recordings(left: Script, right: Script, is_same: bool) -> None:
    sides = [tree_of(read_history(one.events), with_outcomes=True) for one in (left, right)]
    assert (compared(*sides).divergences == ()) is is_same


@pytest.mark.parametrize("is_recorded", [True, False])
def test_a_context_of_one_side_shows_its_calls_below_it(is_recorded: bool) -> None:
    there, gone = flow(context("c", 1, "x", "y")), flow()
    found = compared(there, gone) if is_recorded else compared(gone, there)
    assert [row.depth for row in found.rows] == [0, 1, 1]
    assert all(
        (row.recorded is not None, row.replayed is not None) == (is_recorded, not is_recorded) for row in found.rows
    )
    assert [one.path for one in found.divergences] == ["flow/c"], "the calls inside are not counted again"


def test_subtypes_of_contexts_are_ignored_where_the_recording_has_none() -> None:
    def side(subtype: str) -> CallNode:
        return flow(CallNode(Side("CONTEXT", subtype, "m", position=1, path="flow/m")))

    assert shown(compared(side("Context"), side("Map"))) == []
    assert shown(compared(side("RunInChildContext"), side("Map"))) == [("changed_kind", "flow/m", True)]


def two(left: Script, right: Script) -> Comparison:
    return compare(*(tree_of(read_history(one.events), with_outcomes=True) for one in (left, right)), handler="flow")


def inside(result: str, *, outer: str = "1", name: str = "a") -> Script:
    id_ = operation_id(None, 1)
    script = (
        Script()
        .add("ContextStarted", id_, name="c", subtype="RunInChildContext")
        .step(1, name, parent=id_, result=result)
    )
    return script.add("ContextSucceeded", id_, name="c", subtype="RunInChildContext", Result={"Payload": outer})


def test_a_context_that_ended_differently_because_of_a_call_inside_is_explained_by_it() -> None:
    found = two(inside("1", outer="1"), inside("2", outer="2"))
    assert shown(found) == [("result", "execution/c", False), ("result", "execution/c/a", True)]
    assert shown(two(inside("1", outer="1"), inside("1", outer="2"))) == [("result", "execution/c", True)]


def test_a_call_beside_a_context_does_not_explain_it() -> None:
    found = two(inside("1", outer="1").step(2, "b", result="1"), inside("1", outer="2").step(2, "b", result="2"))
    assert ("result", "execution/c", True) in shown(found)


def test_a_call_that_never_ended_changed_nothing() -> None:
    unfinished = Script().step(1, "a").add("StepStarted", operation_id(None, 2), name="b", subtype="Step")
    (gone,) = two(unfinished.execution_ends(), Script().step(1, "a").execution_ends()).divergences
    assert (gone.kind, gone.path.rpartition("/")[2], gone.is_root, gone.severity) == ("skipped", "b", False, "info")
    (lost,) = two(
        Script().step(1, "a").step(2, "b").execution_ends(), Script().step(1, "a").execution_ends()
    ).divergences
    assert (lost.kind, lost.is_root, lost.severity) == ("skipped", True, "error")


def test_the_first_difference_is_the_one_that_ended_first() -> None:
    """Not the one that was started first: what ended later may follow from it."""

    def ends(*order: int, result: str) -> Script:
        script = Script()
        for position in (1, 2):
            script.add("ContextStarted", operation_id(None, position), name=f"c{position}", subtype="RunInChildContext")
        for position in order:
            script.step(1, "s", parent=operation_id(None, position), result=result)
        return script

    for order in ((1, 2), (2, 1)):
        found = two(ends(*order, result="1"), ends(*order, result="2"))
        assert [one.path for one in found.roots] == ["execution/c1/s", "execution/c2/s"]
        assert found.first is not None
        assert found.first.path == f"execution/c{order[0]}/s"
    assert two(ends(1, 2, result="1"), ends(1, 2, result="1")).first is None


def test_a_new_call_comes_after_all_recorded_ones_in_time() -> None:
    found = compared(tree("a"), tree("a", "b"))
    assert found.first is not None
    assert found.first.path == "flow/b"


def branches(*names: str, numbered: bool = False) -> CallNode:
    """A map of three items that each make some calls."""
    each = CallNode(Side("CONTEXT", "Map", "m", position=1, path="flow/m"))
    each.children = []
    for index in range(3):
        path = f"flow/m#{index}"
        branch = CallNode(Side("CONTEXT", "MapIteration", None, position=index, path=path), branch=index)
        branch.children = [
            CallNode(Side("STEP", "Step", own, position=position, path=f"{path}/{own}"))
            for position, name in enumerate(names, start=1)
            for own in [f"{name}-{index}" if numbered else name]
        ]
        each.children.append(branch)
    return flow(each)


def test_the_same_difference_of_calls_that_are_named_after_their_item_is_one_root() -> None:
    found = compared(branches("load", "save", numbered=True), branches("save", numbered=True))
    assert [(path, is_root) for _, path, is_root in shown(found)] == [
        ("flow/m#0/load-0", True),
        ("flow/m#1/load-1", False),
        ("flow/m#2/load-2", False),
    ]
    gone = compared(branches("load", "save", numbered=True), branches("load", numbered=True))
    assert [is_root for *_, is_root in shown(gone)] == [True, False, False]


def test_other_calls_of_other_items_have_roots_of_their_own() -> None:
    replayed = branches("a", "b")
    first, second, _ = (replayed.children or [])[0].children or []
    first.children = (first.children or [])[:1]
    second.children = (second.children or [])[1:]
    second.children[0].side = replace(second.children[0].side, position=1)
    roots = [one.path for one in compared(branches("a", "b"), replayed).roots]
    assert roots == ["flow/m#0/b", "flow/m#1/a"]


def counted_map(number: int, *inner: str) -> CallNode:
    root = branches(*inner)
    (each,) = root.children or []
    each.known = {"branches": number}
    return root


def test_a_map_over_another_list_explains_what_its_items_do() -> None:
    found = compared(counted_map(3, "a", "b"), counted_map(4, "b"))
    assert [one.kind for one in found.roots] == ["branch_count"]
    assert [one.path for one in found.roots] == ["flow/m"]


def test_a_difference_after_a_map_over_another_list_is_not_inside_it() -> None:
    left, right = counted_map(3, "a"), counted_map(4, "a")
    for side, name in ((left, "x"), (right, "y")):
        each = node(name, 2)
        each.children = []
        side.children = [*(side.children or []), each]
    kinds = [(one.kind.value, one.is_root) for one in compared(left, right).divergences]
    assert kinds == [("branch_count", True), ("renamed", False)]


def test_a_reordered_map_is_not_told_again_for_each_of_its_items() -> None:
    def one(kind: DivergenceKind, path: str) -> Divergence:
        return replace(compared(tree("a"), tree("b")).divergences[0], kind=kind, path=path)

    reordered, same = one(DivergenceKind.REORDERED, "flow/m"), one(DivergenceKind.INPUT, "flow/m")
    other, renamed = one(DivergenceKind.INPUT, "flow/n"), one(DivergenceKind.RENAMED, "flow/m")
    assert not_restated([reordered, same, other, renamed]) == [reordered, other, renamed]
    assert not_restated([same, other]) == [same, other]

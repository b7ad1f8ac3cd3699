"""Recorded executions as trees of calls: what is known of each call, and which branches a batch had."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from durable_execution.comparison.call_tree import (
    LATEST,
    UNKNOWN_BLOCK,
    CallNode,
    comparable_texts,
    count_of_branches,
    has_same_arguments,
    is_same_function,
    is_same_json,
    known_configuration,
    node_of,
    side_of_recorded,
    tree_of,
)
from durable_execution.divergence import Side
from durable_execution.history.positions import MAIN, ScopeStep
from durable_execution.history.reading import read_history
from durable_execution.history.recorded import RecordedOperation
from durable_execution.protocol import OperationStatus, OperationType, operation_id
from durable_execution.protocol.ids import branch_id, task_prefix
from durable_execution.trace.arguments import digest_of, key_for, text_of
from tests.unit.history.events import Script

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DEEP = "[" * 100_000


def recorded(type_: OperationType, *, input_: str | None = None, **details: Any) -> RecordedOperation:
    return RecordedOperation(
        "id", None, 0, 2, "flow/it", type_, "Sub", "it", OperationStatus.SUCCEEDED, NOW, NOW, input=input_, details=details
    )  # fmt: skip


@pytest.mark.parametrize(
    ("result", "count"),
    [
        ('{"totalCount": 3, "all": []}', 3),
        ('{"t": "br", "v": {"totalCount": 4}}', 4),
        ('{"all": [1, 2]}', 2),
        ('{"all": {"t": "l", "v": [1, 2, 3]}}', 3),
        ('{"v": {"all": []}}', 0),
        ('{"all": 7}', None),
        ('{"v": 7}', None),
        ("[1, 2]", None),
        ("{}", None),
        ("", None),
        (None, None),
        ("not JSON", None),
        (DEEP, None),
    ],
)
def test_the_branches_of_a_batch_are_counted_in_every_shape_of_result(result: str | None, count: int | None) -> None:
    assert count_of_branches(result) == count


@pytest.mark.parametrize(
    ("left", "right", "is_same"),
    [
        ('{"a":1}', '{ "a": 1.0 }', True),
        ("1", "2", False),
        ("null", "", True),
        (None, "", True),
        (None, "1", False),
        ("1", None, False),
        ("x", "x", True),
        ("x", "y", False),
        (DEEP, DEEP + "[", False),
    ],
)
def test_texts_are_the_same_value_whatever_their_spelling(left: str | None, right: str | None, is_same: bool) -> None:
    assert is_same_json(left, right) is is_same


def test_two_values_are_shown_so_that_their_first_difference_is_one() -> None:
    assert comparable_texts('{"b":1,"a":"é"}', '{"a":"é", "b":2}') == ('{"a": "é", "b": 1}', '{"a": "é", "b": 2}')
    assert comparable_texts("[1]", "[ 1 ]") == ("[1]", "[ 1 ]"), (
        "values that only differ in spelling are shown as they are"
    )
    assert comparable_texts("x", "[1]") == ("x", "[1]")
    assert comparable_texts(DEEP, "[1]") == (DEEP, "[1]")


@pytest.mark.parametrize(
    ("operation", "known"),
    [
        (recorded(OperationType.WAIT, duration_seconds=0), {"wait_seconds": 0}),
        (recorded(OperationType.WAIT), {}),
        (recorded(OperationType.CHAINED_INVOKE, input_="1", function_name="f"), {"function_name": "f", "input": "1"}),
        (recorded(OperationType.CHAINED_INVOKE, input_="1", input_truncated=True), {}),
        (recorded(OperationType.CHAINED_INVOKE, function_name=""), {}),
        (recorded(OperationType.CALLBACK, timeout_seconds=5), {"timeout_seconds": 5, "heartbeat_timeout_seconds": 0}),
        (
            recorded(OperationType.CALLBACK, heartbeat_timeout_seconds=None),
            {"timeout_seconds": 0, "heartbeat_timeout_seconds": 0},
        ),
        (recorded(OperationType.CALLBACK), {}),
        (recorded(OperationType.CONTEXT, branches=0), {"branches": 0}),
        (recorded(OperationType.CONTEXT), {}),
        (recorded(OperationType.STEP, input_="1", duration_seconds=5, branches=2), {}),
    ],
)  # fmt: skip
def test_only_what_a_history_holds_of_a_configuration_is_known(
    operation: RecordedOperation, known: dict[str, Any]
) -> None:
    assert known_configuration(operation) == known


def test_the_input_of_a_call_is_compared_and_not_shown() -> None:
    operation = recorded(OperationType.CHAINED_INVOKE, input_="1", function_name="f")
    assert side_of_recorded(operation, known_configuration(operation)).configuration == {"function_name": "f"}
    assert node_of(operation).known == {"function_name": "f", "input": "1"}
    assert side_of_recorded(operation).invocation is None
    assert side_of_recorded(replace(operation, executed_by=(2, 3))).invocation == 2, "the first that made the call"


def function(name: str | None, body: str | None) -> CallNode:
    return CallNode(Side("STEP", "Step", "a"), function=name, body=body)


@pytest.mark.parametrize(
    ("left", "right", "is_same"),
    [
        (function("f", "x"), function("f", "y"), True),
        (function("f", "x"), function("g", "x"), None),  # two functions may do the same
        (function("f", "x"), function(None, "x"), True),
        (function("<lambda>", "x"), function("g", "x"), True),
        (function("f", "x"), function("g", "y"), False),
        (function("<lambda>", "x"), function("<lambda>", "y"), False),
        (function("f.<locals>.<lambda>", "x"), function("f.<locals>.<lambda>", "x"), True),
        (function("f", None), function("g", "y"), None),
        (function("f", "x"), function("g", None), None),
        (function(None, None), function(None, None), None),
        (function(UNKNOWN_BLOCK, "x"), function(UNKNOWN_BLOCK, "x"), None),
    ],
)
def test_a_function_is_known_by_its_name_or_its_code(left: CallNode, right: CallNode, is_same: bool | None) -> None:
    assert is_same_function(left, right) is is_same


def test_a_call_without_a_subtype_has_that_of_its_type() -> None:
    flow = CallNode(Side("EXECUTION"))
    bare, full = CallNode(Side("STEP", None, "a")), CallNode(Side("STEP", "Step", "a"))
    assert bare.key(within=flow, is_loose=False) == full.key(within=flow, is_loose=False)
    own = CallNode(Side("STEP", "Mine", "a"))
    assert own.key(within=flow, is_loose=True) != full.key(within=flow, is_loose=True)


def test_subtypes_of_contexts_can_be_ignored() -> None:
    flow = CallNode(Side("EXECUTION"))
    one, other = (CallNode(Side("CONTEXT", subtype, "a")) for subtype in ("Map", "Context"))
    assert one.key(within=flow, is_loose=True) == other.key(within=flow, is_loose=True)
    assert one.key(within=flow, is_loose=False) != other.key(within=flow, is_loose=False)


def test_the_sdk_names_what_a_wait_for_callback_makes() -> None:
    within = CallNode(Side("CONTEXT", "WaitForCallback", "approve"))
    names = [CallNode(Side("CALLBACK", "Callback", name)).key(within=within, is_loose=False) for name in ("a", "b")]
    assert names[0] == names[1]


@pytest.mark.parametrize("subtype", ["Map", "Parallel"])
def test_a_batch_has_branches_and_others_have_calls(subtype: str) -> None:
    assert CallNode(Side("CONTEXT", subtype)).is_batch
    assert not CallNode(Side("CONTEXT", "RunInChildContext")).is_batch


def batch(*, reason: str = "ALL_COMPLETED", branches: int = 2, ends: bool = True, **result: Any) -> Script:
    """A map with one step in each branch."""
    map_ = operation_id(None, 1)
    script = Script().add("ContextStarted", map_, name="m", subtype="Map")
    for index in range(branches):
        branch = operation_id(map_, index)
        script.add("ContextStarted", branch, parent=map_, subtype="MapIteration")
        script.step(1, "s", parent=branch)
        script.add("ContextSucceeded", branch, parent=map_, subtype="MapIteration", Result={"Payload": "1"})
    if ends:
        payload = json.dumps({"completionReason": reason, **result})
        script.add("ContextSucceeded", map_, name="m", subtype="Map", Result={"Payload": payload})
    return script


def map_of(script: Script) -> CallNode:
    (found,) = [node for node in tree_of(read_history(script.events)).children or () if node.is_batch]
    return found


def test_a_batch_that_completed_had_the_branches_it_recorded() -> None:
    found = map_of(batch(totalCount=2))
    assert (found.known["branches"], found.is_partial) == (2, False)


def test_a_branch_without_calls_is_counted_in_the_result() -> None:
    found = map_of(batch(totalCount=5))
    assert (found.known["branches"], found.is_partial) == (5, False)
    assert map_of(batch(totalCount=1)).known["branches"] == 2, "a branch that was recorded was there"


def test_a_batch_that_gave_up_may_have_had_more_branches() -> None:
    found = map_of(batch(reason="FAILURE_TOLERANCE_EXCEEDED", totalCount=9))
    assert (found.known["branches"], found.is_partial) == (2, True)
    assert map_of(batch(ends=False)).is_partial
    execution = read_history(batch(reason="FAILURE_TOLERANCE_EXCEEDED", totalCount=9).events)
    first, *others = execution.operations
    known = replace(execution, operations=(replace(first, details={"branches": 9}), *others))
    (traced,) = tree_of(known).children or []
    assert (traced.known["branches"], traced.is_partial) == (9, False), "a replay trace knows"


def test_calls_of_branches_without_a_record_are_in_virtual_contexts() -> None:
    script = Script()
    for position in (1, 2):
        map_ = operation_id(None, position)
        script.add("ContextStarted", map_, name=f"m{position}", subtype="Map")
        for index in (0, 1):
            script.step(1, "s", parent=map_).events[-1]["Id"] = operation_id(branch_id(map_, index), 1)
            script.events[-2]["Id"] = operation_id(branch_id(map_, index), 1)
        script.add("StepStarted", operation_id(task_prefix(branch_id(map_, 1), 2), 1), parent=map_, subtype="Step")
        result = {"Payload": '{"completionReason": "ALL_COMPLETED"}'}
        script.add("ContextSucceeded", map_, name=f"m{position}", subtype="Map", Result=result)
    for batch_ in tree_of(read_history(script.events)).children or ():
        first, second = batch_.children or []
        assert [(one.is_virtual, one.is_ended, one.side.subtype) for one in (first, second)] == [
            (True, True, "MapIteration")
        ] * 2
        assert [one.side.path for one in (first, second)] == [f"{batch_.side.path}#{index}" for index in (0, 1)]
        assert [call.scope for call in first.children or ()] == [MAIN]
        assert [call.scope for call in second.children or ()] == [MAIN, (ScopeStep("task", 2),)]
        assert batch_.is_partial, "a branch without calls would leave nothing"


def test_an_empty_batch_is_known_to_be_empty_only_where_its_result_counts() -> None:
    assert (map_of(batch(branches=0, totalCount=0)).known, map_of(batch(branches=0, totalCount=0)).is_partial) == (
        {"branches": 0},
        False,
    )
    assert (map_of(batch(branches=0)).known, map_of(batch(branches=0)).is_partial) == ({"branches": 0}, True)
    assert map_of(batch(branches=0, ends=False)).known == {}


def test_a_batch_is_settled_when_an_invocation_suspended_in_it_and_nothing_followed() -> None:
    suspended = batch(ends=False).invocation_ends()
    assert map_of(suspended).is_settled
    assert not map_of(batch(ends=False)).is_settled
    assert not map_of(batch().invocation_ends()).is_settled, "one that has ended has nothing left to start"
    inside = operation_id(operation_id(operation_id(None, 1), 0), 2)
    went_on = batch(ends=False).invocation_ends()
    went_on.add("StepStarted", inside, parent=operation_id(operation_id(None, 1), 0), subtype="Step")
    assert not map_of(went_on).is_settled
    assert map_of(went_on.invocation_ends()).is_settled
    another = operation_id(operation_id(None, 1), 2)
    went_on.add("ContextStarted", another, parent=operation_id(None, 1), subtype="MapIteration")
    assert not map_of(went_on).is_settled, "a slot was free"
    beside = batch(ends=False).invocation_ends().step(2, "beside")
    assert map_of(beside).is_settled, "a call elsewhere says nothing about it"


def test_outcomes_and_their_order_are_there_only_in_a_comparison_of_recordings() -> None:
    script = Script().step(1, "a").add("StepStarted", operation_id(None, 2), name="b", subtype="Step")
    script.add("ContextStarted", operation_id(None, 3), name="c", subtype="RunInChildContext").wait(4, "w")
    plain = tree_of(read_history(script.events)).children or []
    assert [(node.outcome, node.order) for node in plain] == [(None, 0)] * 4
    ended, open_step, open_context, waited = tree_of(read_history(script.events), with_outcomes=True).children or []
    assert json.loads(ended.outcome or "") == ["ended", "1"]
    assert json.loads(open_step.outcome or "") == ["open"]
    assert waited.outcome is None, "a wait has no result"
    assert ended.order == 3
    assert waited.order < open_step.order < open_context.order == LATEST
    assert ended.is_ended
    assert not open_step.is_ended


def test_a_call_that_failed_has_its_error_as_outcome_as_far_as_that_is_recorded() -> None:
    error = {"Payload": {"ErrorType": "ValueError", "ErrorMessage": "no"}}
    known, unknown = operation_id(None, 1), operation_id(None, 2)
    script = Script()
    for id_ in (known, unknown):
        script.add("StepStarted", id_, name="s", subtype="Step")
    script.add("StepFailed", known, name="s", subtype="Step", Error=error)
    script.add("StepFailed", unknown, name="s", subtype="Step")
    calls = tree_of(read_history(script.events), with_outcomes=True).children or []
    assert [json.loads(node.outcome or "") for node in calls] == [
        ["failed", "FAILED", "ValueError", "no"],
        ["failed", "FAILED", None, None],
    ]


@pytest.mark.parametrize(
    ("handler", "function_name", "name", "shown"),
    [
        ("process_order", "orders", "order-7", "process_order"),
        (None, "orders", "order-7", "orders"),
        (None, None, "order-7", "order-7"),
        (None, None, None, "execution"),
    ],
)
def test_the_root_has_the_best_known_name(
    handler: str | None, function_name: str | None, name: str | None, shown: str
) -> None:
    execution = replace(
        read_history(Script().step(1, "a").events), handler=handler, function_name=function_name, name=name
    )
    assert tree_of(execution).side.name == shown


@pytest.mark.parametrize(
    ("kind", "is_ended"), [("Succeeded", True), ("Failed", True), ("Stopped", False), (None, False)]
)
def test_only_code_that_ran_to_its_end_has_ended(kind: str | None, is_ended: bool) -> None:
    script = Script().step(1, "a")
    if kind:
        script.execution_ends(kind)
    assert tree_of(read_history(script.events)).is_ended is is_ended


def raced(result: str | None, *, subtype: str = "Race") -> set[int | None]:
    """The awaitables of a race of two steps that lost."""
    race = operation_id(None, 1)
    script = Script().add("StepStarted", race, name="race", subtype=subtype)
    for index in (0, 1):
        id_ = operation_id(branch_id(race, index), 1)
        script.add("StepStarted", id_, name=f"s{index}", subtype="Step")
    if result is not None:
        script.add("StepSucceeded", race, name="race", subtype=subtype, Result={"Payload": result})
    tree = tree_of(read_history(script.events))
    assert [node.side.name for node in tree.children or ()] == ["race", "s0", "s1"]
    return {scope[-1].number for scope in tree.cut_off}


@pytest.mark.parametrize("subtype", ["All", "Any", "Race"])
def test_the_awaitables_that_lost_need_not_start_their_calls_again(subtype: str) -> None:
    assert raced("0", subtype=subtype) == {1}
    assert raced("1", subtype=subtype) == {0}


@pytest.mark.parametrize("result", [None, "null", "-1"])
def test_no_awaitable_has_lost_before_one_has_decided(result: str | None) -> None:
    assert raced(result) == set()


def test_what_a_loser_began_is_given_up_with_it() -> None:
    outer, script = operation_id(None, 1), Script()
    script.add("StepStarted", outer, name="outer", subtype="Race")
    inner = operation_id(branch_id(outer, 0), 1)
    script.add("StepStarted", inner, name="inner", subtype="Race")
    script.add("StepStarted", operation_id(branch_id(inner, 0), 1), name="deep", subtype="Step")
    script.add("StepStarted", operation_id(branch_id(outer, 1), 1), name="won", subtype="Step")
    script.add("StepSucceeded", outer, name="outer", subtype="Race", Result={"Payload": "1"})
    lost = tree_of(read_history(script.events)).cut_off
    assert {(scope[-1].of, scope[-1].number) for scope in lost} == {(outer, 0), (inner, 0)}


def test_a_marker_of_a_change_is_no_call_of_the_handler() -> None:
    script = Script().add("StepStarted", operation_id(None, 1), name="change", subtype="Patch").step(2, "a")
    marker, step = tree_of(read_history(script.events)).children or []
    assert (marker.is_foreign, step.is_foreign) == (True, False)
    alone = Script().add("StepStarted", operation_id(None, 1), name="change", subtype="Patch")
    assert [call.is_foreign for call in tree_of(read_history(alone.events)).children or ()] == [True]


def test_a_call_that_the_sdk_did_not_number_is_no_call_of_the_handler() -> None:
    script = Script().step(1, "a").add("StepStarted", "another client's", name="b", subtype="Step")
    assert [call.is_foreign for call in tree_of(read_history(script.events)).children or ()] == [False, True]


@pytest.mark.parametrize(
    ("left", "right", "is_same"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ({"a": 1}, {"a": 2}, False),
        ({"a": 1}, {"b": 1}, False),
        ({"a": 1}, {"a": object()}, False),  # has no text
        ({"a": 1}, None, False),
        (None, {"a": 1}, False),
        (None, None, False),
        ({}, {}, False),
    ],
)
def test_only_calls_whose_arguments_are_all_known_have_the_same(
    left: dict[str, Any] | None, right: dict[str, Any] | None, is_same: bool
) -> None:
    one, other = function("f", "x"), function("f", "x")
    if left is not None:
        digests = {name: digest_of(text_of(value) or "", key_for("arn")) for name, value in left.items()}
        one.given = {"of": "arn", "arguments": digests}
    if right is not None:
        other.given = {"texts": {name: text_of(value) for name, value in right.items()}}
    assert has_same_arguments(one, other) is is_same

"""What a mismatch is, as far as one call tells."""

from dataclasses import replace
from typing import Any

import pytest

from durable_execution.comparison.call_tree import CallNode
from durable_execution.comparison.runtime_check import (
    LOOKAHEAD,
    configuration_divergence,
    configuration_mismatch,
    context_path,
    difference,
    divergence_of,
    is_configured_as_recorded,
    matches,
    mismatch_at_call,
    never_called,
    side_of_call,
    target_of,
)
from durable_execution.divergence import Side
from durable_execution.observers import OperationCall
from durable_execution.protocol import Operation, Wire, operation_id

HANDLER = "orders:process_order"


def recorded(position: int, name: str | None, type_: str = "STEP", subtype: str = "Step", **more: Any) -> Operation:
    wire = {"Id": operation_id(None, position), "Type": type_, "SubType": subtype, "Status": "SUCCEEDED", **more}
    return Operation(wire | ({"Name": name} if name else {}))


def call(position: int, name: str | None, type_: str = "STEP", subtype: str = "Step", **more: Any) -> OperationCall:
    id_ = operation_id(None, position)
    return OperationCall(id_, None, None, position, f"process_order/{name}", type_, subtype, name, **more)


ORDER = [recorded(1, "validate"), recorded(2, "charge"), recorded(3, "reserve"), recorded(4, "ship")]


@pytest.mark.parametrize(
    ("made", "kind", "path"),
    [
        (call(2, "reserve"), "skipped", "process_order/charge"),
        (call(2, "ship"), "skipped", "process_order/charge"),
        (call(2, "charge_card"), "renamed", "process_order/charge"),
        (call(2, "charge", "WAIT", "Wait"), "changed_kind", "process_order/charge"),
        (call(2, None, "WAIT", "Wait"), "changed_kind", "process_order/charge"),
        (call(2, "cool_down", "WAIT", "Wait"), "inserted", "process_order/cool_down"),
    ],
)
def test_kinds(made: OperationCall, kind: str, path: str) -> None:
    operations = {operation.id: operation for operation in ORDER}
    found = mismatch_at_call(made, ORDER[1], handler=HANDLER, operations=operations)
    assert (found.kind, found.path, found.position, found.context_path) == (kind, path, 2, "process_order")
    assert found.recorded is not None
    assert found.recorded.name == "charge"
    assert found.replayed is not None
    assert found.replayed.name == made.name


@pytest.mark.parametrize(("behind", "kind"), [(1, "skipped"), (LOOKAHEAD, "skipped"), (LOOKAHEAD + 1, "renamed")])
def test_a_call_that_is_recorded_further_on_was_skipped_to(behind: int, kind: str) -> None:
    known = [recorded(position, f"call {position}") for position in range(1, 2 + behind)]
    operations = {operation.id: operation for operation in [*known, recorded(2 + behind, "target")]}
    assert mismatch_at_call(call(2, "target"), known[1], handler=HANDLER, operations=operations).kind == kind


@pytest.mark.parametrize("behind", [1, LOOKAHEAD - 1])
def test_what_is_recorded_behind_a_gap_is_not_found(behind: int) -> None:
    operations = {operation.id: operation for operation in [*ORDER[:2], recorded(3 + behind, "target")]}
    assert mismatch_at_call(call(2, "target"), ORDER[1], handler=HANDLER, operations=operations).kind == "renamed"


def test_values_of_a_configuration_are_shown_in_80_characters() -> None:
    texts = ["x" * 100 + "a", "x" * 100 + "b"]
    was, made = (Side("CHAINED_INVOKE", "ChainedInvoke", "bill", position=1, path="f/bill") for _ in texts)
    for length in (80, 81):
        pair = [text[-length:] for text in texts]
        found = divergence_of("tenant_id", pair[1], pair[0], was, made, context_path="f", handler="f")
        assert found.replayed is not None
        assert (pair[1] in str(found.replayed.detail)) is (length == 80), found.replayed


def test_a_flat_branch_with_a_checkpoint_is_another_nesting() -> None:
    made = OperationCall("x", "m", "m", 0, "f/m#0", "CONTEXT", "MapIteration", "map-item-0", is_virtual=True)
    was = Operation({"Id": "x", "ParentId": "m", "Type": "CONTEXT", "SubType": "MapIteration", "Status": "STARTED"})
    found = mismatch_at_call(made, was, handler="f", operations={"x": was})
    assert (found.kind, found.path, found.context_path) == ("changed_kind", "f/m#0", "f/m")


def test_another_parent_is_a_mismatch_too() -> None:
    was = recorded(2, "charge", ParentId="somewhere")
    assert mismatch_at_call(call(2, "charge"), was, handler=HANDLER, operations={}).kind == "changed_kind"


def test_the_second_of_a_name_has_its_number_in_the_path() -> None:
    twins = [recorded(1, "again"), recorded(2, "again"), recorded(3, None), recorded(4, None)]
    operations = {operation.id: operation for operation in twins}
    paths = [
        mismatch_at_call(call(position, "other", "WAIT", "Wait"), twins[position - 1], handler=HANDLER,
                         operations=operations).recorded
        for position in (2, 4)
    ]  # fmt: skip
    assert [side.path for side in paths if side] == ["process_order/again(2)", "process_order/step(2)"]


def test_calls_that_were_never_made_again() -> None:
    found = never_called("process_order/child", ORDER[2:], handler=HANDLER, first_position=3)
    assert (found.kind, found.path, found.position, found.follow_on) == (
        "skipped",
        "process_order/child/reserve",
        3,
        1,
    )
    assert found.replayed is None


def test_the_length_of_a_wait() -> None:
    was = recorded(1, "w", "WAIT", "Wait", StartTimestamp=1_000_000, WaitDetails={"ScheduledEndTimestamp": 1_005_000})
    was.wire["StartTimestamp"], was.wire["WaitDetails"] = (
        1_767_225_600_000,
        {"ScheduledEndTimestamp": 1_767_225_605_000},
    )
    same = configuration_mismatch(call(1, "w", "WAIT", "Wait", configuration={"wait_seconds": 5}), was, handler=HANDLER)
    other = configuration_mismatch(
        call(1, "w", "WAIT", "Wait", configuration={"wait_seconds": 60}), was, handler=HANDLER
    )
    assert same is None
    assert other is not None
    assert (other.kind, other.severity) == ("configuration", "warning")
    assert [side.configuration for side in (other.recorded, other.replayed) if side] == [
        {"wait_seconds": 5},
        {"wait_seconds": 60},
    ]


def test_what_is_not_known_is_not_compared() -> None:
    made = call(1, "cb", "CALLBACK", "Callback", configuration={"timeout_seconds": 5})
    assert configuration_mismatch(made, recorded(1, "cb", "CALLBACK", "Callback"), handler=HANDLER) is None
    assert configuration_mismatch(call(1, "a"), ORDER[0], handler=HANDLER) is None


@pytest.mark.parametrize(
    ("change", "is_same"),
    [
        ({}, True),
        ({"SubType": None}, True),
        ({"SubType": "Mine"}, False),
        ({"Type": "WAIT"}, False),
        ({"Name": "other"}, False),
        ({"Name": None}, False),
        ({"ParentId": "p"}, False),
    ],
)
def test_a_call_is_the_recorded_one_if_all_that_identifies_it_agrees(change: Wire, is_same: bool) -> None:
    was = Operation({key: value for key, value in (ORDER[1].wire | change).items() if value is not None})
    assert matches(call(2, "charge"), was) is is_same


@pytest.mark.parametrize(
    ("made", "effect", "follow_on"),
    [
        (call(2, "reserve"), '"reserve" would take the recorded result of "charge"; 2 later calls shift by 1', 2),
        (call(2, "ship"), '"ship" would take the recorded result of "charge"; 1 later call shifts by 2', 1),
        (call(2, "new"), '"new" would take the recorded result of "charge"', 0),
        (
            call(2, "pause", "WAIT", "Wait"),
            '"pause" would take the recorded result of "charge"; 3 later calls shift by 1',
            3,
        ),
    ],
)
def test_the_later_calls_that_get_a_wrong_result_are_counted(made: OperationCall, effect: str, follow_on: int) -> None:
    found = mismatch_at_call(made, ORDER[1], handler=HANDLER, operations={one.id: one for one in ORDER})
    assert (found.effect, found.follow_on) == (effect, follow_on)


def test_calls_that_were_never_made_are_counted_behind_the_first() -> None:
    alone = never_called("process_order", ORDER[3:], handler=HANDLER)
    assert (alone.follow_on, alone.position, ";" in alone.effect) == (0, None, False)
    several = never_called("process_order", ORDER[1:], handler=HANDLER)
    assert (several.follow_on, several.effect.partition("; ")[2]) == (2, "the same for 2 later calls")
    unnamed = never_called("process_order", [recorded(4, None)], handler=HANDLER)
    assert unnamed.path == "process_order/step(1)"


@pytest.mark.parametrize(
    ("path", "position", "around"),
    [
        ("flow/charge", 2, "flow"),
        ("flow/child/charge", 2, "flow/child"),
        ("flow/map#3", 3, "flow/map"),
        ("flow/map#3", 4, "flow"),
        ("charge", 2, "process_order"),
    ],
)
def test_the_context_of_a_call_is_in_its_path(path: str, position: int, around: str) -> None:
    assert context_path(replace(call(position, "charge"), path=path), HANDLER) == around


@pytest.mark.parametrize(
    ("word", "asked", "known", "is_same"),
    [
        ("wait_seconds", 5, 5, True),
        ("wait_seconds", 5, 6, False),
        ("branches", 2, 3, False),
        ("timeout_seconds", None, 0, True),
        ("timeout_seconds", 5, None, False),
        ("heartbeat_timeout_seconds", 5, 5, True),
        ("function_name", "f:1", "arn:aws:lambda:eu-west-1:123456789012:function:f:7", True),
        ("function_name", "f", "g", False),
        ("input", '{"a": 1}', '{"a":1}', True),
        ("input", "1", "2", False),
        ("tenant_id", "a", "a", True),
        ("tenant_id", "a", "b", False),
    ],
)
def test_each_member_of_a_configuration_is_compared_in_its_own_way(
    word: str, asked: Any, known: Any, is_same: bool
) -> None:
    assert difference({word: asked}, {word: known}) == (None if is_same else (word, asked, known))


def test_only_what_both_sides_know_is_compared() -> None:
    assert difference({"tenant_id": "a"}, {}) is None
    assert difference({}, {"tenant_id": "a"}) is None
    assert difference({}, {"timeout_seconds": 5}) == ("timeout_seconds", None, 5), "a time-out that was taken away"
    assert difference({}, {"timeout_seconds": 0}) is None


def test_a_wait_may_differ_by_the_rounding_of_its_times_and_a_random_one_by_anything() -> None:
    known = {"wait_seconds": 10}
    assert [difference({"wait_seconds": n}, known, tolerance=1) is None for n in (8, 9, 10, 11, 12)] == [
        False, True, True, True, False,
    ]  # fmt: skip
    assert difference({"wait_seconds": 99, "has_jitter": True}, known) is None
    assert difference({"wait_seconds": 99, "has_jitter": False}, known) is not None


def test_a_batch_that_did_not_end_may_still_get_more_branches() -> None:
    assert difference({"branches": 3}, {"branches": 2}, is_partial=True) is None
    assert difference({"branches": 2}, {"branches": 2}, is_partial=True) is None
    assert difference({"branches": 1}, {"branches": 2}, is_partial=True) is not None
    assert difference({"branches": 3}, {"branches": 2}) is not None


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("f", "f"),
        ("f:7", "f"),
        ("123456789012:function:f", "f"),
        ("arn:aws:lambda:eu-west-1:123456789012:function:f:live", "f"),
        ("function", "function"),
        ("x:function", "x"),
    ],
)
def test_an_invoked_function_is_its_name_in_every_environment(name: str, target: str) -> None:
    assert target_of(name) == target


@pytest.mark.parametrize(
    ("seconds", "is_same"), [(3.4, False), (3.6, True), (4, True), (5, True), (6, True), (6.4, True), (6.6, False)]
)
def test_a_wait_agrees_with_its_recorded_times_to_the_second(seconds: float, is_same: bool) -> None:
    wire = {
        "Id": "w", "Type": "WAIT", "SubType": "Wait", "Status": "STARTED", "StartTimestamp": 1_767_225_600_000,
        "WaitDetails": {"ScheduledEndTimestamp": 1_767_225_600_000 + int(seconds * 1_000)},
    }  # fmt: skip
    assert is_configured_as_recorded({"wait_seconds": 5}, wire) is is_same
    assert is_configured_as_recorded({}, wire)
    assert is_configured_as_recorded({"wait_seconds": 5}, {**wire, "WaitDetails": {}})
    assert not is_configured_as_recorded({"wait_seconds": 99}, wire)
    assert is_configured_as_recorded({"wait_seconds": 99, "has_jitter": True}, wire)


def sides() -> tuple[Side, Side]:
    was, made = (Side("CHAINED_INVOKE", "ChainedInvoke", "bill", position=n, path="f/bill") for n in (1, 2))
    return was, made


@pytest.mark.parametrize(
    ("word", "asked", "known", "kind", "severity", "shown"),
    [
        ("branches", 3, 2, "branch_count", "error", None),
        ("wait_seconds", 60, 5, "configuration", "warning", None),
        ("function_name", "g", "f", "configuration", "warning", None),
        ("input", "2", "1", "input", "warning", ("input 1", "input 2")),
        ("tenant_id", "b", "a", "configuration", "warning", ("tenant id a", "tenant id b")),
        ("timeout_seconds", 60, 5, "configuration", "warning", ("timeout 5 s", "timeout 60 s")),
        (
            "heartbeat_timeout_seconds",
            None,
            5,
            "configuration",
            "warning",
            ("heartbeat timeout 5 s", "no heartbeat timeout"),
        ),
    ],
)
def test_a_changed_argument_is_shown_on_both_sides(
    word: str, asked: Any, known: Any, kind: str, severity: str, shown: tuple[str, str] | None
) -> None:
    found = divergence_of(word, asked, known, *sides(), context_path="f", handler=HANDLER)
    assert (found.kind, found.severity, found.position, found.path) == (kind, severity, 2, "f/bill")
    assert found.recorded is not None
    assert found.replayed is not None
    if shown is None:
        assert (found.recorded.configuration, found.replayed.configuration) == ({word: known}, {word: asked})
        assert found.recorded.detail is found.replayed.detail is None
    else:
        details = tuple(
            (side.detail or "").removeprefix(f"{side.label}, ") for side in (found.recorded, found.replayed)
        )
        assert details == shown


def test_the_whole_of_a_value_that_differs_is_kept_beside_its_text() -> None:
    was, made = (
        CallNode(side, known={word: value}) for side, word, value in zip(sides(), ["tenant_id"] * 2, "ab", strict=True)
    )
    found = configuration_divergence(was, made, context_path="f", handler=HANDLER)
    assert found is not None
    assert [side.value for side in (found.recorded, found.replayed) if side] == ["a", "b"]
    assert configuration_divergence(was, was, context_path="f", handler=HANDLER) is None
    longer, shorter = (CallNode(side, known={"wait_seconds": n}) for side, n in zip(sides(), (5, 60), strict=True))
    shown = configuration_divergence(longer, shorter, context_path="f", handler=HANDLER)
    assert shown is not None
    assert [side.value for side in (shown.recorded, shown.replayed) if side] == [None, None]


def test_a_virtual_branch_says_so() -> None:
    made = replace(call(3, "b"), is_virtual=True)
    assert side_of_call(made).detail == "virtual branch 3, without a record of its own"
    assert side_of_call(call(3, "b")).detail is None


@pytest.mark.parametrize(
    ("was", "made", "kind"),
    [
        (recorded(2, "a"), call(2, "b"), "renamed"),
        (recorded(2, "a"), call(2, None), "renamed"),
        (recorded(2, "a"), call(2, "a", "WAIT", "Wait"), "changed_kind"),
        (recorded(2, None), call(2, "b", "WAIT", "Wait"), "changed_kind"),
        (recorded(2, "a"), call(2, "b", "WAIT", "Wait"), "inserted"),
        (recorded(2, "a", "CONTEXT", "Map"), call(2, "a", "CONTEXT", "Parallel"), "changed_kind"),
        (recorded(2, "a"), call(2, "b", subtype="Mine"), "inserted"),
    ],
)
def test_the_kind_of_a_mismatch_is_what_the_two_calls_share(was: Operation, made: OperationCall, kind: str) -> None:
    assert mismatch_at_call(made, was, handler=HANDLER, operations={was.id: was}).kind == kind


def test_a_call_is_looked_for_among_the_next_256() -> None:
    """Each of them is a hash: a thousand would be felt by an execution of thousands of calls that varies."""
    assert LOOKAHEAD == 256


def test_a_random_delay_hides_no_other_difference() -> None:
    asked = {"wait_seconds": 99, "has_jitter": True, "tenant_id": "b"}
    assert difference(asked, {"wait_seconds": 5, "tenant_id": "a"}) == ("tenant_id", "b", "a")


def test_a_difference_without_a_recorded_path_has_that_of_the_replay() -> None:
    was, made = sides()
    pairs = [(was, made), (replace(was, path=None), made), (replace(was, path=None), replace(made, path=None))]
    paths = [divergence_of("tenant_id", "b", "a", *pair, context_path="f", handler="f").path for pair in pairs]
    assert paths == ["f/bill", "f/bill", "f"]
    named = divergence_of("tenant_id", "b", "a", was, replace(made, path="f/other"), context_path="f", handler="f")
    assert named.path == "f/bill"

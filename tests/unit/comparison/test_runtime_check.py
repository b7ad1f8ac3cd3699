"""What a mismatch is, as far as one call tells."""

from typing import Any

import pytest

from durable_execution.comparison.runtime_check import (
    LOOKAHEAD,
    configuration_mismatch,
    divergence_of,
    mismatch_at_call,
    never_called,
)
from durable_execution.divergence import Side
from durable_execution.observers import OperationCall
from durable_execution.protocol import Operation, operation_id

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

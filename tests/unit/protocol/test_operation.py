"""The view of an operation in its wire form."""

from datetime import UTC, datetime
from typing import Any

import pytest

from durable_execution.protocol import ErrorObject, Operation, OperationStatus, OperationType


def step(**members: Any) -> Operation:
    return Operation({"Id": "1", "Type": "STEP", "Status": "STARTED", **members})


def test_absent_and_empty_members_are_none() -> None:
    for wire in (step(), step(Name="", ParentId="", SubType="", StepDetails=None)):
        assert (wire.name, wire.parent_id, wire.subtype) == (None, None, None)
        assert (wire.result, wire.error, wire.attempt, wire.started_at) == (None, None, None, None)


def test_details_are_those_of_its_type() -> None:
    operation = step(
        StepDetails={"Attempt": "2", "Result": '"r"', "NextAttemptTimestamp": 1_764_585_015_250},
        WaitDetails={"ScheduledEndTimestamp": 1},
    )
    assert operation.attempt == 2
    assert operation.result == '"r"'
    assert operation.next_attempt_at == datetime(2025, 12, 1, 10, 30, 15, 250_000, tzinfo=UTC)
    assert operation.scheduled_end_at is None


def test_an_error_is_read() -> None:
    operation = step(Status="FAILED", StepDetails={"Error": {"ErrorMessage": "no", "ErrorType": "ValueError"}})
    assert operation.error == ErrorObject("no", "ValueError")


@pytest.mark.parametrize("status", list(OperationStatus))
def test_terminal_statuses_never_change(status: OperationStatus) -> None:
    is_open = status in (OperationStatus.STARTED, OperationStatus.PENDING, OperationStatus.READY)
    assert step(Status=status.value).is_terminal is not is_open
    assert status.is_terminal is not is_open


@pytest.mark.parametrize(
    ("kind", "details", "attribute", "value"),
    [
        ("CALLBACK", {"CallbackDetails": {"CallbackId": "c"}}, "callback_id", "c"),
        ("CONTEXT", {"ContextDetails": {"ReplayChildren": True}}, "has_replay_children", True),
        ("CONTEXT", {}, "has_replay_children", False),
        ("EXECUTION", {"ExecutionDetails": {"InputPayload": "{}"}}, "input_payload", "{}"),
        (
            "WAIT",
            {"WaitDetails": {"ScheduledEndTimestamp": 1000}},
            "scheduled_end_at",
            datetime(1970, 1, 1, 0, 16, 40, tzinfo=UTC),
        ),
    ],
)
def test_members_of_the_other_types(kind: str, details: dict[str, Any], attribute: str, value: Any) -> None:
    operation = Operation({"Id": "1", "Type": kind, "Status": "STARTED", **details})
    assert getattr(operation, attribute) == value
    assert operation.type is OperationType(kind)


def test_views_of_equal_operations_are_equal_but_have_no_hash() -> None:
    assert step() == step()
    assert step() != step(Name="a")
    with pytest.raises(TypeError):
        hash(step())

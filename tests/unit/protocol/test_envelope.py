"""What the service hands to a handler."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_execution.protocol import ErrorObject, InvocationInput
from durable_execution.protocol.envelope import failed, pending, succeeded
from tests.unit.fake_service import ARN, envelope

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def test_an_envelope_is_read() -> None:
    event = envelope([{"Id": "1", "Type": "WAIT"}], marker="m", UpdatedOperationIds=["1"])
    read = InvocationInput.from_event(event)
    assert read.execution_arn == ARN
    assert read.checkpoint_token == "token-0"
    assert [wire["Id"] for wire in read.operations] == ["e", "1"]
    assert read.next_marker == "m"
    assert read.updated_operation_ids == ["1"]


@pytest.mark.parametrize("marker", ["", None])
def test_no_marker_means_that_is_all(marker: Any) -> None:
    assert InvocationInput.from_event(envelope(marker=marker)).next_marker is None


def test_older_services_do_not_say_what_has_changed() -> None:
    assert InvocationInput.from_event(envelope()).updated_operation_ids == []


@pytest.mark.parametrize("member", ["DurableExecutionArn", "CheckpointToken", "InitialExecutionState"])
def test_a_member_that_is_missing_makes_it_no_envelope(member: str) -> None:
    event = envelope()
    del event[member]
    with pytest.raises(ValueError, match="not the envelope"):
        InvocationInput.from_event(event)


@given(JSON)
def test_no_json_crashes_the_reader(event: Any) -> None:
    with pytest.raises(ValueError, match="not the envelope"):
        InvocationInput.from_event(event)


@given(JSON)
def test_no_state_crashes_the_reader(state: Any) -> None:
    try:
        InvocationInput.from_event(envelope(InitialExecutionState=state))
    except ValueError as error:
        assert "not the envelope" in str(error)  # noqa: PT017  # either outcome is right for some state


def test_answers() -> None:
    assert succeeded('"x"') == {"Status": "SUCCEEDED", "Result": '"x"'}
    assert succeeded(None) == {"Status": "SUCCEEDED", "Result": "null"}
    assert pending() == {"Status": "PENDING"}
    assert failed(ErrorObject("m", "T")) == {"Status": "FAILED", "Error": {"ErrorMessage": "m", "ErrorType": "T"}}

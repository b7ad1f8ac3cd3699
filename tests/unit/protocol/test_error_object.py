"""The protocol's picture of an error."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_execution.protocol import ErrorObject

TEXT = st.none() | st.text()


@given(TEXT, TEXT, TEXT, st.none() | st.lists(st.text(), max_size=3).map(tuple))
def test_what_is_written_is_read(
    message: str | None, kind: str | None, data: str | None, trace: tuple[str, ...] | None
) -> None:
    error = ErrorObject(message, kind, data, trace)
    assert ErrorObject.from_wire(error.to_wire()) == (error if error.to_wire() else None)


@pytest.mark.parametrize("nothing", [None, {}])
def test_nothing_is_no_error(nothing: None) -> None:
    assert ErrorObject.from_wire(nothing) is None


def test_members_that_are_not_set_are_not_written() -> None:
    assert ErrorObject(message="m").to_wire() == {"ErrorMessage": "m"}


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ErrorObject("no", "ValueError"), "ValueError: no"),
        (ErrorObject("no"), "Error: no"),
        (ErrorObject(None, "ValueError"), "ValueError"),
        (ErrorObject(), "Error"),
    ],
)
def test_it_reads_like_the_last_line_of_a_traceback(error: ErrorObject, text: str) -> None:
    assert str(error) == text

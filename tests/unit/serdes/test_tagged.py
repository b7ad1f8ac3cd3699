"""The default format: exact for every value it takes, and the one of AWS's SDK for Python."""

import json
import math
import string
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from aws_durable_execution_sdk_python.serdes import EXTENDED_TYPES_SERDES as AWS
from hypothesis import given
from hypothesis import strategies as st

from durable_execution.errors import SerializationError
from durable_execution.serdes import tagged
from durable_execution.serdes.tagged import TaggedSerDes

OFFSETS = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.binary()
    | st.uuids()
    | st.decimals(allow_nan=False)
    | st.dates()
    | st.datetimes()
    | st.datetimes(timezones=OFFSETS | st.just(UTC))
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text() | st.sampled_from("tv"), inner)
    ),
    max_leaves=20,
)


class Colour(StrEnum):
    RED = "red"


class Point(NamedTuple):
    x: int
    y: int


def typed(value: Any) -> Any:
    """A value beside its type, at every level: 1, True and 1.0 are equal, but not the same."""
    match value:
        case list() | tuple():
            return type(value), [typed(item) for item in value]
        case dict():
            return dict, {key: typed(item) for key, item in value.items()}
        case float():
            return float, math.copysign(1, value), value
        case _:
            return type(value), value


@given(VALUES)
def test_every_value_comes_back_as_what_it_was(value: Any) -> None:
    assert typed(tagged.loads(tagged.dumps(value))) == typed(value)


@given(VALUES)
def test_awss_sdk_reads_what_is_written_here(value: Any) -> None:
    assert typed(AWS.deserialize(tagged.dumps(value), None)) == typed(value)  # type: ignore[arg-type]


@given(VALUES)
def test_what_awss_sdk_writes_is_read_here(value: Any) -> None:
    assert typed(tagged.loads(AWS.serialize(value, None))) == typed(value)  # type: ignore[arg-type]


@given(VALUES)
def test_both_write_the_same_text(value: Any) -> None:
    assert tagged.dumps(value) == AWS.serialize(value, None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (5, "5"),
        (1.5, "1.5"),
        ("x", '"x"'),
        ([1, ["a", None]], '[1,["a",null]]'),
        ({}, '{"t":"m","v":{}}'),
        ({"a": 1}, '{"t":"m","v":{"a":{"t":"i","v":1}}}'),
        ((1,), '{"t":"t","v":[{"t":"i","v":1}]}'),
        (b"ab", '{"t":"B","v":"YWI="}'),
        (Decimal("1.50"), '{"t":"d","v":"1.50"}'),
        (date(2025, 12, 1), '{"t":"D","v":"2025-12-01"}'),
        (datetime(2025, 12, 1, tzinfo=UTC), '{"t":"dt","v":"2025-12-01T00:00:00+00:00"}'),
        (UUID(int=1), '{"t":"u","v":"00000000-0000-0000-0000-000000000001"}'),
        ([{"a": 1}], '{"t":"l","v":[{"t":"m","v":{"a":{"t":"i","v":1}}}]}'),
    ],
    ids=repr,
)
def test_the_format(value: Any, text: str) -> None:
    assert tagged.dumps(value) == text
    assert typed(tagged.loads(text)) == typed(value)


@pytest.mark.parametrize(
    "value", [{"t": "n", "v": 1}, {"t": "i", "v": "x"}, [{"t": "l", "v": []}], {"t": {"t": "n", "v": 0}}]
)
def test_a_users_dict_is_not_taken_for_a_tag(value: Any) -> None:
    assert tagged.loads(tagged.dumps(value)) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"status": "approved"}', {"status": "approved"}),
        ('[{"a": 1}, [{"b": null}]]', [{"a": 1}, [{"b": None}]]),
        ('{"t": "zz", "v": 1}', {"t": "zz", "v": 1}),
        ('{"t": "s"}', {"t": "s"}),
        ('{"t": "i", "v": 1, "w": 2}', {"t": "i", "v": 1, "w": 2}),
    ],
)
def test_plain_json_of_other_sdks_is_read_as_what_it_is(text: str, value: Any) -> None:
    assert tagged.loads(text) == value


@pytest.mark.parametrize(
    "value",
    [
        object(),
        {1, 2},
        Colour.RED,
        Point(1, 2),
        {1: "a"},
        {"a": {("b",): 1}},
        [Colour.RED],
        float("nan"),
        [float("inf")],
        {"deep": [(float("-inf"),)]},
        1j,
        [10**5000],
    ],
)
def test_what_cannot_be_restored_is_refused(value: Any) -> None:
    with pytest.raises(SerializationError):
        tagged.dumps(value)


def test_a_refusal_names_the_type_and_the_key() -> None:
    with pytest.raises(SerializationError, match="of type set cannot be restored"):
        tagged.dumps({"a": {1}})
    with pytest.raises(SerializationError, match="the dict key 1 is of type int"):
        tagged.dumps({1: "a"})


def test_a_value_that_holds_itself_is_refused() -> None:
    value: dict[str, Any] = {}
    value["self"] = value
    with pytest.raises(SerializationError):
        tagged.dumps(value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "nonsense",
        '{"t":"B","v":"a"}',
        '{"t":"u","v":"x"}',
        '{"t":"d","v":"x"}',
        '{"t":"dt","v":"yesterday"}',
        '{"t":"D","v":1}',
        '{"t":"i","v":"x"}',
        '{"t":"l","v":1}',
        '{"t":"m","v":[]}',
        "[" * 100_000,
    ],
    ids=lambda text: text[:20] or "empty",
)
def test_text_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(SerializationError, match="cannot be read"):
        tagged.loads(text)


@given(st.text(alphabet=string.printable) | st.text('{}[]"tv:,1nsifbBudDlmr '))
def test_no_text_crashes_the_reader(text: str) -> None:
    try:
        tagged.loads(text)
    except SerializationError:
        with pytest.raises(ValueError, match=r"."):
            json.loads(text)


def test_as_a_serializer() -> None:
    serializer = TaggedSerDes()
    assert serializer.deserialize(serializer.serialize((1, 2))) == (1, 2)

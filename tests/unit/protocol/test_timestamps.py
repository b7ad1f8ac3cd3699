"""Timestamps in every form the protocol has."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_execution.protocol.operation import to_datetime, to_millis

MOMENT = datetime(2025, 12, 1, 10, 30, 15, 250_000, tzinfo=UTC)
BEYOND = [
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59",
    datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))),
    datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-10))),
    253_402_300_800_000,
    -(2**63),
]
"""Moments outside the years 1 to 9999."""

MILLIS = 1_764_585_015_250


@pytest.mark.parametrize(
    "written",
    [
        MILLIS,
        float(MILLIS),
        MILLIS / 1000,
        "2025-12-01T10:30:15.250Z",
        "2025-12-01T12:30:15.250+02:00",
        "2025-12-01T10:30:15.250",
        MOMENT,
        MOMENT.replace(tzinfo=None),
        MOMENT.astimezone(timezone(timedelta(hours=-5))),
    ],
    ids=repr,
)
def test_every_form_is_read(written: object) -> None:
    read = to_datetime(written)
    assert read == MOMENT
    assert read is not None
    assert read.tzinfo is UTC


@pytest.mark.parametrize("nothing", [None, ""])
def test_nothing_is_nothing(nothing: object) -> None:
    assert to_datetime(nothing) is None


@pytest.mark.parametrize(
    "nonsense",
    [True, "yesterday", [], {}, 10**30, float("inf"), float("-inf"), float("nan"), b"2025", *BEYOND],
    ids=repr,
)
def test_nonsense_is_refused(nonsense: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        to_datetime(nonsense)


@given(st.datetimes(datetime(1973, 6, 1), datetime(5000, 1, 1)))
def test_milliseconds_make_the_round_trip(moment: datetime) -> None:
    whole = moment.replace(microsecond=moment.microsecond // 1000 * 1000, tzinfo=UTC)
    read = to_datetime(to_millis(whole))
    assert read is not None
    assert abs(read - whole) < timedelta(microseconds=500)
    assert to_millis(read) == to_millis(whole)

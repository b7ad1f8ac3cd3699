"""Which recorded values a failing line reads."""

import pytest

from durable_debugger.views.answer import assigned_at
from durable_debugger.views.source import edited_lines


@pytest.mark.parametrize(
    ("recorded", "today", "expected"),
    [
        ("a\nb\nc", ["a", "b", "c"], {}),
        ("a\nb\nc", ["a", "x", "c"], {2: "b"}),
        ("a\nc", ["a", "new", "c"], {2: ""}),
        ("a\nb\nc", ["a", "c"], {2: "removed above: b"}),
        ("a\nb\nd\nc", ["a", "x", "c"], {2: "b", 3: "removed above: d"}),
        ("", ["a"], {1: ""}),
        ("a", [], {}),
    ],
)
def test_edited_lines_know_what_they_were(recorded: str, today: list[str], expected: dict[int, str]) -> None:
    assert edited_lines(recorded, today) == expected


SOURCE = """
async def handler(event, ctx):
    parcel = await ctx.step(reserve)
    parcel, size = await ctx.step(measure)
    other = 1

    def inner():
        parcel = 3
    return int(parcel) + size + event
"""


@pytest.mark.parametrize(
    ("source", "line", "expected"),
    [
        (SOURCE, 9, [("parcel", 4), ("size", 4), ("event", 0)]),
        (SOURCE, 5, []),
        (SOURCE, 1, []),
        ("def broken(:\n", 1, []),
    ],
)
def test_a_line_reads_what_was_assigned_last_above_it(source: str, line: int, expected: list[tuple[str, int]]) -> None:
    assert assigned_at(source, line) == expected

"""Which recorded values a failing line reads."""

import pytest

from durable_debugger.views.answer import assigned_at

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
        (SOURCE, 9, [("parcel", 4), ("size", 4)]),
        (SOURCE, 5, []),
        (SOURCE, 1, []),
        ("def broken(:\n", 1, []),
    ],
)
def test_a_line_reads_what_was_assigned_last_above_it(source: str, line: int, expected: list[tuple[str, int]]) -> None:
    assert assigned_at(source, line) == expected

"""Alignment: shortest, in order, and quick for what happens in practice."""

from hypothesis import given
from hypothesis import strategies as st

from durable_execution.comparison.alignment import Pair, _by_differences, align

keys = st.lists(st.integers(0, 4), max_size=9)


def longest(a: list[int], b: list[int]) -> int:
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i in range(len(a) - 1, -1, -1):
        for j in range(len(b) - 1, -1, -1):
            table[i][j] = table[i + 1][j + 1] + 1 if a[i] == b[j] else max(table[i + 1][j], table[i][j + 1])
    return table[0][0]


@given(keys, keys)
def test_every_call_of_both_sides_is_there_once_and_in_order(a: list[int], b: list[int]) -> None:
    rows = align(a, b)
    assert [row.recorded for row in rows if row.recorded is not None] == list(range(len(a)))
    assert [row.replayed for row in rows if row.replayed is not None] == list(range(len(b)))
    assert all(
        a[row.recorded] == b[row.replayed] for row in rows if row.recorded is not None and row.replayed is not None
    )


@given(keys, keys)
def test_the_search_for_few_differences_is_exact(a: list[int], b: list[int]) -> None:
    found = _by_differences(a, b)
    assert len(found) == longest(a, b)
    assert found == sorted(found)


@given(st.lists(st.integers(0, 3), max_size=12), st.data())
def test_one_removed_call_is_one_row(a: list[int], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(a)))
    longer = [*a[:index], 99, *a[index:]]
    assert [row for row in align(longer, a) if not row.is_match] == [Pair(index, None)]


def test_ten_thousand_siblings() -> None:
    names = [f"step-{index % 7}" for index in range(10_000)]
    changed = [*names[:4_000], "new", *names[4_000:9_000], *names[9_001:]]
    rows = [row for row in align(names, changed) if not row.is_match]
    assert rows == [Pair(None, 4_000), Pair(9_000, None)]


def test_ten_thousand_that_have_nothing_in_common() -> None:
    rows = align([f"a{index}" for index in range(10_000)], [f"b{index}" for index in range(10_000)])
    assert not any(row.is_match for row in rows)


def test_many_repetitions_in_another_order_still_end() -> None:
    rows = align(["s", "t", "u"] * 1_500, ["u", "s", "t"] * 1_500)
    assert sum(row.is_match for row in rows) > 4_000

"""Alignment: shortest, in order, and quick for what happens in practice."""

from collections.abc import Sequence
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from durable_execution.call_site import CallSite
from durable_execution.comparison.alignment import (
    MAX_DIFFERENCES,
    Pair,
    _by_differences,
    _by_table,
    align,
    gaps,
    pair_gap,
)
from durable_execution.comparison.call_tree import CallNode
from durable_execution.divergence import Side

keys = st.lists(st.integers(0, 4), max_size=9)


def longest(a: Sequence[Any], b: Sequence[Any]) -> int:
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


def assert_exact(found: list[tuple[int, int]], a: Sequence[Any], b: Sequence[Any]) -> None:
    assert len(found) == longest(a, b)
    assert found == sorted(found)
    assert all(a[i] == b[j] for i, j in found)
    assert len({i for i, _ in found}) == len({j for _, j in found}) == len(found)


@pytest.mark.parametrize("search", [_by_table, _by_differences])
@given(keys, keys)
def test_each_search_of_a_gap_is_exact(search: Any, a: list[int], b: list[int]) -> None:
    assert_exact(search(a, b), a, b)


@pytest.mark.parametrize("search", [_by_table, _by_differences])
def test_each_search_is_exact_for_all_short_sequences_of_two_calls(search: Any) -> None:
    short = [sequence for length in range(6) for sequence in product("st", repeat=length)]
    for a, b in product(short, repeat=2):
        assert_exact(search(a, b), a, b)


@given(st.permutations(range(8)), st.permutations(range(8)))
def test_calls_with_different_names_are_aligned_in_the_longest_common_order(a: list[int], b: list[int]) -> None:
    assert_exact(matches_of(a, b), a, b)


@given(st.permutations("abcdest"), st.permutations("abcdefs"), st.permutations("abcst"))
def test_calls_with_different_names_anchor_those_that_repeat(a: list[str], b: list[str], c: list[str]) -> None:
    ours, theirs = [*a, "s", *c, "x"], [*b, "s", "x", *c]
    found = matches_of(ours, theirs)
    assert found == sorted(found)
    assert all(ours[i] == theirs[j] for i, j in found)
    assert len({i for i, _ in found}) == len({j for _, j in found}) == len(found)


@pytest.mark.parametrize(
    ("a", "b", "matched"),
    [
        ("stAst", "tsAts", 3),
        ("sAsBsC", "AsBsCs", 5),
        ("sAtBuC", "tAuBsC", 3),
        ("ABC", "CAB", 2),
        ("ABCD", "DABC", 3),
    ],
    ids=["gaps on both sides", "an offset", "anchors alone", "the last one first", "the longest run"],
)
def test_the_calls_between_anchors_are_aligned_as_well(a: str, b: str, matched: int) -> None:
    assert len(matches_of(a, b)) == matched


def matches_of(a: Sequence[Any], b: Sequence[Any]) -> list[tuple[int, int]]:
    rows = align(a, b)
    return [(row.recorded, row.replayed) for row in rows if row.recorded is not None and row.replayed is not None]


def test_calls_around_an_empty_gap_are_aligned_as_well() -> None:
    assert align(["a", "b", "a"], ["c", "a", "b"]) == [Pair(None, 0), Pair(0, 1), Pair(1, 2), Pair(2, None)]
    assert align(["a", "b", "c"], ["b", "c", "b"]) == [Pair(0, None), Pair(1, 0), Pair(2, 1), Pair(None, 2)]


def test_the_earliest_of_equal_calls_is_the_match() -> None:
    assert align(["s", "s", "s"], ["s", "t", "s", "t"])[:2] == [Pair(0, 0), Pair(None, 1)]
    assert _by_table(["s", "s"], ["s"]) == [(0, 0)]
    assert _by_table(["s"], ["s", "s"]) == [(0, 0)]
    assert _by_table(["s", "t"], ["t", "s"]) == [(1, 0)], (
        "of two equally long alignments, the replayed call that comes first"
    )


@pytest.mark.parametrize(("more", "is_exact"), [(0, True), (1, False)])
def test_beyond_the_most_differences_calls_are_matched_by_index(
    more: int, is_exact: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("durable_execution.comparison.alignment.MAX_DIFFERENCES", 6)
    assert MAX_DIFFERENCES == 1_500
    a, b = ["x", *"abc"], [*"abc", *("y" * (5 + more)), "x"]
    assert (_by_differences(a, b) == [(1, 0), (2, 1), (3, 2)]) is (5 + more + 2 <= 6)
    a, b = ["x", "s", "s"], ["s", "s", *("y" * (5 + more))]
    assert (_by_differences(a, b) == [(1, 0), (2, 1)]) is is_exact
    if not is_exact:
        assert _by_differences(a, b) == [(1, 1)]


def test_gaps_are_what_lies_between_matches() -> None:
    rows = [Pair(None, 0), Pair(0, 1), Pair(1, 2), Pair(2, None), Pair(3, None), Pair(None, 3)]
    assert list(gaps(rows)) == [(0, [], [0]), (3, [2, 3], [3])]
    assert list(gaps([Pair(0, 0)])) == []


def call(
    name: str | None,
    type_: str = "STEP",
    subtype: str | None = "Step",
    line: int | None = None,
    body: str | None = None,
) -> CallNode:
    site = CallSite("flow.py", line, "flow") if line is not None else None
    return CallNode(Side(type_, subtype, name, call_site=site), body=body)


@pytest.mark.parametrize(
    ("left", "right", "paired"),
    [
        ([call("a")], [call("b")], [Pair(0, 0)]),
        ([call("a")], [call("b", "WAIT", "Wait")], [Pair(0, 0)]),
        ([call("a", body="x")], [call("b", body="y")], [Pair(0, None), Pair(None, 0)]),
        ([call("a", body="x")], [call("a", body="y")], [Pair(0, 0)]),
        ([call("a"), call("b", line=7)], [call("c", line=7)], [Pair(0, None), Pair(1, 0)]),
        ([call("a", line=7)], [call("b"), call("c", line=7)], [Pair(None, 0), Pair(0, 1)]),
        ([call("a"), call("b", "WAIT", "Wait")], [call("c", "WAIT", "Wait")], [Pair(0, None), Pair(1, 0)]),
        ([call("a"), call("b", "WAIT", "Wait")], [call("a", "WAIT", "Wait")], [Pair(0, 0), Pair(1, None)]),
        ([call("a", "CONTEXT", "Map")], [call("b", "CONTEXT", "Parallel"), call("c", "CONTEXT", "Map")],
         [Pair(None, 0), Pair(0, 1)]),
        ([call("a", "CONTEXT", None)], [call("b", "WAIT", "Wait"), call("c", "CONTEXT", "Map")],
         [Pair(None, 0), Pair(0, 1)]),
        ([call("a")], [call("b"), call("a", "WAIT", "Wait")], [Pair(0, 0), Pair(None, 1)]),
        ([], [call("a")], [Pair(None, 0)]),
        ([call("a")], [], [Pair(0, None)]),
    ],
    ids=[
        "another name", "another kind", "another function and name", "another function", "the same line", "its place",
        "the same kind", "the same name", "the same subtype", "an unknown subtype", "a kind or a name", "new", "gone",
    ],
)  # fmt: skip
def test_the_calls_of_a_gap_are_paired_by_what_they_share(
    left: list[CallNode], right: list[CallNode], paired: list[Pair]
) -> None:
    assert pair_gap(left, right, list(range(len(left))), list(range(len(right))), is_cut=False) == paired


KINDS = (("STEP", "Step"), ("WAIT", "Wait"), ("CONTEXT", "Map"))
calls = st.lists(
    st.builds(
        lambda name, kind, line, body: call(name, kind[0], kind[1], line=line, body=body),
        st.sampled_from(["a", "b", None]),
        st.sampled_from(KINDS),
        st.sampled_from([None, 7, 8]),
        st.sampled_from([None, "x", "y"]),
    ),
    max_size=3,
)


def cost_of(was: CallNode, made: CallNode) -> float:
    """How unlikely it is that one call became the other. Two calls that have nothing to do with each other cost 4."""
    if was.body and made.body and was.body != made.body and was.side.name != made.side.name:
        return 5
    if was.side.call_site is not None and was.side.call_site == made.side.call_site:
        return 1
    is_alike = (was.side.type, was.side.subtype) == (made.side.type, made.side.subtype)
    return 2 if is_alike or (was.side.name == made.side.name is not None) else 3.8


def least(left: list[CallNode], right: list[CallNode], *, is_cut: bool) -> float:
    """The least cost of all pairings that keep the order."""
    if not left or not right:
        return 2 * len(right) + (0 if is_cut else 2 * len(left))
    return min(
        cost_of(left[0], right[0]) + least(left[1:], right[1:], is_cut=is_cut),
        2 + least(left[1:], right, is_cut=is_cut),
        2 + least(left, right[1:], is_cut=is_cut),
    )


@given(calls, calls, st.booleans())
@settings(max_examples=100)
def test_the_calls_of_a_gap_are_paired_at_the_least_cost(
    left: list[CallNode], right: list[CallNode], is_cut: bool
) -> None:
    rows = pair_gap(left, right, list(range(len(left))), list(range(len(right))), is_cut=is_cut)
    assert [row.recorded for row in rows if row.recorded is not None] == list(range(len(left)))
    assert [row.replayed for row in rows if row.replayed is not None] == list(range(len(right)))
    reached = max((at for at, row in enumerate(rows) if row.replayed is not None), default=-1)
    paid = 0.0
    for at, row in enumerate(rows):
        if row.recorded is not None and row.replayed is not None:
            paid += cost_of(left[row.recorded], right[row.replayed])
        elif row.replayed is not None or not is_cut or at < reached:
            paid += 2
    assert paid == pytest.approx(least(left, right, is_cut=is_cut))


@pytest.mark.parametrize(
    ("left", "right", "paired"),
    [
        ([call("a", line=7), call("a", line=7)], [call("a", line=7)], [Pair(0, 0), Pair(1, None)]),
        ([call("a", line=7)], [call("a", line=7), call("a", line=7)], [Pair(0, 0), Pair(None, 1)]),
        ([call("a", body="x")], [call("b", body="y"), call("c", body="z")], [Pair(0, None), Pair(None, 0), Pair(None, 1)]),
    ],
    ids=["one fewer", "one more", "none of them"],
)  # fmt: skip
def test_of_equally_likely_pairings_the_earliest_is_chosen(
    left: list[CallNode], right: list[CallNode], paired: list[Pair]
) -> None:
    assert pair_gap(left, right, list(range(len(left))), list(range(len(right))), is_cut=False) == paired


def test_calls_that_a_side_did_not_reach_cost_nothing() -> None:
    left, right = [call("a", "WAIT", "Wait"), call("b")], [call("c")]
    assert pair_gap(left, right, [0, 1], [0], is_cut=False) == [Pair(0, None), Pair(1, 0)]
    assert pair_gap(left, right, [0, 1], [0], is_cut=True) == [Pair(None, 0), Pair(0, None), Pair(1, None)]
    assert pair_gap([call("a"), call("b")], right, [0, 1], [0], is_cut=True) == [Pair(0, 0), Pair(1, None)]


def test_a_gap_too_large_for_a_table_is_paired_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    left, right = [call("a"), call("b", line=7), call("c")], [call("x", line=7), call("y")]
    monkeypatch.setattr("durable_execution.comparison.alignment.MAX_PAIRING_TABLE", 6)
    assert pair_gap(left, right, [0, 1, 2], [0, 1], is_cut=False) == [Pair(0, None), Pair(1, 0), Pair(2, 1)]
    monkeypatch.setattr("durable_execution.comparison.alignment.MAX_PAIRING_TABLE", 5)
    assert pair_gap(left, right, [0, 1, 2], [0, 1], is_cut=False) == [Pair(0, 0), Pair(1, 1), Pair(2, None)]
    assert pair_gap(left, right, [1], [0, 1], is_cut=False) == [Pair(1, 0), Pair(None, 1)]


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

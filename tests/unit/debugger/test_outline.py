"""Folding and filtering a tree as flat arrays, against the obvious way to do it."""

from hypothesis import given
from hypothesis import strategies as st

from durable_debugger.model.outline import ROOT, Outline


@st.composite
def trees(draw: st.DrawFn) -> list[int]:
    depths = [0]
    for _ in range(draw(st.integers(0, 40))):
        depths.append(draw(st.integers(0, depths[-1] + 1)))
    return depths


def parents_of(depths: list[int]) -> list[int]:
    return [next((p for p in range(row - 1, -1, -1) if depths[p] < depths[row]), ROOT) for row in range(len(depths))]


def visible_of(depths: list[int], folded: set[int]) -> list[int]:
    parents = parents_of(depths)

    def is_hidden(row: int) -> bool:
        while (row := parents[row]) != ROOT:
            if row in folded:
                return True
        return False

    return [ROOT, *(row for row in range(len(depths)) if not is_hidden(row))]


@given(trees())
def test_parents_and_siblings_are_those_of_the_tree(depths: list[int]) -> None:
    outline, parents = Outline(depths), parents_of(depths)
    assert list(outline.parents) == parents
    for row in range(len(depths)):
        siblings = [other for other in range(len(depths)) if parents[other] == parents[row]]
        assert list(outline.children(parents[row])) == siblings
        assert outline.is_last(row) == (row == siblings[-1])
        place = siblings.index(row)
        assert outline.sibling(row, 1) == siblings[min(place + 1, len(siblings) - 1)]
        assert outline.sibling(row, -1) == siblings[max(place - 1, 0)]


@given(trees(), st.lists(st.integers(0, 40), max_size=12))
def test_what_is_visible_depends_only_on_what_is_folded(depths: list[int], toggles: list[int]) -> None:
    outline, folded = Outline(depths), set[int]()
    for row in (toggle % len(depths) for toggle in toggles):
        if outline.has_children(row):
            outline.toggle(row)
            folded ^= {row}
            assert outline.visible == visible_of(depths, folded)
    for row in range(len(depths)):
        shown = row
        while shown not in outline.visible:
            shown = outline.parent(shown)
        assert outline.visible[outline.index_of(row)] == shown


@given(trees(), st.sets(st.integers(0, 40), max_size=8))
def test_a_filter_shows_hits_and_what_encloses_them(depths: list[int], wanted: set[int]) -> None:
    wanted = {row % len(depths) for row in wanted}
    outline = Outline(depths)
    outline.filter(sorted(wanted))
    expected = set(wanted)
    for row in wanted:
        expected.update(outline.ancestors(row))
    assert outline.visible == [ROOT, *sorted(expected)]
    outline.filter(None)
    assert outline.visible == visible_of(depths, set())


@given(trees(), st.integers(0, 40))
def test_revealing_a_row_unfolds_only_what_hides_it(depths: list[int], row: int) -> None:
    row %= len(depths)
    outline = Outline(depths)
    outline.fold_all()
    outline.reveal(row)
    assert row in outline.visible
    assert set(outline.folded_rows()) == {
        each for each in range(len(depths)) if outline.has_children(each) and each not in set(outline.ancestors(row))
    }


def test_a_tree_of_any_depth_can_be_folded() -> None:
    outline = Outline(range(5_000))
    outline.fold(0)
    assert outline.visible == [ROOT, 0]
    outline.unfold_chain(ROOT)
    assert len(outline.visible) == 5_001
    assert len(list(outline.ancestors(4_999))) == 4_999


def test_crowded_contexts_are_found() -> None:
    assert Outline([0, *([1] * 21), 0, *([1] * 20)]).crowded() == [0]


def test_an_execution_without_operations_has_one_row() -> None:
    outline = Outline([])
    outline.toggle(ROOT)
    outline.fold_all()
    assert outline.visible == [ROOT]
    assert not outline.has_children(ROOT)

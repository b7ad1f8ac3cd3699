"""Texts of objects are read back into attributes, so that what differs is the attribute and not the whole object."""

import pytest

from durable_execution.replay.cause.object_texts import attributes_in, changes, differing, enum_of


@pytest.mark.parametrize(
    ("text", "attributes"),
    [
        ("Order(id='17', total=240)", {"id": "'17'", "total": "240"}),
        (
            "Order(names=['a, b', \"it's)\"], at=datetime(2026-01-01))",
            {"names": "['a, b', \"it's)\"]", "at": "datetime(2026-01-01)"},
        ),
        (r"Order(text='it\'s, b=2', b=1)", {"text": r"'it\'s, b=2'", "b": "1"}),
        (
            "Dice(numbers=<Random #1370a645>, kinds={1, 2}, pairs={'a': (1, 2)})",
            {"numbers": "<Random #1370a645>", "kinds": "{1, 2}", "pairs": "{'a': (1, 2)}"},
        ),
        ("Plan(order='17', window=Window(opened=1, days=[2]))", {"order": "'17'", "window": "Window(opened=1, days=[2])"}),
        ("Empty()", {}),
    ],
)  # fmt: skip
def test_attributes_of_an_object(text: str, attributes: dict[str, str]) -> None:
    assert attributes_in(text) == attributes
    assert list(attributes_in(text)) == list(attributes)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "'text'",
        "[1, 2]",
        "{'a': 1}",
        "<Random #1>",
        "Order(id='17', total=2…#12345678",
        "deque([1, 2])",
        "Order(",
    ],
)
def test_what_is_not_the_whole_text_of_an_object_has_no_attributes(text: str | None) -> None:
    assert attributes_in(text) == {}


def test_changes_are_new_and_different_attributes_in_their_order() -> None:
    assert changes("Profile(since=1)", "Profile(since=1, likes_pot=3, likes_tea=2)") == [
        ("likes_pot", "3"), ("likes_tea", "2"),
    ]  # fmt: skip
    assert changes("Profile(since=1, size=2)", "Profile(since=2, size=2)") == [("since", "2")]
    assert changes("Profile(since=1)", "Profile(since=1)") == []
    assert changes(None, "Profile(since=1)") == [("since", "1")]


def test_the_attribute_that_differs_is_looked_for_in_inner_objects() -> None:
    ours = "Plan(order='17', window=Window(opened=1, days=2), at=3)"
    theirs = "Plan(order='17', window=Window(opened=9, days=2), at=4)"
    assert sorted(differing(ours, theirs)) == [("Plan", "at"), ("Window", "opened")]
    assert list(differing("Plan(at=Window(a=1))", "Plan(at=Other(a=2))")) == [("Plan", "at")]
    assert list(differing("Plan(at=1)", "Other(at=2)")) == []


@pytest.mark.parametrize(
    ("text", "name"), [("Shift.EARLY", "Shift"), ("'Shift.EARLY'", None), ("1.5", None), (None, None)]
)
def test_the_text_of_a_member_names_its_enum(text: str | None, name: str | None) -> None:
    assert enum_of(text) == name

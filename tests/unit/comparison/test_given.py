"""What a finished call was given, compared with the digests in its trace."""

from typing import Any

import pytest

from durable_execution.comparison.call_tree import CallNode
from durable_execution.comparison.runtime_check import given_divergence
from durable_execution.divergence import Divergence, Side
from durable_execution.trace.arguments import Digests, digest_of, key_for, text_of

ARN = "arn:x"
KEY = key_for(ARN)


def recorded(
    arguments: dict[str, Any], items: list[Any] | None = None, *, path: str | None = "flow/m", **more: Any
) -> CallNode:
    digests = {name: digest_of(text_of(value) or "", KEY) for name, value in arguments.items()}
    shown = Digests(ARN, lambda name: False).items(items) if items is not None else None
    given = {"of": ARN, "arguments": digests, "items": shown}
    return CallNode(Side("CONTEXT", "Map", "m", position=1, path=path), given=given, **more)


def replayed(
    arguments: dict[str, Any], items: list[Any] | None = None, *, path: str | None = "flow/m", **more: Any
) -> CallNode:
    texts = {name: text_of(value) for name, value in arguments.items()}
    given = {"texts": texts, "items": [text_of(one) for one in items] if items is not None else None}
    return CallNode(Side("CONTEXT", "Map", "m", position=2, path=path), given=given, **more)


def found(left: CallNode, right: CallNode) -> Divergence | None:
    return given_divergence(left, right, context_path="flow", handler="flow")


@pytest.mark.parametrize(
    ("left", "right", "was", "now", "fix"),
    [
        (recorded({"a": 1}), replayed({"a": 2}), "argument a", "a different value of a", "argument a"),
        (
            recorded({"a": 1, "b": 1}),
            replayed({"a": 2, "b": 2}),
            "arguments a and b",
            "a different value of a and b",
            "arguments a and b",
        ),
        (recorded({}, [1, 2, 3]), replayed({}, [1, 9, 3]), "items", "a different item 1", "items"),
        (recorded({}, [1, 2, 3]), replayed({}, [9, 9, 3]), "items", "different items 0 and 1", "items"),
        (
            recorded({}, [1, 2]),
            replayed({}, [2, 1]),
            "in the recorded order",
            "the same items in a different order",
            "items",
        ),
    ],
)
def test_what_differs_is_named(left: CallNode, right: CallNode, was: str, now: str, fix: str) -> None:
    difference = found(left, right)
    assert difference is not None
    assert (difference.kind, difference.severity) == ("input", "warning")
    assert (difference.path, difference.context_path, difference.position) == ("flow/m", "flow", 2)
    assert difference.recorded is not None
    assert difference.replayed is not None
    assert (difference.recorded.detail, difference.replayed.detail) == (f'map "m", {was}', f'map "m", {now}')
    assert difference.fix.startswith(f"compute the {fix} in a step")


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (recorded({"a": 1}), replayed({"a": 1})),
        (recorded({"a": 1}), replayed({"b": 2})),
        (recorded({"a": 1}, [1]), replayed({"a": 1}, [1])),
        (recorded({}, [1, 2]), replayed({}, [1])),
        (recorded({}, [1]), replayed({})),
        (recorded({}), replayed({}, [2])),
        (recorded({"a": 1}, is_ended=False), replayed({"a": 2})),
        (CallNode(Side("STEP")), replayed({"a": 2})),
        (recorded({"a": 1}), CallNode(Side("STEP"))),
        (recorded({"a": 1}), CallNode(Side("STEP"), given={"items": None})),
    ],
    ids=[
        "same", "other names", "same items", "fewer items", "items of one", "items of the other", "open", "no trace",
        "not replayed", "not read",
    ],
)  # fmt: skip
def test_only_what_both_sides_know_of_a_call_that_has_ended_is_compared(left: CallNode, right: CallNode) -> None:
    """How many items there are is compared elsewhere."""
    assert found(left, right) is None


def test_arguments_of_different_functions_are_not_compared() -> None:
    assert found(recorded({"a": 1}, body="x"), replayed({"a": 2}, body="x")) is not None
    assert found(recorded({"a": 1}, body="x"), replayed({"a": 2})) is not None
    assert found(recorded({"a": 1}, body="x"), replayed({"a": 2}, body="y")) is None
    items = found(recorded({"a": 1}, [1], body="x"), replayed({"a": 2}, [2], body="y"))
    assert items is not None
    assert items.recorded is not None
    assert (items.recorded.detail or "").endswith("items"), "but the items of a map are"


def test_the_path_is_that_of_either_side() -> None:
    paths = [
        found(recorded({"a": 1}, path=was), replayed({"a": 2}, path=now))
        for was, now in (("f/was", "f/now"), (None, "f/now"), (None, None))
    ]
    assert [one.path for one in paths if one] == ["f/was", "f/now", "flow"]

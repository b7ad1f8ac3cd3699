"""Short texts of values: equal values give equal texts, and no user code runs."""

import array
import contextvars
import enum
import gc
import queue
import types
import weakref
from collections import ChainMap
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, PrivateAttr

from durable_execution.batch_result import BatchItem, BatchResult, CompletionReason
from durable_execution.config.completion import BatchItemStatus
from durable_execution.operations.combinators import Settled
from durable_execution.protocol import ErrorObject
from durable_execution.redaction import Redaction
from durable_execution.replay.lines.stored_values import attribute
from durable_execution.replay.lines.value_text import MAX_TEXT, ValueText

TEXT = ValueText()


class Tier(enum.Enum):
    GOLD = 1


@dataclass
class Customer:
    name: str
    tier: Tier


class Order(BaseModel):
    model_config = ConfigDict(extra="allow")
    amount: float
    _seen: int = PrivateAttr(default=2)


class Loud:
    level = 3

    def __init__(self) -> None:
        self.name = "x"

    def __repr__(self) -> str:
        raise AssertionError("ran")

    def __getattr__(self, name: str) -> Any:
        raise AssertionError("ran")

    @property
    def computed(self) -> int:
        raise AssertionError("ran")


class Loop(list[Any]):
    pass


KEPT = Loud()
LIVING: "weakref.WeakSet[Loud]" = weakref.WeakSet([KEPT])
TENANT: "contextvars.ContextVar[Any]" = contextvars.ContextVar("tenant", default="shop")
UNSET: "contextvars.ContextVar[Any]" = contextvars.ContextVar("unset")
JOBS: "queue.Queue[str]" = queue.Queue()
JOBS.put("a")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (LIVING, "WeakSet(1 alive)"),
        (weakref.WeakKeyDictionary({KEPT: 1}), "WeakKeyDictionary(1 alive)"),
        (weakref.WeakValueDictionary({1: KEPT}), "WeakValueDictionary(1 alive)"),
        (TENANT, "ContextVar(tenant='shop')"),
        (UNSET, "ContextVar(unset)"),
        (JOBS, "Queue(deque(['a']))"),
        (ChainMap({"a": 1}, {"b": 2}), "ChainMap({'a': 1}, {'b': 2})"),
        (types.MappingProxyType({"a": 1}), "mappingproxy({'a': 1})"),
        ({"b": 1, "a": 2}.keys(), "dict_keys(['b', 'a'])"),
        ({"b": 1, "a": 2}.values(), "dict_values([1, 2])"),
        (array.array("i", [1, 2]), "array([1, 2])"),
        (1, "1"),
        (None, "None"),
        ("a", "'a'"),
        (b"ab", "b'ab'"),
        ([1, "a"], "[1, 'a']"),
        ((), "()"),
        ((1,), "(1)"),
        ({"b", "a", "c"}, "{'a', 'b', 'c'}"),
        (set(), "set({})"),
        (frozenset({2, 1}), "frozenset({1, 2})"),
        ({"b": 1, "a": 2}, "{'b': 1, 'a': 2}"),
        (Tier.GOLD, "Tier.GOLD"),
        (Customer("Ann", Tier.GOLD), "Customer(name='Ann', tier=Tier.GOLD)"),
        (Order.model_validate({"amount": 42.5, "note": "x"}), "Order(amount=42.5, note='x', _seen=2)"),
        (object(), "<object>"),
        (len, "<function len>"),
        (Customer, "<class Customer>"),
        (types, "<module types>"),
        (ValueError("no"), "ValueError('no')"),
        (Path("a/b"), f"{type(Path()).__name__}('a/b')"),
        (datetime(2024, 1, 2, tzinfo=UTC), "datetime(2024-01-02T00:00:00+00:00)"),
        (iter([1]), "<list_iterator>"),
        (TEXT, "<ValueText>"),
    ],
)
def test_texts(value: Any, text: str) -> None:
    assert TEXT.value(value) == text


def test_no_user_code_runs() -> None:
    assert TEXT.value([Loud()]) == "[Loud(name='x')]"


def test_texts_are_bounded_and_long_values_still_differ() -> None:
    long = "a" * 10_000
    assert len(TEXT.value(long)) < MAX_TEXT + 40
    assert TEXT.value(long) != TEXT.value(long + "b")
    assert TEXT.value(list(range(1000))).endswith("… 1,000 items]")
    assert len(TEXT.value(b"a" * 10_000)) < 60
    assert len(TEXT.value({n: n for n in range(1000)})) < 1_000
    assert len(TEXT.value(set(range(1000)))) < 1_000


def test_a_value_that_contains_itself() -> None:
    value = Loop()
    value.append(value)
    assert TEXT.value(value) == "Loop([<Loop>])"


def test_deep_values_are_cut() -> None:
    value: Any = 1
    for _ in range(10):
        value = [value]
    assert TEXT.value(value) == "[[[[<list>]]]]"


def test_secrets() -> None:
    text = ValueText(Redaction())
    assert text.of("api_key", "abc") == "<redacted>"
    assert text.of("api_key", None) == "None"
    assert text.value({"password": "abc", "user": "me"}) == "{'password': <redacted>, 'user': 'me'}"
    assert "eyJ" not in text.value("bearer eyJhbGciOi.eyJzdWIiOi.abc")


def test_what_an_error_stores_is_read() -> None:
    cause = KeyError("tea")
    error = LookupError("no tea")
    error.__cause__ = cause
    assert attribute(error, "__cause__") is cause
    assert attribute(error, "args") == ("no tea",)
    with pytest.raises(AttributeError):
        attribute(error, "__dict__")


def test_attributes_are_read_without_running_code() -> None:
    loud = Loud()
    assert attribute(loud, "name") == "x"
    assert attribute(loud, "level") == 3
    assert attribute(types, "FunctionType") is types.FunctionType
    assert attribute(Loud, "level") == 3
    for missing in ("computed", "nothing"):
        with pytest.raises(AttributeError):
            attribute(loud, missing)


def test_a_secret_that_was_hidden_once_is_hidden_under_every_name() -> None:
    text = ValueText(Redaction(), known=["from-the-payload"])
    assert text.of("event", {"user": "ada", "password": "correct-horse"}) == "{'user': 'ada', 'password': <redacted>}"
    assert text.of("api_key", ["0xfeedbeef"]) == "<redacted>"
    assert text.of("value", "correct-horse") == "'<redacted>'"
    assert text.of("header", ["key 0xfeedbeef", 1]) == "['key <redacted>', 1]"
    assert text.of("line", "x from-the-payload y") == "'x <redacted> y'"
    assert text.of("user", "ada") == "'ada'"
    assert ValueText(known=["from-the-payload"]).of("line", "from-the-payload") == "'from-the-payload'"


def test_a_short_secret_does_not_hide_other_texts() -> None:
    text = ValueText(Redaction())
    assert text.of("password", "on") == "<redacted>"
    assert text.of("note", "turned on") == "'turned on'"


class Plain:
    def __init__(self, value: Any) -> None:
        self.value = value


class Slotted:
    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


ATOMIC = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2),
    st.floats(-1, 1),
    st.text("ab", max_size=2),
    st.sampled_from([Tier.GOLD, Plain, 0.0, -0.0]),
)
VALUES = st.recursive(
    ATOMIC,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.sampled_from(["a", "b", 1, True]), inner, max_size=3),
        st.frozensets(st.integers(0, 3) | st.booleans()),
        st.sets(st.text("ab", max_size=1)),
        inner.map(Plain),
        inner.map(Slotted),
        inner.map(lambda one: types.SimpleNamespace(value=one)),
        st.lists(inner, max_size=2).map(Loop),
    ),
    max_leaves=8,
)


@settings(max_examples=400, deadline=None)
@given(VALUES, VALUES)
def test_values_of_the_same_shape_have_the_same_text(left: Any, right: Any) -> None:
    assert TEXT.shape(left) == TEXT.shape(left)
    if TEXT.shape(left) == TEXT.shape(right):
        assert TEXT.value(left) == TEXT.value(right)


class NothingSecret:
    """Rules that hide nothing: with rules, every text is made piece by piece."""

    def hides(self, key: str) -> bool:
        return False

    def text(self, text: str) -> str:
        return text


def grown(value: Any, count: int) -> list[Any]:
    """The value in containers with so many items."""
    rows = [{"n": number, "value": value} for number in range(count)]
    return [rows, tuple(rows), dict(enumerate(rows)), Plain({"rows": rows}), [value] * count, {"a": [value] * count}]


@given(VALUES, st.sampled_from([1, 2, 29, 30, 31, 40]))
@settings(max_examples=15)
def test_a_text_that_is_remembered_is_the_one_that_is_made(value: Any, count: int) -> None:
    slow, fast = ValueText(NothingSecret()), ValueText()
    for one in [value, *grown(value, count)]:
        assert fast.of_shape("x", one, fast.shape(one)) == slow.of("x", one)


def test_what_a_text_does_not_show_of_a_long_container_is_not_looked_at() -> None:
    rows = [{"n": number} for number in range(40)]
    shape, of_object = TEXT.shape(rows), TEXT.shape(Plain({"rows": rows}))
    rows[35]["n"] = -1
    assert (TEXT.shape(rows), TEXT.shape(Plain({"rows": rows}))) == (shape, of_object)
    rows.append({})
    assert TEXT.shape(rows) != shape
    assert TEXT.shape(Plain({"rows": rows})) != of_object


@pytest.mark.parametrize("make", [Plain, Slotted, lambda inner: [{"a": inner}]], ids=["plain", "slotted", "list"])
def test_a_change_in_place_changes_the_shape(make: Any) -> None:
    inner: dict[str, Any] = {"count": 1}
    value = make(inner)
    before, text = TEXT.shape(value), TEXT.value(value)
    assert TEXT.shape(value) == before
    inner["count"] = 2
    assert TEXT.shape(value) != before
    assert TEXT.value(value) != text


def test_a_shape_runs_no_user_code_and_keeps_no_object() -> None:
    loud = Loud()
    alive = weakref.ref(loud)
    shape = TEXT.shape([loud, {"a": loud}])
    del loud
    gc.collect()
    assert alive() is None
    assert shape is not None
    around: list[Any] = []
    around.append(around)
    assert TEXT.shape(around) == TEXT.shape(around)
    assert ValueText(Redaction()).shape([1]) is None


def test_results_of_a_batch_are_shown_with_what_failed_named() -> None:
    items = [
        BatchItem(0, BatchItemStatus.SUCCEEDED, {"total": Decimal("9.90")}),
        BatchItem(1, BatchItemStatus.FAILED, None, ErrorObject("no stock of C3", "shop.NoStockError")),
        BatchItem(2, BatchItemStatus.STARTED),
    ]
    batch = BatchResult(items, CompletionReason.MIN_SUCCESSFUL_REACHED)
    assert (
        TEXT.value(batch)
        == "BatchResult([{'total': Decimal('9.90')}, failed('shop.NoStockError: no stock of C3'), unfinished])"
    )
    assert "… 40 items])" in TEXT.value(BatchResult([items[0]] * 40, CompletionReason.ALL_COMPLETED))
    assert TEXT.value(Settled(3)) == "Settled(value=3, error=None)"
    assert TEXT.value(items[1].error).startswith("ErrorObject(message='no stock of C3'")

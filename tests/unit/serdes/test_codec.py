"""Which serializer a value gets."""

from __future__ import annotations

import functools
import sys
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Optional, TypedDict, TypeVar

import pytest

from durable_execution import BoundStep, StepContext, durable_step
from durable_execution.errors import InvocationError, SerializationError
from durable_execution.serdes import PassThroughSerDes, SerDesContext
from durable_execution.serdes.codec import TAGGED, codec_for, is_plain_annotation, return_annotation, typed_codec

T = TypeVar("T")


@dataclass
class Order:
    id: str


class Line(TypedDict):
    article: str


class Reverse:
    """Writes text backwards, and shows what it was told."""

    def __init__(self) -> None:
        self.contexts: list[SerDesContext] = []

    def serialize(self, value: Any, context: SerDesContext) -> str:
        self.contexts.append(context)
        return str(value)[::-1]

    def deserialize(self, data: str, context: SerDesContext) -> Any:
        self.contexts.append(context)
        return data[::-1]


class Broken:
    def __init__(self, error: Exception | None = None, text: Any = None) -> None:
        self.error = error
        self.text = text

    def serialize(self, value: Any, context: SerDesContext) -> str:
        if self.error is not None:
            raise self.error
        return self.text  # type: ignore[no-any-return]

    def deserialize(self, data: str, context: SerDesContext) -> Any:
        raise self.error or AssertionError


def codec(serdes: Any = None, annotation: Any = None) -> Any:
    return codec_for(serdes, annotation, operation_id="1", execution_arn="arn")


@pytest.mark.parametrize(
    "annotation",
    [
        None, Any, object, str, int, float, bool, type(None), dict, list, dict[str, Any], list[int], list[dict[str, str]],
        str | None, Optional[int], int | str | list[str], T,  # noqa: UP045  # another object than `int | None`
    ],
    ids=str,
)  # fmt: skip
def test_plain_types_need_no_model(annotation: Any) -> None:
    assert is_plain_annotation(annotation)
    assert typed_codec(annotation) is TAGGED
    assert codec(annotation=annotation) is TAGGED


@pytest.mark.parametrize(
    "annotation",
    [Order, Line, datetime, list[Order], dict[str, datetime], Order | None, tuple[int, ...], set[str], bytes],
    ids=str,
)
def test_other_types_do(annotation: Any) -> None:
    assert not is_plain_annotation(annotation)
    assert typed_codec(annotation) is not TAGGED


def test_a_codec_is_made_once_for_each_type() -> None:
    assert typed_codec(Order) is typed_codec(Order)


def test_what_is_configured_wins_over_the_annotation() -> None:
    reverse = Reverse()
    chosen = codec(reverse, Order)
    assert chosen.decode(chosen.encode("abc")) == "abc"
    assert chosen.encode("abc") == "cba"
    assert set(reverse.contexts) == {SerDesContext("1", "arn")}


def test_plain_types_do_not_load_pydantic() -> None:
    import subprocess

    script = (
        "import sys; from durable_execution.serdes.codec import typed_codec; typed_codec(dict[str, int] | None);"
        "sys.exit('pydantic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.parametrize("text", [None, b"x", 5, ["x"]], ids=repr)
def test_a_serializer_that_does_not_return_text_is_named(text: Any) -> None:
    with pytest.raises(SerializationError, match=r"Broken.serialize returned \w+; it must return str"):
        codec(Broken(text=text)).encode(1)


def test_what_a_serializer_raises_is_named() -> None:
    chosen = codec(Broken(RuntimeError("no bucket")))
    with pytest.raises(SerializationError, match=r"Broken cannot serialize int: RuntimeError: no bucket"):
        chosen.encode(1)
    with pytest.raises(
        SerializationError, match=r"Broken cannot deserialize stored text of 1 character: RuntimeError: no bucket"
    ):
        chosen.decode("x")


@pytest.mark.parametrize("error", [InvocationError("the bucket does not answer"), SerializationError("no")])
def test_what_a_serializer_says_in_our_words_is_left_alone(error: Exception) -> None:
    chosen = codec(Broken(error))
    with pytest.raises(type(error)) as raised:
        chosen.encode(1)
    assert raised.value is error
    with pytest.raises(type(error)) as raised:
        chosen.decode("1")
    assert raised.value is error


async def gives_order() -> Order: ...  # type: ignore[empty-body]
def gives_awaitable() -> Awaitable[Order]: ...  # type: ignore[empty-body]
def gives_coroutine() -> Coroutine[Any, Any, Order]: ...  # type: ignore[empty-body]
def gives_nothing() -> None: ...
def does_not_say(): ...  # type: ignore[no-untyped-def]
def does_not_resolve() -> NoSuchType: ...  # type: ignore[name-defined]  # noqa: F821


class Callables:
    def __call__(self, step: StepContext) -> Order: ...  # type: ignore[empty-body]
    def method(self, step: StepContext) -> Order: ...  # type: ignore[empty-body]


@durable_step
async def charge(step: StepContext, amount: int) -> Order: ...  # type: ignore[empty-body]


@pytest.mark.parametrize(
    ("function", "annotation"),
    [
        (gives_order, Order),
        (gives_awaitable, Order),
        (gives_coroutine, Order),
        (gives_nothing, None),
        (does_not_say, None),
        (does_not_resolve, None),
        (lambda: 1, None),
        (functools.partial(gives_order), Order),
        (Callables(), Order),
        (Callables().method, Order),
        (charge(5).function, Order),
        (len, None),
        (print, None),
    ],
)
def test_what_a_function_says_it_returns(function: Callable[..., Any], annotation: Any) -> None:
    assert return_annotation(function) == annotation


def test_a_bound_step_is_asked_through_its_function() -> None:
    bound: BoundStep[Order] = charge(5)
    assert return_annotation(bound.function) is Order


def test_text_of_a_pass_through_is_untouched() -> None:
    chosen = codec(PassThroughSerDes(), dict)
    assert chosen.encode("{ }") == "{ }"

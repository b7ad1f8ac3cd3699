"""Typed values: models, dataclasses, enums and the rest come back as what they were, and errors say what is wrong."""

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from pathlib import PurePosixPath
from typing import Any, Literal, NamedTuple, NotRequired, Required, TypedDict
from uuid import UUID

import pydantic
import pytest
from pydantic import BaseModel, Field, PrivateAttr, SecretBytes, SecretStr

from durable_execution.errors import PayloadError, SerializationError
from durable_execution.serdes.typed import pydantic_codec, to_json, validate_payload


class Colour(Enum):
    RED = "red"


class Size(IntEnum):
    BIG = 3


class Word(StrEnum):
    YES = "yes"


@dataclass
class Line:
    article: str
    price: Decimal
    tags: list[str] = field(default_factory=list)


class Order(pydantic.BaseModel):
    id: UUID
    lines: list[Line]
    placed_at: datetime
    colour: Colour = Colour.RED


class Basket(TypedDict):
    lines: list[Line]
    note: str | None


class Point(NamedTuple):
    x: int
    y: float


LINE = Line("tea", Decimal("4.20"), ["hot"])
ORDER = Order(id=UUID(int=7), lines=[LINE], placed_at=datetime(2025, 12, 1, 10, tzinfo=UTC))


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Order, ORDER),
        (list[Order], [ORDER, ORDER]),
        (Order | None, None),
        (Order | None, ORDER),
        (Line, LINE),
        (Basket, {"lines": [LINE], "note": None}),
        (Colour, Colour.RED),
        (Size, Size.BIG),
        (Word, Word.YES),
        (datetime, datetime(2025, 12, 1, 10, 30, 0, 123456, tzinfo=UTC)),
        (date, date(2025, 12, 1)),
        (time, time(10, 30)),
        (timedelta, timedelta(days=2, microseconds=5)),
        (Decimal, Decimal("1.500")),
        (UUID, UUID(int=3)),
        (bytes, b"caf\xc3\xa9"),
        (set[int], {1, 2}),
        (frozenset[str], frozenset({"a"})),
        (tuple[int, str], (1, "a")),
        (tuple[Line, ...], (LINE, LINE)),
        (dict[int, Line], {5: LINE}),
        (dict[date, Decimal], {date(2025, 1, 1): Decimal(1)}),
        (Point, Point(1, 2.5)),
        (PurePosixPath, PurePosixPath("/a/b")),
        (Literal["a", "b"], "a"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_value_comes_back_as_what_it_was(annotation: Any, value: Any) -> None:
    codec = pydantic_codec(annotation)
    restored = codec.decode(codec.encode(value))
    assert restored == value
    assert type(restored) is type(value)


class Part(TypedDict, total=False):
    size: Required[Colour]
    files: list[bytes]


class Whole(TypedDict):
    parts: dict[str, Part]
    best: NotRequired[Part | None]


class Tree(TypedDict):
    children: "list[Tree]"


def test_a_typed_dict_may_hold_others_and_leave_members_out() -> None:
    codec = pydantic_codec(Whole | None)
    whole: Whole = {"parts": {"a": {"size": Colour.RED, "files": [b"\xff"]}, "b": {"size": Colour.RED}}}
    assert codec.decode(codec.encode(whole)) == whole
    with pytest.raises(SerializationError, match=r"(?s)is not a .*size"):
        codec.decode('{"parts": {"a": {}}}')


def test_a_typed_dict_that_holds_itself_is_refused_with_the_cure() -> None:
    try:
        codec = pydantic_codec(Tree)
    except SerializationError as error:
        assert "typing_extensions" in str(error)  # noqa: PT017  # below Python 3.12
    else:
        assert codec.decode('{"children": [{"children": []}]}') == {"children": [{"children": []}]}


def test_bytes_that_are_no_text_come_back_too() -> None:
    codec = pydantic_codec(bytes)
    assert codec.decode(codec.encode(b"\xff\x00\xfe")) == b"\xff\x00\xfe"


def test_binary_fields_come_back_too() -> None:
    @dataclass
    class File:
        content: bytes

    codec = pydantic_codec(File)
    assert codec.decode(codec.encode(File(b"\xff\x00"))) == File(b"\xff\x00")


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_numbers_without_a_form_in_json_are_refused(value: float) -> None:
    @dataclass
    class Measured:
        value: float | None
        note: str = "NaN and Infinity"

    codec = pydantic_codec(Measured)
    assert codec.decode(codec.encode(Measured(1.5))) == Measured(1.5)
    for refuse in (
        lambda: codec.encode(Measured(value)),
        lambda: to_json(Measured(value)),
        lambda: to_json({"a": [value]}),
    ):
        with pytest.raises(SerializationError, match="Use None or a text"):
            refuse()  # type: ignore[no-untyped-call]


def test_numbers_without_a_form_in_json_are_refused_wherever_they_come_from() -> None:
    class Measured(BaseModel):
        value: float

    for annotation, value in ((Measured, Measured(value=float("inf"))), (Decimal, Decimal("NaN"))):
        with pytest.raises(SerializationError, match="Use None or a text"):
            pydantic_codec(annotation).encode(value)
    for sent in ("NaN", "-Infinity"):
        with pytest.raises(SerializationError, match=f"contains {sent}"):
            pydantic_codec(float).decode(sent)
    assert pydantic_codec(str).decode('"NaN"') == "NaN"
    with pytest.raises(SerializationError, match="is not a float: Invalid JSON"):
        pydantic_codec(float).decode("x NaN")


def test_secrets_are_refused_with_the_cure() -> None:
    class Login(BaseModel):
        user: str
        password: SecretStr

    class Wrapped(BaseModel):
        logins: list[Login]
        key: SecretBytes | None = None

    login = Login(user="ada", password=SecretStr("hunter2"))
    for annotation, value in (
        (Login, login),
        (list[Login], [login]),
        (Wrapped, Wrapped(logins=[login])),
        (Wrapped, Wrapped(logins=[], key=SecretBytes(b"x"))),
        (SecretStr, SecretStr("hunter2")),
    ):
        with pytest.raises(SerializationError, match="EncryptedSerDes") as refused:
            pydantic_codec(annotation).encode(value)
        assert "hunter2" not in str(refused.value)
        with pytest.raises(SerializationError, match="EncryptedSerDes"):
            to_json({"value": value})
    empty = Login(user="ada", password=SecretStr(""))
    assert pydantic_codec(Login).decode(pydantic_codec(Login).encode(empty)) == empty


def test_what_would_come_back_different_is_refused() -> None:
    class Base(BaseModel):
        a: int

    class More(Base):
        b: int

    class Hidden(BaseModel):
        a: int
        b: int = Field(default=0, exclude=True)

    with pytest.raises(SerializationError, match="Annotate the exact type"):
        pydantic_codec(Base).encode(More(a=1, b=2))
    with pytest.raises(SerializationError, match=r"at 0.*Annotate the exact type"):
        pydantic_codec(list[Base]).encode([More(a=1, b=2)])
    with pytest.raises(SerializationError, match="at b"):
        pydantic_codec(Hidden).encode(Hidden(a=1, b=2))
    assert pydantic_codec(Hidden).decode(pydantic_codec(Hidden).encode(Hidden(a=1))) == Hidden(a=1)


def test_state_that_is_no_part_of_the_value_is_not_compared() -> None:
    class Cached(BaseModel):
        a: int
        _lock: object = PrivateAttr(default_factory=object)

    codec = pydantic_codec(Cached)
    assert codec.decode(codec.encode(Cached(a=1))).a == 1


def test_a_value_of_another_type_is_refused_at_the_first_run() -> None:
    with pytest.raises(SerializationError, match="is not a Line"):
        pydantic_codec(Line).encode({"article": "tea"})
    with pytest.raises(SerializationError, match="is not a datetime"):
        pydantic_codec(datetime).encode("yesterday")
    with pytest.raises(SerializationError, match="is not a Order"):
        pydantic_codec(Order).encode("order")


@pytest.mark.parametrize("annotation", [Order, Line, datetime, list[Line], Colour], ids=str)
def test_a_function_that_forgets_to_return_is_told(annotation: Any) -> None:
    with pytest.raises(SerializationError, match="None is not a "):
        pydantic_codec(annotation).encode(None)
    assert pydantic_codec(annotation | None).encode(None) == "null"


def test_stored_text_of_another_type_is_refused_with_the_reason() -> None:
    with pytest.raises(SerializationError, match=r"(?s)stored text '\{.*is not a Line.*price"):
        pydantic_codec(Line).decode('{"article":"tea"}')
    with pytest.raises(SerializationError, match="is not a Line"):
        pydantic_codec(Line).decode("not json")


def test_a_type_without_a_schema_is_refused_with_the_cure() -> None:
    class Socket:
        pass

    with pytest.raises(SerializationError, match=r"cannot create a schema for Socket.*configure a serdes"):
        pydantic_codec(Socket)


@dataclass
class Dangling:
    order: "NoSuchType"  # type: ignore[name-defined]  # noqa: F821


def test_a_type_with_a_name_that_does_not_exist_is_refused() -> None:
    with pytest.raises(
        SerializationError, match="cannot create a schema for Dangling: name 'NoSuchType' is not defined"
    ):
        pydantic_codec(Dangling)


def test_a_payload_is_fitted() -> None:
    payload = {
        "id": str(UUID(int=7)),
        "lines": [{"article": "tea", "price": "4.20"}],
        "placed_at": "2025-12-01T10:00:00Z",
    }
    order = validate_payload(Order, payload)
    assert isinstance(order, Order)
    assert order.lines[0] == Line("tea", Decimal("4.20"))


def test_a_payload_that_does_not_fit_says_where() -> None:
    with pytest.raises(PayloadError, match=r"(?s)does not match Order.*lines\.0\.price"):
        validate_payload(Order, {"id": str(UUID(int=7)), "lines": [{"article": "tea"}], "placed_at": "2025-12-01"})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (ORDER, ORDER.model_dump_json()),
        ({"line": LINE}, '{"line":{"article":"tea","price":"4.20","tags":["hot"]}}'),
        ([Colour.RED, Size.BIG], '["red",3]'),
        ({1: date(2025, 1, 1)}, '{"1":"2025-01-01"}'),
        ((1, {2}), "[1,[2]]"),
        (OrderedDict(a=None), '{"a":null}'),
        (b"\xff", '"_w=="'),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_result_is_written_as_json(value: Any, text: str) -> None:
    assert to_json(value) == text


def test_a_result_without_a_json_form_is_refused() -> None:
    with pytest.raises(SerializationError, match="object cannot be serialized as JSON"):
        to_json(object())
    with pytest.raises(SerializationError):
        to_json({"deep": [lambda: None]})


def test_a_result_that_holds_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(SerializationError):
        to_json(value)

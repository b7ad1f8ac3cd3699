"""Errors of serializers quote neither the secret of a value nor that of a stored text."""

import json
from collections.abc import Callable
from typing import Any

import pydantic
import pytest

from durable_execution.errors import PayloadError, SerializationError
from durable_execution.serdes import CompressedSerDes, JsonSerDes, SerDesContext, TaggedSerDes, TypedSerDes
from durable_execution.serdes.typed import validate_payload
from tests.unit.redaction import leaky, secrets

CONTEXT = SerDesContext("operation", "arn")


class Order(pydantic.BaseModel):
    """Fits none of the values."""

    number: int
    lines: list[int]


class Unknown:
    """Cannot be serialized, and shows its value."""

    def __init__(self, held: Any) -> None:
        self.held = held

    def __repr__(self) -> str:
        return f"Unknown({self.held!r})"


def every_secret() -> list[dict[str, Any]]:
    named: list[dict[str, Any]] = [{name: value} for name, value in leaky.values().items()]
    return named + [{"note": shape} for shape in secrets.SHAPES]


def shown(error: BaseException, value: dict[str, Any]) -> bool:
    (secret,) = value.values()
    return secret in str(error) or json.dumps(secret)[1:-1] in str(error)


@pytest.mark.parametrize("value", every_secret(), ids=range(len(every_secret())))
def test_no_error_shows_the_secret(value: dict[str, Any]) -> None:
    text = json.dumps(value)
    attempts: list[Callable[[], Any]] = [
        lambda: TypedSerDes(Order).deserialize(text, CONTEXT),
        lambda: JsonSerDes().deserialize(text[:-1], CONTEXT),
        lambda: TaggedSerDes().deserialize(text[:-1], CONTEXT),
        lambda: CompressedSerDes().deserialize('{"durable:zlib":' + text + "}", CONTEXT),
        lambda: JsonSerDes().serialize(Unknown(value), CONTEXT),
        lambda: TaggedSerDes().serialize(Unknown(value), CONTEXT),
        lambda: validate_payload(Order, value),
        lambda: validate_payload(Order, {"number": value, "lines": [text]}),
    ]
    for attempt in attempts:
        with pytest.raises((SerializationError, PayloadError, ValueError, TypeError)) as raised:
            attempt()
        assert not shown(raised.value, value)

"""Typed values through pydantic: models, dataclasses, enums, datetimes, Decimals and everything else it knows.

The only module of the SDK's run time that imports pydantic; it is loaded when a type needs it.
"""

from __future__ import annotations

import json
from typing import Any

import pydantic
import pydantic_core

from durable_execution.errors import PayloadError, SerializationError
from durable_execution.serdes.codec import Codec


def pydantic_codec(annotation: Any) -> Codec:
    """The codec of a type.

    Raises:
        SerializationError: pydantic cannot make a schema for the type.
    """
    adapter = _adapter(annotation)

    def encode(value: Any) -> str:
        try:
            return adapter.dump_json(value, warnings="error").decode()
        except (pydantic_core.PydanticSerializationError, ValueError, RecursionError) as error:
            raise SerializationError(f"{value!r:.80} is not a {_name(annotation)}: {error}") from None

    def decode(text: str) -> Any:
        try:
            return adapter.validate_json(text)
        except pydantic.ValidationError as error:
            raise SerializationError(f"stored text {text[:60]!r} is not a {_name(annotation)}: {error}") from None

    return Codec(encode, decode)


def validate_payload(annotation: Any, payload: Any) -> Any:
    """Fit a handler's payload to its annotation.

    Raises:
        PayloadError: It does not fit; the message is pydantic's.
    """
    try:
        return _adapter(annotation).validate_json(json.dumps(payload))
    except pydantic.ValidationError as error:
        raise PayloadError(f"the payload does not fit {_name(annotation)}: {error}") from None


def to_json(value: Any) -> str:
    """Any value pydantic knows as JSON text, for those who will not restore it: results and payloads of functions.

    Raises:
        SerializationError: Something in it has no JSON form.
    """
    try:
        return pydantic_core.to_json(value, inf_nan_mode="constants").decode()
    except (pydantic_core.PydanticSerializationError, ValueError, RecursionError) as error:
        raise SerializationError(f"{type(value).__name__} cannot be written as JSON: {error}") from None


def _adapter(annotation: Any) -> pydantic.TypeAdapter[Any]:
    try:
        return pydantic.TypeAdapter(annotation)
    except pydantic.errors.PydanticUserError as error:
        raise SerializationError(
            f"pydantic cannot make a schema for {_name(annotation)}: {error.message.splitlines()[0]}. Use a pydantic "
            "model, a dataclass or plain JSON values, or configure a serdes"
        ) from None


def _name(annotation: Any) -> str:
    return getattr(annotation, "__name__", None) or str(annotation)

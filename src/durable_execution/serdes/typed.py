"""Typed values through pydantic: models, dataclasses, enums, datetimes, Decimals and every other type it supports.

Bytes are base64, as in the tagged format. A value that would come back different is refused, as are NaN and infinite numbers. A pydantic model uses its own configuration.
The module is loaded when a type needs it; no other module of the runtime imports pydantic.

Converts `typing.TypedDict` for pydantic, which before Python 3.12 accepts only those of `typing_extensions`.
"""

from __future__ import annotations

import functools
import json
import math
import operator
import sys
import types
import typing
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from decimal import Decimal
from typing import Any, NoReturn, get_args, get_origin

import pydantic
import pydantic_core
import typing_extensions

from durable_execution.errors import PayloadError, SerializationError
from durable_execution.serdes.error_texts import (
    ENCRYPT_IT,
    reason,
    refuse_not_run,
    shown,
    stored,
    validation_problems,
)
from durable_execution.serdes.interface import Codec

NUMBERS = ("NaN", "Infinity")
NO_NUMBERS = "NaN and infinite numbers have no form in JSON. Use None or a text instead"
MASK = "**********"
"""What pydantic writes in place of a secret."""

FORMS = pydantic.ConfigDict(ser_json_bytes="base64", val_json_bytes="base64", ser_json_inf_nan="constants")
"""Representations that pydantic lets the caller choose."""

NEEDS_REPLACING = sys.version_info < (3, 12)


def require_finite(text: str) -> None:
    """Check that JSON text contains neither NaN nor an infinite number.

    Raises:
        SerializationError: It does.
    """
    if any(word in text for word in NUMBERS):
        with suppress(ValueError, RecursionError):  # text that is not JSON is refused with other words
            json.loads(text, parse_constant=_refuse)


def require_same(before: Any, after: Any, annotation: str) -> None:
    """Check that a value has come back as it was.

    Raises:
        SerializationError: A part of it is different.
    """
    place = _difference(before, after, "")
    if place is None:
        return
    where = f" at {place}" if place else ""
    if _holds_secret(before):
        raise SerializationError(f"a {type(before).__name__} does not survive being stored{where}. {ENCRYPT_IT}")
    raise SerializationError(
        f"a {type(before).__name__} does not survive being stored as {annotation}{where}: it would be read back different. Annotate "
        "the exact type, do not exclude fields, or configure a serdes that keeps the whole value"
    )


def require_no_secrets(value: Any) -> None:
    """Check that a value, which is only written, contains no secret of pydantic's.

    Raises:
        SerializationError: It does.
    """
    if _holds_secret(value):
        raise SerializationError(f"a {type(value).__name__} contains a secret. {ENCRYPT_IT}")


def _refuse(constant: str) -> NoReturn:
    raise SerializationError(f"the value contains {constant}. {NO_NUMBERS}")


def _difference(before: Any, after: Any, place: str) -> str | None:
    """The place of the first difference; None if there is none. Objects without an equality of their own are compared by parts."""
    if type(before) is type(after) and _equals(before, after):
        return None
    parts = _parts(before), _parts(after)
    if parts[0] is None or parts[1] is None or type(before) is not type(after) or parts[0].keys() != parts[1].keys():
        return None if _is_same_scalar(before, after) else place
    for name, part in parts[0].items():
        found = _difference(part, parts[1][name], f"{place}.{name}" if place else str(name))
        if found is not None:
            return found
    return None


def _is_same_scalar(before: Any, after: Any) -> bool:
    """Whether two values of different types are the same for the code: an int where a float is declared, a subclass of str."""
    if _parts(before) is not None or _parts(after) is not None:
        return False
    if type(before) is type(after):
        kind: Any = type(before)
        return bool(kind.__eq__ is object.__eq__)
    return _equals(before, after)


def _equals(before: Any, after: Any) -> bool:
    try:
        return bool(before == after)
    except Exception:  # noqa: BLE001  # a foreign __eq__ can raise anything
        return True


def _parts(value: Any) -> Mapping[Any, Any] | None:
    """The parts of a value that has parts, by name."""
    if isinstance(value, Mapping):
        return value
    if isinstance(value, (list, tuple)):
        return dict(enumerate(value))
    declared = getattr(type(value), "__pydantic_fields__", None)
    if isinstance(declared, dict):
        return {name: getattr(value, name, None) for name in declared}
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name, None) for field in fields(value)}
    return None


def _holds_secret(value: Any) -> bool:
    return _holds(value, _is_secret)


def _is_secret(value: Any) -> bool:
    return hasattr(value, "get_secret_value") and bool(value.get_secret_value())


def _is_no_number(value: Any) -> bool:
    return isinstance(value, (float, Decimal)) and not math.isfinite(value)


def _holds(value: Any, is_meant: Callable[[Any], bool], depth: int = 0) -> bool:
    """Whether a value is meant, or a part of it at any depth."""
    if is_meant(value):
        return True
    parts = _parts(value) if depth < 32 else None  # deeper than any payload that can be written
    if parts is None and isinstance(value, (set, frozenset)):
        return any(_holds(item, is_meant, depth + 1) for item in value)
    return parts is not None and any(_holds(item, is_meant, depth + 1) for item in parts.values())


def pydantic_codec(annotation: Any) -> Codec:
    """The codec for a type.

    Raises:
        SerializationError: pydantic cannot create a schema for the type.
    """
    adapter = _adapter(annotation)
    takes_none = _takes_none(adapter)

    def encode(value: Any) -> str:
        if value is None and not takes_none:
            raise SerializationError(f"None is not a {_name(annotation)}")
        try:
            text = adapter.dump_json(value, warnings="error").decode()
            restored = adapter.validate_json(text)
        except pydantic.ValidationError as error:
            cure = f". {NO_NUMBERS}" if _holds(value, _is_no_number) else ""
            raise SerializationError(
                f"{shown(value)} cannot be read back as {_name(annotation)}: {validation_problems(error)}{cure}"
            ) from None
        except (pydantic_core.PydanticSerializationError, ValueError, RecursionError) as error:
            refuse_not_run(value)
            raise SerializationError(f"{shown(value)} is not a {_name(annotation)}: {reason(error)}") from None
        require_finite(text)
        require_same(value, restored, _name(annotation))
        return text

    def decode(text: str) -> Any:
        require_finite(text)
        try:
            return adapter.validate_json(text)
        except pydantic.ValidationError as error:
            raise SerializationError(
                f"{stored(text)} is not a {_name(annotation)}: {validation_problems(error)}"
            ) from None

    return Codec(encode, decode)


def validate_payload(annotation: Any, payload: Any) -> Any:
    """Validate a handler's payload against its annotation.

    Raises:
        PayloadError: The payload does not match; the message contains pydantic's.
    """
    try:
        return _adapter(annotation).validate_json(json.dumps(payload))
    except pydantic.ValidationError as error:
        raise PayloadError(f"the payload does not match {_name(annotation)}: {validation_problems(error)}") from None


def to_json(value: Any) -> str:
    """A value as JSON text, for results and payloads of functions, which the SDK does not restore.

    Raises:
        SerializationError: A part of the value has no JSON form.
    """
    try:
        text = pydantic_core.to_json(value, bytes_mode="base64", inf_nan_mode="constants").decode()
    except (pydantic_core.PydanticSerializationError, ValueError, RecursionError) as error:
        refuse_not_run(value)
        raise SerializationError(f"{type(value).__name__} cannot be serialized as JSON: {reason(error)}") from None
    require_finite(text)
    if MASK in text:
        require_no_secrets(value)
    return text


def _adapter(annotation: Any) -> pydantic.TypeAdapter[Any]:
    try:
        return _cached_adapter(annotation)
    except TypeError:  # an unhashable annotation cannot be cached
        return _cached_adapter.__wrapped__(annotation)


@functools.lru_cache(maxsize=1024)
def _cached_adapter(annotation: Any) -> pydantic.TypeAdapter[Any]:
    try:
        # An alias may have a configuration; a dataclass or a model may not.
        alias: Any = typing_extensions.TypeAliasType("Value", known_to_pydantic(annotation))  # pyright: ignore[reportGeneralTypeIssues]  # the alias needs no variable of the same name
        adapter: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(alias, config=FORMS)
        if not adapter.pydantic_complete:
            adapter.rebuild()
    except (pydantic.errors.PydanticUserError, pydantic.errors.PydanticUndefinedAnnotation) as error:
        raise SerializationError(
            f"pydantic cannot create a schema for {_name(annotation)}: {error.message.splitlines()[0].rstrip('.')}. Use a pydantic "
            "model, a dataclass or plain JSON values, or configure a serdes"
        ) from None
    return adapter


def _takes_none(adapter: pydantic.TypeAdapter[Any]) -> bool:
    try:
        adapter.validate_json("null")
    except pydantic.ValidationError:
        return False
    return True


def _name(annotation: Any) -> str:
    return getattr(annotation, "__name__", None) or str(annotation)


def known_to_pydantic(annotation: Any) -> Any:
    """An annotation in which every TypedDict is one that pydantic accepts.

    TypedDicts inside dataclasses and models are not changed.
    """
    return _replaced(annotation, frozenset()) if NEEDS_REPLACING else annotation


def _replaced(annotation: Any, outer: frozenset[Any]) -> Any:
    if typing.is_typeddict(annotation):
        return annotation if annotation in outer else _replaced_dict(annotation, outer | {annotation})
    arguments = get_args(annotation)
    if not arguments or get_origin(annotation) is typing.Literal:
        return annotation
    replaced = tuple(_replaced(argument, outer) for argument in arguments)
    if replaced == arguments:
        return annotation
    if isinstance(annotation, types.UnionType) or get_origin(annotation) is typing.Union:
        return functools.reduce(operator.or_, replaced)
    if hasattr(annotation, "copy_with"):
        return annotation.copy_with(replaced)
    return types.GenericAlias(get_origin(annotation), replaced)


def _replaced_dict(annotation: Any, outer: frozenset[Any]) -> Any:
    fields: dict[str, Any] = {}
    for name, hint in typing.get_type_hints(annotation, include_extras=True).items():
        plain = get_args(hint)[0] if get_origin(hint) in (typing.Required, typing.NotRequired) else hint
        wrapper: Any = typing.Required if name in annotation.__required_keys__ else typing.NotRequired
        fields[name] = wrapper[_replaced(plain, outer)]
    make: Any = typing_extensions.TypedDict
    found = make(annotation.__name__, fields)
    found.__module__, found.__doc__ = annotation.__module__, annotation.__doc__
    return found

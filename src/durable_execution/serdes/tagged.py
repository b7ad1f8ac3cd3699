"""JSON that preserves Python types.

Scalars and lists of scalars are plain JSON. Every other value is a tree of `{"t": tag, "v": value}`, the format of AWS's SDK
for Python, so that either SDK can finish an execution that the other one started. Tags: n None, s str, i int, f float, b bool,
B bytes (base64), u UUID, d Decimal, dt datetime, D date, t tuple, l list, m dict, br batch result.
"""

from __future__ import annotations

import base64
import importlib
import json
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from durable_execution.errors import SerializationError
from durable_execution.serdes.error_texts import ENCRYPT_IT, UnstorableError, reason, refuse_not_run, stored

if TYPE_CHECKING:
    from durable_execution.serdes.interface import SerDesContext

SCALARS = frozenset({str, int, float, bool, type(None)})
_scan: Callable[[str, int], tuple[Any, int]] = cast("Any", json.JSONDecoder()).scan_once  # typeshed leaves it out
_encode_compact = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


class TaggedSerDes:
    """The default serializer for values whose type is unknown."""

    def serialize(self, value: Any, context: SerDesContext | None = None) -> str:
        """JSON text that `deserialize` restores exactly."""
        return dumps(value)

    def deserialize(self, data: str, context: SerDesContext | None = None) -> Any:
        """The value of a text in this format or in plain JSON."""
        return loads(data)


def dumps(value: Any) -> str:
    """Serialize a value.

    Raises:
        SerializationError: The value contains a type that this format cannot restore.
    """
    try:
        return _encode_compact(value if is_plain(value) else _tag(value))
    except (TypeError, ValueError, RecursionError) as error:
        cure = ". Use None or a text for NaN and infinite numbers" if "Out of range float" in str(error) else ""
        kind = UnstorableError if isinstance(error, RecursionError) else SerializationError
        raise kind(f"{type(value).__name__} cannot be serialized as JSON: {reason(error)}{cure}") from None


def loads(data: str) -> Any:
    """Deserialize a text that `dumps` or AWS's SDK for Python wrote, or plain JSON.

    Raises:
        SerializationError: The text is not JSON, or its tags are invalid.
    """
    try:
        try:  # as json.loads does, without its search for white space: a replay reads thousands of short texts
            value, end = _scan(data, 0)
        except (StopIteration, TypeError):  # white space comes first, it is not JSON, or it is bytes
            value, end = None, -1
        if end != len(data):
            value = json.loads(data)
        return _untag(value) if type(value) is dict and _is_tagged(value) else value
    except (TypeError, ValueError, KeyError, AttributeError, RecursionError, ArithmeticError) as error:
        raise SerializationError(f"{stored(data)} cannot be read: {reason(error)}") from None


def is_plain(value: Any) -> bool:
    """Whether plain JSON restores the value exactly, without tags: a scalar, or a list of such values."""
    kind = type(value)
    if kind in SCALARS:
        return True
    return kind is list and all(is_plain(item) for item in value)


def can_hold(value: Any) -> bool:
    """Whether this format restores the value exactly."""
    kind = type(value)
    if kind is dict:
        return all(type(key) is str and can_hold(item) for key, item in value.items())
    if kind is list or kind is tuple:
        return all(map(can_hold, value))
    return kind in ENCODERS


def _tag(value: Any) -> dict[str, Any]:
    encode = ENCODERS.get(type(value))
    if encode is None:
        refuse_not_run(value)
        if hasattr(value, "get_secret_value"):
            raise UnstorableError(f"a {type(value).__name__} does not survive being stored. {ENCRYPT_IT}")
        raise SerializationError(
            f"a value of type {type(value).__name__} cannot be restored from JSON when its type is unknown"
        )
    tag, encoded = encode(value)
    return {"t": tag, "v": encoded}


def _tag_dict(value: dict[Any, Any]) -> tuple[str, dict[str, Any]]:
    for key in value:
        if type(key) is not str:
            raise SerializationError(
                f"the dict key {key!r} is of type {type(key).__name__}, but JSON keys are text. Use str keys or a typed model"
            )
    return "m", {key: _tag(item) for key, item in value.items()}


ENCODERS: dict[type, Callable[[Any], tuple[str, Any]]] = {
    str: lambda value: ("s", value),
    dict: _tag_dict,
    int: lambda value: ("i", value),
    bool: lambda value: ("b", value),
    type(None): lambda _: ("n", None),
    float: lambda value: ("f", value),
    list: lambda value: ("l", [_tag(item) for item in value]),
    tuple: lambda value: ("t", [_tag(item) for item in value]),
    bytes: lambda value: ("B", base64.b64encode(value).decode()),
    UUID: lambda value: ("u", str(value)),
    Decimal: lambda value: ("d", str(value)),
    datetime: lambda value: ("dt", value.isoformat()),
    date: lambda value: ("D", value.isoformat()),
}

DECODERS: dict[str, Callable[[Any], Any]] = {
    "n": lambda _: None,
    "s": str,
    "i": int,
    "f": float,
    "b": bool,
    "B": base64.b64decode,
    "u": UUID,
    "d": Decimal,
    "dt": datetime.fromisoformat,
    "D": date.fromisoformat,
    "t": lambda value: tuple(_untag(item) for item in value),
    "l": lambda value: [_untag(item) for item in value],
    "m": lambda value: {key: _untag(item) for key, item in value.items()},
}


def _load_batch(value: Any) -> Any:
    importlib.import_module("durable_execution.batch_result")  # registers the decoder that replaces this one
    return DECODERS["br"](value)


DECODERS["br"] = _load_batch


def register_batch(kind: type, to_fields: Callable[[Any], dict[str, Any]], from_fields: Callable[[Any], Any]) -> None:
    """Register how batch results are serialized. Their module calls this, because it is in a higher layer than this one.

    Args:
        kind: The class.
        to_fields: Turns a batch into a dictionary of values that this format supports.
        from_fields: Turns such a dictionary back into a batch.
    """
    ENCODERS[kind] = lambda batch: ("br", {key: _tag(item) for key, item in to_fields(batch).items()})
    DECODERS["br"] = lambda value: from_fields({key: _untag(item) for key, item in value.items()})


def _is_tagged(value: dict[str, Any]) -> bool:
    return len(value) == 2 and "t" in value and "v" in value and value["t"] in DECODERS


def _untag(value: Any) -> Any:
    if type(value) is dict and _is_tagged(value):
        return DECODERS[value["t"]](value["v"])
    return value

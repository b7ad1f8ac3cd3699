"""What must survive the way to text and back: a value that comes back different would make a replay differ from the first run.

Secrets of pydantic (`SecretStr`, `SecretBytes`, `Secret`) are written as asterisks, excluded fields not at all, and a subclass
without the fields its base class lacks. NaN and infinite numbers have no form in JSON. Each is an error that names the cure.
"""

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, NoReturn

from durable_execution.errors import SerializationError

NUMBERS = ("NaN", "Infinity")
ENCRYPT_IT = (
    "A secret is written as asterisks and cannot be read back. Declare the field as str or bytes and encrypt the value with "
    "EncryptedSerDes, or keep the secret in a secret store and pass its name"
)
NO_NUMBERS = "NaN and infinite numbers have no form in JSON. Use None, a text or a Decimal instead"


def require_finite(text: str) -> None:
    """Check that JSON text contains neither NaN nor an infinite number.

    Raises:
        SerializationError: It does.
    """
    if any(word in text for word in NUMBERS):
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


def _holds_secret(value: Any, depth: int = 0) -> bool:
    if hasattr(value, "get_secret_value"):
        return bool(value.get_secret_value())
    parts = _parts(value) if depth < 32 else None  # deeper than any payload that can be written
    if parts is None and isinstance(value, (set, frozenset)):
        return any(_holds_secret(item, depth + 1) for item in value)
    return parts is not None and any(_holds_secret(item, depth + 1) for item in parts.values())

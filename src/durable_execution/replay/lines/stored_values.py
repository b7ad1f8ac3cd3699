"""Reads what objects store, without running user code: no property, descriptor or `__getattr__` is called."""

import dataclasses
import enum
import sys
import types
from typing import Any

PYDANTIC_FIELDS, PYDANTIC_MORE = "__pydantic_fields_set__", ("__pydantic_extra__", "__pydantic_private__")
"""How a pydantic model notes which fields were set, and where it keeps values that are not fields."""


ENUM_MEMBER = {"name": "_name_", "value": "_value_"}
"""Where a member of an enum keeps what its attributes give."""


OF_ERRORS = frozenset({"args", "__cause__", "__context__"})
"""Attributes of exceptions that are stored, and not computed."""

VALUE_CLASSES = frozenset({"BatchItem", "CompletionStatus", "CompletionItem", "ErrorObject", "Settled"})
"""Classes of the SDK, besides its options, that hold values of the application."""


OPAQUE = sys.stdlib_module_names - {"__main__"}
"""Packages whose objects (loggers, locks, files) are machinery, not values of the application."""


def is_value_class(kind: type) -> bool:
    """Whether a class of the SDK holds values of the application, or options that it makes for a call."""
    return kind.__name__ in VALUE_CLASSES or kind.__module__.startswith("durable_execution.config.")


def attributes_of(value: Any) -> dict[str, Any]:
    """Return the stored attributes of an object: `__dict__`, then `__slots__`. Runs no user code."""
    found: dict[str, Any] = {}
    try:
        stored = object.__getattribute__(value, "__dict__")
    except AttributeError:
        stored = None
    if type(stored) is dict:
        found.update(stored)
    for base in type(value).__mro__:
        for name, member in base.__dict__.items():
            if type(member) is types.MemberDescriptorType and name not in found:
                try:
                    found[name] = member.__get__(value)
                except AttributeError:
                    continue
    if PYDANTIC_FIELDS in found:
        del found[PYDANTIC_FIELDS]
        for name in PYDANTIC_MORE:
            more = found.pop(name, None)
            found.update(more if type(more) is dict else {})
    if dataclasses.is_dataclass(type(value)):
        order = [one for one in type(value).__dataclass_fields__ if one in found]
        found = {**{name: found[name] for name in order}, **found}
    return found


def attribute(value: Any, name: str) -> Any:
    """Read an attribute without running user code.

    Raises:
        AttributeError: The attribute does not exist, or is computed by a property or a descriptor.
    """
    if isinstance(value, types.ModuleType):
        return _from(value.__dict__, name)
    if isinstance(value, type):
        return _plain(_from_classes(value, name))
    if isinstance(value, enum.Enum) and name in ENUM_MEMBER:
        return object.__getattribute__(value, ENUM_MEMBER[name])
    try:
        stored = object.__getattribute__(value, "__dict__")
    except AttributeError:
        stored = {}
    if type(stored) is dict and name in stored:
        return stored[name]
    member = _from_classes(type(value), name)
    if type(member) is types.MemberDescriptorType or (
        isinstance(value, BaseException) and name in OF_ERRORS and type(member) is types.GetSetDescriptorType
    ):
        return member.__get__(value)
    return _plain(member)


def _from(names: dict[str, Any], name: str) -> Any:
    try:
        return names[name]
    except KeyError:
        raise AttributeError(name) from None


def _from_classes(kind: type, name: str) -> Any:
    for base in kind.__mro__:
        if name in base.__dict__:
            return base.__dict__[name]
    raise AttributeError(name)


def _plain(member: Any) -> Any:
    if hasattr(type(member), "__get__"):
        raise AttributeError("computed")
    return member

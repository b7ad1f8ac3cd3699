"""Bytes that tell whether the text of a value is still the same, made in a quarter of the time of the text.

Line recording renders every variable at every line, and most have not changed. A shape holds what the text would show: the first
items of a container, the attributes of an object. Like a text, it is made without running user code.
"""

import datetime as dt
import functools
import itertools
import pathlib
import pickle
import re
import types
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from durable_execution.replay.lines.stored_values import OPAQUE

MAX_ITEMS = 30
"""How many items of a container its text shows."""

MAX_SHAPE = 50_000
"""Largest shape, in bytes. The text of a larger value is made anew: it is bounded."""


def shape_of(value: Any, text: Callable[[Any], str], has_text: Callable[[type], bool]) -> bytes | None:
    """Return bytes that are equal for two values only if their texts are; None for a value that is too large.

    Args:
        value: Any value.
        text: Renders a value that is neither a container nor a plain object.
        has_text: Whether instances of a class are rendered by a rule of their own.
    """
    found = _Bounded()
    try:
        _Shaper(found, text, has_text).dump(_first_items(value))
    except (RecursionError, RuntimeError, AttributeError, _TooLargeError):  # or one that a different thread changes
        return None
    return b"".join(found.parts)


class _TooLargeError(Exception):
    """The shape of a value takes too much."""


class _Bounded:
    """Collects what a pickler writes."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self._left = MAX_SHAPE

    def write(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0:
            raise _TooLargeError
        self.parts.append(bytes(data))


def _first_items(value: Any, *, is_inner: bool = False) -> Any:
    """Return a container as far as its text shows it: its length and its first items."""
    kind = type(value)
    if kind not in _SIZED:
        return value
    count = len(value)
    items: Any = value.items() if kind is dict else value
    if count > MAX_ITEMS:
        items = list(itertools.islice(items, MAX_ITEMS))
    if not is_inner and any(type(one) in _SIZED and len(one) > MAX_ITEMS for one in _values(items, kind)):
        items = [
            (one[0], _first_items(one[1], is_inner=True)) if kind is dict else _first_items(one, is_inner=True)
            for one in items
        ]
    elif count <= MAX_ITEMS:
        return value
    return kind.__name__, count, items


def _values(items: Any, kind: type) -> Iterable[Any]:
    return (value for _, value in items) if kind is dict else items


_SIZED = frozenset({list, tuple, dict, deque})


def _state(attributes: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes of an object, its containers as far as their texts show them."""
    if any(type(one) in _SIZED for one in attributes.values()):
        return {name: _first_items(one) for name, one in attributes.items()}
    return attributes


class _Instance:
    """Stands for an object in a shape: its class's name, and its attributes as state."""


_MOMENTS = frozenset({dt.datetime, dt.date, dt.time, dt.timedelta})


class _Shaper(pickle.Pickler):
    """Writes containers and plain objects; everything else as its text. Runs no user code: each object is reduced here."""

    def __init__(self, file: _Bounded, text: Callable[[Any], str], has_text: Callable[[type], bool]) -> None:
        super().__init__(file, 5)
        self._text, self._has_text = text, has_text
        self.memo = _CONSTANTS

    def reducer_override(self, value: Any) -> Any:
        kind: Any = type(value)
        if value is _Instance or value is str:
            return NotImplemented
        if _is_plain_class(kind) and not self._has_text(kind):
            found = object.__getattribute__(value, "__dict__")
            if type(found) is dict:
                return _Instance, (kind.__name__,), _state(found)
        if kind in _MOMENTS and getattr(value, "tzinfo", None) in (None, dt.UTC):
            return NotImplemented
        return str, (self._text(value),)


_CONSTANTS: Any = {id(one): (number, one) for number, one in enumerate((_Instance, str, *_MOMENTS, dt.UTC))}
"""What a shape refers to by number, because looking up a class by its name takes longer than the rest."""


@functools.lru_cache(maxsize=4_096)
def _is_plain_class(kind: Any) -> bool:
    """Whether an instance keeps all that it stores in its `__dict__`, and is not shown by something else."""
    package = kind.__module__.partition(".")[0]
    if package == "durable_execution" or (package in OPAQUE and package != "types"):
        return False
    others = (BaseException, type, re.Pattern, pathlib.PurePath, dt.date, dt.time, types.ModuleType)
    if hasattr(kind, "get_secret_value") or issubclass(kind, others):
        return False
    members = [member for base in kind.__mro__ for member in base.__dict__.values()]
    has_slots = any(type(member) is types.MemberDescriptorType for member in members)
    return not has_slots and any("__dict__" in base.__dict__ for base in kind.__mro__)

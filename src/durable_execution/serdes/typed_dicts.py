"""Converts `typing.TypedDict` for pydantic, which before Python 3.12 accepts only those of `typing_extensions`."""

from __future__ import annotations

import functools
import operator
import sys
import types
import typing
from typing import Any, get_args, get_origin

import typing_extensions

NEEDS_REPLACING = sys.version_info < (3, 12)


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

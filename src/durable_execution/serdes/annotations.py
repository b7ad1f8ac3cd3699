"""Reads the annotations of functions, one annotation at a time.

A name that only the type checker sees (such as the context's type, imported under `TYPE_CHECKING`) must not make the other
annotations unreadable, so each annotation is resolved separately. From Python 3.14 on, annotations are evaluated when they are
read (PEP 649), and reading all of them would fail for the same reason.
"""

from __future__ import annotations

import inspect
import sys
import typing
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

if sys.version_info >= (3, 14):
    from annotationlib import Format, get_annotations

    def annotations_of(function: Any) -> Mapping[str, Any]:
        """The unresolved annotations by name. A name that does not exist at run time stays a forward reference."""
        try:
            return function.__annotations__ or {}
        except (NameError, AttributeError):
            pass
        try:
            return get_annotations(function, format=Format.FORWARDREF)
        except TypeError:  # the object has no annotations
            return {}

    @lru_cache(maxsize=64)
    def parameters_of(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
        """The parameters, by name. Their annotations are not resolved: see `annotation_of`."""
        return inspect.signature(function, annotation_format=Format.FORWARDREF).parameters

else:

    def annotations_of(function: Any) -> Mapping[str, Any]:
        """The unresolved annotations by name. With `from __future__ import annotations` they are text."""
        return getattr(function, "__annotations__", None) or {}

    @lru_cache(maxsize=64)
    def parameters_of(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
        """The parameters, by name. Their annotations are not resolved: see `annotation_of`."""
        return inspect.signature(function).parameters


def annotation_of(function: Any, name: str) -> Any:
    """The resolved annotation of a parameter or of `return`; None when there is none.

    Raises:
        NameError: The annotation uses a name that does not exist at run time. Evaluating an annotation may raise other errors.
    """
    found = annotations_of(function)
    if name not in found:
        return None
    plain = inspect.unwrap(function) if callable(function) else function
    single = SimpleNamespace(__annotations__={name: found[name]}, __type_params__=getattr(plain, "__type_params__", ()))
    return typing.get_type_hints(single, globalns=getattr(plain, "__globals__", None), include_extras=False).get(name)

"""Frozen dataclasses that share their methods, for classes that are loaded with every start of a Lambda environment.

`dataclasses.dataclass` writes the source of each class's methods, compiles it and runs it: 0.7 ms for one class, at every start.
`value_class` makes the same kind of class: fields, `replace`, `asdict`, patterns, comparison, copies and pickles work alike. Its
methods are written once, below, and look at the fields of a class when they are called. A new value takes 2 µs longer, so classes
with a value for every operation or item use the decorator of the standard library. See ADR 0014.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any, TypeVar

C = TypeVar("C", bound=type)


def _initialize(self: Any, /, *positional: Any, **named: Any) -> None:
    if positional:
        named = _by_name(type(self), positional, named)
    unknown = len(named)
    for field in dataclasses.fields(self):
        name = field.name
        if name in named:
            value, unknown = named[name], unknown - 1
        elif field.default is not dataclasses.MISSING:
            value = field.default
        elif field.default_factory is not dataclasses.MISSING:
            value = field.default_factory()
        else:
            raise _refused(type(self), positional, named)
        object.__setattr__(self, name, value)
    if unknown:
        raise _refused(type(self), positional, named)
    check = getattr(self, "__post_init__", None)
    if check is not None:
        check()


def _by_name(cls: Any, positional: tuple[Any, ...], named: dict[str, Any]) -> dict[str, Any]:
    names = cls.__match_args__[: len(positional)]
    if len(positional) > len(names) or not named.keys().isdisjoint(names):
        raise _refused(cls, positional, named)
    return dict(zip(names, positional, strict=True), **named)


def _refused(cls: Any, positional: tuple[Any, ...], named: dict[str, Any]) -> TypeError:
    """The error for arguments that do not fit the fields."""
    try:
        _signature(cls).bind(*positional, **named)
    except TypeError as error:
        return TypeError(f"{cls.__qualname__}.__init__() {error}")
    raise AssertionError(cls)  # pragma: no cover  # the fields and the signature are the same


@recursive_repr()
def _show(self: Any) -> str:
    shown = ", ".join(f"{field.name}={getattr(self, field.name)!r}" for field in dataclasses.fields(self))
    return f"{type(self).__qualname__}({shown})"


def _values(self: Any) -> tuple[Any, ...]:
    return tuple(getattr(self, field.name) for field in dataclasses.fields(self))


def _equals(self: Any, other: Any) -> bool:
    return _values(self) == _values(other) if type(other) is type(self) else NotImplemented


def _hash(self: Any) -> int:
    return hash(_values(self))


def _refuse_set(self: Any, name: str, value: Any) -> None:
    if _is_frozen(self, name):
        raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")
    object.__setattr__(self, name, value)


def _refuse_delete(self: Any, name: str) -> None:
    if _is_frozen(self, name):
        raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")
    object.__delattr__(self, name)


def _is_frozen(self: Any, name: str) -> bool:
    """Whether a name is a field. A subclass that is not a dataclass may have attributes of its own."""
    cls = type(self)
    return "__dataclass_fields__" in vars(cls) or name in cls.__dataclass_fields__


def _set_state(self: Any, state: tuple[Any, ...]) -> None:
    for field, value in zip(dataclasses.fields(self), state, strict=True):
        object.__setattr__(self, field.name, value)


def _signature(cls: Any) -> Any:
    from inspect import Parameter, Signature

    def parameter(field: dataclasses.Field[Any]) -> Parameter:
        kind = Parameter.KEYWORD_ONLY if field.kw_only else Parameter.POSITIONAL_OR_KEYWORD
        defaults = (each for each in (field.default, field.default_factory) if each is not dataclasses.MISSING)
        return Parameter(field.name, kind, default=next(defaults, Parameter.empty), annotation=field.type)

    return Signature([parameter(field) for field in dataclasses.fields(cls)], return_annotation=None)


class _Shown:
    """What `inspect.signature` and `help` show of a class."""

    def __get__(self, instance: object, cls: Any) -> Any:
        return _signature(cls) if cls.__init__ is _initialize else None


SHARED = {
    "__init__": _initialize,
    "__repr__": _show,
    "__eq__": _equals,
    "__hash__": _hash,
    "__setattr__": _refuse_set,
    "__delattr__": _refuse_delete,
    "__getstate__": _values,
    "__setstate__": _set_state,
    "__signature__": _Shown(),
}

if TYPE_CHECKING:
    from dataclasses import dataclass as value_class
else:

    def value_class(*, frozen: bool, slots: bool, kw_only: bool = False) -> Callable[[C], C]:
        """Make a frozen dataclass with slots, as the decorator of the standard library does.

        Args:
            frozen: Must be true.
            slots: Must be true.
            kw_only: Whether all fields are keyword-only.
        """
        if not (frozen and slots):
            raise TypeError("these classes are frozen and have slots: use dataclasses.dataclass for others")

        def decorate(cls: C) -> C:
            own = frozenset(vars(cls))
            is_derived = any(dataclasses.is_dataclass(base) for base in cls.__bases__)
            # A class that inherits from a frozen class must be frozen for the standard library too.
            options = {"frozen": is_derived, "slots": slots, "kw_only": kw_only}
            made = dataclasses.dataclass(init=False, repr=False, eq=False, **options)(cls)
            for name, method in SHARED.items():
                if name not in own:
                    setattr(made, name, method)
            params = made.__dataclass_params__  # what others see of the class: the standard library and pydantic
            params.init = params.repr = params.eq = params.frozen = True
            return made

        return decorate


__all__ = ["value_class"]

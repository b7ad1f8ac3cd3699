"""What operations say when they are given something else than they can use."""

from __future__ import annotations

import inspect
from types import FunctionType
from typing import Any, NoReturn, TypeVar, cast

from durable_execution.errors import ConfigurationError

T = TypeVar("T")
VARIADIC = inspect.CO_VARARGS


def refuse(given: Any, operation: str) -> NoReturn:
    """Refuse what cannot be called, where it is given: to try it again would not help.

    Raises:
        ConfigurationError: Always; with the way to write it, when a coroutine was given.
    """
    if not inspect.iscoroutine(given):
        raise ConfigurationError(f"{operation} takes a function, not {given!r:.60}{_hint(given, operation)}")
    name = getattr(given, "__name__", "function")
    given.close()  # nobody is going to await it
    raise ConfigurationError(
        f"{operation} takes a function, not the coroutine that {name}(...) gives: it is called when it is its turn. Give "
        f"{name} itself, or a lambda that calls it, or decorate it with @durable_step for ctx.step({name}(...))"
    )


def _hint(given: Any, operation: str) -> str:
    if isinstance(given, str) and operation != "ctx.parallel":
        return ". The function comes first, then the name"
    if isinstance(given, (tuple, str)):
        return ". A branch with a name is ParallelBranch(function, name)"
    return ""


def checked_config(given: Any, default: T, operation: str) -> T:
    """The configuration, or its default.

    Raises:
        ConfigurationError: It is not one for this operation.
    """
    if given is None:
        return default
    if isinstance(given, type(default)):
        return given
    raise ConfigurationError(f"{operation} takes config={type(default).__name__}(...), not {given!r:.60}")


def check_parameters(function: Any, operation: str, *parameters: str) -> None:
    """Refuse a function that cannot be called as the operation calls it, before it is: to try it again would not help.

    Args:
        function: The function.
        operation: As the user writes it.
        parameters: What it is given, in this order.

    Raises:
        ConfigurationError: It takes fewer, or needs more.
    """
    if not callable(function):
        refuse(function, operation)
    function = getattr(function, "blocking_function", function)
    if can_take(function, len(parameters)):
        return
    name = getattr(function, "__name__", type(function).__name__)
    raise ConfigurationError(
        f"{operation} calls its function as function({', '.join(parameters)}), and {name}{_signature(function)} cannot be "
        "called like that: let it take these parameters"
    )


def can_take(function: Any, count: int) -> bool:
    """Whether a function can be called with so many positional arguments, as far as one can tell."""
    if type(function) is FunctionType:
        code = function.__code__
        optional = len(function.__defaults__ or ())
        is_wide_enough = count <= code.co_argcount or bool(code.co_flags & VARIADIC)
        has_required_keywords = code.co_kwonlyargcount > len(function.__kwdefaults__ or ())
        return code.co_argcount - optional <= count and is_wide_enough and not has_required_keywords
    try:
        inspect.signature(function).bind(*range(count))
    except TypeError:
        return False
    except ValueError:
        return True  # written in C, and says nothing
    return True


async def called(function: Any, *arguments: Any) -> Any:
    """What a coroutine function comes to, or an ordinary one returns."""
    value = function(*arguments)
    return await cast("Any", value) if inspect.isawaitable(value) else value


def _signature(function: Any) -> str:
    try:
        return str(inspect.signature(function))
    except (TypeError, ValueError):
        return "(...)"

"""What operations say when they are given something else than a function."""

from __future__ import annotations

import inspect
from typing import Any, NoReturn

from durable_execution.errors import ConfigurationError


def refuse(given: Any, operation: str) -> NoReturn:
    """Refuse what cannot be called, where it is given: to try it again would not help.

    Raises:
        ConfigurationError: Always; with the way to write it, when a coroutine was given.
    """
    if not inspect.iscoroutine(given):
        raise ConfigurationError(f"{operation} takes a function, not {given!r:.60}")
    name = getattr(given, "__name__", "function")
    given.close()  # nobody is going to await it
    raise ConfigurationError(
        f"{operation} takes a function, not the coroutine that {name}(...) gives: it is called when it is its turn. Give "
        f"{name} itself, or a lambda that calls it, or decorate it with @durable_step for ctx.step({name}(...))"
    )

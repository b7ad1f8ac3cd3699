"""`@durable_context`: declare a function that runs in a child context. Light, so that a step can import it too."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Concatenate, Generic, NoReturn, ParamSpec, TypeVar

from durable_execution.errors import ConfigurationError
from durable_execution.operations.user_function import refuse_generator

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class BoundContext(Generic[R_co]):
    """A function with its arguments, ready for `ctx.run_in_child_context` or a branch of `ctx.parallel`.

    Attributes:
        func: The decorated function.
        name: The function's name: the context's default name.
    """

    __slots__ = ("_arguments", "_options", "func", "name")

    def __init__(self, function: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        self.func = function
        self.name: str = getattr(function, "__name__", type(function).__name__)
        self._arguments = arguments
        self._options = options

    def __call__(self, context: Any) -> R_co:
        """Run the function with its arguments."""
        value: R_co = self.func(context, *self._arguments, **self._options)
        return value

    def __repr__(self) -> str:
        return f"BoundContext({self.name})"

    @property
    def is_async(self) -> bool:
        """Whether the function is a coroutine function."""
        return inspect.iscoroutinefunction(self.func)

    if not TYPE_CHECKING:  # a type checker reports `await reserve(order)` by itself

        def __await__(self) -> NoReturn:
            raise ConfigurationError(
                f"{self.name}(...) has not run: write `await ctx.run_in_child_context({self.name}(...))`"
            )


def durable_context(function: Callable[Concatenate[Any, P], R]) -> Callable[P, BoundContext[R]]:
    """Declare a function whose calls run in a child context: `await ctx.run_in_child_context(reserve(order))`.

    Args:
        function: Takes a context, then the arguments of its calls. Its name is the context's default name, and its return
            annotation is the type that a replay restores.

    Returns:
        A function of those arguments. It runs nothing: it returns a `BoundContext`.
    """
    refuse_generator(function, "@durable_context")

    @functools.wraps(function)
    def bind(*arguments: P.args, **options: P.kwargs) -> BoundContext[R]:
        return BoundContext(function, arguments, options)

    return bind

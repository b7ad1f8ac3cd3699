"""`@durable_step`: declare a function as a step.

The context that is passed to a step's body.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Concatenate, Generic, NoReturn, ParamSpec, TypeVar, overload

from durable_execution.errors import ConfigurationError

if TYPE_CHECKING:
    import logging

    from durable_execution.runtime.call import Call


P = ParamSpec("P")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class BoundStep(Generic[T_co]):
    """A step's function with its arguments, ready for `ctx.step`.

    Attributes:
        function: The decorated function.
        name: The function's name: the step's default name.
    """

    __slots__ = ("_arguments", "_options", "function", "name")

    def __init__(self, function: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        self.function = function
        self.name: str = getattr(function, "__name__", type(function).__name__)
        self._arguments = arguments
        self._options = options

    def __call__(self, step: StepContext) -> Awaitable[T_co] | T_co:
        """Run the function with its arguments."""
        return self.function(step, *self._arguments, **self._options)  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return f"BoundStep({self.name})"

    if not TYPE_CHECKING:  # a type checker reports `await charge(order)` by itself

        def __await__(self) -> NoReturn:
            raise ConfigurationError(
                f"{self.name}(...) is a step that has not run: write `await ctx.step({self.name}(...))`"
            )

    def with_function(self, function: Callable[..., Any]) -> BoundStep[Any]:
        """The same arguments for a different function."""
        return BoundStep(function, self._arguments, self._options)

    def mismatch(self) -> str | None:
        """Return why the function does not accept its arguments; None if it does, or if its signature is unknown."""
        try:
            inspect.signature(self.function).bind(None, *self._arguments, **self._options)
        except TypeError as error:
            return str(error)
        except ValueError:
            return None
        return None

    @property
    def is_async(self) -> bool:
        """Whether the function is a coroutine function."""
        return inspect.iscoroutinefunction(self.function)


@overload
def durable_step(
    function: Callable[Concatenate[StepContext, P], Awaitable[T]],
) -> Callable[P, BoundStep[T]]: ...


@overload
def durable_step(function: Callable[Concatenate[StepContext, P], T]) -> Callable[P, BoundStep[T]]: ...


def durable_step(function: Callable[..., Any]) -> Callable[..., BoundStep[Any]]:
    """Declare a function whose calls are steps: `await ctx.step(charge(order))`.

    Args:
        function: Takes a `StepContext`, then the arguments of its calls. Its name is the step's default name, and its
            return annotation is the type that a replay restores.

    Returns:
        A function of those arguments. It runs nothing: it returns a `BoundStep` for `ctx.step`.
    """

    @functools.wraps(function)
    def bind(*arguments: Any, **options: Any) -> BoundStep[Any]:
        return BoundStep(function, arguments, options)

    bind.is_durable_step = True  # type: ignore[attr-defined]  # `ctx.step(charge)` without the call is reported
    return bind


class StepContext:
    """Gives a step's body its attempt number, operation id, path, clock and logger.

    Attributes:
        attempt: Number of this attempt, from 1.
    """

    __slots__ = ("_call", "attempt")

    def __init__(self, call: Call, attempt: int) -> None:
        self._call = call
        self.attempt = attempt

    @property
    def operation_id(self) -> str:
        """Id of the step: the same in every attempt and replay. A different execution has the same ids."""
        return self._call.id

    @property
    def idempotency_key(self) -> str:
        """A key for the system you call: 64 characters, the same in every attempt and replay, unique among executions."""
        execution = self._call.scope.state.execution_arn
        return hashlib.blake2b(f"{execution}/{self._call.id}".encode(), digest_size=32).hexdigest()

    @property
    def name(self) -> str | None:
        """Name of the step."""
        return self._call.name

    @property
    def execution_arn(self) -> str:
        """The execution the step belongs to."""
        return self._call.scope.state.execution_arn

    @property
    def path(self) -> str:
        """Readable path of the step, for example `process_order/charge`."""
        return self._call.path

    def now(self) -> datetime:
        """Return the time, aware and in UTC. Outside a step, use `ctx.now()`, which a replay repeats."""
        return self._call.scope.state.clock.now()

    @property
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger whose records carry execution, operation and attempt."""
        from durable_execution.operations.logger import operation_logger

        return operation_logger(self._call, self.attempt)

"""Check the functions and configurations that are passed to operations, and explain what a handler's code raised."""

from __future__ import annotations

import inspect
from types import FunctionType
from typing import Any, NoReturn, TypeVar, cast

from durable_execution.errors import ConfigurationError, ExecutionError

T = TypeVar("T")
VARIADIC = inspect.CO_VARARGS
IN_A_LOOP = "The handler already runs in an event loop: write `await call` in place of asyncio.run(call)"
AWAIT_ONCE = "A call of an operation can be awaited once: keep its result, not the call"
GENERATOR = inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR


def refuse(given: Any, operation: str) -> NoReturn:
    """Refuse an argument that is not callable. A retry would not help, so this is a configuration error.

    Raises:
        ConfigurationError: Always. For a coroutine, the message shows the correct call.
    """
    if not inspect.iscoroutine(given):
        raise ConfigurationError(f"{operation} takes a function, not {given!r:.60}{_hint(given, operation)}")
    name = getattr(given, "__name__", "function")
    given.close()  # so that Python does not warn that it was never awaited
    raise ConfigurationError(
        f"{operation} takes a function, not the coroutine that {name}(...) returns: the SDK calls the function itself. Pass "
        f"{name}, or a lambda that calls it, or decorate it with @durable_step and write ctx.step({name}(...))"
    )


def _hint(given: Any, operation: str) -> str:
    if isinstance(given, str) and operation != "ctx.parallel":
        return ". Pass the function first, then the name"
    if isinstance(given, (tuple, str)):
        return ". To name a branch, write ParallelBranch(function, name)"
    return ". Pass the function itself, without calling it"


def checked_config(given: Any, default: T, operation: str) -> T:
    """Return the configuration, or the default when none is given.

    Raises:
        ConfigurationError: The value is not a configuration of this operation.
    """
    if given is None:
        return default
    if isinstance(given, type(default)):
        return given
    raise ConfigurationError(f"{operation} takes config={type(default).__name__}(...), not {given!r:.60}")


def checked_items(given: Any, operation: str) -> list[Any]:
    """Return the items of a map as a list.

    Raises:
        ConfigurationError: The value has no items, or a set, whose order differs from process to process.
    """
    if isinstance(given, (set, frozenset)):
        raise ConfigurationError(
            f"{operation} needs its items in the same order on every replay, and a set has a different order in every "
            "process: write sorted(items), or list(dict.fromkeys(items)) where you build the set"
        )
    try:
        return list(given)
    except TypeError:
        raise ConfigurationError(f"{operation} takes a sequence of items, not {given!r:.60}") from None


def check_is_called(function: Any) -> None:
    """Refuse a `@durable_step` function that is passed without its arguments.

    Raises:
        ConfigurationError: The function was not called.
    """
    if getattr(function, "is_durable_step", False):
        name = getattr(function, "__name__", "function")
        raise ConfigurationError(f"{name} is a @durable_step: call it with its arguments, ctx.step({name}(...))")


def check_parameters(function: Any, operation: str, *parameters: str) -> None:
    """Refuse a function whose parameters do not match the operation's call, before it is called.

    A retry would not help, so this is a configuration error.

    Args:
        function: The function.
        operation: The operation as the user writes it.
        parameters: Names of the arguments the operation passes, in order.

    Raises:
        ConfigurationError: The function takes fewer parameters, or requires more.
    """
    if not callable(function):
        refuse(function, operation)
    if operation != "ctx.step":
        refuse_step(function, operation, parameters)
    function = getattr(function, "blocking_function", function)
    refuse_generator(function, operation)
    if can_take(function, len(parameters)):
        return
    name = getattr(function, "__name__", type(function).__name__)
    raise ConfigurationError(
        f"{operation} calls its function as function({', '.join(parameters)}), but the function is "
        f"{name}{_signature(function)}: change it to take these parameters"
    )


def refuse_step(function: Any, operation: str, parameters: tuple[str, ...]) -> None:
    """Refuse a `@durable_step` function or a call of one where an operation takes a function of its own kind.

    Raises:
        ConfigurationError: It is one. The message shows the lambda to write.
    """
    is_call = getattr(function, "is_bound_step", False)
    if not is_call and not getattr(function, "is_durable_step", False):
        return
    name = function.name if is_call else getattr(function, "__name__", "function")
    example = (
        f"`lambda {', '.join(parameters)}: ctx.step({name}(...))`" if parameters[0] == "ctx" else "a plain function"
    )
    raise ConfigurationError(
        f"{name} is a step, and {operation} takes a function of ({', '.join(parameters)}): write {example}"
    )


def refuse_generator(function: Any, operation: str) -> None:
    """Refuse a function with `yield`: calling it runs nothing.

    Raises:
        ConfigurationError: The function is a generator function.
    """
    code = getattr(function, "__code__", None)
    if code is not None and code.co_flags & GENERATOR:
        name = getattr(function, "__name__", "the function")
        raise ConfigurationError(
            f"{operation} takes a function that returns its result, and {name} is a generator: calling it runs nothing. Return "
            "a list in place of each `yield`"
        )


def can_take(function: Any, count: int) -> bool:
    """Whether a function accepts `count` positional arguments. True when its signature is unknown."""
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
        return True  # a C function without a signature
    return True


async def called(function: Any, *arguments: Any) -> Any:
    """Call a function; await the result if it is awaitable."""
    value = function(*arguments)
    return await cast("Any", value) if inspect.isawaitable(value) else value


def _signature(function: Any) -> str:
    try:
        return str(inspect.signature(function))
    except (TypeError, ValueError):
        return "(...)"


MISTAKES = {
    "asyncio.run() cannot be called from a running event loop": IN_A_LOOP,
    "This event loop is already running": IN_A_LOOP,
    "Cannot run the event loop while another loop is running": IN_A_LOOP,
    "Cannot close a running event loop": "The SDK keeps the event loop for later invocations: do not close it",
    "cannot reuse already awaited coroutine": AWAIT_ONCE,
    "coroutine is being awaited already": AWAIT_ONCE,
}
"""What to do about an error that Python raises for a common mistake in a handler, by its message."""


def explained_error(error: Exception) -> Exception:
    """An error of asyncio, with what to write instead; any other error as it is."""
    advice = MISTAKES.get(str(error)) if type(error) is RuntimeError else None
    if advice is None:
        return error
    return ExecutionError(f"{error}. {advice}").with_traceback(error.__traceback__)


def cancellation(error: BaseException) -> Exception:
    """The error for a handler that ended with a cancellation, which only its own code can cause."""
    why = f" ({error})" if str(error) else ""
    return ExecutionError(
        f"the handler was cancelled by its own code{why}: it awaited a task that it had cancelled, or cancelled itself. "
        "Catch asyncio.CancelledError where you await such a task. ctx.any and ctx.race cancel what they do not return: give each "
        "a new call, such as callback.result()"
    ).with_traceback(error.__traceback__)

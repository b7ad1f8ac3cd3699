"""Bodies of steps that tests use again and again."""

from collections.abc import Callable
from typing import Any, TypeVar

from durable_execution import StepContext

T = TypeVar("T")


def gives(value: T) -> Callable[[StepContext], T]:
    """A body that returns a value."""
    return lambda _step: value


def notes(log: list[Any], entry: Any, value: T) -> Callable[[StepContext], T]:
    """A body that leaves a note of having run, and returns a value."""

    def body(_step: StepContext) -> T:
        log.append(entry)
        return value

    return body

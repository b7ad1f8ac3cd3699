"""Options of steps, and the checks that all options share."""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING, Any

from durable_execution.errors import ConfigurationError
from durable_execution.protocol.enums import MAX_SUBTYPE_LENGTH, OperationSubType
from durable_execution.value_classes import value_class

if TYPE_CHECKING:
    from durable_execution.retry import RetryStrategy
    from durable_execution.serdes import SerDes


class StepSemantics(Enum):
    """How a step continues if its invocation ends while the body is running.

    AT_LEAST_ONCE_PER_RETRY runs the body again in the same attempt: for bodies that may run twice. AT_MOST_ONCE_PER_RETRY
    checkpoints before the body runs and never runs it again in the same attempt: the attempt fails with
    `StepInterruptedError`, and the retry strategy decides whether a new attempt follows.
    """

    AT_LEAST_ONCE_PER_RETRY = "AT_LEAST_ONCE_PER_RETRY"
    AT_MOST_ONCE_PER_RETRY = "AT_MOST_ONCE_PER_RETRY"


@value_class(frozen=True, slots=True, kw_only=True)
class StepConfig:
    """Options of `ctx.step`.

    Attributes:
        retry_strategy: Decides after each failed attempt; default `RetryPresets.default()`.
        step_semantics: Whether the body may run again if the invocation ends while it is running.
        serdes: Serializer of the result; default JSON that restores the result's type.
        result_type: Type of the result, if the function has no return annotation.
        sub_type: Your own subtype in place of `Step`: 1 to 32 characters of `A-Z a-z 0-9 _ -`.
    """

    retry_strategy: RetryStrategy | None = None
    step_semantics: StepSemantics = StepSemantics.AT_LEAST_ONCE_PER_RETRY
    serdes: SerDes[Any] | None = None
    result_type: Any = None
    sub_type: str | None = None

    def __post_init__(self) -> None:
        check_function("retry_strategy", self.retry_strategy)
        check_choice("step_semantics", self.step_semantics, StepSemantics)
        check_serdes("serdes", self.serdes)
        check_sub_type(self.sub_type)


SUBTYPE_PATTERN = rf"[A-Za-z0-9_-]{{1,{MAX_SUBTYPE_LENGTH}}}"

BOTH_WAYS = ("serialize(value, context)", "deserialize(data, context)")
TO_TEXT, FROM_TEXT = BOTH_WAYS[:1], BOTH_WAYS[1:]


def check_serdes(option: str, serdes: Any, methods: tuple[str, ...] = BOTH_WAYS) -> None:
    """Refuse a value that is not a serializer.

    Args:
        option: Name of the option.
        serdes: The serializer; None if there is none.
        methods: The methods the operation calls.

    Raises:
        ConfigurationError: The value lacks a method, or is a class.
    """
    if serdes is None:
        return
    if isinstance(serdes, type):
        raise ConfigurationError(f"{option} must be a serializer, not its class: write {serdes.__name__}()")
    if not all(callable(getattr(serdes, method.partition("(")[0], None)) for method in methods):
        raise ConfigurationError(f"{option} must be an object with {' and '.join(methods)}, not {serdes!r:.60}")


def check_function(option: str, value: Any) -> None:
    """Refuse a value that is not callable.

    Raises:
        ConfigurationError: The value is not a function.
    """
    if value is not None and not callable(value):
        raise ConfigurationError(f"{option} must be a function, not {value!r:.60}")


def check_choice(option: str, value: Any, kind: type[Enum]) -> None:
    """Refuse a value that is not a member of an enumeration. A member's name as text matches no member.

    Raises:
        ConfigurationError: The value is not a member.
    """
    if not isinstance(value, kind):
        choices = " or ".join(f"{kind.__name__}.{member.name}" for member in kind)
        raise ConfigurationError(f"{option} must be {choices}, not {value!r:.60}")


def check_sub_type(sub_type: str | None) -> None:
    """Refuse a subtype that the service does not accept, or that the SDK uses itself.

    Raises:
        ConfigurationError: The subtype is not allowed.
    """
    if sub_type is None:
        return
    if re.fullmatch(SUBTYPE_PATTERN, sub_type) is None:
        raise ConfigurationError(f"sub_type {sub_type!r} must be 1 to 32 characters of A-Z a-z 0-9 _ -")
    if sub_type in OperationSubType.__members__.values():
        raise ConfigurationError(f"sub_type {sub_type!r} is reserved for the SDK: choose a different one")

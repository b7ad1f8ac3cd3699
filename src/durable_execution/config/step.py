"""Options of steps."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from durable_execution.config.check import check_choice, check_function, check_serdes, check_sub_type
from durable_execution.retry import RetryStrategy

if TYPE_CHECKING:
    from durable_execution.serdes import SerDes


class StepSemantics(Enum):
    """How a step continues if its invocation ends while the body is running.

    AT_LEAST_ONCE_PER_RETRY runs the body again in the same attempt: for bodies that may run twice. AT_MOST_ONCE_PER_RETRY
    checkpoints before the body runs and never runs it again in the same attempt: the attempt fails with
    `StepInterruptedError`, and the retry strategy decides whether a new attempt follows.
    """

    AT_LEAST_ONCE_PER_RETRY = "AT_LEAST_ONCE_PER_RETRY"
    AT_MOST_ONCE_PER_RETRY = "AT_MOST_ONCE_PER_RETRY"


@dataclass(frozen=True, slots=True, kw_only=True)
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

"""What can be configured of a step."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from durable_execution.config.check import check_choice, check_function, check_serdes, check_sub_type
from durable_execution.retry import RetryStrategy

if TYPE_CHECKING:
    from durable_execution.serdes import SerDes


class StepSemantics(Enum):
    """What happens to a step whose invocation is cut off while its body runs.

    AT_LEAST_ONCE_PER_RETRY runs the body again in the same attempt: for bodies that may run twice. AT_MOST_ONCE_PER_RETRY
    checkpoints before the body runs and never runs it again in the same attempt: the attempt fails with
    `StepInterruptedError`, and the retry strategy decides about another one.
    """

    AT_LEAST_ONCE_PER_RETRY = "AT_LEAST_ONCE_PER_RETRY"
    AT_MOST_ONCE_PER_RETRY = "AT_MOST_ONCE_PER_RETRY"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepConfig:
    """Options of `ctx.step`.

    Attributes:
        retry_strategy: Decides after each failed attempt; default `RetryPresets.default()`.
        step_semantics: What happens when the invocation is cut off under the body.
        serdes: Serializer of the result; default JSON that restores the result's type.
        result_type: Type of the result, when the function's annotation does not tell.
        sub_type: A word of your own in place of `Step`, 1 to 32 of `A-Z a-z 0-9 _ -`.
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

"""Options of child contexts and retried blocks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from durable_execution.config.check import check_function, check_serdes, check_sub_type
from durable_execution.retry import RetryStrategy

if TYPE_CHECKING:
    from durable_execution.serdes import SerDes


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildConfig:
    """Options of `ctx.run_in_child_context`.

    Attributes:
        serdes: Serializer of the result.
        result_type: Type of the result, if the function has no return annotation.
        sub_type: Your own subtype in place of `RunInChildContext`.
        summary_generator: Creates the text to store in place of a result above 256 KiB.
        is_virtual: Record no context; its operations belong to the enclosing context.
    """

    serdes: SerDes[Any] | None = None
    result_type: Any = None
    sub_type: str | None = None
    summary_generator: Callable[[Any], str] | None = None
    is_virtual: bool = False

    def __post_init__(self) -> None:
        check_serdes("serdes", self.serdes)
        check_function("summary_generator", self.summary_generator)
        check_sub_type(self.sub_type)


@dataclass(frozen=True, slots=True, kw_only=True)
class WithRetryConfig:
    """Options of `ctx.with_retry`.

    Attributes:
        retry_strategy: Decides after each failed attempt of the block; default `exponential_backoff()`, 3 attempts.
        child_context: Whether the block runs in its own child context, so that a replay skips it once it has ended.
        child_config: Options of that context.
    """

    retry_strategy: RetryStrategy | None = None
    child_context: bool = True
    child_config: ChildConfig | None = None

    def __post_init__(self) -> None:
        check_function("retry_strategy", self.retry_strategy)

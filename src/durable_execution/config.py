"""What can be configured, one value per operation. All options have defaults; all are keyword arguments."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Any

from durable_execution.errors import ConfigurationError
from durable_execution.protocol.enums import OperationSubType
from durable_execution.protocol.limits import MAX_CALLBACK_TIMEOUT_SECONDS, MAX_SUBTYPE_LENGTH
from durable_execution.retry import RetryStrategy, WaitStrategy

if TYPE_CHECKING:
    from durable_execution.serdes import SerDes

SUBTYPE_PATTERN = re.compile(r"[A-Za-z0-9_-]{1,%d}" % MAX_SUBTYPE_LENGTH)


class StepSemantics(Enum):
    """What happens to a step whose invocation is cut off while its body runs.

    AT_LEAST_ONCE_PER_RETRY runs the body again in the same attempt: for bodies that may run twice. AT_MOST_ONCE_PER_RETRY
    checkpoints before the body runs and never runs it again in the same attempt: the attempt fails with
    `StepInterruptedError`, and the retry strategy decides about another one.
    """

    AT_LEAST_ONCE_PER_RETRY = "AT_LEAST_ONCE_PER_RETRY"
    AT_MOST_ONCE_PER_RETRY = "AT_MOST_ONCE_PER_RETRY"


class NestingType(Enum):
    """How branches stand in the history.

    NESTED gives each branch a context of its own, checkpointed when it ends, so that a replay skips it. FLAT writes no
    branch contexts: fewer checkpoints, but branch code outside operations runs again on every replay.
    """

    NESTED = "NESTED"
    FLAT = "FLAT"


class CompletionOutcome(StrEnum):
    """How a batch that a rule of the application ends is judged."""

    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


class BatchItemStatus(StrEnum):
    """Where a branch stood when its batch completed."""

    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    STARTED = "STARTED"


@dataclass(frozen=True, slots=True)
class CompletionItem:
    """One branch, as a completion rule sees it. `status` is None while it has not started."""

    index: int
    name: str | None = None
    status: BatchItemStatus | None = None


@dataclass(frozen=True, slots=True)
class CompletionStatus:
    """A batch, as a completion rule sees it.

    Attributes:
        success_count: Branches that succeeded.
        failure_count: Branches that failed.
        completed_count: Both together.
        total_count: All branches, started or not.
        items: The branches in index order.
    """

    success_count: int
    failure_count: int
    completed_count: int
    total_count: int
    items: tuple[CompletionItem, ...] = ()


@dataclass(frozen=True, slots=True)
class CompletionDecision:
    """What a completion rule answers: `None` outcome goes on, any other ends the batch with that outcome."""

    outcome: CompletionOutcome | None = None

    @classmethod
    def go_on(cls) -> "CompletionDecision":
        """The batch is not complete yet."""
        return cls()

    @classmethod
    def complete(cls, outcome: CompletionOutcome = CompletionOutcome.SUCCEEDED) -> "CompletionDecision":
        """The batch is complete, judged as `outcome`."""
        return cls(outcome)


@dataclass(frozen=True, slots=True)
class CompletionConfig:
    """When a map or parallel is complete.

    Without any criterion, the first failure completes it. Tolerances are exceeded by *more* failures than they name;
    a percentage is of all branches, started or not. When a tolerance and `min_successful` are both met, the tolerance
    decides. A custom rule replaces the other criteria.

    Attributes:
        min_successful: Complete as soon as this many branches have succeeded.
        tolerated_failure_count: Complete as soon as more than this many have failed.
        tolerated_failure_percentage: Complete as soon as more than this share (0 to 100) of all branches has failed.
        should_complete: A rule of your own, called after each branch that ends. It must be a function of its argument.

    Raises:
        ConfigurationError: A value is out of range, or a rule is combined with other criteria.
    """

    min_successful: int | None = None
    tolerated_failure_count: int | None = None
    tolerated_failure_percentage: float | None = None
    should_complete: Callable[[CompletionStatus], CompletionDecision] | None = None

    def __post_init__(self) -> None:
        if self.min_successful is not None and self.min_successful < 1:
            raise ConfigurationError(f"min_successful must be at least 1, not {self.min_successful}")
        if self.tolerated_failure_count is not None and self.tolerated_failure_count < 0:
            raise ConfigurationError(f"tolerated_failure_count cannot be negative, got {self.tolerated_failure_count}")
        percentage = self.tolerated_failure_percentage
        if percentage is not None and not 0 <= percentage <= 100:
            raise ConfigurationError(f"tolerated_failure_percentage is from 0 to 100, got {percentage}")
        if self.should_complete is not None and self.has_criteria:
            raise ConfigurationError("should_complete replaces the other criteria: give either it or them")

    @property
    def has_criteria(self) -> bool:
        """Whether a threshold is set."""
        return (
            self.min_successful is not None
            or self.tolerated_failure_count is not None
            or self.tolerated_failure_percentage is not None
        )

    @classmethod
    def first_successful(cls) -> "CompletionConfig":
        """Complete with the first success; failures do not stop the others."""
        return cls(min_successful=1)

    @classmethod
    def all_completed(cls) -> "CompletionConfig":
        """Run every branch, however many fail."""
        return cls(tolerated_failure_percentage=100)

    @classmethod
    def all_successful(cls) -> "CompletionConfig":
        """Complete with the first failure."""
        return cls(tolerated_failure_count=0)


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
    serdes: "SerDes[Any] | None" = None
    result_type: Any = None
    sub_type: str | None = None

    def __post_init__(self) -> None:
        _check_sub_type(self.sub_type)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildConfig:
    """Options of `ctx.run_in_child_context`.

    Attributes:
        serdes: Serializer of the result.
        result_type: Type of the result, when the function's annotation does not tell.
        sub_type: A word of your own in place of `RunInChildContext`.
        summary_generator: Makes the text that is kept in place of a result above 256 KiB.
        is_virtual: Write no checkpoints for the context itself; its operations belong to the context around it.
    """

    serdes: "SerDes[Any] | None" = None
    result_type: Any = None
    sub_type: str | None = None
    summary_generator: Callable[[Any], str] | None = None
    is_virtual: bool = False

    def __post_init__(self) -> None:
        _check_sub_type(self.sub_type)


@dataclass(frozen=True, slots=True, kw_only=True)
class ParallelConfig:
    """Options of `ctx.parallel`.

    Attributes:
        max_concurrency: Branches in flight at once; a suspended branch keeps its place. None is no limit.
        completion_config: When the operation is complete.
        serdes: Serializer of the whole `BatchResult`.
        item_serdes: Serializer of each branch's result.
        result_type: Type of each branch's result, when annotations do not tell.
        summary_generator: Makes a text that is kept beside the decision when the result is above 256 KiB.
        nesting_type: Whether branches have contexts of their own in the history.
    """

    max_concurrency: int | None = None
    completion_config: CompletionConfig = field(default_factory=CompletionConfig.all_successful)
    serdes: "SerDes[Any] | None" = None
    item_serdes: "SerDes[Any] | None" = None
    result_type: Any = None
    summary_generator: Callable[[Any], str] | None = None
    nesting_type: NestingType = NestingType.NESTED

    def __post_init__(self) -> None:
        _check_concurrency(self.max_concurrency)


@dataclass(frozen=True, slots=True, kw_only=True)
class MapConfig:
    """Options of `ctx.map`.

    Attributes:
        max_concurrency: Items in flight at once; a suspended item keeps its place. None is no limit.
        completion_config: When the operation is complete.
        serdes: Serializer of the whole `BatchResult`.
        item_serdes: Serializer of each item's result.
        result_type: Type of each item's result, when the function's annotation does not tell.
        summary_generator: Makes a text that is kept beside the decision when the result is above 256 KiB.
        nesting_type: Whether items have contexts of their own in the history.
        item_namer: Names the context of an item, called with item and index; default `map-item-<index>`.
    """

    max_concurrency: int | None = None
    completion_config: CompletionConfig = field(default_factory=CompletionConfig)
    serdes: "SerDes[Any] | None" = None
    item_serdes: "SerDes[Any] | None" = None
    result_type: Any = None
    summary_generator: Callable[[Any], str] | None = None
    nesting_type: NestingType = NestingType.NESTED
    item_namer: Callable[[Any, int], str] | None = None

    def __post_init__(self) -> None:
        _check_concurrency(self.max_concurrency)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackConfig:
    """Options of `ctx.create_callback`.

    Attributes:
        timeout: How long the callback may take in all; None is for ever.
        heartbeat_timeout: How long it may be silent between heartbeats; None is for ever.
        serdes: Reads the result that was sent; default: the text as it is, or JSON when `result_type` is set.
        result_type: Type of the result, sent as JSON.
        sub_type: A word of your own in place of `Callback`.
    """

    timeout: timedelta | None = None
    heartbeat_timeout: timedelta | None = None
    serdes: "SerDes[Any] | None" = None
    result_type: Any = None
    sub_type: str | None = None

    def __post_init__(self) -> None:
        _check_sub_type(self.sub_type)
        _check_timeout("timeout", self.timeout)
        _check_timeout("heartbeat_timeout", self.heartbeat_timeout)


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitForCallbackConfig(CallbackConfig):
    """Options of `ctx.wait_for_callback`: those of a callback, and how its submitter is retried.

    Attributes:
        retry_strategy: Decides after each failed attempt of the submitter; default `RetryPresets.default()`.
    """

    retry_strategy: RetryStrategy | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InvokeConfig:
    """Options of `ctx.invoke`.

    Attributes:
        payload_serdes: Serializer of the payload; default JSON.
        result_serdes: Reads the result; default JSON.
        result_type: Type of the result.
        tenant_id: Tenant the function runs for; required by tenant-isolated functions.
    """

    payload_serdes: "SerDes[Any] | None" = None
    result_serdes: "SerDes[Any] | None" = None
    result_type: Any = None
    tenant_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitForConditionConfig:
    """Options of `ctx.wait_for_condition`.

    Attributes:
        wait_strategy: Decides after each check whether and when to check again; see `retry.poll_until`.
        initial_state: What the first check is given.
        serdes: Serializer of the state.
        result_type: Type of the state, when the check's annotation does not tell.
    """

    wait_strategy: WaitStrategy
    initial_state: Any = None
    serdes: "SerDes[Any] | None" = None
    result_type: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WithRetryConfig:
    """Options of `ctx.with_retry`.

    Attributes:
        retry_strategy: Decides after each failed attempt of the block; default `exponential_backoff()`: 3 attempts.
        child_context: Whether the block runs in a child context of its own, so that a replay skips it once it has ended.
        child_config: Options of that context.
    """

    retry_strategy: RetryStrategy | None = None
    child_context: bool = True
    child_config: ChildConfig | None = None


def _check_sub_type(sub_type: str | None) -> None:
    if sub_type is None:
        return
    if SUBTYPE_PATTERN.fullmatch(sub_type) is None:
        raise ConfigurationError(f"sub_type {sub_type!r} must be 1 to 32 characters of A-Z a-z 0-9 _ -")
    if sub_type in OperationSubType.__members__.values():
        raise ConfigurationError(f"sub_type {sub_type!r} is one of the SDK's own words: choose another")


def _check_concurrency(value: int | None) -> None:
    if value is not None and value < 1:
        raise ConfigurationError(f"max_concurrency must be at least 1, not {value}: leave it out for no limit")


def _check_timeout(option: str, value: timedelta | None) -> None:
    if value is None:
        return
    if not timedelta(seconds=1) <= value <= timedelta(seconds=MAX_CALLBACK_TIMEOUT_SECONDS):
        raise ConfigurationError(
            f"{option} must be from 1 to {MAX_CALLBACK_TIMEOUT_SECONDS} seconds, not {value.total_seconds():g}: "
            "leave it out for none"
        )

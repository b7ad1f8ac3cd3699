"""Options of map and parallel operations.

Options of callbacks.

Options of child contexts and retried blocks.

Options of waits for a condition.

Options of invokes.

Options of steps.

Checks that the configuration classes share.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from types import UnionType
from typing import TYPE_CHECKING, Any, Generic

from durable_execution.config.completion import CompletionConfig
from durable_execution.errors import ConfigurationError
from durable_execution.protocol.enums import MAX_CALLBACK_TIMEOUT_SECONDS, MAX_SUBTYPE_LENGTH, OperationSubType
from durable_execution.retry import RetryStrategy, WaitStrategy, check_duration

if TYPE_CHECKING:
    from typing_extensions import TypeForm, TypeVar

    from durable_execution.serdes import SerDes

    R = TypeVar("R", default=Any)
else:  # a type variable with a default needs Python 3.13, or an import that costs a cold start
    from typing import TypeVar

    R = TypeVar("R")


class NestingType(Enum):
    """How branches are recorded in the history.

    NESTED records a context for each branch, checkpointed when it ends, so that a replay skips the branch. FLAT uses virtual
    contexts: fewer checkpoints, but branch code outside operations runs again on every replay.
    """

    NESTED = "NESTED"
    FLAT = "FLAT"


@dataclass(frozen=True, slots=True, kw_only=True)
class ParallelConfig:
    """Options of `ctx.parallel`.

    Attributes:
        max_concurrency: Most branches in flight at once. A suspended branch counts. None means no limit.
        completion_config: When the operation is complete.
        serdes: Serializer of the whole `BatchResult` only.
        item_serdes: Serializer of each branch's result. Without `serdes`, the results are stored only with the branches.
        result_type: Type of each branch's result, if the functions have no return annotation.
        summary_generator: Creates a text to store in place of a result above 256 KiB.
        nesting_type: Whether the history records a context for each branch.
    """

    max_concurrency: int | None = None
    completion_config: CompletionConfig = field(default_factory=CompletionConfig.all_successful)
    serdes: SerDes[Any] | None = None
    item_serdes: SerDes[Any] | None = None
    result_type: Any = None
    summary_generator: Callable[[Any], str] | None = None
    nesting_type: NestingType = NestingType.NESTED

    def __post_init__(self) -> None:
        _check(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemBatcherConfig:
    """How `ctx.map` groups items, so that one branch handles several. At least one limit is needed.

    Attributes:
        max_items: Most items in a group.
        max_bytes: Largest size of a group: of its items as JSON, in bytes. A larger item is a group of its own.
    """

    max_items: int | None = None
    max_bytes: int | None = None

    def __post_init__(self) -> None:
        limits = {"max_items": self.max_items, "max_bytes": self.max_bytes}
        given = {name: limit for name, limit in limits.items() if limit is not None}
        if not given:
            raise ConfigurationError("ItemBatcherConfig() has no limit: pass max_items=... or max_bytes=...")
        for name, limit in given.items():
            if type(limit) is not int or limit < 1:
                raise ConfigurationError(f"{name} must be a whole number of at least 1, not {limit!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class MapConfig:
    """Options of `ctx.map`.

    Attributes:
        max_concurrency: Most items in flight at once. A suspended item counts. None means no limit.
        completion_config: When the operation is complete.
        serdes: Serializer of the whole `BatchResult` only.
        item_serdes: Serializer of each item's result. Without `serdes`, the results are stored only with the items.
        result_type: Type of each item's result, if the function has no return annotation.
        summary_generator: Creates a text to store in place of a result above 256 KiB.
        nesting_type: Whether the history records a context for each item.
        item_namer: Called with item and index, returns the name of the item's context; default `map-item-<index>`.
        item_batcher: Groups the items. The function, and `item_namer`, then receive a list of items in place of an item.
    """

    max_concurrency: int | None = None
    completion_config: CompletionConfig = field(default_factory=CompletionConfig)
    serdes: SerDes[Any] | None = None
    item_serdes: SerDes[Any] | None = None
    result_type: Any = None
    summary_generator: Callable[[Any], str] | None = None
    nesting_type: NestingType = NestingType.NESTED
    item_namer: Callable[[Any, int], str] | None = None
    item_batcher: ItemBatcherConfig | None = None

    def __post_init__(self) -> None:
        _check(self)
        check_function("item_namer", self.item_namer)
        if self.item_batcher is not None and not isinstance(self.item_batcher, ItemBatcherConfig):
            raise ConfigurationError(
                f"item_batcher must be an ItemBatcherConfig, not {self.item_batcher!r:.60}: ItemBatcherConfig(max_items=10)"
            )


def _check(config: ParallelConfig | MapConfig) -> None:
    most = config.max_concurrency
    if most is not None and most < 1:
        raise ConfigurationError(f"max_concurrency must be at least 1, not {most}: leave it out for no limit")
    if not isinstance(config.completion_config, CompletionConfig):
        raise ConfigurationError(f"completion_config must be a CompletionConfig, not {config.completion_config!r:.60}")
    check_choice("nesting_type", config.nesting_type, NestingType)
    check_serdes("serdes", config.serdes)
    check_serdes("item_serdes", config.item_serdes)
    check_function("summary_generator", config.summary_generator)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackConfig(Generic[R]):
    """Options of `ctx.create_callback`.

    Attributes:
        timeout: Longest time until the callback completes; None means no limit.
        heartbeat_timeout: Longest time between heartbeats; None means no limit.
        serdes: Reads the result that was sent. Default: the text unchanged, or JSON if `result_type` is set.
        result_type: Type of the result, which is sent as JSON.
        sub_type: Your own subtype in place of `Callback`.
    """

    timeout: timedelta | None = None
    heartbeat_timeout: timedelta | None = None
    serdes: SerDes[Any] | None = None
    result_type: TypeForm[R] | UnionType | None = None
    sub_type: str | None = None

    def __post_init__(self) -> None:
        check_serdes("serdes", self.serdes, FROM_TEXT)
        check_sub_type(self.sub_type)
        _check_timeout("timeout", self.timeout)
        _check_timeout("heartbeat_timeout", self.heartbeat_timeout)


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitForCallbackConfig(CallbackConfig[R]):
    """Options of `ctx.wait_for_callback`: those of a callback, and how its submitter is retried.

    Attributes:
        retry_strategy: Decides after each failed attempt of the submitter; default `RetryPresets.default()`.
    """

    retry_strategy: RetryStrategy | None = None

    def __post_init__(self) -> None:
        CallbackConfig.__post_init__(self)  # not super(): dataclass(slots=True) creates a new class
        check_function("retry_strategy", self.retry_strategy)


def _check_timeout(option: str, value: timedelta | None) -> None:
    if value is None:
        return
    check_duration(option, value)
    if not timedelta(seconds=1) <= value <= timedelta(seconds=MAX_CALLBACK_TIMEOUT_SECONDS):
        raise ConfigurationError(
            f"{option} must be from 1 to {MAX_CALLBACK_TIMEOUT_SECONDS} seconds, not {value.total_seconds():g}: "
            "leave it out for no limit"
        )


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


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitForConditionConfig:
    """Options of `ctx.wait_for_condition`.

    Attributes:
        wait_strategy: Decides after each check whether and when to check again; see `poll_until`.
        initial_state: The state passed to the first check.
        serdes: Serializer of the state.
        result_type: Type of the state, if the check has no return annotation.
    """

    wait_strategy: WaitStrategy
    initial_state: Any = None
    serdes: SerDes[Any] | None = None
    result_type: Any = None

    def __post_init__(self) -> None:
        if self.wait_strategy is None:
            raise ConfigurationError("wait_strategy is required: write poll_until(lambda state: ...)")
        check_function("wait_strategy", self.wait_strategy)
        check_serdes("serdes", self.serdes)


@dataclass(frozen=True, slots=True, kw_only=True)
class InvokeConfig(Generic[R]):
    """Options of `ctx.invoke`.

    Attributes:
        payload_serdes: Serializer of the payload; default JSON.
        result_serdes: Serializer that reads the result; default JSON.
        result_type: Type of the result.
        tenant_id: Tenant to run the function for; tenant-isolated functions require it.
    """

    payload_serdes: SerDes[Any] | None = None
    result_serdes: SerDes[Any] | None = None
    result_type: TypeForm[R] | UnionType | None = None
    tenant_id: str | None = None

    def __post_init__(self) -> None:
        check_serdes("payload_serdes", self.payload_serdes, TO_TEXT)
        check_serdes("result_serdes", self.result_serdes, FROM_TEXT)


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

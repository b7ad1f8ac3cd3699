"""Options of callbacks, child contexts, retried blocks, conditions and invokes.

Those of steps, which every cold start needs, and those of batches are in modules of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from types import UnionType
from typing import TYPE_CHECKING, Any, Generic

from durable_execution.config.step_options import FROM_TEXT, TO_TEXT, check_function, check_serdes, check_sub_type
from durable_execution.errors import ConfigurationError
from durable_execution.protocol.enums import MAX_CALLBACK_TIMEOUT_SECONDS
from durable_execution.retry import RetryStrategy, WaitStrategy, check_duration
from durable_execution.value_classes import value_class

if TYPE_CHECKING:
    from typing_extensions import TypeForm, TypeVar

    from durable_execution.serdes import SerDes

    R = TypeVar("R", default=Any)
else:  # a type variable with a default needs Python 3.13, or an import that costs a cold start
    from typing import TypeVar

    R = TypeVar("R")


@value_class(frozen=True, slots=True, kw_only=True)
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


@value_class(frozen=True, slots=True, kw_only=True)
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


@value_class(frozen=True, slots=True, kw_only=True)
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


@value_class(frozen=True, slots=True, kw_only=True)
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


@value_class(frozen=True, slots=True, kw_only=True)
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


@value_class(frozen=True, slots=True, kw_only=True)
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

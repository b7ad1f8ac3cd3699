"""Options of callbacks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from durable_execution.config.check import FROM_TEXT, check_function, check_serdes, check_sub_type
from durable_execution.errors import ConfigurationError
from durable_execution.protocol.limits import MAX_CALLBACK_TIMEOUT_SECONDS
from durable_execution.retry import RetryStrategy, check_duration

if TYPE_CHECKING:
    from durable_execution.serdes import SerDes


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackConfig:
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
    result_type: Any = None
    sub_type: str | None = None

    def __post_init__(self) -> None:
        check_serdes("serdes", self.serdes, FROM_TEXT)
        check_sub_type(self.sub_type)
        _check_timeout("timeout", self.timeout)
        _check_timeout("heartbeat_timeout", self.heartbeat_timeout)


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitForCallbackConfig(CallbackConfig):
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

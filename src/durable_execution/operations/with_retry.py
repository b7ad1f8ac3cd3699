"""`ctx.with_retry`: retry a block of operations as a whole, with durable pauses between attempts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from durable_execution.config.options import WithRetryConfig
from durable_execution.errors import ExecutionError, InvocationError, OperationError
from durable_execution.operations.user_function import called
from durable_execution.operations.wait import run_wait, wait_seconds
from durable_execution.protocol import OperationSubType, OperationType
from durable_execution.retry import RetryDecision, RetryStrategy, checked_decision, exponential_backoff

if TYPE_CHECKING:
    from durable_execution.runtime.scope import ContextScope

T = TypeVar("T")
Context = TypeVar("Context")

DEFAULT_CONFIG = WithRetryConfig()
DEFAULT_RETRY = exponential_backoff()


async def run_attempts(
    context: Context,
    scope: ContextScope,
    function: Callable[[Context, int], Awaitable[T]],
    name: str | None,
    strategy: RetryStrategy,
) -> T:
    """Call the function until it returns or the strategy gives up.

    Attempts share the context's numbering of calls, so ids depend on how many operations each attempt ran.
    """
    attempt = 0
    while True:
        attempt += 1
        try:
            value: T = await called(function, context, attempt)
        except Exception as error:
            if _is_final(error):
                raise
            decision = checked_decision(strategy(error, attempt), RetryDecision)
            if not decision.should_retry:
                raise
        else:
            return value
        await _pause(scope, timedelta(seconds=decision.delay_seconds), _backoff(name, attempt))


def block_of(
    function: Callable[[Any, int], Awaitable[T]], name: str | None, strategy: RetryStrategy
) -> Callable[[Any], Awaitable[T]]:
    """Return the body of a child context that makes the attempts."""

    async def block(context: Any) -> T:
        return await run_attempts(context, context._scope, function, name, strategy)  # noqa: SLF001

    block.function = getattr(function, "blocking_function", function)  # type: ignore[attr-defined]  # what a trace names
    return block


def _pause(scope: ContextScope, duration: timedelta, name: str | None) -> Coroutine[Any, Any, None]:
    """Wait with jitter. Each replay draws a new length, so the wait is marked: the difference is not a code change."""
    seconds = wait_seconds(duration)
    call = scope.reserve(OperationType.WAIT.value, OperationSubType.WAIT.value, name)
    call.configuration = {"wait_seconds": seconds, "has_jitter": True}
    return run_wait(call, seconds)


def _is_final(error: Any) -> bool:
    return isinstance(error, (ExecutionError, InvocationError)) and not isinstance(error, OperationError)


def _backoff(name: str | None, attempt: int) -> str | None:
    return f"{name}-backoff-{attempt}" if name else None

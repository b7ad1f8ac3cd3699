"""The context of a plain `def` handler: the operations of `DurableContext`, without `await`.

Every method passes the operation to the event loop and waits for it. A plain function passed to `run_in_child_context`,
`map` or `parallel` gets its own `BlockingContext` on its own thread; a coroutine function gets a `DurableContext`.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from durable_execution.config import (
    CallbackConfig,
    ChildConfig,
    InvokeConfig,
    MapConfig,
    ParallelConfig,
    StepConfig,
    WaitForCallbackConfig,
    WaitForConditionConfig,
    WithRetryConfig,
)
from durable_execution.context.durable_context import DurableContext
from durable_execution.operations.batch import NO_MAP_CONFIG, NO_PARALLEL_CONFIG, ParallelBranch, checked_branches
from durable_execution.operations.callback import Callback
from durable_execution.operations.step import BoundStep, StepContext, is_async
from durable_execution.operations.user_function import checked_config
from durable_execution.runtime.blocking import BlockingThread

if TYPE_CHECKING:
    import logging
    import random
    from uuid import UUID

    from durable_execution.batch_result import BatchResult

T = TypeVar("T")
R = TypeVar("R")
S = TypeVar("S")

LAMBDA_ATTRIBUTES = frozenset(
    {
        "aws_request_id", "client_context", "function_name", "function_version", "get_remaining_time_in_millis", "identity",
        "invoked_function_arn", "log_group_name", "log_stream_name", "memory_limit_in_mb", "tenant_id",
    }
)  # fmt: skip

DEFAULT_BRANCH_THREADS = 100
"""Concurrent branches when `max_concurrency` is not set. Each branch needs a thread."""


class BlockingCallback(Generic[T]):
    """A created callback; see `Callback`.

    Attributes:
        callback_id: The id the external system uses to complete the callback.
    """

    __slots__ = ("_callback", "_thread", "callback_id")

    def __init__(self, callback: Callback[T], thread: BlockingThread) -> None:
        self.callback_id = callback.callback_id
        self._callback = callback
        self._thread = thread

    def result(self) -> T:
        """Wait for the answer; see `Callback.result`."""
        return self._thread.call(self._callback.result)


class BlockingContext:
    """The context of a plain `def` handler, child context or branch; see `DurableContext` for each operation."""

    __slots__ = ("_context", "_thread")

    def __init__(self, context: DurableContext, thread: BlockingThread) -> None:
        self._context = context
        self._thread = thread

    if not TYPE_CHECKING:  # a type checker would take any name for an attribute

        def __getattr__(self, name: str) -> Any:
            """Read what decorators below `@durable_execution` expect of a context: the attributes of Lambda's own."""
            if name in LAMBDA_ATTRIBUTES:
                return getattr(self.lambda_context, name)
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)

    @property
    def execution_arn(self) -> str:
        """The execution's ARN."""
        return self._context.execution_arn

    @property
    def path(self) -> str:
        """Readable path of this context."""
        return self._context.path

    @property
    def lambda_context(self) -> Any:
        """Lambda's own context object."""
        return self._context.lambda_context

    @property
    def is_replaying(self) -> bool:
        """Whether this context's code is still repeating calls that earlier invocations recorded."""
        return self._context.is_replaying

    @property
    def started_at(self) -> datetime | None:
        """When the execution started, the same on every replay. None if the service did not say."""
        return self._context.started_at

    @property
    def next_operation_id(self) -> str:
        """Id of the operation that this context's code calls next. Reading it reserves nothing."""
        return self._context.next_operation_id

    @property
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        """A standard logger that is silent while this context replays."""
        return self._context.logger

    @overload
    def step(self, function: BoundStep[T], name: str | None = None, *, config: StepConfig | None = None) -> T: ...
    @overload
    def step(
        self,
        function: Callable[[StepContext], Awaitable[T]],
        name: str | None = None,
        *,
        config: StepConfig | None = None,
    ) -> T: ...
    @overload
    def step(
        self, function: Callable[[StepContext], T], name: str | None = None, *, config: StepConfig | None = None
    ) -> T: ...
    def step(
        self, function: Callable[[StepContext], Any], name: str | None = None, *, config: StepConfig | None = None
    ) -> Any:
        """Run a function once and checkpoint its result; see `DurableContext.step`."""
        return self._thread.call(lambda: self._context.step(function, name, config=config))

    def wait(self, duration: timedelta, name: str | None = None) -> None:
        """Pause for at least `duration`; see `DurableContext.wait`."""
        return self._thread.call(lambda: self._context.wait(duration, name))

    def create_callback(
        self, name: str | None = None, *, config: CallbackConfig[R] | None = None
    ) -> BlockingCallback[R]:
        """Create a callback; see `DurableContext.create_callback`."""
        callback = self._thread.call(lambda: self._context.create_callback(name, config=config))
        return BlockingCallback(callback, self._thread)

    def invoke(
        self, function_name: str, payload: Any = None, name: str | None = None, *, config: InvokeConfig[R] | None = None
    ) -> R:
        """Call another function and wait for its result; see `DurableContext.invoke`."""
        return self._thread.call(lambda: self._context.invoke(function_name, payload, name=name, config=config))

    def run_in_child_context(
        self, function: Callable[[BlockingContext], T], name: str | None = None, *, config: ChildConfig | None = None
    ) -> T:
        """Run a function in a child context; see `DurableContext.run_in_child_context`."""
        body = as_coroutine_function(function)
        result: T = self._thread.call(lambda: self._context.run_in_child_context(body, name, config=config))
        return result

    @overload
    def map(
        self,
        items: Sequence[S],
        function: Callable[[BlockingContext, S, int], R],
        name: str | None = None,
        *,
        config: MapConfig | None = None,
    ) -> BatchResult[R]: ...
    @overload
    def map(
        self,
        items: Sequence[S],
        function: Callable[[BlockingContext, S], R],
        name: str | None = None,
        *,
        config: MapConfig | None = None,
    ) -> BatchResult[R]: ...
    @overload
    def map(
        self,
        items: Sequence[S],
        function: Callable[[BlockingContext, list[S], int], R],
        name: str | None = None,
        *,
        config: MapConfig,
    ) -> BatchResult[R]: ...
    def map(
        self,
        items: Sequence[Any],
        function: Callable[..., Any],
        name: str | None = None,
        *,
        config: MapConfig | None = None,
    ) -> BatchResult[Any]:
        """Run a function for every item, concurrently; see `DurableContext.map`."""
        config = checked_config(config, NO_MAP_CONFIG, "ctx.map")
        if config.max_concurrency is None:
            config = replace(config, max_concurrency=DEFAULT_BRANCH_THREADS)
        body = as_coroutine_function(function)
        return self._thread.call(lambda: self._context.map(items, body, name, config=config))

    def parallel(
        self,
        functions: Sequence[Callable[[BlockingContext], Any] | ParallelBranch],
        name: str | None = None,
        *,
        config: ParallelConfig | None = None,
    ) -> BatchResult[Any]:
        """Run functions concurrently; see `DurableContext.parallel`."""
        config = checked_config(config, NO_PARALLEL_CONFIG, "ctx.parallel")
        if config.max_concurrency is None:
            config = replace(config, max_concurrency=DEFAULT_BRANCH_THREADS)
        branches = [_as_branch(function) for function in checked_branches(functions)]
        return self._thread.call(lambda: self._context.parallel(branches, name, config=config))

    def wait_for_condition(
        self, check: Callable[[S, StepContext], S], name: str | None = None, *, config: WaitForConditionConfig
    ) -> S:
        """Poll until a state is reached; see `DurableContext.wait_for_condition`."""
        return self._thread.call(lambda: self._context.wait_for_condition(check, name, config=config))

    def wait_for_callback(
        self,
        submitter: Callable[[str, StepContext], Any],
        name: str | None = None,
        *,
        config: WaitForCallbackConfig[R] | None = None,
    ) -> R:
        """Create a callback, submit its id in a step, wait for the answer; see `DurableContext.wait_for_callback`."""
        return self._thread.call(lambda: self._context.wait_for_callback(submitter, name, config=config))

    def with_retry(
        self,
        function: Callable[[BlockingContext, int], T],
        name: str | None = None,
        *,
        config: WithRetryConfig | None = None,
    ) -> T:
        """Run a block of operations, and retry it when it raises; see `DurableContext.with_retry`."""
        body = as_coroutine_function(function)
        result: T = self._thread.call(lambda: self._context.with_retry(body, name, config=config))
        return result

    def now(self, name: str | None = None) -> datetime:
        """Return the checkpointed time; see `DurableContext.now`."""
        return self._thread.call(lambda: self._context.now(name))

    def uuid(self) -> UUID:
        """Return a UUID that is the same on every replay."""
        return self._context.uuid()

    def random(self) -> random.Random:
        """Return a random generator that draws the same numbers on every replay."""
        return self._context.random()

    def patched(self, change_id: str) -> bool:
        """Whether this execution runs with a change; see `DurableContext.patched`."""

        async def ask() -> bool:
            return self._context.patched(change_id)

        return self._thread.call(ask)


async def run_blocking(function: Callable[..., T], context: DurableContext, *arguments: Any, context_last: bool) -> T:
    """Run a blocking function on its own thread.

    Args:
        function: The handler, or the body of a context.
        context: The context to pass to it.
        arguments: The other arguments.
        context_last: Whether the context comes last, as in a handler, or first.
    """
    thread = BlockingThread(context.scope.state)
    blocking = BlockingContext(context, thread)
    given = (*arguments, blocking) if context_last else (blocking, *arguments)
    return await thread.run(lambda: function(*given))


def as_coroutine_function(function: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    """Wrap a blocking body in a coroutine function that runs it on its own thread."""
    if is_async(function) or not callable(function):  # the operation refuses what is not callable
        return function

    @functools.wraps(function)
    async def body(context: DurableContext, *arguments: Any) -> Any:
        return await run_blocking(function, context, *arguments, context_last=False)

    body.blocking_function = function  # type: ignore[attr-defined]  # its parameters are checked
    return body


def _as_branch(branch: Any) -> ParallelBranch:
    if isinstance(branch, ParallelBranch):
        return ParallelBranch(as_coroutine_function(branch.function), branch.name)
    return ParallelBranch(as_coroutine_function(branch))

"""The context of an `async def` handler: every durable operation.

Operation methods are plain functions: each reserves its id at the call and returns a coroutine. So any scheduling of them works.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from types import FunctionType
from typing import TYPE_CHECKING, Any, TypeVar, overload

from durable_execution.config.step_options import StepConfig
from durable_execution.context.combining_context import Combinators, Pending
from durable_execution.operations import step, wait
from durable_execution.operations.bound_context import BoundContext
from durable_execution.operations.step import BoundStep, StepContext
from durable_execution.operations.user_function import (
    called,
    check_is_called,
    check_parameters,
    checked_config,
    checked_items,
    refuse,
)
from durable_execution.protocol import OperationSubType, OperationType
from durable_execution.runtime.scope import ContextScope
from durable_execution.serdes.codec import codec_for, return_annotation

if TYPE_CHECKING:
    import logging
    import random
    from uuid import UUID

    from durable_execution.batch_result import BatchResult
    from durable_execution.config import (
        CallbackConfig,
        ChildConfig,
        InvokeConfig,
        MapConfig,
        ParallelConfig,
        WaitForCallbackConfig,
        WaitForConditionConfig,
        WithRetryConfig,
    )
    from durable_execution.operations.batch import ParallelBranch
    from durable_execution.operations.callback import Callback
    from durable_execution.operations.child import Body
    from durable_execution.operations.replay_safe import Randomness

T = TypeVar("T")
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
S = TypeVar("S")

if TYPE_CHECKING:
    from typing import TypeAlias

    from durable_execution.config.options import R

    Branch: TypeAlias = Callable[["DurableContext"], Awaitable[T]]

STEP = OperationType.STEP.value
CONTEXT = OperationType.CONTEXT.value
PLAIN_STEP = OperationSubType.STEP.value


class DurableContext(Combinators):
    """The context of a handler, a child context or a branch. Its methods are the durable operations.

    Attributes:
        lambda_context: Lambda's own context object, for the remaining time and the request id.
    """

    __slots__ = ("_logger", "_random", "_scope", "lambda_context")

    def __init__(self, scope: ContextScope, lambda_context: Any = None) -> None:
        self._scope = scope
        self._logger: logging.LoggerAdapter[logging.Logger] | None = None
        self._random: dict[str | None, Randomness] = {}
        self.lambda_context = lambda_context

    @property
    def scope(self) -> ContextScope:
        """The runtime's side of this context. Not part of the public interface."""
        return self._scope

    @property
    def execution_arn(self) -> str:
        """The execution's ARN."""
        return self._scope.state.execution_arn

    @property
    def path(self) -> str:
        """Readable path of this context, for example `process_order/notify#3`."""
        return self._scope.path

    @property
    def is_replaying(self) -> bool:
        """Whether this context's code is still repeating calls that earlier invocations recorded."""
        return self._scope.here.is_replaying

    @property
    def started_at(self) -> datetime | None:
        """When the execution started, the same on every replay. None if the service did not say."""
        return self._scope.state.started_at

    @property
    def next_operation_id(self) -> str:
        """Id of the operation that this context's code calls next. Reading it reserves nothing."""
        return self._scope.here.ids.peek()

    @property
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        """A standard logger that is silent while this context replays. Its records carry execution and operation."""
        if self._logger is None:
            from durable_execution.operations.logger import context_logger

            self._logger = context_logger(self._scope)
        return self._logger

    @overload
    def step(
        self, function: BoundStep[T], name: str | None = None, *, config: StepConfig | None = None
    ) -> Pending[T]: ...
    @overload
    def step(
        self,
        function: Callable[[StepContext], Awaitable[T]],
        name: str | None = None,
        *,
        config: StepConfig | None = None,
    ) -> Pending[T]: ...
    @overload
    def step(
        self, function: Callable[[StepContext], T], name: str | None = None, *, config: StepConfig | None = None
    ) -> Pending[T]: ...
    def step(
        self, function: Callable[[StepContext], Any], name: str | None = None, *, config: StepConfig | None = None
    ) -> Pending[Any]:
        """Run a function once and checkpoint its result; on replay, return that result.

        Args:
            function: Takes a `StepContext`. A coroutine function runs on the event loop, any other in a worker thread.
            name: Name of the step; by default that of a `@durable_step` function.
            config: Retries, semantics, serializer, type.

        Returns:
            The function's return value, after a round trip through the serializer.

        Raises:
            StepError: The step failed and is not retried. The error is also an instance of the original exception's class.
            StepInterruptedError: An at-most-once attempt was interrupted, and no further attempt follows.
        """
        if not callable(function):
            refuse(function, "ctx.step")
        if type(function) is FunctionType:
            if function.__dict__:  # a decorator leaves marks there
                check_is_called(function)
        elif name is None and isinstance(function, BoundStep):
            name = function.name  # other functions give no name, so that you can rename them at any time
        config = step.DEFAULT_CONFIG if config is None else checked_config(config, step.DEFAULT_CONFIG, "ctx.step")
        call = self._scope.reserve(STEP, config.sub_type or PLAIN_STEP, name)
        return step.run_step(call, function, config)

    def wait(self, duration: timedelta, name: str | None = None) -> Pending[None]:
        """Pause for at least `duration`, rounded up to whole seconds. The execution is suspended until then.

        Raises:
            ConfigurationError: The duration is below one second or above 366 days.
        """
        seconds = wait.wait_seconds(duration)
        call = self._scope.reserve(OperationType.WAIT.value, OperationSubType.WAIT.value, name)
        call.configuration = {"wait_seconds": seconds}
        return wait.run_wait(call, seconds)

    def create_callback(
        self, name: str | None = None, *, config: CallbackConfig[R] | None = None
    ) -> Pending[Callback[R]]:
        """Create a callback. Pass its `callback_id` to an external system, then `await callback.result()`.

        Args:
            name: Name of the operation.
            config: Timeouts, serializer, type.
        """
        from durable_execution.operations import callback

        config = checked_config(config, callback.DEFAULT_CONFIG, "ctx.create_callback")
        subtype = config.sub_type or OperationSubType.CALLBACK.value
        call = self._scope.reserve(OperationType.CALLBACK.value, subtype, name)
        call.configuration = callback.recorded_options(config)
        return callback.create_callback(call, config)

    def invoke(
        self,
        function_name: str,
        payload: Any = None,
        name: str | None = None,
        *,
        config: InvokeConfig[R] | None = None,
    ) -> Pending[R]:
        """Call a Lambda function and wait for its result. The execution is suspended until it ends.

        Args:
            function_name: Name, `name:qualifier` or ARN. On Lambda, a durable function needs a qualifier.
            payload: JSON values, or any value pydantic can write.
            name: Name of the operation.
            config: Serializers, result type, tenant.

        Raises:
            InvokeError: The function failed, does not exist, or (InvokeTimeoutError, InvokeStoppedError) did not finish.
        """
        from durable_execution.operations import invoke

        config = checked_config(config, invoke.DEFAULT_CONFIG, "ctx.invoke")
        call = self._scope.reserve(OperationType.CHAINED_INVOKE.value, OperationSubType.CHAINED_INVOKE.value, name)
        call.configuration = {"function_name": function_name}
        call.input = invoke.write_payload(call, payload, config)
        return invoke.run_invoke(call, function_name, config)

    def run_in_child_context(
        self,
        function: Callable[[DurableContext], Awaitable[T]],
        name: str | None = None,
        *,
        config: ChildConfig | None = None,
    ) -> Pending[T]:
        """Run a function in a child context. Once it has ended, a replay returns its recorded result and skips it.

        Args:
            function: Takes a `DurableContext`.
            name: Name of the context; by default that of a `@durable_context` function.
            config: Serializer, type, summary, or no checkpoints at all (`is_virtual`).

        Raises:
            ChildContextError: The function raised. The error is also an instance of the original exception's class.
        """
        from durable_execution.operations import child

        check_parameters(function, "ctx.run_in_child_context", "ctx")
        config = checked_config(config, child.DEFAULT_CONFIG, "ctx.run_in_child_context")
        subtype = config.sub_type or OperationSubType.RUN_IN_CHILD_CONTEXT.value
        if name is None and isinstance(function, BoundContext):
            name = function.name
        call = self._scope.reserve(CONTEXT, subtype, name)
        call.is_virtual, call.function = config.is_virtual, function
        annotation = config.result_type if config.result_type is not None else return_annotation(function)
        codec = codec_for(config.serdes, annotation, operation_id=call.id, execution_arn=self.execution_arn)
        return child.run_context(call, self._body(function), child.Keeping(codec, config.summary_generator))

    @overload
    def map(
        self,
        items: Sequence[S],
        function: Callable[[DurableContext, S, int], Awaitable[R]],
        name: str | None = None,
        *,
        config: MapConfig | None = None,
    ) -> Pending[BatchResult[R]]: ...
    @overload
    def map(
        self,
        items: Sequence[S],
        function: Callable[[DurableContext, S], Awaitable[R]],
        name: str | None = None,
        *,
        config: MapConfig | None = None,
    ) -> Pending[BatchResult[R]]: ...
    @overload
    def map(
        self,
        items: Sequence[S],
        function: Callable[[DurableContext, list[S], int], Awaitable[R]],
        name: str | None = None,
        *,
        config: MapConfig,
    ) -> Pending[BatchResult[R]]: ...
    def map(
        self,
        items: Sequence[Any],
        function: Callable[..., Awaitable[Any]],
        name: str | None = None,
        *,
        config: MapConfig | None = None,
    ) -> Pending[BatchResult[Any]]:
        """Run a function for every item, concurrently, each item in its own context.

        Args:
            items: The items. Their number and order must be the same on every replay.
            function: Takes the item's `DurableContext`, the item and its index, or only the context and the item.
            name: Name of the operation.
            config: Concurrency, completion, serializers, nesting, names of items.

        Returns:
            The items' results and errors in index order; an item's failure is not raised. See `BatchResult.throw_if_error`.
        """
        from durable_execution.operations import batch

        if not callable(function):
            refuse(function, "ctx.map")
        config = checked_config(config, batch.NO_MAP_CONFIG, "ctx.map")
        items = batch.batched_items(checked_items(items, "ctx.map"), config)
        call = self._scope.reserve(CONTEXT, OperationSubType.MAP.value, name)
        call.configuration, call.function, call.items = {"branches": len(items)}, function, items
        return batch.run_map(call, items, function, config, self._child)

    @overload
    def parallel(
        self,
        functions: tuple[Branch[T1], Branch[T2]],
        name: str | None = None,
        *,
        config: ParallelConfig | None = None,
    ) -> Pending[BatchResult[T1 | T2]]: ...
    @overload
    def parallel(
        self,
        functions: tuple[Branch[T1], Branch[T2], Branch[T3]],
        name: str | None = None,
        *,
        config: ParallelConfig | None = None,
    ) -> Pending[BatchResult[T1 | T2 | T3]]: ...
    @overload
    def parallel(
        self, functions: Sequence[Branch[T]], name: str | None = None, *, config: ParallelConfig | None = None
    ) -> Pending[BatchResult[T]]: ...
    @overload
    def parallel(
        self,
        functions: Sequence[Branch[Any] | ParallelBranch],
        name: str | None = None,
        *,
        config: ParallelConfig | None = None,
    ) -> Pending[BatchResult[Any]]: ...
    def parallel(
        self,
        functions: Sequence[Branch[Any] | ParallelBranch],
        name: str | None = None,
        *,
        config: ParallelConfig | None = None,
    ) -> Pending[BatchResult[Any]]:
        """Run functions concurrently, each in its own context.

        Args:
            functions: Each takes a `DurableContext`; wrap one in `ParallelBranch` to name it. For a type checker, a tuple of
                functions with different results gives the union of their types.
            name: Name of the operation.
            config: Concurrency, completion, serializers, nesting.

        Returns:
            The branches' results and errors in order; a branch's failure is not raised. See `BatchResult.throw_if_error`.
        """
        from durable_execution.operations import batch

        functions = batch.checked_branches(functions)
        config = checked_config(config, batch.NO_PARALLEL_CONFIG, "ctx.parallel")
        call = self._scope.reserve(CONTEXT, OperationSubType.PARALLEL.value, name)
        call.configuration = {"branches": len(functions)}
        return batch.run_parallel(call, functions, config, self._child)

    def wait_for_condition(
        self,
        check: Callable[[S, StepContext], Awaitable[S] | S],
        name: str | None = None,
        *,
        config: WaitForConditionConfig,
    ) -> Pending[S]:
        """Poll until a condition is met. The execution is suspended between polls.

        Args:
            check: Takes the last state (first `config.initial_state`) and a `StepContext`; returns the new state.
            name: Name of the operation.
            config: Wait strategy, initial state, serializer, type.

        Returns:
            The state that ended the wait.

        Raises:
            WaitForConditionError: The strategy gave up, or the check raised an exception.
        """
        from durable_execution.operations import condition

        if not callable(check):
            refuse(check, "ctx.wait_for_condition")
        call = self._scope.reserve(STEP, OperationSubType.WAIT_FOR_CONDITION.value, name)
        return condition.run_condition(call, check, config)

    def wait_for_callback(
        self,
        submitter: Callable[[str, StepContext], Any],
        name: str | None = None,
        *,
        config: WaitForCallbackConfig[R] | None = None,
    ) -> Pending[R]:
        """Create a callback, pass its id to `submitter` in a step, and wait for the answer.

        Args:
            submitter: Takes the callback id and a `StepContext`.
            name: Name of the operation.
            config: Timeouts, serializer, type, retries of the submitter.

        Raises:
            CallbackSubmitterError: The submitter failed permanently.
            CallbackFailedError: The external system reported a failure.
            CallbackTimeoutError: No answer arrived in time, or (CallbackHeartbeatError) the heartbeats stopped.
        """
        from durable_execution.operations import wait_for_callback

        if not callable(submitter):
            refuse(submitter, "ctx.wait_for_callback")
        config = checked_config(config, wait_for_callback.DEFAULT_CONFIG, "ctx.wait_for_callback")  # pyright: ignore[reportAssignmentType]
        call = self._scope.reserve(CONTEXT, OperationSubType.WAIT_FOR_CALLBACK.value, name)
        return wait_for_callback.run_wait_for_callback(call, submitter, config)  # pyright: ignore[reportArgumentType]

    def with_retry(
        self,
        function: Callable[[DurableContext, int], Awaitable[T]],
        name: str | None = None,
        *,
        config: WithRetryConfig | None = None,
    ) -> Pending[T]:
        """Run a block of operations. When it raises, pause durably and run it again.

        Args:
            function: Takes a `DurableContext` and the number of the attempt, from 1.
            name: Name of the block. Its pauses are waits named `<name>-backoff-<attempt>`.
            config: Retry strategy, and whether the block runs in a child context.

        Raises:
            ChildContextError: The last attempt raised. Without a child context, its exception is raised unchanged.
        """
        from durable_execution.config.options import ChildConfig
        from durable_execution.operations import with_retry

        config = checked_config(config, with_retry.DEFAULT_CONFIG, "ctx.with_retry")
        check_parameters(function, "ctx.with_retry", "ctx", "attempt")
        strategy = config.retry_strategy or with_retry.DEFAULT_RETRY
        if not config.child_context:
            return with_retry.run_attempts(self, self._scope, function, name, strategy)
        child_config = config.child_config or ChildConfig(result_type=return_annotation(function))
        return self.run_in_child_context(with_retry.block_of(function, name, strategy), name, config=child_config)

    def now(self, name: str | None = None) -> Pending[datetime]:
        """Return the checkpointed time: every replay gets the time of the first run. Costs one step."""
        from durable_execution.operations import replay_safe

        return self.step(replay_safe.read_clock, name if name is not None else "now")

    def uuid(self) -> UUID:
        """Return a UUID that is the same on every replay. Free: it is derived from the execution's ARN and the call."""
        return self._randomness().uuid()

    def random(self) -> random.Random:
        """Return a random generator that draws the same numbers on every replay. Not for secrets."""
        return self._randomness().generator

    def patched(self, change_id: str) -> bool:
        """Whether this execution runs with a change that you deployed while executions were in flight.

        ```python
        if ctx.patched("check-stock-first"):
            await ctx.step(check_stock)
        ```

        Returns True, and records it, when the execution reaches this line for the first time. Returns False when it replays
        past this line and was recorded without the change. Neither shifts the numbering of calls. Within one context, the
        answer for a change never varies.
        """
        from durable_execution.operations import replay_safe

        return replay_safe.is_patched(self._scope, change_id)

    def _randomness(self) -> Randomness:
        prefix = self._scope.here.ids.prefix
        if prefix not in self._random:
            from durable_execution.operations.replay_safe import Randomness

            self._random[prefix] = Randomness(self._scope.state.seed_arn, prefix)
        return self._random[prefix]

    def _child(self, scope: ContextScope) -> DurableContext:
        return DurableContext(scope, self.lambda_context)

    def _body(self, function: Callable[[DurableContext], Awaitable[T]]) -> Body:
        async def body(scope: ContextScope) -> T:
            value: T = await called(function, self._child(scope))
            return value

        return body

"""The context of an `async def` handler: every durable operation.

Operation methods are plain functions that reserve the operation's id when they are called and return a coroutine, so ids do
not depend on scheduling: `gather`, `TaskGroup`, `create_task` and awaiting in any order all work.
"""

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar, overload

from durable_execution.config import (
    CallbackConfig,
    ChildConfig,
    InvokeConfig,
    MapConfig,
    ParallelConfig,
    StepConfig,
    WaitForCallbackConfig,
    WaitForConditionConfig,
)
from durable_execution.context.step_context import StepContext
from durable_execution.context.step_function import BoundStep
from durable_execution.operations import callback, child, condition, invoke, step, wait, wait_for_callback
from durable_execution.operations.batch import run_batch
from durable_execution.operations.branches import ParallelBranch, map_branches, parallel_branches
from durable_execution.protocol import OperationSubType, OperationType
from durable_execution.runtime.scope import ContextScope
from durable_execution.serdes.codec import codec_for, return_annotation

if TYPE_CHECKING:
    import logging

    from durable_execution.batch_result import BatchResult

T = TypeVar("T")
R = TypeVar("R")
S = TypeVar("S")

NO_MAP_CONFIG = MapConfig()
NO_PARALLEL_CONFIG = ParallelConfig()

STEP = OperationType.STEP.value
CONTEXT = OperationType.CONTEXT.value


class DurableContext:
    """What a handler, a child context or a branch calls its operations on.

    Attributes:
        lambda_context: Lambda's own context object, for the remaining time and the request id.
    """

    __slots__ = ("_logger", "_scope", "lambda_context")

    def __init__(self, scope: ContextScope, lambda_context: Any = None) -> None:
        self._scope = scope
        self._logger: logging.LoggerAdapter[logging.Logger] | None = None
        self.lambda_context = lambda_context

    @property
    def scope(self) -> ContextScope:
        """The runtime's side of this context; not part of the public interface."""
        return self._scope

    @property
    def execution_arn(self) -> str:
        """The execution's ARN."""
        return self._scope.state.execution_arn

    @property
    def path(self) -> str:
        """Readable place of this context, for example `process_order/notify#3`."""
        return self._scope.path

    @property
    def is_replaying(self) -> bool:
        """Whether this context's code is still going over what earlier invocations have done."""
        return self._scope.is_replaying

    @property
    def logger(self) -> "logging.LoggerAdapter[logging.Logger]":
        """A standard logger that is silent while this context replays, and whose records say where they come from."""
        if self._logger is None:
            from durable_execution.context.logger import context_logger

            self._logger = context_logger(self._scope)
        return self._logger

    @overload
    def step(
        self, function: BoundStep[T], name: str | None = None, *, config: StepConfig | None = None
    ) -> Coroutine[Any, Any, T]: ...
    @overload
    def step(
        self,
        function: Callable[[StepContext], Awaitable[T]],
        name: str | None = None,
        *,
        config: StepConfig | None = None,
    ) -> Coroutine[Any, Any, T]: ...
    @overload
    def step(
        self, function: Callable[[StepContext], T], name: str | None = None, *, config: StepConfig | None = None
    ) -> Coroutine[Any, Any, T]: ...
    def step(
        self, function: Callable[[StepContext], Any], name: str | None = None, *, config: StepConfig | None = None
    ) -> Coroutine[Any, Any, Any]:
        """Run a function once and checkpoint its result; on replay, return that result.

        Args:
            function: Takes a `StepContext`. A coroutine function runs on the event loop, any other in a worker thread.
            name: Name of the step; by default that of a `@durable_step` function.
            config: Retries, semantics, serializer, type.

        Returns:
            What the function returned, as it comes back from the serializer.

        Raises:
            StepError: It failed and is not retried; also an instance of the original exception's class.
            StepInterruptedError: An at-most-once attempt was cut off, and there is no further attempt.
        """
        config = config or step.DEFAULT_CONFIG
        name = name if name is not None else _name_of(function)
        call = self._scope.reserve(STEP, config.sub_type or OperationSubType.STEP.value, name)
        return step.run_step(call, function, config)

    def wait(self, duration: timedelta, name: str | None = None) -> Coroutine[Any, Any, None]:
        """Pause for at least `duration`, rounded up to whole seconds. The execution is suspended meanwhile.

        Raises:
            ConfigurationError: Below one second or above 366 days.
        """
        seconds = wait.wait_seconds(duration)
        call = self._scope.reserve(OperationType.WAIT.value, OperationSubType.WAIT.value, name)
        call.configuration = {"wait_seconds": seconds}
        return wait.run_wait(call, seconds)

    def create_callback(
        self, name: str | None = None, *, config: CallbackConfig | None = None
    ) -> Coroutine[Any, Any, "callback.Callback[Any]"]:
        """Create a callback: its `callback_id` is for the outside world, `await callback.result()` for its answer.

        Args:
            name: Name of the operation.
            config: Timeouts, serializer, type.
        """
        config = config or callback.DEFAULT_CONFIG
        subtype = config.sub_type or OperationSubType.CALLBACK.value
        call = self._scope.reserve(OperationType.CALLBACK.value, subtype, name)
        call.configuration = callback.recorded_options(config)
        return callback.create_callback(call, config)

    def invoke(
        self,
        function_name: str,
        payload: Any = None,
        *,
        name: str | None = None,
        config: InvokeConfig | None = None,
    ) -> Coroutine[Any, Any, Any]:
        """Call another function and wait for its result. The execution is suspended meanwhile.

        Args:
            function_name: Name, `name:qualifier` or ARN. A durable function needs a qualifier when it is on Lambda.
            payload: JSON values, or anything pydantic can write.
            name: Name of the operation.
            config: Serializers, result type, tenant.

        Raises:
            InvokeError: The function failed, does not exist, or (InvokeTimeoutError, InvokeStoppedError) did not finish.
        """
        config = config or invoke.DEFAULT_CONFIG
        call = self._scope.reserve(OperationType.CHAINED_INVOKE.value, OperationSubType.CHAINED_INVOKE.value, name)
        call.configuration = {"function_name": function_name}
        call.input = invoke.write_payload(call, payload, config)
        return invoke.run_invoke(call, function_name, config)

    def run_in_child_context(
        self,
        function: "Callable[[DurableContext], Awaitable[T]]",
        name: str | None = None,
        *,
        config: ChildConfig | None = None,
    ) -> Coroutine[Any, Any, T]:
        """Run a function with a context of its own. Once it has ended, a replay takes its result and skips it.

        Args:
            function: Takes a `DurableContext`.
            name: Name of the context.
            config: Serializer, type, summary, or no checkpoints at all (`is_virtual`).

        Raises:
            ChildContextError: The function raised; also an instance of the original exception's class.
        """
        config = config or child.DEFAULT_CONFIG
        subtype = config.sub_type or OperationSubType.RUN_IN_CHILD_CONTEXT.value
        call = self._scope.reserve(CONTEXT, subtype, name)
        call.is_virtual = config.is_virtual
        annotation = config.result_type if config.result_type is not None else return_annotation(function)
        codec = codec_for(config.serdes, annotation, operation_id=call.id, execution_arn=self.execution_arn)
        return child.run_context(call, self._body(function), codec, summarize=config.summary_generator)

    def map(
        self,
        items: Sequence[S],
        function: "Callable[[DurableContext, S, int], Awaitable[R]]",
        name: str | None = None,
        *,
        config: MapConfig | None = None,
    ) -> "Coroutine[Any, Any, BatchResult[R]]":
        """Run a function for every item, concurrently, each in a context of its own.

        Args:
            items: The items. Their number and order must be the same on every replay.
            function: Takes the item's `DurableContext`, the item, and its index; shorter signatures work as well.
            name: Name of the operation.
            config: Concurrency, completion, serializers, nesting, names of items.

        Returns:
            The items' results and errors in index order. Failures of items are not raised; see
            `BatchResult.throw_if_error`.
        """
        config = config or NO_MAP_CONFIG
        items = list(items)
        call = self._scope.reserve(CONTEXT, OperationSubType.MAP.value, name)
        call.configuration = {"branches": len(items)}
        return run_batch(call, map_branches(items, function, config, self._child), config)

    def parallel(
        self,
        functions: "Sequence[Callable[[DurableContext], Awaitable[Any]] | ParallelBranch]",
        name: str | None = None,
        *,
        config: ParallelConfig | None = None,
    ) -> "Coroutine[Any, Any, BatchResult[Any]]":
        """Run functions concurrently, each in a context of its own.

        Args:
            functions: Each takes a `DurableContext`; wrap one in `ParallelBranch` to name it.
            name: Name of the operation.
            config: Concurrency, completion, serializers, nesting.

        Returns:
            The branches' results and errors in order. Failures of branches are not raised; see
            `BatchResult.throw_if_error`.
        """
        config = config or NO_PARALLEL_CONFIG
        call = self._scope.reserve(CONTEXT, OperationSubType.PARALLEL.value, name)
        call.configuration = {"branches": len(functions)}
        return run_batch(call, parallel_branches(list(functions), self._child), config)

    def wait_for_condition(
        self,
        check: Callable[[S, StepContext], Awaitable[S] | S],
        name: str | None = None,
        *,
        config: WaitForConditionConfig,
    ) -> Coroutine[Any, Any, S]:
        """Poll until a state is reached. The execution is suspended between the polls.

        Args:
            check: Takes the state of the last check (at first `config.initial_state`) and a `StepContext`; returns the
                new state.
            name: Name of the operation.
            config: Wait strategy, initial state, serializer, type.

        Returns:
            The last state.

        Raises:
            WaitForConditionError: The strategy gave up, or the check raised.
        """
        call = self._scope.reserve(STEP, OperationSubType.WAIT_FOR_CONDITION.value, name)
        return condition.run_condition(call, check, config)

    def wait_for_callback(
        self,
        submitter: Callable[[str, StepContext], Any],
        name: str | None = None,
        *,
        config: WaitForCallbackConfig | None = None,
    ) -> Coroutine[Any, Any, Any]:
        """Create a callback, hand its id to `submitter` in a step, and wait for the answer.

        Args:
            submitter: Takes the callback id and a `StepContext`.
            name: Name of the operation.
            config: Timeouts, serializer, type, retries of the submitter.

        Raises:
            CallbackSubmitterError: The submitter failed for good.
            CallbackFailedError: The external system reported a failure.
            CallbackTimeoutError: Nobody answered in time, or (CallbackHeartbeatError) the heartbeats stopped.
        """
        call = self._scope.reserve(CONTEXT, OperationSubType.WAIT_FOR_CALLBACK.value, name)
        return wait_for_callback.run_wait_for_callback(call, submitter, config or wait_for_callback.DEFAULT_CONFIG)

    def _child(self, scope: ContextScope) -> "DurableContext":
        return DurableContext(scope, self.lambda_context)

    def _body(self, function: "Callable[[DurableContext], Awaitable[T]]") -> child.Body:
        async def body(scope: ContextScope) -> T:
            return await function(self._child(scope))

        return body


def _name_of(function: Any) -> str | None:
    """The name of a `@durable_step` function. Others stay unnamed: renaming one must not disturb what is in flight."""
    return function.name if type(function) is BoundStep else None

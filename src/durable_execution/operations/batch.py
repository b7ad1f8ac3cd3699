"""Run the branches of `ctx.map` and `ctx.parallel` up to the concurrency limit, until the batch is complete.

`ctx.map` and `ctx.parallel`: one function for many items, or many functions, as branches of one batch.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextvars import copy_context
from typing import Any, Concatenate, ParamSpec

from durable_execution.batch_result import BatchItem, BatchResult, CompletionReason
from durable_execution.config import (
    BatchItemStatus,
    CompletionConfig,
    CompletionDecision,
    CompletionItem,
    CompletionOutcome,
    CompletionStatus,
    MapConfig,
    NestingType,
    ParallelConfig,
)
from durable_execution.errors import ConfigurationError, OperationError, error_object
from durable_execution.operations.batch_codec import Decision, batch_codec, read_decision, summarize
from durable_execution.operations.bound_context import BoundContext
from durable_execution.operations.child import Keeping, run_context
from durable_execution.operations.user_function import (
    called,
    can_take,
    check_parameters,
    checked_items,
    refuse_generator,
    refuse_step,
)
from durable_execution.protocol import OperationSubType, OperationType, branch_id
from durable_execution.runtime.call import Call
from durable_execution.runtime.scope import ContextScope, check_name
from durable_execution.serdes.codec import codec_for, return_annotation
from durable_execution.serdes.interface import Codec
from durable_execution.value_classes import value_class

Items = Callable[[], Sequence[CompletionItem]]
P = ParamSpec("P")
BranchBody = Callable[[ContextScope], Awaitable[Any]]
MakeContext = Callable[[ContextScope], Any]
NO_MAP_CONFIG = MapConfig()
NO_PARALLEL_CONFIG = ParallelConfig()


class CompletionPolicy:
    """Counts branches as they end, and decides when the batch is complete.

    Attributes:
        total: All branches, started or not.
        config: The criteria.
        succeeded: Branches that succeeded so far.
        failed: Branches that failed so far.
    """

    def __init__(self, total: int, config: CompletionConfig, *, succeeded: int = 0, failed: int = 0) -> None:
        self.total = total
        self.config = config
        self.succeeded = succeeded
        self.failed = failed

    def reason(self, items: Items) -> CompletionReason | None:
        """Return why the batch is complete, or None while it is not.

        The checks run in this order: exceeded tolerance, custom rule, all branches ended, minimum of successes reached.
        """
        if self._is_tolerance_exceeded():
            return CompletionReason.FAILURE_TOLERANCE_EXCEEDED
        decided = self._custom(items)
        if decided is not None:
            return decided
        if self.succeeded + self.failed >= self.total:
            return CompletionReason.ALL_COMPLETED
        minimum = self.config.min_successful
        if minimum is not None and self.succeeded >= minimum:
            return CompletionReason.MIN_SUCCESSFUL_REACHED
        return None

    def _is_tolerance_exceeded(self) -> bool:
        config = self.config
        if config.should_complete is not None:
            return False
        if not config.has_criteria:
            return self.failed > 0
        if config.tolerated_failure_count is not None and self.failed > config.tolerated_failure_count:
            return True
        percentage = config.tolerated_failure_percentage
        return percentage is not None and self.total > 0 and self.failed * 100 / self.total > percentage

    def _custom(self, items: Items) -> CompletionReason | None:
        rule = self.config.should_complete
        if rule is None:
            return None
        decision: object = rule(
            CompletionStatus(
                success_count=self.succeeded,
                failure_count=self.failed,
                completed_count=self.succeeded + self.failed,
                total_count=self.total,
                items=tuple(items()),
            )
        )
        if not isinstance(decision, CompletionDecision):
            raise ConfigurationError(
                f"should_complete returned {decision!r:.60}: return CompletionDecision.go_on() or "
                "CompletionDecision.complete(outcome)"
            )
        if decision.outcome is None:
            return None
        if decision.outcome is CompletionOutcome.FAILED:
            return CompletionReason.CUSTOM_COMPLETION_FAILED
        return CompletionReason.CUSTOM_COMPLETION_SUCCEEDED


@value_class(frozen=True, slots=True)
class Branches:
    """The branches of one batch, created one at a time as they start.

    Attributes:
        total: Number of branches.
        subtype: `MapIteration` or `ParallelBranch`.
        name: Name of branch i.
        body: Body of branch i.
        result_type: Type of branch i's result, when known.
        function: Function of branch i, if each has its own.
    """

    total: int
    subtype: OperationSubType
    name: Callable[[int], str]
    body: Callable[[int], BranchBody]
    result_type: Callable[[int], Any]
    function: Callable[[int], Any] = lambda _: None


async def run_batch(call: Call, branches: Branches, config: MapConfig | ParallelConfig) -> BatchResult[Any]:
    """Run a batch in its context operation, or return the recorded result."""
    arn = call.scope.state.execution_arn

    def item_codec(index: int) -> Codec:
        annotation = config.result_type
        if annotation is None and index < branches.total:  # changed code can have fewer branches than the recording
            annotation = branches.result_type(index)
        return codec_for(config.item_serdes, annotation, operation_id=branch_id(call.id, index), execution_arn=arn)

    codec = batch_codec(item_codec, is_blocking=bool(getattr(config.item_serdes, "is_blocking", False)))
    if config.serdes is not None:
        codec = codec_for(config.serdes, None, operation_id=call.id, execution_arn=arn)
    recorded = call.scope.state.operations.get(call.id)
    decision = read_decision((recorded.get("ContextDetails") or {}).get("Result")) if recorded is not None else None

    async def body(scope: ContextScope) -> BatchResult[Any]:
        # Branch ids are numbered from 0. Recorded ids beyond the last branch belong to branches the code no longer has.
        scope.ids.position = branches.total - 1
        batch = Batch(scope, branches, config)
        if scope.is_rebuilding and decision is not None:
            return await batch.rebuild(decision)
        return await batch.run()

    kind = "MapResult" if branches.subtype is OperationSubType.MAP_ITERATION else "ParallelResult"
    keeping = Keeping(
        codec,
        summarize=lambda value: summarize(kind, value, config.summary_generator),
        is_rebuilt=config.item_serdes is not None and config.serdes is None,
    )
    result: BatchResult[Any] = await run_context(call, body, keeping)
    return result


class Batch:
    """One run of a batch's branches.

    Branches start in index order, `max_concurrency` at a time. A suspended branch keeps its slot. When the batch is
    complete, branches that are still running are cancelled and reported as STARTED.
    """

    def __init__(self, scope: ContextScope, branches: Branches, config: MapConfig | ParallelConfig) -> None:
        self._scope = scope
        self._branches = branches
        self._config = config
        self._limit = config.max_concurrency or max(branches.total, 1)
        self._items: dict[int, BatchItem[Any]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._policy = CompletionPolicy(branches.total, config.completion_config)
        self._complete: asyncio.Future[CompletionReason] = scope.state.loop.create_future()
        self._queue: Iterator[int] = iter(range(branches.total))

    async def run(self) -> BatchResult[Any]:
        """Run until the batch is complete."""
        if self._branches.total == 0:
            return BatchResult([], CompletionReason.ALL_COMPLETED)
        try:
            self._start_more()
            reason = await self._complete
        finally:
            for task in self._tasks:
                task.cancel()
        return BatchResult([self._items[index] for index in sorted(self._items)], reason)

    async def rebuild(self, decision: Decision) -> BatchResult[Any]:
        """Replay the branches that had ended when the batch completed, over their recorded operations."""
        finished = [index for index in range(decision.started_total) if index not in decision.unfinished]
        self._policy = CompletionPolicy(len(finished), CompletionConfig.all_completed())
        self._queue = iter(finished)
        for index in decision.unfinished:
            self._items[index] = BatchItem(index, BatchItemStatus.STARTED)
        if finished:
            self._start_more()
            await self._complete
        return BatchResult([self._items[index] for index in sorted(self._items)], decision.reason)

    def _start_more(self) -> None:
        while len(self._tasks) < self._limit and not self._complete.done():
            index = next(self._queue, None)
            if index is None:
                return
            self._items[index] = BatchItem(index, BatchItemStatus.STARTED)
            task = self._scope.state.loop.create_task(self._run_branch(index), context=copy_context())
            self._tasks.add(task)
            task.add_done_callback(self._on_task_done)

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is None:
            self._start_more()

    async def _run_branch(self, index: int) -> None:
        try:
            result = await self._branch_result(index)
        except OperationError as error:
            self._finish(BatchItem(index, BatchItemStatus.FAILED, error=error_object(error)))
        except asyncio.CancelledError as error:
            if not self._scope.state.is_decided:
                self._give_up(RuntimeError(f"branch {index} was cancelled by its own code: {error}"))
            raise
        except BaseException as error:  # noqa: BLE001  # not a branch failure: it ends the execution or the invocation
            self._give_up(error)
        else:
            self._finish(BatchItem(index, BatchItemStatus.SUCCEEDED, result))

    def _give_up(self, error: BaseException) -> None:
        if not self._complete.done():
            self._complete.set_exception(error)

    async def _branch_result(self, index: int) -> Any:
        scope, branches, config = self._scope, self._branches, self._config
        owner = scope.owner
        if owner is None:
            raise AssertionError("a batch must run in the context of its operation")
        name = branches.name(index)
        check_name(name)
        call = Call(
            scope,
            branch_id(owner.id, index),
            index,
            OperationType.CONTEXT.value,
            branches.subtype.value,
            name,
            None,
        )
        call.is_virtual = config.nesting_type is NestingType.FLAT
        call.function = branches.function(index)
        codec = codec_for(
            config.item_serdes,
            config.result_type if config.result_type is not None else branches.result_type(index),
            operation_id=call.id,
            execution_arn=scope.state.execution_arn,
        )
        return await run_context(call, branches.body(index), Keeping(codec))

    def _finish(self, item: BatchItem[Any]) -> None:
        if self._complete.done():
            return
        self._items[item.index] = item
        if item.status is BatchItemStatus.SUCCEEDED:
            self._policy.succeeded += 1
        else:
            self._policy.failed += 1
        try:
            reason = self._policy.reason(self._snapshot)
        except Exception as error:  # noqa: BLE001  # the user's completion rule raised
            self._complete.set_exception(error)
            return
        if reason is not None:
            self._complete.set_result(reason)

    def _snapshot(self) -> Sequence[CompletionItem]:
        started = self._items
        return [
            CompletionItem(index, self._branches.name(index), started[index].status if index in started else None)
            for index in range(self._branches.total)
        ]


@value_class(frozen=True, slots=True)
class ParallelBranch:
    """A branch of `ctx.parallel` with a name.

    Attributes:
        function: Takes a `DurableContext`; in a blocking handler, a plain function takes a `BlockingContext`.
        name: Name of the branch's context.
    """

    function: Callable[[Any], Any]
    name: str | None = None


def durable_branch(function: Callable[Concatenate[Any, P], Any]) -> Callable[P, ParallelBranch]:
    """Declare a function whose calls are branches: `await ctx.parallel([notify(order), pack(order)])`.

    Args:
        function: Takes a context, then the arguments of its calls. Its name is the branch's name.

    Returns:
        A function of those arguments. It runs nothing: it returns a `ParallelBranch`.
    """

    @functools.wraps(function)
    def bind(*arguments: P.args, **options: P.kwargs) -> ParallelBranch:
        bound = BoundContext[Any](function, arguments, options)
        return ParallelBranch(bound, bound.name)

    return bind


def batched_items(items: Sequence[Any], config: MapConfig) -> Sequence[Any]:
    """The items that branches are created for: lists of items, if the map has an item batcher."""
    if config.item_batcher is None:
        return items
    from durable_execution.operations.batch_codec import grouped

    return grouped(items, config.item_batcher)


async def run_map(
    call: Call, items: Sequence[Any], function: Callable[..., Any], config: MapConfig, make: MakeContext
) -> BatchResult[Any]:
    """Run a function for every item; `make` creates the context of each branch."""
    return await run_batch(call, map_branches(items, function, config, make), config)


async def run_parallel(
    call: Call, functions: Sequence[Any], config: ParallelConfig, make: MakeContext
) -> BatchResult[Any]:
    """Run every function; `make` creates the context of each branch."""
    return await run_batch(call, parallel_branches(functions, make), config)


def map_branches(items: Sequence[Any], function: Callable[..., Any], config: MapConfig, make: MakeContext) -> Branches:
    """Create a branch for every item."""
    namer = config.item_namer
    if namer is not None:
        check_parameters(namer, "MapConfig(item_namer=...)", "item", "index")
    result_type = return_annotation(function)
    takes = _parameters(function)

    def name(index: int) -> str:
        return namer(items[index], index) if namer is not None else f"map-item-{index}"

    def body(index: int) -> BranchBody:
        async def run(scope: ContextScope) -> Any:
            return await called(function, *(make(scope), items[index], index, items)[:takes])

        return run

    return Branches(len(items), OperationSubType.MAP_ITERATION, name, body, lambda _: result_type)


def checked_branches(given: Any) -> list[Any]:
    """Return the functions of `ctx.parallel` as a list.

    Raises:
        ConfigurationError: It is not a sequence of functions.
    """
    if callable(given):
        raise ConfigurationError("ctx.parallel takes its functions as one list: write ctx.parallel([first, second])")
    functions = checked_items(given, "ctx.parallel")
    for each in functions:
        check_parameters(each.function if isinstance(each, ParallelBranch) else each, "ctx.parallel", "ctx")
    return functions


def parallel_branches(functions: Sequence[Any], make: MakeContext) -> Branches:
    """Create a branch for every function."""
    branches = [branch if isinstance(branch, ParallelBranch) else ParallelBranch(branch) for branch in functions]

    def name(index: int) -> str:
        return branches[index].name or f"parallel-branch-{index}"

    def body(index: int) -> BranchBody:
        async def run(scope: ContextScope) -> Any:
            return await called(branches[index].function, make(scope))

        return run

    def result_type(index: int) -> Any:
        return return_annotation(branches[index].function)

    return Branches(
        len(branches),
        OperationSubType.PARALLEL_BRANCH,
        name,
        body,
        result_type,
        lambda index: branches[index].function,
    )


def _parameters(function: Callable[..., Any]) -> int:
    """Return how many of (context, item, index, items) the function takes: at least the first two.

    Raises:
        ConfigurationError: The function cannot be called with any number of them.
    """
    plain = getattr(function, "blocking_function", function)
    refuse_step(function, "ctx.map", ("ctx", "item", "index"))
    refuse_generator(plain, "ctx.map")
    for count in (3, 2, 4):
        if can_take(plain, count):
            return count
    check_parameters(function, "ctx.map", "ctx", "item", "index")
    raise AssertionError("check_parameters refuses this function")


run_map.__qualname__, run_parallel.__qualname__ = (
    "ctx.map",
    "ctx.parallel",
)  # Python's warning of a forgotten await names them

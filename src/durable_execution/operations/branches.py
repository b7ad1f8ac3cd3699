"""`ctx.map` and `ctx.parallel`: one function for many items, or many functions, as branches of one batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from durable_execution.batch_result import BatchResult
from durable_execution.config.batch import MapConfig, ParallelConfig
from durable_execution.operations.batch import BranchBody, Branches, run_batch
from durable_execution.operations.functions import called, can_take, check_parameters
from durable_execution.protocol import OperationSubType
from durable_execution.runtime.call import Call
from durable_execution.runtime.scope import ContextScope
from durable_execution.serdes.codec import return_annotation

if TYPE_CHECKING:
    from durable_execution.context.durable_context import DurableContext

MakeContext = Callable[[ContextScope], "DurableContext"]

NO_MAP_CONFIG = MapConfig()
NO_PARALLEL_CONFIG = ParallelConfig()


@dataclass(frozen=True, slots=True)
class ParallelBranch:
    """A branch of `ctx.parallel` with a name.

    Attributes:
        function: Takes a `DurableContext`; in a blocking handler, a plain function takes a `BlockingContext`.
        name: Name of the branch's context.
    """

    function: Callable[[Any], Any]
    name: str | None = None


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


def parallel_branches(functions: Sequence[Any], make: MakeContext) -> Branches:
    """Create a branch for every function."""
    branches = [branch if isinstance(branch, ParallelBranch) else ParallelBranch(branch) for branch in functions]
    for branch in branches:
        check_parameters(branch.function, "ctx.parallel", "ctx")

    def name(index: int) -> str:
        return branches[index].name or f"parallel-branch-{index}"

    def body(index: int) -> BranchBody:
        async def run(scope: ContextScope) -> Any:
            return await called(branches[index].function, make(scope))

        return run

    def result_type(index: int) -> Any:
        return return_annotation(branches[index].function)

    return Branches(len(branches), OperationSubType.PARALLEL_BRANCH, name, body, result_type)


def _parameters(function: Callable[..., Any]) -> int:
    """Return how many of (context, item, index, items) the function takes: at least the first two.

    Raises:
        ConfigurationError: The function cannot be called with any number of them.
    """
    plain = getattr(function, "blocking_function", function)
    for count in (3, 2, 4):
        if can_take(plain, count):
            return count
    check_parameters(function, "ctx.map", "ctx", "item", "index")
    raise AssertionError("check_parameters refuses this function")

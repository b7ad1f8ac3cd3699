"""Durable execution for AWS Lambda durable functions, built for observability.

Names load on first use, so importing this package adds almost nothing to a cold start.
"""

from typing import TYPE_CHECKING

from durable_execution.lazy_names import lazy_names

if TYPE_CHECKING:
    from durable_execution.batch_result import BatchItem, BatchResult, CompletionReason
    from durable_execution.config import (
        BatchItemStatus,
        CallbackConfig,
        ChildConfig,
        CompletionConfig,
        CompletionDecision,
        CompletionItem,
        CompletionOutcome,
        CompletionStatus,
        InvokeConfig,
        ItemBatcherConfig,
        MapConfig,
        NestingType,
        ParallelConfig,
        StepConfig,
        StepSemantics,
        WaitForCallbackConfig,
        WaitForConditionConfig,
        WithRetryConfig,
    )
    from durable_execution.context.blocking_context import BlockingCallback, BlockingContext
    from durable_execution.context.durable_context import DurableContext
    from durable_execution.errors import (
        CallbackError,
        DurableError,
        ExecutionError,
        InvocationError,
        NondeterminismError,
        OperationError,
        StepError,
    )
    from durable_execution.handler import DurableHandler, durable_execution
    from durable_execution.observers import Observer
    from durable_execution.operations.batch import ParallelBranch, durable_branch
    from durable_execution.operations.bound_context import BoundContext, durable_context
    from durable_execution.operations.callback import Callback
    from durable_execution.operations.combinators import Settled
    from durable_execution.operations.step import BoundStep, StepContext, durable_step
    from durable_execution.retry import (
        Jitter,
        RetryDecision,
        RetryPresets,
        WaitDecision,
        exponential_backoff,
        linear_backoff,
        poll_until,
    )
else:
    __getattr__ = lazy_names(
        __name__,
        {
            "BatchItem": "batch_result",
            "BatchItemStatus": "config",
            "BatchResult": "batch_result",
            "BlockingCallback": "context.blocking_context",
            "BlockingContext": "context.blocking_context",
            "BoundContext": "operations.bound_context",
            "BoundStep": "operations.step",
            "Callback": "operations.callback",
            "CallbackConfig": "config",
            "CallbackError": "errors",
            "ChildConfig": "config",
            "CompletionConfig": "config",
            "CompletionDecision": "config",
            "CompletionItem": "config",
            "CompletionOutcome": "config",
            "CompletionReason": "batch_result",
            "CompletionStatus": "config",
            "DurableContext": "context.durable_context",
            "DurableError": "errors",
            "DurableHandler": "handler",
            "ExecutionError": "errors",
            "InvocationError": "errors",
            "InvokeConfig": "config",
            "ItemBatcherConfig": "config",
            "Jitter": "retry",
            "MapConfig": "config",
            "NestingType": "config",
            "NondeterminismError": "errors",
            "Observer": "observers",
            "OperationError": "errors",
            "ParallelBranch": "operations.batch",
            "ParallelConfig": "config",
            "RetryDecision": "retry",
            "RetryPresets": "retry",
            "Settled": "operations.combinators",
            "StepConfig": "config",
            "StepContext": "operations.step",
            "StepError": "errors",
            "StepSemantics": "config",
            "WaitDecision": "retry",
            "WaitForCallbackConfig": "config",
            "WaitForConditionConfig": "config",
            "WithRetryConfig": "config",
            "durable_branch": "operations.batch",
            "durable_context": "operations.bound_context",
            "durable_execution": "handler",
            "durable_step": "operations.step",
            "exponential_backoff": "retry",
            "linear_backoff": "retry",
            "poll_until": "retry",
        },
    )

__all__ = [
    "BatchItem",
    "BatchItemStatus",
    "BatchResult",
    "BlockingCallback",
    "BlockingContext",
    "BoundContext",
    "BoundStep",
    "Callback",
    "CallbackConfig",
    "CallbackError",
    "ChildConfig",
    "CompletionConfig",
    "CompletionDecision",
    "CompletionItem",
    "CompletionOutcome",
    "CompletionReason",
    "CompletionStatus",
    "DurableContext",
    "DurableError",
    "DurableHandler",
    "ExecutionError",
    "InvocationError",
    "InvokeConfig",
    "ItemBatcherConfig",
    "Jitter",
    "MapConfig",
    "NestingType",
    "NondeterminismError",
    "Observer",
    "OperationError",
    "ParallelBranch",
    "ParallelConfig",
    "RetryDecision",
    "RetryPresets",
    "Settled",
    "StepConfig",
    "StepContext",
    "StepError",
    "StepSemantics",
    "WaitDecision",
    "WaitForCallbackConfig",
    "WaitForConditionConfig",
    "WithRetryConfig",
    "durable_branch",
    "durable_context",
    "durable_execution",
    "durable_step",
    "exponential_backoff",
    "linear_backoff",
    "poll_until",
]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

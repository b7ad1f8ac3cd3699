"""Configuration values, one class per operation. All options are keyword arguments with defaults.

Names load on first use, so a cold start only pays for what a function configures.
"""

from typing import TYPE_CHECKING

from durable_execution.lazy_names import lazy_names

if TYPE_CHECKING:
    from durable_execution.config.batch_options import ItemBatcherConfig, MapConfig, NestingType, ParallelConfig
    from durable_execution.config.completion import (
        BatchItemStatus,
        CompletionConfig,
        CompletionDecision,
        CompletionItem,
        CompletionOutcome,
        CompletionStatus,
    )
    from durable_execution.config.options import (
        CallbackConfig,
        ChildConfig,
        InvokeConfig,
        WaitForCallbackConfig,
        WaitForConditionConfig,
        WithRetryConfig,
    )
    from durable_execution.config.step_options import StepConfig, StepSemantics
else:
    __getattr__ = lazy_names(
        __name__,
        {
            "BatchItemStatus": "completion",
            "CallbackConfig": "options",
            "ChildConfig": "options",
            "CompletionConfig": "completion",
            "CompletionDecision": "completion",
            "CompletionItem": "completion",
            "CompletionOutcome": "completion",
            "CompletionStatus": "completion",
            "InvokeConfig": "options",
            "ItemBatcherConfig": "batch_options",
            "MapConfig": "batch_options",
            "NestingType": "batch_options",
            "ParallelConfig": "batch_options",
            "StepConfig": "step_options",
            "StepSemantics": "step_options",
            "WaitForCallbackConfig": "options",
            "WaitForConditionConfig": "options",
            "WithRetryConfig": "options",
        },
    )

__all__ = [
    "BatchItemStatus",
    "CallbackConfig",
    "ChildConfig",
    "CompletionConfig",
    "CompletionDecision",
    "CompletionItem",
    "CompletionOutcome",
    "CompletionStatus",
    "InvokeConfig",
    "ItemBatcherConfig",
    "MapConfig",
    "NestingType",
    "ParallelConfig",
    "StepConfig",
    "StepSemantics",
    "WaitForCallbackConfig",
    "WaitForConditionConfig",
    "WithRetryConfig",
]

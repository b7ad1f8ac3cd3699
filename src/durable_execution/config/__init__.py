"""Configuration values, one class per operation. All options are keyword arguments with defaults.

Names load on first use, so a cold start only pays for what a function configures.
"""

from typing import TYPE_CHECKING

from durable_execution.lazy_names import lazy_names

if TYPE_CHECKING:
    from durable_execution.config.batch import MapConfig, NestingType, ParallelConfig
    from durable_execution.config.callback import CallbackConfig, WaitForCallbackConfig
    from durable_execution.config.child import ChildConfig, WithRetryConfig
    from durable_execution.config.completion import (
        BatchItemStatus,
        CompletionConfig,
        CompletionDecision,
        CompletionItem,
        CompletionOutcome,
        CompletionStatus,
    )
    from durable_execution.config.condition import WaitForConditionConfig
    from durable_execution.config.invoke import InvokeConfig
    from durable_execution.config.step import StepConfig, StepSemantics
else:
    __getattr__ = lazy_names(
        __name__,
        {
            "BatchItemStatus": "completion",
            "CallbackConfig": "callback",
            "ChildConfig": "child",
            "CompletionConfig": "completion",
            "CompletionDecision": "completion",
            "CompletionItem": "completion",
            "CompletionOutcome": "completion",
            "CompletionStatus": "completion",
            "InvokeConfig": "invoke",
            "MapConfig": "batch",
            "NestingType": "batch",
            "ParallelConfig": "batch",
            "StepConfig": "step",
            "StepSemantics": "step",
            "WaitForCallbackConfig": "callback",
            "WaitForConditionConfig": "condition",
            "WithRetryConfig": "child",
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
    "MapConfig",
    "NestingType",
    "ParallelConfig",
    "StepConfig",
    "StepSemantics",
    "WaitForCallbackConfig",
    "WaitForConditionConfig",
    "WithRetryConfig",
]

"""Test durable functions: on your computer without waiting, or deployed.

```python
from durable_execution.testing import LocalRunner


def test_order() -> None:
    with LocalRunner(process_order) as runner:
        result = runner.run({"order_id": "A-17", "amount": 9.5})
    assert result.result == {"status": "completed", "payment_id": "pay_A-17"}
    assert result.step("charge").attempt_count == 1
```

Names are loaded on first use, because pytest imports this package in every run.
"""

from typing import TYPE_CHECKING

from durable_execution.lazy_names import lazy_names

if TYPE_CHECKING:
    from durable_execution.testing.cloud_runner import CloudRunner
    from durable_execution.testing.faults import update_of
    from durable_execution.testing.local_runner import LocalExecution, LocalRunner
    from durable_execution.testing.operation_views import (
        BatchView,
        CallbackView,
        ConditionView,
        ContextView,
        InvokeView,
        OperationView,
        StepView,
        WaitView,
    )
    from durable_execution.testing.problems import OperationNotFoundError, RunnerError
    from durable_execution.testing.run_result import RunResult
    from durable_execution.testing.runner import Execution, Runner
else:
    __getattr__ = lazy_names(
        __name__,
        {
            "BatchView": "operation_views",
            "CallbackView": "operation_views",
            "CloudRunner": "cloud_runner",
            "ConditionView": "operation_views",
            "ContextView": "operation_views",
            "Execution": "runner",
            "InvokeView": "operation_views",
            "LocalExecution": "local_runner",
            "LocalRunner": "local_runner",
            "OperationNotFoundError": "problems",
            "OperationView": "operation_views",
            "RunResult": "run_result",
            "Runner": "runner",
            "RunnerError": "problems",
            "StepView": "operation_views",
            "WaitView": "operation_views",
            "update_of": "faults",
        },
    )

__all__ = [
    "BatchView",
    "CallbackView",
    "CloudRunner",
    "ConditionView",
    "ContextView",
    "Execution",
    "InvokeView",
    "LocalExecution",
    "LocalRunner",
    "OperationNotFoundError",
    "OperationView",
    "RunResult",
    "Runner",
    "RunnerError",
    "StepView",
    "WaitView",
    "update_of",
]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

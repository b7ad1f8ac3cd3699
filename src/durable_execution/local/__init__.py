"""A local durable execution service, for development and tests.

```python
from durable_execution import local

result = local.run(process_order, {"order_id": "7", "amount": 9.5})
```
"""

from typing import TYPE_CHECKING

from durable_execution.lazy_names import lazy_names

if TYPE_CHECKING:
    from durable_execution.local.async_engine import AsyncLocalEngine, run
    from durable_execution.local.clocks import RealClock, SkippingClock
    from durable_execution.local.engine import LocalEngine
    from durable_execution.local.hosts import Answer, Failure, FunctionHost, Invocation, Missing
    from durable_execution.local.id_source import CountingIds, RandomIds
    from durable_execution.local.results import ExecutionResult
    from durable_execution.local.rules.limits import EngineLimits
else:  # who reads the store's files, or prices, does not run executions
    __getattr__ = lazy_names(
        __name__,
        {
            **dict.fromkeys(("AsyncLocalEngine", "run"), "async_engine"),
            **dict.fromkeys(("RealClock", "SkippingClock"), "clocks"),
            "LocalEngine": "engine",
            **dict.fromkeys(("Answer", "Failure", "FunctionHost", "Invocation", "Missing"), "hosts"),
            **dict.fromkeys(("CountingIds", "RandomIds"), "id_source"),
            "ExecutionResult": "results",
            "EngineLimits": "rules.limits",
        },
    )

__all__ = [
    "Answer",
    "AsyncLocalEngine",
    "CountingIds",
    "EngineLimits",
    "ExecutionResult",
    "Failure",
    "FunctionHost",
    "Invocation",
    "LocalEngine",
    "Missing",
    "RandomIds",
    "RealClock",
    "SkippingClock",
    "run",
]

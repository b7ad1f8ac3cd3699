"""A local durable execution service, for development and tests.

```python
from durable_execution import local

result = local.run(process_order, {"order_id": "7", "amount": 9.5})
```
"""

from durable_execution.local.async_engine import AsyncLocalEngine, run
from durable_execution.local.clocks import RealClock, SkippingClock
from durable_execution.local.engine import LocalEngine
from durable_execution.local.hosts import Answer, Failure, FunctionHost, Invocation, Missing
from durable_execution.local.id_source import CountingIds, RandomIds
from durable_execution.local.results import ExecutionResult
from durable_execution.local.rules.limits import EngineLimits

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

"""Meters for workflow code: a measurement counts once, although the code runs again on every replay."""

import sys
from typing import Any

RUNTIME = "durable_execution.runtime.loop"
CREATE = frozenset({"create_counter", "create_up_down_counter", "create_histogram", "create_gauge"})
"""The methods of a meter whose instruments are called by the code that measures."""
MEASURE = frozenset({"add", "record", "set"})


def replay_safe_meter(name: str, version: str | None = None, **options: Any) -> Any:
    """Return a meter whose instruments ignore calls from code that replays.

    Use it in workflow code, where an ordinary instrument would count again in every invocation. In steps, and outside of
    executions, it behaves like the meter of the application's provider.

    ```python
    orders = replay_safe_meter("shop").create_counter("orders")


    @durable_execution
    async def process_order(order: dict, ctx: DurableContext) -> None:
        orders.add(1)  # once for each execution
        await ctx.step(charge(order))
    ```

    Args:
        name: Name of the instrumentation scope.
        version: Version of the instrumentation scope.
        options: Further arguments of `opentelemetry.metrics.get_meter`.
    """
    from opentelemetry import metrics

    return _ReplaySafe(metrics.get_meter(name, version or "", **options))


def is_replaying() -> bool:
    """Tell whether the code of a workflow runs here and repeats what earlier invocations did."""
    runtime = sys.modules.get(RUNTIME)  # not imported: where no execution ran, nothing replays
    owner = runtime.scope.get() if runtime is not None else None
    scope = getattr(owner, "here", None) or getattr(owner, "scope", None)
    return bool(getattr(scope, "is_replaying", False))


class _ReplaySafe:
    """A meter or an instrument that ignores measurements of code that replays."""

    def __init__(self, wrapped: Any) -> None:
        self._wrapped = wrapped

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._wrapped, name)
        if name in CREATE:
            return lambda *args, **options: _ReplaySafe(found(*args, **options))
        if name in MEASURE:
            return lambda *args, **options: None if is_replaying() else found(*args, **options)
        return found

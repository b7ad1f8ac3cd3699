"""Running one workflow, in one line."""

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from durable_execution.local.engine import DEFAULT_STORE, LocalEngine
from durable_execution.local.outcomes import ExecutionResult


def run(
    handler: Callable[..., Any],
    payload: Any = None,
    *,
    name: str | None = None,
    functions: Mapping[str, Any] | None = None,
    store: str | Path | None = DEFAULT_STORE,
    time: Literal["real", "skip"] = "real",
    timeout: timedelta | None = None,
) -> ExecutionResult:
    """Run a workflow on the local engine and wait for its end.

    Ctrl+C interrupts it; running it again with the same name and payload continues where it was.

    Args:
        handler: A handler made with `@durable_execution`. It is registered under the name of its function.
        payload: Anything that can be written as JSON.
        name: Execution name.
        functions: Other functions it invokes, by name.
        store: File to keep the execution in; None for memory.
        time: `real`, or `skip` to jump over waits and retry delays.
        timeout: How long the execution may run.

    Returns:
        How the execution ended.
    """
    function = function_name(handler)
    with LocalEngine(store, time=time) as engine:
        for other, target in (functions or {}).items():
            engine.register(other, target)
        engine.register(function, handler)
        return engine.run(function, payload, name=name, timeout=timeout)


def function_name(handler: Any) -> str:
    """The name a handler is registered under when nobody gives one: that of its Python function."""
    name = getattr(handler, "__name__", None) or type(handler).__name__
    return re.sub(r"[^a-zA-Z0-9_-]", "-", str(name))[:64]

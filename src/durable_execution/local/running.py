"""Run one workflow on the local engine with a single call."""

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from durable_execution.local.engine import DEFAULT_STORE, LocalEngine
from durable_execution.local.results import ExecutionResult


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
    """Run a workflow on the local engine and wait until it ends.

    Ctrl+C interrupts it. To continue where it stopped, run it again with the same name and payload.

    Args:
        handler: A handler decorated with `@durable_execution`. It is registered under the name of its function.
        payload: A value that can be serialized as JSON.
        name: Execution name.
        functions: Other functions that the workflow invokes, by name.
        store: File that keeps the execution; None for memory.
        time: `real`, or `skip` to jump over waits and retry delays.
        timeout: Maximum duration of the execution.

    Returns:
        The result of the execution.
    """
    function = function_name(handler)
    with LocalEngine(store, time=time) as engine:
        for other, target in (functions or {}).items():
            engine.register(other, target)
        engine.register(function, handler)
        return engine.run(function, payload, name=name, timeout=timeout)


def function_name(handler: Any) -> str:
    """The default name of a handler: the name of its Python function."""
    name = getattr(handler, "__name__", None) or type(handler).__name__
    return re.sub(r"[^a-zA-Z0-9_-]", "-", str(name))[:64]

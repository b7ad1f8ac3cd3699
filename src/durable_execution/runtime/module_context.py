"""The context that an invocation finds on Lambda: what modules set while they were imported.

Lambda imports a handler and invokes it in the same thread. A context variable that a module set, or the precision of
`decimal`, therefore holds in every invocation. The local engine and replays use threads of their own, which would start empty.
"""

import contextvars
import sys
from typing import Any

OWN = "durable_execution_"
"""How the names of this package's context variables begin: each invocation sets its own."""

SPAN = "current_context"
"""The name of OpenTelemetry's context variable: an invocation belongs to its header's trace, and not to the caller's."""


def context_of_modules() -> contextvars.Context:
    """Return a new context with the values that the calling thread has, without those of a call that is in progress."""
    made = contextvars.Context()
    for variable, value in contextvars.copy_context().items():
        if not variable.name.startswith(OWN) and variable.name != SPAN:
            made.run(variable.set, _own(value))
    return made


def _own(value: Any) -> Any:
    """Copy what `decimal` keeps: an invocation that changes its precision must not change its caller's."""
    decimal = sys.modules.get("decimal")
    return value.copy() if decimal is not None and isinstance(value, decimal.Context) else value

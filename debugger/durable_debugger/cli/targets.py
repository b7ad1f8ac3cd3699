"""The function names of handlers."""

import re
import sys
from typing import Any

from durable_execution.handler import DurableHandler


def handlers_beside(handler: DurableHandler[Any]) -> dict[str, DurableHandler[Any]]:
    """All handlers of a handler's module, by the function names they are registered under."""
    module = sys.modules.get(handler.function.__module__)
    values = vars(module).values() if module is not None else ()
    found = {function_name(value): value for value in values if isinstance(value, DurableHandler)}
    return {**found, function_name(handler): handler}


def function_name(handler: DurableHandler[Any]) -> str:
    """The Lambda function name for a handler: its own name without the characters that Lambda does not allow."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", handler.function.__qualname__).strip("-")[:64] or "handler"

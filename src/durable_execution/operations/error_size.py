"""Shorten errors to the size the service accepts. Loaded only when an error may be too large."""

from __future__ import annotations

import json

from durable_execution.protocol import ErrorObject
from durable_execution.protocol.limits import MAX_ERROR_BYTES

WORST_CHARACTER = 12
"""Most bytes one character takes in JSON: a character outside the basic plane is escaped as two surrogates."""


def may_be_large(error: ErrorObject) -> bool:
    """Whether the error may be too large, estimated from its number of characters."""
    characters = len(error.message or "") + len(error.type or "") + len(error.data or "")
    return (characters + sum(map(len, error.stack_trace or ()))) * WORST_CHARACTER > MAX_ERROR_BYTES // 2


def fitted(error: ErrorObject) -> ErrorObject:
    """Shorten an error until it fits: remove outer frames first, then the data, then the end of the message."""
    message, data, trace = error.message, error.data, error.stack_trace
    while _size(found := ErrorObject(message, error.type, data, trace)) > MAX_ERROR_BYTES:
        if trace:
            trace = trace[(len(trace) + 1) // 2 :] or None
        elif data is not None:
            data = None
        elif message:
            message = message[: len(message) // 2].rstrip("…") + "…"
        else:
            break  # only the type name is left
    return found


def _size(error: ErrorObject) -> int:
    return len(json.dumps(error.to_wire()))

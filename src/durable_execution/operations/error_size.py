"""Errors that fit into what the service takes. Loaded when one might not."""

from __future__ import annotations

import json

from durable_execution.protocol import ErrorObject
from durable_execution.protocol.limits import MAX_ERROR_BYTES

WORST_CHARACTER = 12
"""Bytes of a character in JSON at most: one outside the basic plane is escaped as two surrogates."""


def may_be_large(error: ErrorObject) -> bool:
    """Whether the error could be too large, judged by the number of its characters."""
    characters = len(error.message or "") + len(error.type or "") + len(error.data or "")
    return (characters + sum(map(len, error.stack_trace or ()))) * WORST_CHARACTER > MAX_ERROR_BYTES // 2


def fitted(error: ErrorObject) -> ErrorObject:
    """The error without what makes it too large: outer frames first, then the details, then the end of the message."""
    message, data, trace = error.message, error.data, error.stack_trace
    while _size(found := ErrorObject(message, error.type, data, trace)) > MAX_ERROR_BYTES:
        if trace:
            trace = trace[(len(trace) + 1) // 2 :] or None
        elif data is not None:
            data = None
        elif message:
            message = message[: len(message) // 2].rstrip("…") + "…"
        else:
            break  # only the name of the type is left
    return found


def _size(error: ErrorObject) -> int:
    return len(json.dumps(error.to_wire()))

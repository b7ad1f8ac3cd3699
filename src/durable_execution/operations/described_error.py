"""Format tracebacks for storage: user frames only where possible, and bounded in length.

Shorten errors to the size the service accepts. Loaded only when an error may be too large.
"""

from __future__ import annotations

import json
import traceback

from durable_execution.protocol import ErrorObject
from durable_execution.protocol.enums import MAX_ERROR_BYTES

MAX_FRAMES = 20
MAX_LINE_LENGTH = 400
SDK_PACKAGE = "/durable_execution/"


def stack_trace_of(error: BaseException) -> tuple[str, ...] | None:
    """Return the frames of an exception, innermost last, without the SDK's own; None if it was never raised."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not _is_sdk(frame.filename)] or list(frames)
    lines = [_line(frame) for frame in own[-MAX_FRAMES:]]
    return tuple(lines) or None


def _is_sdk(filename: str) -> bool:
    return SDK_PACKAGE in filename.replace("\\", "/") and "/tests/" not in filename


def _line(frame: traceback.FrameSummary) -> str:
    source = f": {frame.line}" if frame.line else ""
    return f"{frame.filename}:{frame.lineno} in {frame.name}{source}"[:MAX_LINE_LENGTH]


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

"""Format tracebacks for storage: user frames only where possible, and bounded in length."""

from __future__ import annotations

import traceback

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

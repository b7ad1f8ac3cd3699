"""Trace and span ids, derived so that every invocation, process and machine comes to the same ones.

The trace, workflow, root and operation ids are those of AWS's own plugin for Python, so that mixed fleets agree.
Everything below them is derived from the id of the invocation it happened in, which the history records as well: a
trace rebuilt from a history then overwrites the one that was sent live instead of doubling it.
"""

from datetime import datetime, timedelta
from hashlib import blake2b

ROLL_OVER_AFTER = timedelta(days=27)
"""AWS X-Ray refuses trace ids older than 30 days and the collector's exporter drops them at 28."""


def trace_id_of(arn: str, started_at: datetime) -> int:
    """The trace of an execution that nobody handed a trace to: its start as X-Ray wants it, then a hash of its ARN."""
    return int(f"{int(started_at.timestamp()) & 0xFFFFFFFF:08x}{_hash(arn).hex()[:24]}", 16)


def rolled_over(trace_id: int, at: datetime) -> tuple[int, int]:
    """The trace that spans of this moment belong to, when a backend refuses old traces.

    Args:
        trace_id: The execution's first trace; its first 8 hexadecimal digits must be the time it began.
        at: When the invocation began.

    Returns:
        The trace to write to, and how many came before it. Its time is the first one's plus a whole number of
        periods, so all invocations of one period agree on it.
    """
    born = trace_id >> 96
    period = int(ROLL_OVER_AFTER.total_seconds())
    generation = max(0, int(at.timestamp()) - born) // period
    return (trace_id & ((1 << 96) - 1)) | ((born + generation * period) << 96), generation


def root_span_id(arn: str) -> int:
    """The synthetic root of an execution without a remote parent."""
    return _span_id(f"execution-root:{arn}")


def workflow_span_id(arn: str) -> int:
    """The span of the whole execution."""
    return _span_id(f"workflow:{arn}")


def operation_span_id(arn: str, operation_id: str) -> int:
    """The span of an operation; in the invocation view, its first segment."""
    return _span_id(f"{arn}:{operation_id}")


def invocation_span_id(arn: str, invocation: str) -> int:
    """The span of one invocation. `invocation` is its request id."""
    return _span_id(f"invocation:{arn}:{invocation}")


def segment_span_id(arn: str, operation_id: str, invocation: str) -> int:
    """A later segment of an operation, in the invocation view."""
    return _span_id(f"segment:{arn}:{operation_id}:{invocation}")


def attempt_span_id(arn: str, operation_id: str, attempt: int, invocation: str) -> int:
    """One attempt of a step or condition."""
    return _span_id(f"attempt:{arn}:{operation_id}:{attempt}:{invocation}")


def waiting_span_id(arn: str, operation_id: str, kind: str, occasion: str) -> int:
    """The wait of an operation, or the latency of the invocation that resumed it.

    `occasion` tells several of them apart: the moment it was due, in milliseconds, or the attempt that was.
    """
    return _span_id(f"{kind}:{arn}:{operation_id}:{occasion}")


def hex_trace(trace_id: int) -> str:
    """32 hexadecimal digits."""
    return f"{trace_id:032x}"


def hex_span(span_id: int) -> str:
    """16 hexadecimal digits."""
    return f"{span_id:016x}"


def _span_id(source: str) -> int:
    """Zero means "no span" in OpenTelemetry."""
    return int.from_bytes(_hash(source)[:8]) or 1


def _hash(source: str) -> bytes:
    return blake2b(source.encode("utf-8", "surrogatepass")).digest()

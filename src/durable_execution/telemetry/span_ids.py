"""Trace and span ids, derived so that every invocation, process and machine computes the same ones.

The trace, workflow, root and operation ids are those of AWS's own plugin for Python, so that mixed fleets agree.
All other ids are derived from the id of their invocation, which the history also records: a trace rebuilt from a
history has the same ids as the live trace.
"""

from datetime import datetime, timedelta
from hashlib import blake2b

ROLL_OVER_AFTER = timedelta(days=27)
"""AWS X-Ray refuses trace ids older than 30 days and the collector's exporter drops them at 28."""


def trace_id_of(arn: str, started_at: datetime) -> int:
    """Derive the trace id of an execution without an incoming trace: its start in X-Ray's form, then a hash of its ARN."""
    return int(f"{int(started_at.timestamp()) & 0xFFFFFFFF:08x}{_hash(arn).hex()[:24]}", 16)


def rolled_over(trace_id: int, at: datetime) -> tuple[int, int]:
    """Derive the trace for spans of a given time, since backends refuse old traces.

    Args:
        trace_id: The execution's first trace; its first 8 hexadecimal digits must be its start time.
        at: When the invocation started.

    Returns:
        The trace to write to, and the number of earlier ones. Its time is the first one's plus a whole number of
        periods, so all invocations of one period agree on it.
    """
    born = trace_id >> 96
    period = int(ROLL_OVER_AFTER.total_seconds())
    generation = max(0, int(at.timestamp()) - born) // period
    return (trace_id & ((1 << 96) - 1)) | ((born + generation * period) << 96), generation


def root_span_id(arn: str, generation: int = 0) -> int:
    """Derive the id of the synthetic root of an execution without a remote parent.

    The root of a later trace has an id of its own: some backends expect span ids to be unique across traces.

    Args:
        arn: The execution.
        generation: The number of earlier traces of the execution.
    """
    return _span_id(f"execution-root:{arn}:{generation}" if generation else f"execution-root:{arn}")


def workflow_span_id(arn: str, generation: int = 0) -> int:
    """Derive the id of the span of the whole execution; each trace of a long execution has one.

    Args:
        arn: The execution.
        generation: The number of earlier traces of the execution.
    """
    return _span_id(f"workflow:{arn}:{generation}" if generation else f"workflow:{arn}")


def operation_span_id(arn: str, operation_id: str, generation: int = 0) -> int:
    """Derive the span id of an operation; in the invocation view, of its first segment.

    Args:
        arn: The execution.
        operation_id: The operation.
        generation: In a later trace than the one the operation started in, the number of earlier traces.
    """
    return _span_id(f"{arn}:{operation_id}:{generation}" if generation else f"{arn}:{operation_id}")


def invocation_span_id(arn: str, invocation: str) -> int:
    """Derive the span id of one invocation. `invocation` is its request id."""
    return _span_id(f"invocation:{arn}:{invocation}")


def segment_span_id(arn: str, operation_id: str, invocation: str) -> int:
    """Derive the span id of a later segment of an operation, in the invocation view."""
    return _span_id(f"segment:{arn}:{operation_id}:{invocation}")


def attempt_span_id(arn: str, operation_id: str, attempt: int, invocation: str) -> int:
    """Derive the span id of one attempt of a step or condition."""
    return _span_id(f"attempt:{arn}:{operation_id}:{attempt}:{invocation}")


def waiting_span_id(arn: str, operation_id: str, kind: str, occasion: str) -> int:
    """Derive the span id of an operation's wait, or of the latency of the invocation that resumed it.

    `occasion` distinguishes several of them: the due time in milliseconds, or the due attempt.
    """
    return _span_id(f"{kind}:{arn}:{operation_id}:{occasion}")


def hex_trace(trace_id: int) -> str:
    """Format as 32 hexadecimal digits."""
    return f"{trace_id:032x}"


def hex_span(span_id: int) -> str:
    """Format as 16 hexadecimal digits."""
    return f"{span_id:016x}"


def _span_id(source: str) -> int:
    """Avoid zero, which means "no span" in OpenTelemetry."""
    return int.from_bytes(_hash(source)[:8]) or 1


def _hash(source: str) -> bytes:
    return blake2b(source.encode("utf-8", "surrogatepass")).digest()

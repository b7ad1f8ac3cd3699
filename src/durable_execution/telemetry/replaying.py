"""Summarizes the operations that an invocation replayed: one event instead of a span each."""

from datetime import datetime

from durable_execution.protocol import Operation
from durable_execution.telemetry import vocabulary as names
from durable_execution.telemetry.spans import SpanEvent, to_ns


class ReplayTally:
    """Counts operations answered from the record.

    Attributes:
        operations: Their number.
        size_bytes: Characters in their serialized results.
        ended_at: When the last of them was answered; before that, the invocation's start.
    """

    __slots__ = ("_began_at", "ended_at", "operations", "size_bytes")

    def __init__(self, began_at: datetime) -> None:
        self._began_at = began_at
        self.operations = 0
        self.size_bytes = 0
        self.ended_at = began_at

    def count(self, recorded: Operation, at: datetime) -> None:
        """Count one more."""
        self.operations += 1
        self.size_bytes += len(recorded.result or "")
        self.ended_at = max(self.ended_at, at)

    @property
    def duration_seconds(self) -> float:
        """Seconds from the start of the invocation to the last answer."""
        return (self.ended_at - self._began_at).total_seconds()

    def events(self, latest_ns: int) -> list[SpanEvent]:
        """Return the event; None when nothing was replayed."""
        if not self.operations:
            return []
        known = {
            names.REPLAYED_COUNT: self.operations,
            names.REPLAYED_BYTES: self.size_bytes,
            names.REPLAYED_MILLISECONDS: self.duration_seconds * 1_000,
        }
        return [SpanEvent(names.REPLAY_COMPLETED.title, min(to_ns(self.ended_at), latest_ns), known)]

"""Counts spans that an exporter could not deliver: the SDK's batch processor drops them silently."""

from collections.abc import Sequence
from threading import Lock

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult


class LostSpans:
    """A counter that resets when read."""

    def __init__(self) -> None:
        self._count = 0
        self._lock = Lock()

    def add(self, count: int) -> None:
        """Add to the count."""
        with self._lock:
            self._count += count

    def take(self) -> int:
        """Return the count since the last read."""
        with self._lock:
            count, self._count = self._count, 0
        return count


lost_spans = LostSpans()
"""The counter of this process."""


class CountingExporter(SpanExporter):
    """Wraps an exporter and counts its failures."""

    def __init__(self, exporter: SpanExporter, lost: LostSpans = lost_spans) -> None:
        self._exporter = exporter
        self._lost = lost

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export, and count the spans that are not accepted."""
        try:
            result = self._exporter.export(spans)
        except Exception:
            self._lost.add(len(spans))
            raise
        if result is not SpanExportResult.SUCCESS:
            self._lost.add(len(spans))
        return result

    def shutdown(self) -> None:
        """Pass on to the wrapped exporter."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Pass on to the wrapped exporter."""
        return self._exporter.force_flush(timeout_millis)

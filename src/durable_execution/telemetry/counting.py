"""Counts spans that an exporter could not deliver: the SDK's batch processor drops them without a word."""

from collections.abc import Sequence
from threading import Lock

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult


class LostSpans:
    """A count that is taken away when it is read."""

    def __init__(self) -> None:
        self._count = 0
        self._lock = Lock()

    def add(self, count: int) -> None:
        """So many more."""
        with self._lock:
            self._count += count

    def take(self) -> int:
        """How many since the last time."""
        with self._lock:
            count, self._count = self._count, 0
        return count


lost_spans = LostSpans()
"""Of this process."""


class CountingExporter(SpanExporter):
    """An exporter whose failures are counted."""

    def __init__(self, exporter: SpanExporter, lost: LostSpans = lost_spans) -> None:
        self._exporter = exporter
        self._lost = lost

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export, and count what does not arrive."""
        try:
            result = self._exporter.export(spans)
        except Exception:
            self._lost.add(len(spans))
            raise
        if result is not SpanExportResult.SUCCESS:
            self._lost.add(len(spans))
        return result

    def shutdown(self) -> None:
        """Hand on."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Hand on."""
        return self._exporter.force_flush(timeout_millis)

"""Flushes an invocation's telemetry before the environment freezes, without delaying the answer beyond a budget.

The SDK's `force_flush` ignores its timeout while an exporter hangs, so it runs in a thread, and the wait is bounded.

Counts spans that an exporter could not deliver: the SDK's batch processor drops them silently.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from durable_execution.clock import SystemClock

logger = logging.getLogger("durable_execution")
monotonic = SystemClock().monotonic
MARGIN_SECONDS = 0.5
"""Reserved from the function's remaining time for the answer itself."""
SHORTEST_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Flushed:
    """How a flush went.

    Attributes:
        seconds: How long the invocation waited.
        is_complete: Whether everything reached the exporters in that time.
    """

    seconds: float
    is_complete: bool


class Flusher:
    """Flushes the providers of one environment."""

    def __init__(self) -> None:
        self._pending: threading.Thread | None = None
        self._patience = 1.0
        self._has_warned = False

    def flush(self, flushes: Sequence[Callable[[int], Any]], budget_seconds: float) -> Flushed:
        """Call every flush function within the budget.

        Args:
            flushes: `force_flush` of each provider, which takes milliseconds.
            budget_seconds: Longest wait. It is halved after each flush that does not finish.
        """
        began = monotonic()
        deadline = began + max(0.0, budget_seconds * self._patience)
        if self._pending is not None and self._pending.is_alive():
            self._pending.join(max(0.0, deadline - monotonic()))
        if self._pending is None or not self._pending.is_alive():
            self._pending = _start(flushes, deadline)
            self._pending.join(max(0.0, deadline - monotonic()))
        is_complete = not self._pending.is_alive()
        if is_complete:
            self._pending, self._patience, self._has_warned = None, 1.0, False
        else:
            self._patience = max(self._patience / 2, SHORTEST_SECONDS)
            self._warn(monotonic() - began)
        return Flushed(monotonic() - began, is_complete)

    def _warn(self, seconds: float) -> None:
        if not self._has_warned:
            self._has_warned = True
            logger.warning(
                "telemetry was not delivered within %.1f s: the invocation answers without waiting, and spans may be "
                "missing. Check that the collector answers at OTEL_EXPORTER_OTLP_ENDPOINT; "
                "DURABLE_TELEMETRY_FLUSH_SECONDS sets how long an invocation waits",
                seconds,
            )


def budget_of(lambda_context: Any, longest_seconds: float) -> float:
    """Return how long an invocation may wait for its telemetry."""
    remaining = getattr(lambda_context, "get_remaining_time_in_millis", None)
    if not callable(remaining):
        return longest_seconds
    try:
        milliseconds: Any = remaining()
        seconds = float(milliseconds) / 1_000
    except (TypeError, ValueError):
        return longest_seconds
    return max(0.0, min(longest_seconds, seconds - MARGIN_SECONDS))


def _start(flushes: Sequence[Callable[[int], Any]], deadline: float) -> threading.Thread:
    thread = threading.Thread(target=_run, args=(tuple(flushes), deadline), name="durable-flush", daemon=True)
    thread.start()
    return thread


def _run(flushes: Sequence[Callable[[int], Any]], deadline: float) -> None:
    for flush in flushes:
        try:
            flush(max(1, int((deadline - monotonic()) * 1_000)))
        except Exception:
            logger.exception("telemetry could not be delivered: the execution is not affected. Check the exporter")


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

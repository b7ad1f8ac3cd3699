"""What became of exported spans: an exporter's answer decides what counts as delivered, and failed spans are sent again.

The SDK's batch processor drops the spans of a failed export silently. The exporter of a provider that `configure()` creates
keeps them. Exporters of other providers are not changed; their log records tell that an export failed.
"""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any
from weakref import WeakSet

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

logger = logging.getLogger("durable_execution")

KEPT_SPANS = 16_384
"""Spans of failed exports that are kept; beyond that, the oldest are lost."""
MOST_TRIES = 3
"""A batch is lost after this many failures if the collector accepts other batches."""
EXPORT_LOGGERS = (
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.exporter.otlp.proto.grpc.exporter",
    "opentelemetry.sdk._shared_internal",
    "opentelemetry.sdk.trace.export",
)


class ExportOutcomes:
    """Counts failed exports and lost spans of this process."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._failures = 0
        self._lost = 0

    @property
    def failures(self) -> int:
        """The number of failed exports so far."""
        return self._failures

    def fail(self) -> None:
        """Count a failed export."""
        with self._lock:
            self._failures += 1

    def lose(self, count: int) -> None:
        """Count lost spans."""
        with self._lock:
            self._lost += count

    def take_lost(self) -> int:
        """Return the number of spans lost since the last call."""
        with self._lock:
            count, self._lost = self._lost, 0
        return count


outcomes = ExportOutcomes()
"""The outcomes of this process."""


retaining: "WeakSet[TracerProvider]" = WeakSet()
"""Providers whose exporter keeps the spans of failed exports."""


@dataclass(slots=True)
class _Kept:
    spans: list[ReadableSpan]
    tries: int = 1


class RetainingExporter(SpanExporter):
    """Keeps the spans of failed exports, and sends them again with the next successful one.

    Args:
        exporter: Sends the spans.
        counted: Counts failures and lost spans.
        on_lost: Called with spans that are given up.
    """

    def __init__(
        self,
        exporter: SpanExporter,
        counted: ExportOutcomes = outcomes,
        on_lost: Callable[[Sequence[ReadableSpan]], None] | None = None,
    ) -> None:
        self._exporter = exporter
        self._counted = counted
        self._on_lost = on_lost
        self._kept: deque[_Kept] = deque()
        self._lock = Lock()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export, and after a success send kept spans as well."""
        try:
            result = self._exporter.export(spans)
        except Exception:
            self._keep(spans)
            raise
        if result is SpanExportResult.SUCCESS:
            self._send_kept()
        else:
            self._keep(spans)
        return result

    def shutdown(self) -> None:
        """Send what is kept once more, and shut the exporter down."""
        self._send_kept()
        self._exporter.shutdown()
        with self._lock:
            kept, self._kept = self._kept, deque()
        for batch in kept:
            self._give_up(batch.spans)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Pass on to the wrapped exporter."""
        return self._exporter.force_flush(timeout_millis)

    def _keep(self, spans: Sequence[ReadableSpan]) -> None:
        self._counted.fail()
        with self._lock:
            self._kept.append(_Kept(list(spans)))
        self._make_room()

    def _send_kept(self) -> None:
        while True:
            with self._lock:
                kept = self._kept.popleft() if self._kept else None
            if kept is None:
                return
            if self._is_accepted(kept.spans):
                continue
            self._counted.fail()
            kept.tries += 1
            if kept.tries >= MOST_TRIES:
                self._give_up(kept.spans)
            else:
                with self._lock:
                    self._kept.appendleft(kept)
            return

    def _is_accepted(self, spans: Sequence[ReadableSpan]) -> bool:
        try:
            return self._exporter.export(spans) is SpanExportResult.SUCCESS
        except Exception:  # noqa: BLE001  # the exporter accepted other spans: this batch is tried again later
            return False

    def _make_room(self) -> None:
        while True:
            with self._lock:
                is_full = sum(len(kept.spans) for kept in self._kept) > KEPT_SPANS
                oldest = self._kept.popleft() if is_full else None
            if oldest is None:
                return
            self._give_up(oldest.spans)

    def _give_up(self, spans: Sequence[ReadableSpan]) -> None:
        self._counted.lose(len(spans))
        if self._on_lost is not None:
            self._on_lost(spans)


class RejectionNotice:
    """Notices the spans that a collector reports as rejected although it accepts the request.

    OTLP forbids sending them again, so they are lost. Pass the object to a requests session as a response hook.

    Args:
        counted: Counts them.
        on_rejected: Called with the collector's reason; which spans are meant is not known.
    """

    def __init__(self, counted: ExportOutcomes, on_rejected: Callable[[str], None]) -> None:
        self._counted = counted
        self._on_rejected = on_rejected
        self._has_warned = False

    def __call__(self, response: Any, *_: Any, **__: Any) -> None:
        """Read a response."""
        if not response.ok or not response.content:
            return
        from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

        try:
            answer = ExportTraceServiceResponse.FromString(response.content).partial_success
        except DecodeError:  # not the answer of a collector
            return
        if not answer.rejected_spans:
            return
        self._counted.lose(answer.rejected_spans)
        reason = answer.error_message or "it gives no reason"
        self._on_rejected(reason)
        if not self._has_warned:
            self._has_warned = True
            logger.warning(
                "the collector rejected %d spans, which are lost: %s. Check its limits; `durable-debug export --to otlp` sends "
                "the spans of an execution again",
                answer.rejected_spans,
                reason,
            )


class _FailureFilter(logging.Filter):
    """Lets every record pass, and counts those that report a failed export."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno >= logging.ERROR:
            outcomes.fail()
        return True


_filter = _FailureFilter()


def watch_exporters() -> None:
    """Notice the failed exports of providers that the application set up. Changes neither the exporters nor their logs."""
    for name in EXPORT_LOGGERS:
        logger = logging.getLogger(name)
        if _filter not in logger.filters:
            logger.addFilter(_filter)

"""What became of exported spans: an exporter's answer decides what counts as delivered, and failed spans are sent again.

The SDK's batch processor drops the spans of a failed export silently. The exporter of a provider that `configure()` creates
keeps them. Exporters of other providers, and those of metrics and log records, are not changed; their log records tell that
an export failed.

When a collector accepts a request but rejects spans in it, OTLP forbids repeating the request, and does not say which spans
are lost. The parents among its spans are kept, because without them the other spans have no place in their trace: they are
sent in a request of their own once the collector accepts a whole request.
"""

import logging
import re
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, NamedTuple
from weakref import WeakSet

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import SpanContext

from durable_execution import counts

logger = logging.getLogger("durable_execution")

KEPT_SPANS = 16_384
"""Spans of failed exports that are kept; beyond that, the oldest are lost."""
MOST_TRIES = 3
"""A batch is lost after this many failures if the collector accepts other batches."""
KNOWN_PARENTS = 16_384
"""Ids of parents that are remembered: children usually come before them, and can be in an earlier batch."""
EXPORT_LOGGERS = (
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.exporter.otlp.proto.http.metric_exporter",
    "opentelemetry.exporter.otlp.proto.http._log_exporter",
    "opentelemetry.exporter.otlp.proto.grpc.exporter",
    "opentelemetry.sdk._shared_internal",
    "opentelemetry.sdk.trace.export",
    "opentelemetry.sdk.metrics._internal.export",
    "opentelemetry.sdk._logs._internal.export",
)
OTHER_SIGNALS = re.compile(r"metric_exporter|log_exporter|\b(?:metrics|logs?)\b", re.IGNORECASE)
"""What the records of these loggers say if an export of something other than spans failed."""


class ExportOutcomes:
    """Counts failed exports and lost spans of this process."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._failures = 0
        self._other_failures = 0
        self._lost = 0
        self._rejected = 0

    @property
    def failures(self) -> int:
        """The number of failed exports of spans so far."""
        return self._failures

    @property
    def other_failures(self) -> int:
        """The number of failed exports of metrics and log records so far."""
        return self._other_failures

    @property
    def rejected(self) -> int:
        """The number of spans rejected in accepted requests so far."""
        return self._rejected

    def fail(self) -> None:
        """Count a failed export of spans."""
        with self._lock:
            self._failures += 1

    def fail_other(self) -> None:
        """Count a failed export of metrics or log records."""
        with self._lock:
            self._other_failures += 1

    def lose(self, count: int) -> None:
        """Count lost spans."""
        with self._lock:
            self._lost += count

    def reject(self, count: int) -> None:
        """Count rejected spans, which are lost."""
        with self._lock:
            self._rejected += count
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
    """Spans to send again.

    Attributes:
        spans: The spans.
        tries: How often they were sent.
        is_counted: Whether they are among the rejected spans, which count as lost already.
    """

    spans: list[ReadableSpan]
    tries: int = 1
    is_counted: bool = False


class _Answer(NamedTuple):
    result: SpanExportResult
    is_whole: bool


SpanKey = tuple[int, int]


def _key(context: SpanContext | None) -> SpanKey:
    return (context.trace_id, context.span_id) if context is not None else (0, 0)


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
        self._parents: dict[SpanKey, None] = {}
        self._lock = Lock()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export, and after a success send kept spans as well."""
        self._note(spans)
        try:
            result, is_whole = self._send(spans)
        except Exception:
            self._fail(spans)
            raise
        if result is not SpanExportResult.SUCCESS:
            self._fail(spans)
        elif is_whole:
            self._send_kept()
        else:
            self._keep_parents(spans)
        return result

    def shutdown(self) -> None:
        """Send what is kept once more, and shut the exporter down."""
        self._send_kept()
        self._exporter.shutdown()
        with self._lock:
            kept, self._kept = self._kept, deque()
        for batch in kept:
            self._give_up(batch)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Pass on to the wrapped exporter."""
        return self._exporter.force_flush(timeout_millis)

    def _note(self, spans: Sequence[ReadableSpan]) -> None:
        """Remember the parents, and drop kept spans that come again in a later state: many backends show the last one."""
        with self._lock:
            self._parents.update((_key(span.parent), None) for span in spans if span.parent is not None)
            for key in tuple(self._parents)[: len(self._parents) - KNOWN_PARENTS]:
                del self._parents[key]
            if self._kept:
                newer = {_key(span.context) for span in spans}
                for kept in self._kept:
                    kept.spans = [span for span in kept.spans if _key(span.context) not in newer]

    def _send(self, spans: Sequence[ReadableSpan]) -> _Answer:
        rejected = self._counted.rejected
        result = self._exporter.export(spans)
        return _Answer(result, self._counted.rejected == rejected)

    def _fail(self, spans: Sequence[ReadableSpan]) -> None:
        self._counted.fail()
        self._keep(_Kept(list(spans)))

    def _keep_parents(self, spans: Sequence[ReadableSpan]) -> None:
        with self._lock:
            parents = [span for span in spans if span.parent is None or _key(span.context) in self._parents]
        if parents:
            self._keep(_Kept(parents, is_counted=True))

    def _keep(self, kept: _Kept) -> None:
        with self._lock:
            self._kept.append(kept)
        while True:
            with self._lock:
                is_full = sum(len(each.spans) for each in self._kept) > KEPT_SPANS
                oldest = self._kept.popleft() if is_full else None
            if oldest is None:
                return
            self._give_up(oldest)

    def _send_kept(self) -> None:
        while True:
            with self._lock:
                kept = self._kept.popleft() if self._kept else None
            if kept is None:
                return
            if kept.spans and not self._is_delivered(kept):
                return

    def _is_delivered(self, kept: _Kept) -> bool:
        """Send kept spans, and keep what did not arrive."""
        before = self._counted.rejected
        try:
            result, is_whole = self._send(kept.spans)
        except Exception:  # noqa: BLE001  # the exporter accepted other spans: these are tried again later
            result, is_whole = SpanExportResult.FAILURE, False
        if result is not SpanExportResult.SUCCESS:
            self._counted.fail()
        elif is_whole:
            return True
        elif not kept.is_counted:
            self._keep_parents(kept.spans)
            return False
        else:
            self._counted.lose(before - self._counted.rejected)  # they were lost before this try
        kept.tries += 1
        if kept.tries >= MOST_TRIES:
            self._give_up(kept)
        else:
            with self._lock:
                self._kept.appendleft(kept)
        return False

    def _give_up(self, kept: _Kept) -> None:
        if not kept.is_counted:
            self._counted.lose(len(kept.spans))
        if self._on_lost is not None:
            self._on_lost(kept.spans)


class RejectionNotice:
    """Notices the spans that a collector reports as rejected although it accepts the request.

    Pass the object to a requests session as a response hook.

    Args:
        counted: Counts them.
        on_rejected: Called with the collector's reason; without it, the first rejection is logged.
    """

    def __init__(self, counted: ExportOutcomes, on_rejected: Callable[[str], None] | None = None) -> None:
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
        self._counted.reject(answer.rejected_spans)
        reason = answer.error_message or "it gives no reason"
        if self._on_rejected is not None:
            self._on_rejected(reason)
            return
        if not self._has_warned:
            self._has_warned = True
            logger.warning(
                "the collector rejected %s: %s. Rejected spans are lost, except parents of other spans, which are sent again. "
                "Check the collector's limits; `durable-debug export --to otlp` sends all spans of an execution again. Later "
                "rejections are counted in the metric replay.dropped_spans, but not logged",
                counts.counted(answer.rejected_spans, "span"),
                reason,
            )


class _FailureFilter(logging.Filter):
    """Lets every record pass, and counts those that report a failed export."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.ERROR:
            return True
        if OTHER_SIGNALS.search(f"{record.name} {record.getMessage()}"):
            outcomes.fail_other()
        else:
            outcomes.fail()
        return True


_filter = _FailureFilter()


def watch_exporters() -> None:
    """Notice failed exports by what exporters log. Changes neither the exporters nor their logs.

    The filter comes first: the SDK has one that hides a record that repeats.
    """
    for name in EXPORT_LOGGERS:
        logger = logging.getLogger(name)
        if _filter not in logger.filters:
            logger.filters.insert(0, _filter)

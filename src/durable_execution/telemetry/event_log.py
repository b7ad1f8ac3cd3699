"""Sends events of spans as log records, for applications that opted in: OpenTelemetry deprecates span events.

The opt-in is the variable of OpenTelemetry's conventions. Without a logger provider, events stay on their spans.
"""

from collections.abc import Sequence
from typing import Any

from opentelemetry._logs import SeverityNumber
from opentelemetry.context import Context
from opentelemetry.sdk import _logs as sdk_logs
from opentelemetry.trace import NonRecordingSpan, SpanContext, set_span_in_context

from durable_execution.divergence import Severity
from durable_execution.telemetry import vocabulary as names
from durable_execution.telemetry.spans import SpanEvent

LOGGED = frozenset({names.EXCEPTION.title, names.NONDETERMINISM.title})
"""The events that are sent as log records; the others stay on their spans."""

EVENT_NAME = "event.name"
"""The attribute for the name of an event, in versions of the SDK whose records have no such field."""


class EventLog:
    """Sends events to the application's logger provider.

    Args:
        logger: The provider's logger.
        keeps: Whether the events stay on their spans as well.
    """

    def __init__(self, logger: Any, *, keeps: bool) -> None:
        self._logger = logger
        self._keeps = keeps

    def take(self, events: Sequence[SpanEvent], context: SpanContext) -> Sequence[SpanEvent]:
        """Send the events of a span that ends.

        Args:
            events: The events.
            context: The span.

        Returns:
            The events that stay on the span.
        """
        for event in events:
            if event.name in LOGGED:
                self._emit(event, context)
        return events if self._keeps else [event for event in events if event.name not in LOGGED]

    def _emit(self, event: SpanEvent, context: SpanContext) -> None:
        is_warning = event.attributes.get(names.DIVERGENCE_SEVERITY, Severity.ERROR.value) != Severity.ERROR.value
        severity = SeverityNumber.WARN if is_warning else SeverityNumber.ERROR
        known: dict[str, Any] = {
            "timestamp": event.at_ns,
            "observed_timestamp": event.at_ns,
            "severity_number": severity,
            "severity_text": severity.name,
            "body": event.attributes.get(names.EXCEPTION_MESSAGE) or event.attributes.get(names.PATH),
        }
        older: Any = getattr(sdk_logs, "LogRecord", None)
        if older is None:
            around = set_span_in_context(NonRecordingSpan(context), Context())
            self._logger.emit(**known, attributes=event.attributes, context=around, event_name=event.name)
            return
        record = older(
            **known,
            attributes={**event.attributes, EVENT_NAME: event.name},
            trace_id=context.trace_id,
            span_id=context.span_id,
            trace_flags=context.trace_flags,
            resource=self._logger.resource,
        )
        self._logger.emit(record)

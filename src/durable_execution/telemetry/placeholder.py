"""Stands in for a span that is sent later: the parent of spans inside it, and the current span that user code sees."""

from collections.abc import Iterator, Mapping
from traceback import format_exception
from typing import Any

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.trace import Span, SpanContext, SpanKind, Status, StatusCode

from durable_execution.clock import SystemClock
from durable_execution.errors import type_name
from durable_execution.telemetry import vocabulary as names
from durable_execution.telemetry.bounded import bounded, bounded_trace
from durable_execution.telemetry.open_span import OpenSpan
from durable_execution.telemetry.spans import to_ns

MAX_KEPT = 128
"""How much user code can add to a held span: OpenTelemetry's default limits."""

NO_STATUS = Status(StatusCode.UNSET)


class PlaceholderSpan(Span):
    """Has the context of the span it represents, and keeps additions until that span is sent.

    Some processors read a parent's `kind`, `attributes`, `name` and `status`, which only spans of the OpenTelemetry SDK
    have; so this class has them too.

    Attributes:
        has_additions: Whether anything was added.
        added_attributes: Attributes that were added.
        added_links: Links that were added.
    """

    kind = SpanKind.INTERNAL
    status = NO_STATUS
    parent = None

    def __init__(self, context: SpanContext, span: OpenSpan | None = None) -> None:
        """Represent a span; a span of a different process when `span` is None."""
        self._context = context
        self._span = span
        self.has_additions = False

    def __getattr__(self, name: str) -> Any:
        """Create the containers for additions on first use: most spans get none."""
        if name not in ("added_attributes", "added_events", "added_links"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        self.added_attributes: dict[str, Any] = {}
        self.added_events: list[tuple[str, Mapping[str, Any] | None, int]] = []
        self.added_links: list[tuple[SpanContext, Mapping[str, Any] | None]] = []
        return getattr(self, name)

    @property
    def name(self) -> str:
        """The span's name."""
        return self._span.name if self._span is not None else ""

    @property
    def attributes(self) -> Mapping[str, Any]:
        """The attributes known so far."""
        if self._span is None:
            return {}
        return {**self._span.attributes, **self.added_attributes} if self.has_additions else self._span.attributes

    def get_span_context(self) -> SpanContext:
        """Return the context of the span it represents."""
        return self._context

    def is_recording(self) -> bool:
        """Tell whether additions will be sent."""
        return self._span is not None and self._context.trace_flags.sampled

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Keep the attributes."""
        for key, value in attributes.items():
            self.set_attribute(key, value)

    def set_attribute(self, key: str, value: Any) -> None:
        """Keep the attribute or event."""
        if self.is_recording() and (key in self.added_attributes or len(self.added_attributes) < MAX_KEPT):
            self.has_additions = True
            self.added_attributes[key] = value

    def add_event(self, name: str, attributes: Mapping[str, Any] | None = None, timestamp: int | None = None) -> None:
        """Keep the attribute or event."""
        if self.is_recording() and len(self.added_events) < MAX_KEPT:
            self.has_additions = True
            self.added_events.append((name, attributes, timestamp or to_ns(SystemClock().now())))

    def add_link(self, context: SpanContext, attributes: Mapping[str, Any] | None = None) -> None:
        """Keep the attribute or event."""
        if self.is_recording() and len(self.added_links) < MAX_KEPT:
            self.has_additions = True
            self.added_links.append((context, attributes))

    def record_exception(
        self,
        exception: BaseException,
        attributes: Mapping[str, Any] | None = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        """Keep the exception as an event, as OpenTelemetry's SDK does."""
        known: dict[str, Any] = {
            names.EXCEPTION_TYPE: type_name(type(exception)),
            names.EXCEPTION_MESSAGE: bounded(str(exception)),
            names.EXCEPTION_STACK: bounded_trace("".join(format_exception(exception))),
            "exception.escaped": str(escaped),
            **(attributes or {}),
        }
        self.add_event(names.EXCEPTION.title, known, timestamp)

    def update_name(self, name: str) -> None:
        """Ignore the name: it is the operation's."""

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """Ignore the status: it is the operation's."""

    def end(self, end_time: int | None = None) -> None:
        """Do nothing: it ends when the operation does."""

    def finished_events(self) -> Iterator[tuple[str, BoundedAttributes, int]]:
        """Return the added events as a finished span has them."""
        for name, attributes, timestamp in self.added_events:
            yield name, BoundedAttributes(MAX_KEPT, attributes, immutable=True), timestamp

    def hand_over(self, span: Span) -> None:
        """Copy the additions to the real span."""
        if not self.has_additions:
            return
        span.set_attributes(self.added_attributes)
        for name, attributes, timestamp in self.added_events:
            span.add_event(name, attributes, timestamp)
        for context, attributes in self.added_links:
            span.add_link(context, attributes)

"""Stands for a span that is sent later: a parent for spans inside it, and what the user's code sees as the current span."""

from collections.abc import Mapping
from typing import Any

from opentelemetry.trace import Span, SpanContext, SpanKind, Status, StatusCode

from durable_execution.telemetry.open_span import OpenSpan

MAX_KEPT = 128
"""What a user may add to a span that is held back: OpenTelemetry's default limits."""


class PlaceholderSpan(Span):
    """Has the context of the span it stands for, and keeps what is added to it until that span is sent.

    Some processors look at a parent's `kind`, `attributes`, `name` and `status`, which only spans of the OpenTelemetry SDK
    have; so does this one.
    """

    kind = SpanKind.INTERNAL
    status = Status(StatusCode.UNSET)

    def __init__(self, context: SpanContext, span: OpenSpan | None = None) -> None:
        """Stand for a span; for one of another process when `span` is None."""
        self._context = context
        self._span = span
        self.name = span.name if span is not None else ""
        self.added_attributes: dict[str, Any] = {}
        self.added_events: list[tuple[str, Mapping[str, Any] | None, int | None]] = []
        self.added_links: list[tuple[SpanContext, Mapping[str, Any] | None]] = []
        self.added_exceptions: list[tuple[BaseException, Mapping[str, Any] | None, int | None]] = []

    @property
    def attributes(self) -> Mapping[str, Any]:
        """What is known so far."""
        return self._span.attributes | self.added_attributes if self._span is not None else {}

    @property
    def parent(self) -> SpanContext | None:
        """Not known here."""
        return None

    def get_span_context(self) -> SpanContext:
        """The context of the span it stands for."""
        return self._context

    def is_recording(self) -> bool:
        """Whether what is added will be sent."""
        return self._span is not None and self._context.trace_flags.sampled

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Keep them."""
        for key, value in attributes.items():
            self.set_attribute(key, value)

    def set_attribute(self, key: str, value: Any) -> None:
        """Keep it."""
        if self.is_recording() and (key in self.added_attributes or len(self.added_attributes) < MAX_KEPT):
            self.added_attributes[key] = value

    def add_event(self, name: str, attributes: Mapping[str, Any] | None = None, timestamp: int | None = None) -> None:
        """Keep it."""
        if self.is_recording() and len(self.added_events) < MAX_KEPT:
            self.added_events.append((name, attributes, timestamp))

    def add_link(self, context: SpanContext, attributes: Mapping[str, Any] | None = None) -> None:
        """Keep it."""
        if self.is_recording() and len(self.added_links) < MAX_KEPT:
            self.added_links.append((context, attributes))

    def record_exception(
        self,
        exception: BaseException,
        attributes: Mapping[str, Any] | None = None,
        timestamp: int | None = None,
        escaped: bool = False,  # OpenTelemetry's signature
    ) -> None:
        """Keep it."""
        if self.is_recording() and len(self.added_exceptions) < MAX_KEPT:
            self.added_exceptions.append((exception, attributes, timestamp))

    def update_name(self, name: str) -> None:
        """Its name is the operation's."""

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """Its status is the operation's."""

    def end(self, end_time: int | None = None) -> None:
        """It ends when the operation does."""

    def hand_over(self, span: Span) -> None:
        """Give what was added to the real span."""
        if self.added_attributes:
            span.set_attributes(self.added_attributes)
        for name, attributes, timestamp in self.added_events:
            span.add_event(name, attributes, timestamp)
        for context, attributes in self.added_links:
            span.add_link(context, attributes)
        for exception, attributes, timestamp in self.added_exceptions:
            span.record_exception(exception, attributes, timestamp)

"""Sends each span once, complete, when it ends: the cheap way.

Used only for tracers where the difference is invisible: every processor ignores span starts, and the sampler decides
for whole traces. User code sees a placeholder that keeps what is added to it.
"""

from typing import Any

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import Event, ReadableSpan, Tracer
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode

from durable_execution.telemetry.decisions import Sampling
from durable_execution.telemetry.identity import TraceIdentity
from durable_execution.telemetry.open_span import OpenSpan
from durable_execution.telemetry.placeholder import MAX_KEPT, PlaceholderSpan
from durable_execution.telemetry.spans import Attributes, SpanStatus
from durable_execution.telemetry.trace_outlet import TraceOutlet

UNSET = Status(StatusCode.UNSET)
OK = Status(StatusCode.OK)


class DeferredOutlet(TraceOutlet):
    """Passes the finished spans of one invocation to a tracer's processors."""

    def __init__(self, identity: TraceIdentity, sampling: Sampling, tracer: Tracer | None) -> None:
        super().__init__(identity, sampling)
        self._resource = tracer.resource if tracer is not None else None
        self._processor = tracer.span_processor if tracer is not None else None
        scope = getattr(tracer, "_instrumentation_scope", None)
        self._scope: InstrumentationScope | None = scope if isinstance(scope, InstrumentationScope) else None

    def open(self, span: OpenSpan) -> None:
        """Create the span's context, for its children and user code."""
        self.hold(span)

    def close(self, span: OpenSpan, attributes: Attributes) -> None:
        """Pass the finished span to the processors."""
        if not self.is_sampled or self._processor is None:
            return
        self.sent += 1
        try:
            self._processor.on_end(self._finished(span))
        except Exception as error:  # noqa: BLE001  # the application's processor can raise anything
            self.log_once("end a span", error)

    def _finished(self, span: OpenSpan) -> ReadableSpan:
        handle: PlaceholderSpan = span.handle
        events = tuple(Event(event.name, event.attributes, event.at_ns) for event in span.events) if span.events else ()
        links = self.links_of(span)
        known: Any = span.attributes
        if handle.has_additions:
            known = _bounded({**handle.added_attributes, **span.attributes})
            events += tuple(Event(*addition) for addition in handle.finished_events())
            links += tuple(Link(context, _bounded(attributes)) for context, attributes in handle.added_links)
        return ReadableSpan(
            name=span.name,
            context=handle.get_span_context(),
            parent=self._parent_context(span),
            resource=self._resource,
            attributes=known,
            events=events,
            links=links,
            kind=SpanKind.INTERNAL,
            status=_status(span),
            start_time=span.start_ns,
            end_time=span.end_ns,
            instrumentation_scope=self._scope,
        )

    def _parent_context(self, span: OpenSpan) -> SpanContext | None:
        if span.parent is not None:
            context: SpanContext = span.parent.handle.get_span_context()
            return context
        if span.parent_id is None:
            return None
        ambient = self.sampling.ambient
        if ambient is not None and span.parent_id == self.ambient_id:
            return ambient.get_span_context()
        return self.sampling.ancestor


def _status(span: OpenSpan) -> Status:
    if span.status is SpanStatus.ERROR:
        return Status(StatusCode.ERROR, span.message or None)
    return OK if span.status is SpanStatus.OK else UNSET


def _bounded(attributes: Any) -> BoundedAttributes:
    """Clean the attributes that user code added: they can be anything."""
    return BoundedAttributes(MAX_KEPT, attributes, immutable=True)

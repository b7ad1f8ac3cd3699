"""Sends spans the general way: started and ended through a tracer, so that every sampler and processor sees them."""

import copy

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import Tracer
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from durable_execution.telemetry.chosen_ids import ChosenIds
from durable_execution.telemetry.decisions import Decided, Sampling
from durable_execution.telemetry.identity import TraceIdentity
from durable_execution.telemetry.open_span import OpenSpan
from durable_execution.telemetry.placeholder import PlaceholderSpan
from durable_execution.telemetry.spans import Attributes, SpanStatus
from durable_execution.telemetry.trace_outlet import TraceOutlet

CODES = {SpanStatus.OK: StatusCode.OK, SpanStatus.ERROR: StatusCode.ERROR}


class StartedOutlet(TraceOutlet):
    """The spans of one invocation as spans of a tracer."""

    def __init__(self, identity: TraceIdentity, sampling: Sampling, tracer: Tracer, source: ChosenIds) -> None:
        super().__init__(identity, sampling)
        self._tracer = tracer
        self._ids = source

    def open(self, span: OpenSpan) -> None:
        """Start the span; a held span only gets a context, for its children."""
        if span.is_live:
            try:
                span.handle = self._start(span)
            except Exception as error:  # noqa: BLE001  # the application's processor can raise anything
                self.log_once("start a span", error)
        if span.handle is None:
            self.hold(span)

    def close(self, span: OpenSpan, attributes: Attributes) -> None:
        """End the span."""
        try:
            self._finish(span, attributes)
        except Exception as error:  # noqa: BLE001  # the application's processor can raise anything
            self.log_once("end a span", error)

    def _start(self, span: OpenSpan) -> Span:
        self._ids.choose(span.trace_id, span.span_id)
        tracer = self._tracer if span.parent_id is not None else self._root_tracer()
        return tracer.start_span(
            span.name,
            context=self._parent_context(span),
            kind=SpanKind.INTERNAL,
            attributes=span.attributes,
            links=self.links_of(span),
            start_time=span.start_ns,
            record_exception=False,
            set_status_on_exception=False,
        )

    def _finish(self, span: OpenSpan, attributes: Attributes) -> None:
        handle: Span = span.handle
        if isinstance(handle, PlaceholderSpan):
            started = self._start(span)
            handle.hand_over(started)
            handle = started
        elif attributes:
            handle.set_attributes(attributes)
        if not handle.is_recording():
            return
        for event in span.events:
            handle.add_event(event.name, event.attributes, event.at_ns)
        if span.status is not SpanStatus.UNSET:
            handle.set_status(Status(CODES[span.status], span.message or None))
        self.sent += 1
        handle.end(span.end_ns)

    def _parent_context(self, span: OpenSpan) -> Context:
        if span.parent is not None:
            return trace.set_span_in_context(span.parent.handle, Context())
        if span.parent_id is None:
            return Context()
        ambient = self.sampling.ambient
        if ambient is not None and span.parent_id == self.ambient_id:
            return trace.set_span_in_context(ambient, Context())
        return trace.set_span_in_context(PlaceholderSpan(self.sampling.ancestor), Context())

    def _root_tracer(self) -> Tracer:
        """Return the context that carries the earlier sampling decision."""
        tracer = copy.copy(self._tracer)
        tracer.sampler = Decided(is_sampled=self.sampling.ancestor.trace_flags.sampled)
        return tracer

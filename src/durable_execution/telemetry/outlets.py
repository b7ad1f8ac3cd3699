"""The part that both outlets to a provider share: the current span, links, contexts, and errors in application code.

An id generator that gives the next span a chosen id.

Sends each span once, complete, when it ends: the cheap way.

Used only for tracers where the difference is invisible: every processor ignores span starts, and the sampler decides
for whole traces. User code sees a placeholder that keeps what is added to it.

Sends spans the general way: started and ended through a tracer, so that every sampler and processor sees them.

Stands in for a span that is sent later: the parent of spans inside it, and the current span that user code sees.
"""

import copy
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextvars import Token
from traceback import format_exception
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context import Context
from opentelemetry.sdk.trace import Event, ReadableSpan, Tracer
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, Status, StatusCode

from durable_execution.clock import SystemClock
from durable_execution.errors import type_name
from durable_execution.redaction import redacted
from durable_execution.telemetry import vocabulary as names
from durable_execution.telemetry.bounded import bounded, bounded_trace
from durable_execution.telemetry.decisions import Decided, Sampling
from durable_execution.telemetry.identity import TraceIdentity
from durable_execution.telemetry.open_span import Links, OpenSpan
from durable_execution.telemetry.spans import Attributes, SpanEvent, SpanStatus, to_ns

if TYPE_CHECKING:
    from durable_execution.telemetry.event_log import EventLog

logger = logging.getLogger("durable_execution")


class TraceOutlet:
    """Passes the spans of one invocation to the application's provider.

    Attributes:
        sent: The number of spans passed to the provider's processors.
        is_sampled: Whether spans are sent.
        is_measured: Whether to add up the sizes of the spans.
        size_bytes: Their sum.
        event_log: Sends events as log records; None to keep them on their spans.
    """

    def __init__(self, identity: TraceIdentity, sampling: Sampling) -> None:
        self.sent = 0
        self.is_sampled = sampling.is_sampled
        self.identity = identity
        self.sampling = sampling
        self._links: dict[Links, tuple[Link, ...]] = {}
        self._flags = sampling.flags
        self._state = sampling.ancestor.trace_state
        self._has_logged = False
        self.event_log: EventLog | None = None
        self.is_measured = False
        self.size_bytes = 0
        if sampling.error is not None:
            self.log_once("ask the sampler", sampling.error)

    @property
    def ambient_id(self) -> int | None:
        """Return the current span of the same trace, which becomes the Invocation's parent."""
        ambient = self.sampling.ambient
        return ambient.get_span_context().span_id if ambient is not None else None

    def open(self, span: OpenSpan) -> None:
        """See `SpanOutlet`."""
        raise NotImplementedError

    def close(self, span: OpenSpan, attributes: Attributes) -> None:
        """See `SpanOutlet`."""
        raise NotImplementedError

    def enter(self, span: OpenSpan) -> "Token[Context] | object | None":
        """Make the span current, unless a different observer of the same invocation already has."""
        if trace.get_current_span().get_span_context().span_id == span.span_id:
            return None
        return otel_context.attach(trace.set_span_in_context(span.handle))

    def leave(self, token: Any) -> None:
        """Make the previous span current again, where that is still possible."""
        if not isinstance(token, Token):
            return
        try:
            token.var.reset(token)
        except (ValueError, RuntimeError):
            logger.debug("a span's context was left in a different task than it was entered in")

    def hold(self, span: OpenSpan) -> None:
        """Create the context of a held span, for its children."""
        context = SpanContext(span.trace_id, span.span_id, False, self._flags, self._state)
        span.handle = PlaceholderSpan(context, span)

    def ancestor_of(self, span: OpenSpan) -> SpanContext:
        """Return the context of the parent that this process does not own; spans for an earlier trace have one there."""
        known = self.sampling.ancestor
        if span.trace_id == known.trace_id or span.parent_id is None:
            return known
        return SpanContext(span.trace_id, span.parent_id, True, self._flags)

    def links_of(self, span: OpenSpan) -> tuple[Link, ...]:
        """Return the span's links as SDK objects; most spans of an invocation share them."""
        found = self._links.get(span.links)
        if found is None:
            contexts = (SpanContext(*place, is_remote=False, trace_flags=self.sampling.flags) for place in span.links)
            found = tuple(Link(context) for context in contexts)
            if len(span.links) <= 1:
                self._links[span.links] = found
        return found

    def events_of(self, span: OpenSpan) -> Sequence[SpanEvent]:
        """Return the events that stay on a span that ends."""
        if self.event_log is None or not span.events:
            return span.events
        try:
            return self.event_log.take(span.events, span.handle.get_span_context())
        except Exception as error:  # noqa: BLE001  # the application's processor can raise anything
            self.log_once("send a log record", error)
            return span.events

    def measure(self, span: OpenSpan) -> None:
        """Add the size of a span that is sent."""
        if self.is_measured:
            self.size_bytes += span.size_bytes

    def log_once(self, what: str, error: Exception) -> None:
        """Log an error in the application's part of OpenTelemetry."""
        if not self._has_logged:
            self._has_logged = True
            logger.error(
                "OpenTelemetry could not %s: the execution continues, but its trace is incomplete. Check the span "
                "processors, the sampler and the exporter of the tracer provider; further errors in this invocation are "
                "not logged",
                what,
                exc_info=error,
            )


class ChosenIds(IdGenerator):
    """Generates the ids of one invocation's spans; each is chosen right before its span starts."""

    def __init__(self) -> None:
        self._trace_id: int | None = None
        self._span_id: int | None = None
        self._others: IdGenerator = RandomIdGenerator()

    def fall_back_to(self, source: IdGenerator) -> None:
        """Set the generator for ids that are not chosen."""
        self._others = source

    def choose(self, trace_id: int, span_id: int) -> None:
        """Choose the ids of the next span."""
        self._trace_id = trace_id
        self._span_id = span_id

    def generate_span_id(self) -> int:
        """Return the chosen span id, once."""
        chosen, self._span_id = self._span_id, None
        return chosen if chosen is not None else self._others.generate_span_id()

    def generate_trace_id(self) -> int:
        """Return the chosen trace id, once; only spans without a parent ask for it."""
        chosen, self._trace_id = self._trace_id, None
        return chosen if chosen is not None else self._others.generate_trace_id()

    def is_trace_id_random(self) -> bool:
        """Return False: these ids hold a time and a hash."""
        return False


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
        events = self.events_of(span)
        if not self.is_sampled or self._processor is None:
            return
        self.sent += 1
        self.measure(span)
        try:
            self._processor.on_end(self._finished(span, events))
        except Exception as error:  # noqa: BLE001  # the application's processor can raise anything
            self.log_once("end a span", error)

    def _finished(self, span: OpenSpan, kept: Sequence[SpanEvent]) -> ReadableSpan:
        handle: PlaceholderSpan = span.handle
        events = tuple(Event(event.name, event.attributes, event.at_ns) for event in kept) if kept else ()
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
        return self.ancestor_of(span)


def _status(span: OpenSpan) -> Status:
    if span.status is SpanStatus.ERROR:
        return Status(StatusCode.ERROR, span.message or None)
    return OK if span.status is SpanStatus.OK else UNSET


def _bounded(attributes: Any) -> BoundedAttributes:
    """Clean the attributes that user code added: they can be anything."""
    return BoundedAttributes(MAX_KEPT, attributes, immutable=True)


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
        events = self.events_of(span)
        if not handle.is_recording():
            return
        for event in events:
            handle.add_event(event.name, event.attributes, event.at_ns)
        if span.status is not SpanStatus.UNSET:
            handle.set_status(Status(CODES[span.status], span.message or None))
        self.sent += 1
        self.measure(span)
        handle.end(span.end_ns)

    def _parent_context(self, span: OpenSpan) -> Context:
        """Return the current context with the span's parent: processors and samplers read baggage from it."""
        if span.parent is not None:
            return trace.set_span_in_context(span.parent.handle)
        if span.parent_id is None:
            return trace.set_span_in_context(trace.INVALID_SPAN)
        ambient = self.sampling.ambient
        if ambient is not None and span.parent_id == self.ambient_id:
            return trace.set_span_in_context(ambient)
        return trace.set_span_in_context(PlaceholderSpan(self.ancestor_of(span)))

    def _root_tracer(self) -> Tracer:
        """Return the context that carries the earlier sampling decision."""
        tracer = copy.copy(self._tracer)
        tracer.sampler = Decided(is_sampled=self.sampling.ancestor.trace_flags.sampled)
        return tracer


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
            names.EXCEPTION_MESSAGE: bounded(redacted(str(exception))),
            names.EXCEPTION_STACK: bounded_trace(redacted("".join(format_exception(exception)))),
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

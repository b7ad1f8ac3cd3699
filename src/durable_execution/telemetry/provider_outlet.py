"""Sends spans through the application's own tracer provider, which is used as it is.

Deterministic ids need an id source of our own. A tracer is a small object that carries its provider's sampler, processor,
limits and resource; each invocation works with a copy of it that differs in the id source only. Neither the provider nor
the tracer that others get from it is changed.
"""

import copy
import logging
from contextvars import Token
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import Tracer, TracerProvider
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from durable_execution.telemetry.attributes import root_attributes
from durable_execution.telemetry.chosen_ids import ChosenIds
from durable_execution.telemetry.decided import Decided
from durable_execution.telemetry.execution_spans import ROOT_NAME
from durable_execution.telemetry.identity import TraceIdentity
from durable_execution.telemetry.open_span import OpenSpan
from durable_execution.telemetry.placeholder import PlaceholderSpan
from durable_execution.telemetry.spans import Attributes, SpanStatus

logger = logging.getLogger("durable_execution")

SCOPE = "durable_execution"
CODES = {SpanStatus.UNSET: StatusCode.UNSET, SpanStatus.OK: StatusCode.OK, SpanStatus.ERROR: StatusCode.ERROR}


class ProviderOutlet:
    """The spans of one invocation, as spans of the application's provider.

    Attributes:
        sent: How many spans were handed to the provider's processors.
    """

    def __init__(self, provider: TracerProvider, identity: TraceIdentity) -> None:
        self.sent = 0
        self._identity = identity
        self._ids = ChosenIds()
        self._tracer = _own_tracer(provider, self._ids)
        self._has_logged = False
        self._links: dict[tuple[int, int], Link] = {}
        self._ambient = _ambient(identity)
        self.is_sampled = self._decide()
        self._flags = TraceFlags(TraceFlags.SAMPLED if self.is_sampled else TraceFlags.DEFAULT)
        self._ancestor = self._ancestor_context()

    @property
    def ambient_id(self) -> int | None:
        """The span of the same trace that is current here, which the Invocation goes under."""
        return self._ambient.get_span_context().span_id if self._ambient is not None else None

    def open(self, span: OpenSpan) -> None:
        """Start the span; one that is held back only gets a context, for its children."""
        if span.is_live:
            try:
                span.handle = self._start(span)
            except Exception as error:  # noqa: BLE001  # a processor is the application's, and can raise anything
                self._log_once("start a span", error)
        if span.handle is None:
            span.handle = PlaceholderSpan(self._context_of(span), span)

    def close(self, span: OpenSpan, attributes: Attributes) -> None:
        """End the span."""
        try:
            self._finish(span, attributes)
        except Exception as error:  # noqa: BLE001  # a processor is the application's, and can raise anything
            self._log_once("end a span", error)

    def enter(self, span: OpenSpan) -> "Token[Context] | None":
        """Make the span the current one."""
        return otel_context.attach(trace.set_span_in_context(span.handle))

    def leave(self, token: "Token[Context] | None") -> None:
        """Make the span before it the current one again, where this is still possible."""
        if not isinstance(token, Token):
            return
        try:
            token.var.reset(token)
        except (ValueError, RuntimeError):
            logger.debug("a span's context was left in another task than it was entered in")

    def _start(self, span: OpenSpan) -> Span:
        self._ids.choose(span.trace_id, span.span_id)
        links = [self._link(*link) for link in span.links]
        tracer = self._tracer if span.parent_id is not None else self._root_tracer()
        return tracer.start_span(
            span.name,
            context=self._parent_context(span),
            kind=SpanKind.INTERNAL,
            attributes=span.attributes,
            links=links,
            start_time=span.start_ns,
            record_exception=False,
            set_status_on_exception=False,
        )

    def _finish(self, span: OpenSpan, attributes: Attributes) -> None:
        handle = span.handle
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
        if self._ambient is not None and span.parent_id == self.ambient_id:
            return trace.set_span_in_context(self._ambient, Context())
        return trace.set_span_in_context(PlaceholderSpan(self._ancestor), Context())

    def _root_tracer(self) -> Tracer:
        """The root is decided on already, and a sampler that keeps count should not be asked twice."""
        tracer = copy.copy(self._tracer)
        tracer.sampler = Decided(is_sampled=self.is_sampled)
        return tracer

    def _link(self, trace_id: int, span_id: int) -> Link:
        link = self._links.get((trace_id, span_id))
        if link is None:
            link = Link(SpanContext(trace_id, span_id, is_remote=False, trace_flags=self._flags))
            self._links[trace_id, span_id] = link
        return link

    def _context_of(self, span: OpenSpan) -> SpanContext:
        return SpanContext(span.trace_id, span.span_id, is_remote=False, trace_flags=self._flags)

    def _ancestor_context(self) -> SpanContext:
        identity = self._identity
        state = TraceState.from_header([identity.trace_state]) if identity.trace_state else None
        return SpanContext(
            identity.trace_id,
            identity.ancestor_id,
            is_remote=identity.is_remote,
            trace_flags=self._flags,
            trace_state=state,
        )

    def _decide(self) -> bool:
        """Whether the trace is sampled: as upstream or the current span says, else as the provider decides for a root."""
        if self._identity.is_sampled is not None:
            return self._identity.is_sampled
        if self._ambient is not None:
            return self._ambient.get_span_context().trace_flags.sampled
        try:
            decision = self._tracer.sampler.should_sample(
                Context(),
                self._identity.trace_id,
                ROOT_NAME,
                SpanKind.INTERNAL,
                root_attributes(self._identity.arn),
                (),
            )
        except Exception as error:  # noqa: BLE001  # a sampler is the application's, and can raise anything
            self._log_once("ask the sampler", error)
            return False
        return decision.decision is Decision.RECORD_AND_SAMPLE

    def _log_once(self, what: str, error: Exception) -> None:
        if not self._has_logged:
            self._has_logged = True
            logger.error(
                "OpenTelemetry could not %s: the execution goes on, its trace is incomplete. Look at the span processors, "
                "the sampler and the exporter of the tracer provider; further errors in this invocation are not logged",
                what,
                exc_info=error,
            )


def _own_tracer(provider: TracerProvider, source: ChosenIds) -> Tracer:
    tracer = provider.get_tracer(SCOPE)
    if isinstance(tracer, Tracer):
        tracer = copy.copy(tracer)
        source.fall_back_to(tracer.id_generator)
        tracer.id_generator = source
    return tracer  # type: ignore[return-value]  # a disabled provider hands out tracers that do nothing


def _ambient(identity: TraceIdentity) -> Span | None:
    current: Any = trace.get_current_span()
    context = current.get_span_context()
    return current if context.is_valid and context.trace_id == identity.trace_id else None

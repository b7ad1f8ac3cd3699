"""The part that both outlets to a provider share: the current span, links, contexts, and errors in application code."""

import logging
from contextvars import Token
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanContext

from durable_execution.telemetry.decisions import Sampling
from durable_execution.telemetry.identity import TraceIdentity
from durable_execution.telemetry.open_span import Links, OpenSpan
from durable_execution.telemetry.placeholder import PlaceholderSpan
from durable_execution.telemetry.spans import Attributes

logger = logging.getLogger("durable_execution")


class TraceOutlet:
    """Passes the spans of one invocation to the application's provider.

    Attributes:
        sent: The number of spans passed to the provider's processors.
        is_sampled: Whether spans are sent.
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

    def links_of(self, span: OpenSpan) -> tuple[Link, ...]:
        """Return the span's links as SDK objects; most spans of an invocation share them."""
        found = self._links.get(span.links)
        if found is None:
            contexts = (SpanContext(*place, is_remote=False, trace_flags=self.sampling.flags) for place in span.links)
            found = tuple(Link(context) for context in contexts)
            if len(span.links) <= 1:
                self._links[span.links] = found
        return found

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

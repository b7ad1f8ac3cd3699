"""Uses the application's tracer provider unchanged.

Deterministic ids need their own id generator. A tracer is a small object that holds its provider's sampler, processors,
limits and resource; each invocation works with a copy of it that differs only in the id generator. Neither the provider
nor its other tracers change.
"""

import copy
from typing import Any

from opentelemetry.sdk.trace import SpanProcessor, Tracer, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

from durable_execution.telemetry.decisions import Sampling
from durable_execution.telemetry.identity import TraceIdentity
from durable_execution.telemetry.outlets import ChosenIds, DeferredOutlet, StartedOutlet, TraceOutlet
from durable_execution.telemetry.spans import SCHEMA_URL, SCOPE, sdk_version

IGNORE_STARTS = frozenset({SpanProcessor.on_start, BatchSpanProcessor.on_start, SimpleSpanProcessor.on_start})
IGNORE_ENDINGS = frozenset(
    getattr(processor, "_on_ending", None) for processor in (SpanProcessor, BatchSpanProcessor, SimpleSpanProcessor)
)
MOST_ATTRIBUTES = 32
"""More than any span of this SDK has."""


def outlet_for(provider: TracerProvider, identity: TraceIdentity) -> TraceOutlet:
    """Create the outlet for an invocation's spans."""
    source = ChosenIds()
    tracer = provider.get_tracer(SCOPE, sdk_version(), SCHEMA_URL)
    if not isinstance(tracer, Tracer):
        return DeferredOutlet(identity, Sampling.off(), None)
    own = copy.copy(tracer)
    own.id_generator = source
    sampling = Sampling.decide(identity, own.sampler)
    if sampling.is_uniform and sees_only_ends(own):
        return DeferredOutlet(identity, sampling, own)
    source.fall_back_to(tracer.id_generator)
    return StartedOutlet(identity, sampling, own, source)


def sees_only_ends(tracer: Tracer) -> bool:
    """Tell whether no processor can distinguish a started span from one that is passed on when it ends.

    True for the processors that OpenTelemetry's SDK ships, with its default limits and without its own metrics.
    Anything uncertain counts as False.
    """
    processors = getattr(tracer.span_processor, "_span_processors", None)
    limits = getattr(tracer, "_span_limits", None)
    if not isinstance(processors, tuple) or limits is None or type(tracer) is not Tracer:
        return False
    return (
        all(_ignores_starts(processor) for processor in processors)
        and _is_unlimited(limits)
        and type(getattr(tracer, "_tracer_metrics", None)).__name__ == "NoOpTracerMetrics"
        and bool(getattr(tracer, "_is_enabled", bool)())
    )


def _ignores_starts(processor: Any) -> bool:
    kind = type(processor)
    return kind.on_start in IGNORE_STARTS and getattr(kind, "_on_ending", None) in IGNORE_ENDINGS


def _is_unlimited(limits: Any) -> bool:
    """Tell whether the provider's limits leave these spans unchanged."""
    lengths = (limits.max_span_attribute_length, limits.max_attribute_length)
    counts = (limits.max_span_attributes, limits.max_event_attributes, limits.max_events, limits.max_links)
    return lengths == (None, None) and all(count is None or count >= MOST_ATTRIBUTES for count in counts)

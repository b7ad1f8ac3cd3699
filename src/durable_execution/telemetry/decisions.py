"""Decides whether a trace is sampled: as upstream decided, else as the application's sampler decides for a new trace."""

from collections.abc import Sequence
from dataclasses import dataclass

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, TraceFlags, TraceState
from opentelemetry.util.types import Attributes

from durable_execution.telemetry.attributes import root_attributes
from durable_execution.telemetry.identity import TraceIdentity
from durable_execution.telemetry.vocabulary import INVOCATION, ROOT

FOLLOWS_PARENT = (
    "remoteParentSampled:AlwaysOnSampler,remoteParentNotSampled:AlwaysOffSampler,"
    "localParentSampled:AlwaysOnSampler,localParentNotSampled:AlwaysOffSampler}"
)
"""Suffixes in the descriptions of samplers that decide once per trace."""

SAMPLED = TraceFlags(TraceFlags.SAMPLED)
NOT_SAMPLED = TraceFlags(TraceFlags.DEFAULT)


@dataclass(frozen=True, slots=True)
class Sampling:
    """The sampling decision for one invocation's part of a trace.

    Attributes:
        is_sampled: Whether its spans are sent.
        is_uniform: Whether that holds for all of them; if not, the sampler decides for each span.
        ancestor: The context of the parent span of Workflow and Invocation.
        ambient: The current span of the same trace when the invocation starts, if there is one.
        error: The exception that the sampler raised.
    """

    is_sampled: bool
    is_uniform: bool
    ancestor: SpanContext
    ambient: Span | None = None
    error: Exception | None = None

    @classmethod
    def off(cls) -> "Sampling":
        """Return the decision to send nothing."""
        return cls(is_sampled=False, is_uniform=True, ancestor=trace.INVALID_SPAN_CONTEXT)

    @classmethod
    def decide(cls, identity: TraceIdentity, sampler: Sampler) -> "Sampling":
        """Decide, by upstream's decision or the sampler. A sampler that raises samples nothing."""
        ambient = _ambient(identity)
        try:
            is_sampled = _upstream(identity, ambient)
            if is_sampled is None:
                is_sampled = _asked(sampler, identity, trace.set_span_in_context(trace.INVALID_SPAN), ROOT.title)
            ancestor = _ancestor(identity, is_sampled=is_sampled)
            is_uniform = sampler.get_description().endswith(FOLLOWS_PARENT)
            if not is_uniform:
                around = trace.set_span_in_context(ambient or trace.NonRecordingSpan(ancestor))
                is_sampled = _asked(sampler, identity, around, INVOCATION.title)
        except Exception as error:  # noqa: BLE001  # the application's sampler can raise anything
            return cls(False, True, _ancestor(identity, is_sampled=False), ambient, error)
        return cls(is_sampled, is_uniform, ancestor, ambient)

    @property
    def flags(self) -> TraceFlags:
        """Return the trace flags of the spans' contexts."""
        return SAMPLED if self.is_sampled else NOT_SAMPLED


class Decided(Sampler):
    """Applies an earlier decision: a rate-limiting sampler must not be asked twice."""

    def __init__(self, *, is_sampled: bool) -> None:
        self._decision = Decision.RECORD_AND_SAMPLE if is_sampled else Decision.DROP

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """Return the earlier decision."""
        return SamplingResult(self._decision, attributes, trace_state)

    def get_description(self) -> str:
        """Return the name for diagnostics."""
        return f"Decided{{{self._decision.name}}}"


def _upstream(identity: TraceIdentity, ambient: Span | None) -> bool | None:
    if identity.is_sampled is not None:
        return identity.is_sampled
    return ambient.get_span_context().trace_flags.sampled if ambient is not None else None


def _asked(sampler: Sampler, identity: TraceIdentity, around: Context, name: str) -> bool:
    result = sampler.should_sample(
        around, identity.trace_id, name, SpanKind.INTERNAL, root_attributes(identity.arn), ()
    )
    return result.decision is Decision.RECORD_AND_SAMPLE


def _ancestor(identity: TraceIdentity, *, is_sampled: bool) -> SpanContext:
    return SpanContext(
        identity.trace_id,
        identity.ancestor_id,
        is_remote=identity.is_remote,
        trace_flags=SAMPLED if is_sampled else NOT_SAMPLED,
        trace_state=TraceState.from_header([identity.trace_state]) if identity.trace_state else None,
    )


def _ambient(identity: TraceIdentity) -> Span | None:
    current = trace.get_current_span()
    context = current.get_span_context()
    return current if context.is_valid and context.trace_id == identity.trace_id else None

"""A sampler that has been told the answer."""

from collections.abc import Sequence

from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import Link, SpanKind, TraceState
from opentelemetry.util.types import Attributes


class Decided(Sampler):
    """Applies a decision that was made before."""

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
        """The decision."""
        return SamplingResult(self._decision, attributes, trace_state)

    def get_description(self) -> str:
        """What it is called in diagnostics."""
        return f"Decided{{{self._decision.name}}}"

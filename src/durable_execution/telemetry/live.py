"""Live tracing: the view of each invocation, sent through the application's provider as it happens."""

from opentelemetry.sdk.trace import TracerProvider

from durable_execution.observers import (
    AttemptEnded,
    AttemptStarted,
    ContextEntered,
    ContextLeft,
    Diverged,
    InvocationEnded,
    InvocationStarted,
    Observer,
    OperationCall,
    OperationCompleted,
    OperationReplayed,
    OperationStarted,
)
from durable_execution.telemetry.identity import InvocationNames, TraceIdentity, identify
from durable_execution.telemetry.model import Surroundings
from durable_execution.telemetry.provider import outlet_for
from durable_execution.telemetry.roots import RootLedger
from durable_execution.telemetry.trace_context import NOTHING, TraceContext, incoming
from durable_execution.telemetry.trace_outlet import TraceOutlet
from durable_execution.telemetry.views import VIEWS

invocation_names = InvocationNames()
sent_roots = RootLedger()
_cold = [True]


class LiveTracing(Observer):
    """Spans of one invocation. One object per invocation.

    Attributes:
        outlet: Where the spans go; None until the invocation starts.
        identity: The ids of the invocation; None until it starts.
    """

    def __init__(self, provider: TracerProvider, *, view: str, joins_incoming: bool = True) -> None:
        """Prepare.

        Args:
            provider: The application's tracer provider.
            view: `execution` or `invocation`.
            joins_incoming: Whether to join the trace that came in with the invocation.
        """
        self._provider = provider
        self._view = VIEWS[view]
        self._joins_incoming = joins_incoming
        self._spans: Observer = Observer()
        self.outlet: TraceOutlet | None = None
        self.identity: TraceIdentity | None = None

    def on_invocation_started(self, happening: InvocationStarted) -> None:
        """Work out the ids and open the Invocation."""
        context = incoming(happening.trace_header, happening.lambda_context) if self._joins_incoming else NOTHING
        identity = identify(happening, context, invocation_names)
        outlet = outlet_for(self._provider, identity)
        around = Surroundings(
            invocation_parent_id=outlet.ambient_id,
            has_root=sent_roots.is_due(identity, happening),
            is_cold=_is_cold(),
            is_xray=_is_xray(context),
        )
        self.identity, self.outlet = identity, outlet
        self._spans = self._view(identity, happening, outlet, around)
        self._spans.on_invocation_started(happening)

    def on_invocation_ended(self, happening: InvocationEnded) -> None:
        """Close what is open."""
        spans, self._spans = self._spans, Observer()
        spans.on_invocation_ended(happening)

    def on_operation_started(self, happening: OperationStarted) -> None:
        """See `SpanView`."""
        self._spans.on_operation_started(happening)

    def on_operation_replayed(self, happening: OperationReplayed) -> None:
        """See `SpanView`."""
        self._spans.on_operation_replayed(happening)

    def on_operation_completed(self, happening: OperationCompleted) -> None:
        """See `SpanView`."""
        self._spans.on_operation_completed(happening)

    def on_attempt_started(self, happening: AttemptStarted) -> None:
        """See `SpanView`."""
        self._spans.on_attempt_started(happening)

    def on_attempt_ended(self, happening: AttemptEnded) -> None:
        """See `SpanView`."""
        self._spans.on_attempt_ended(happening)

    def on_context_entered(self, happening: ContextEntered) -> None:
        """See `SpanView`."""
        self._spans.on_context_entered(happening)

    def on_context_left(self, happening: ContextLeft) -> None:
        """See `SpanView`."""
        self._spans.on_context_left(happening)

    def on_diverged(self, happening: Diverged) -> None:
        """See `SpanView`."""
        self._spans.on_diverged(happening)

    def trace_header(self, call: OperationCall) -> str | None:
        """See `SpanView`."""
        return self._spans.trace_header(call)


def _is_cold() -> bool:
    is_cold, _cold[0] = _cold[0], False
    return is_cold


def _is_xray(context: TraceContext) -> bool:
    return context.trace_id is not None and context.is_timed

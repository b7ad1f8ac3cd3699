"""Live tracing: sends the view of each invocation through the application's provider while it runs."""

from opentelemetry.sdk.trace import TracerProvider

from durable_execution.observers import InvocationStarted
from durable_execution.telemetry.due_times import due_times
from durable_execution.telemetry.forwarding import ForwardingObserver
from durable_execution.telemetry.identity import TraceIdentity, identify, invocation_names
from durable_execution.telemetry.model import SpanView, Surroundings
from durable_execution.telemetry.provider import outlet_for
from durable_execution.telemetry.roots import RootLedger
from durable_execution.telemetry.trace_context import NOTHING, incoming
from durable_execution.telemetry.trace_outlet import TraceOutlet
from durable_execution.telemetry.views import VIEWS

sent_roots = RootLedger()
_cold = [True]


class LiveTracing(ForwardingObserver):
    """Traces one invocation. One object per invocation.

    Attributes:
        outlet: Receives the spans; None until the invocation starts.
        identity: The ids of the invocation; None until it starts.
    """

    def __init__(self, provider: TracerProvider, *, view: str, joins_incoming: bool = True) -> None:
        """Prepare.

        Args:
            provider: The application's tracer provider.
            view: `execution` or `invocation`.
            joins_incoming: Whether to join the incoming trace.
        """
        super().__init__()
        self._provider = provider
        self._view = VIEWS[view]
        self._joins_incoming = joins_incoming
        self.outlet: TraceOutlet | None = None
        self.identity: TraceIdentity | None = None

    def make_view(self, started: InvocationStarted) -> SpanView:
        """Derive the ids and open the Invocation."""
        context = incoming(started.trace_header, started.lambda_context) if self._joins_incoming else NOTHING
        self.identity = identity = identify(started, context, invocation_names)
        self.outlet = outlet = outlet_for(self._provider, identity)
        around = Surroundings(
            invocation_parent_id=outlet.ambient_id,
            has_root=sent_roots.is_due(identity, started),
            is_cold=_is_cold(),
            is_xray=context.is_xray,
            due_times=due_times,
        )
        return self._view(identity, started, outlet, around)


def _is_cold() -> bool:
    is_cold, _cold[0] = _cold[0], False
    return is_cold

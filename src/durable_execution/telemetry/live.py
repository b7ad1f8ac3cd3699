"""Live tracing: sends the view of each invocation through the application's provider while it runs."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from opentelemetry.sdk.trace import TracerProvider

from durable_execution.observers import InvocationEnded, InvocationStarted, Observer
from durable_execution.telemetry.environment_memory import Surroundings, due_times, sent_roots, trace_sizes
from durable_execution.telemetry.export_outcomes import outcomes, retaining, watch_exporters
from durable_execution.telemetry.flushing import Flushed, Flusher, budget_of
from durable_execution.telemetry.forwarding_observer import ForwardingObserver
from durable_execution.telemetry.identity import TraceIdentity, identify, invocation_names
from durable_execution.telemetry.metrics import DROPPED, FLUSH_DURATION, Instruments, Metrics
from durable_execution.telemetry.outlets import TraceOutlet
from durable_execution.telemetry.provider import outlet_for
from durable_execution.telemetry.settings import PLAIN, Settings, TopSpans, exception_signals
from durable_execution.telemetry.span_view import SpanView
from durable_execution.telemetry.spans import SCHEMA_URL, SCOPE, sdk_version
from durable_execution.telemetry.trace_context import NOTHING, incoming
from durable_execution.telemetry.trace_views import VIEWS

if TYPE_CHECKING:
    from durable_execution.telemetry.event_log import EventLog


class ColdStart:
    """Whether an environment has run no invocation yet."""

    def __init__(self) -> None:
        self._is_cold = True

    def end(self) -> bool:
        """End it; whether it had not ended before."""
        was_cold, self._is_cold = self._is_cold, False
        return was_cold


_cold_start = ColdStart()


class LiveTracing(ForwardingObserver):
    """Traces one invocation. One object per invocation.

    Attributes:
        outlet: Receives the spans; None until the invocation starts.
        identity: The ids of the invocation; None until it starts.
    """

    def __init__(
        self,
        provider: TracerProvider,
        *,
        view: str,
        joins_incoming: bool = True,
        top: TopSpans = PLAIN,
        is_cold: bool | None = None,
        event_log: "EventLog | None" = None,
    ) -> None:
        """Prepare.

        Args:
            provider: The application's tracer provider.
            view: `execution` or `invocation`.
            joins_incoming: Whether to join the incoming trace.
            top: How the root and Workflow look.
            is_cold: Whether it is the first invocation of this environment; None when unknown.
            event_log: Sends exceptions and divergences as log records; None to keep them on their spans.
        """
        super().__init__()
        self._provider = provider
        self._view = VIEWS[view]
        self._joins_incoming = joins_incoming
        self._top = top
        self._is_cold = is_cold
        self._event_log = event_log
        self.outlet: TraceOutlet | None = None
        self.identity: TraceIdentity | None = None

    def make_view(self, started: InvocationStarted) -> SpanView:
        """Derive the ids and open the Invocation."""
        context = incoming(started.trace_header, started.lambda_context) if self._joins_incoming else NOTHING
        self.identity = identity = identify(started, context, invocation_names)
        self.outlet = outlet = outlet_for(self._provider, identity)
        outlet.event_log = self._event_log
        outlet.is_measured = context.is_xray
        around = Surroundings(
            invocation_parent_id=outlet.ambient_id,
            has_root=sent_roots.is_due(identity, started),
            top=self._top,
            is_cold=self._is_cold,
            is_xray=context.is_xray,
            due_times=due_times,
        )
        return self._view(identity, started, outlet, around)

    def on_invocation_ended(self, notification: InvocationEnded) -> None:
        """End the spans, and add their size to that of the trace."""
        super().on_invocation_ended(notification)
        if self.identity is not None and self.outlet is not None and self.outlet.is_measured:
            trace_sizes.add(self.identity, self.outlet.size_bytes)


_flusher = Flusher()
_other_flusher = Flusher(has_spans=False)
_instruments: "WeakKeyDictionary[Any, Instruments]" = WeakKeyDictionary()


def assemble(
    tracer_provider: Any, meter_provider: Any, settings: Settings, logger_provider: Any = None
) -> tuple[Observer, ...]:
    """Return the observers for spans and metrics, and, last, the one that flushes them."""
    is_cold = _cold_start.end()
    tracing = (
        LiveTracing(
            tracer_provider,
            view=settings.view,
            joins_incoming=settings.joins_incoming,
            top=settings.top,
            is_cold=is_cold,
            event_log=_event_log_of(logger_provider) if logger_provider is not None else None,
        )
        if tracer_provider is not None
        else None
    )
    instruments = _instruments_of(meter_provider) if meter_provider is not None else None
    is_retained = tracer_provider in retaining if tracer_provider is not None else False
    watch_exporters()
    providers = [tracer_provider, meter_provider, logger_provider]
    delivery = Delivery(tracing, instruments, providers, settings.flush_seconds, is_retained=is_retained)
    metrics = Metrics(instruments, is_cold=is_cold) if instruments is not None else None
    return tuple(observer for observer in (tracing, metrics, delivery) if observer is not None)


class Delivery(Observer):
    """Flushes when the invocation ends; must be the last observer."""

    def __init__(
        self,
        tracing: LiveTracing | None,
        instruments: Instruments | None,
        providers: list[Any],
        longest_seconds: float,
        *,
        is_retained: bool = False,
    ) -> None:
        """Prepare.

        Args:
            tracing: The tracing of the invocation.
            instruments: Measure how long the flush takes.
            providers: The tracer provider, and behind it the other providers; None for those that do not exist.
            longest_seconds: The longest wait.
            is_retained: Whether the spans of failed exports are sent again.
        """
        self._is_retained = is_retained
        self._tracing = tracing
        self._instruments = instruments
        self._flushes, self._other_flushes = _flushes_of(providers[:1]), _flushes_of(providers[1:])
        self._longest_seconds = longest_seconds

    def on_invocation_ended(self, notification: InvocationEnded) -> None:
        """Flush within the time budget. Spans do not wait for a collector that takes only them and not metrics."""
        budget = budget_of(notification.started.lambda_context, self._longest_seconds)
        spans, others = _flusher.begin(self._flushes, budget), _other_flusher.begin(self._other_flushes, budget)
        flushed, other = spans(), others()
        is_lost = not flushed.is_complete or (flushed.is_refused and not self._is_retained)
        if is_lost and self._tracing is not None and self._tracing.identity is not None:
            sent_roots.lose(self._tracing.identity)
        self._measure(flushed, max(flushed.seconds, other.seconds))

    def _measure(self, flushed: Flushed, seconds: float) -> None:
        """Counted in the next invocation's metrics: this invocation's are already sent."""
        if self._instruments is None:
            return
        self._instruments.measure(FLUSH_DURATION, seconds)
        outlet = self._tracing.outlet if self._tracing is not None else None
        undelivered = outlet.sent if outlet is not None and not flushed.is_complete else 0
        dropped = max(undelivered, outcomes.take_lost())
        if dropped:
            self._instruments.count(DROPPED, dropped)


def _flushes_of(providers: list[Any]) -> list[Callable[[int], Any]]:
    return [provider.force_flush for provider in providers if hasattr(provider, "force_flush")]


def _instruments_of(provider: Any) -> Instruments:
    found = _instruments.get(provider)
    if found is None:
        found = _instruments[provider] = Instruments(provider.get_meter(SCOPE, sdk_version(), SCHEMA_URL))
    return found


def _event_log_of(provider: Any) -> "EventLog":
    from durable_execution.telemetry.event_log import EventLog

    return EventLog(provider.get_logger(SCOPE, sdk_version(), SCHEMA_URL), keeps="span" in exception_signals())

"""Assembles the observers of one invocation."""

from typing import Any
from weakref import WeakKeyDictionary

from durable_execution.observers import InvocationEnded, Observer
from durable_execution.telemetry.counting import lost_spans
from durable_execution.telemetry.flushing import Flushed, Flusher, budget_of
from durable_execution.telemetry.live import LiveTracing, sent_roots
from durable_execution.telemetry.metrics import DROPPED, FLUSH_DURATION, Instruments, Metrics
from durable_execution.telemetry.settings import Settings

SCOPE = "durable_execution"

_flusher = Flusher()
_instruments: "WeakKeyDictionary[Any, Instruments]" = WeakKeyDictionary()


def assemble(tracer_provider: Any, meter_provider: Any, settings: Settings) -> tuple[Observer, ...]:
    """Return the observers for spans and metrics, and, last, the one that flushes them."""
    tracing = (
        LiveTracing(tracer_provider, view=settings.view, joins_incoming=settings.joins_incoming)
        if tracer_provider is not None
        else None
    )
    instruments = _instruments_of(meter_provider) if meter_provider is not None else None
    delivery = Delivery(tracing, instruments, [tracer_provider, meter_provider], settings.flush_seconds)
    metrics = Metrics(instruments) if instruments is not None else None
    return tuple(observer for observer in (tracing, metrics, delivery) if observer is not None)


class Delivery(Observer):
    """Flushes when the invocation ends; must be the last observer."""

    def __init__(
        self, tracing: LiveTracing | None, instruments: Instruments | None, providers: list[Any], longest_seconds: float
    ) -> None:
        self._tracing = tracing
        self._instruments = instruments
        self._providers = [provider for provider in providers if hasattr(provider, "force_flush")]
        self._longest_seconds = longest_seconds

    def on_invocation_ended(self, happening: InvocationEnded) -> None:
        """Flush within the time budget."""
        budget = budget_of(happening.started.lambda_context, self._longest_seconds)
        flushed = _flusher.flush([provider.force_flush for provider in self._providers], budget)
        if not flushed.is_complete and self._tracing is not None and self._tracing.identity is not None:
            sent_roots.lose(self._tracing.identity)
        self._measure(flushed)

    def _measure(self, flushed: Flushed) -> None:
        """Counted in the next invocation's metrics: this invocation's are already sent."""
        if self._instruments is None:
            return
        self._instruments.measure(FLUSH_DURATION, flushed.seconds)
        outlet = self._tracing.outlet if self._tracing is not None else None
        undelivered = outlet.sent if outlet is not None and not flushed.is_complete else 0
        dropped = max(undelivered, lost_spans.take())
        if dropped:
            self._instruments.count(DROPPED, dropped)


def _instruments_of(provider: Any) -> Instruments:
    found = _instruments.get(provider)
    if found is None:
        found = _instruments[provider] = Instruments(provider.get_meter(SCOPE))
    return found

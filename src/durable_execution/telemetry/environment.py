"""Chooses an invocation's telemetry by what the application has configured.

This runs at the start of every invocation, so the answer "nothing" must be cheap: it imports nothing.
"""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Context
from typing import Any

from durable_execution.observers import Observer
from durable_execution.telemetry.logs import LogPlaces, is_asked_for
from durable_execution.telemetry.settings import CALLS, OFF, Settings, exception_signals

logger = logging.getLogger("durable_execution")
STAND_INS = ("Proxy", "_Proxy", "NoOp")
"""Classes that the API returns while no provider is configured."""


class _Warnings:
    """Problems with the set-up that this environment has logged."""

    def __init__(self) -> None:
        self.logged: set[str] = set()

    def warn_once(self, message: str) -> None:
        """Log a problem, the first time it occurs."""
        if message not in self.logged:
            self.logged.add(message)
            logger.warning("%s", message)


_warnings = _Warnings()


def observers_from_environment() -> tuple[Observer, ...]:
    """Return the observers for one invocation: none, unless the application has a provider or correlates logs."""
    tracer_provider = configured_provider("trace", "get_tracer_provider", "TracerProvider")
    meter_provider = configured_provider("metrics", "get_meter_provider", "MeterProvider")
    places: tuple[Observer, ...] = (LogPlaces(),) if is_asked_for() else ()
    if tracer_provider is None and meter_provider is None:
        return places
    settings = Settings.read()
    for problem in settings.problems:
        _warnings.warn_once(problem)
    if not settings.is_on:
        return places
    logger_provider = None
    if "logs" in exception_signals():
        logger_provider = configured_provider("_logs", "get_logger_provider", "LoggerProvider")
    from durable_execution.telemetry.live import assemble

    return (*places, *assemble(tracer_provider, meter_provider, settings, logger_provider))


def configured_provider(signal: str, getter: str, kind: str) -> Any:
    """Return the application's provider of one signal, if it has a usable one.

    Args:
        signal: `trace`, `metrics` or `_logs`.
        getter: The function of OpenTelemetry's API that returns it.
        kind: The SDK's class: deterministic ids need OpenTelemetry's own SDK.
    """
    api = sys.modules.get(f"opentelemetry.{signal}")
    if api is None:
        return None
    provider = getattr(api, getter)()
    expected = getattr(sys.modules.get(f"opentelemetry.sdk.{signal}"), kind, None)
    if expected is not None and isinstance(provider, expected):
        return provider
    if not type(provider).__name__.startswith(STAND_INS):
        _warnings.warn_once(
            f"the {type(provider).__module__}.{type(provider).__qualname__} that is set as OpenTelemetry's {signal} "
            "provider does not come from the OpenTelemetry SDK, so executions send nothing to it: their spans need ids that are "
            "the same in every invocation. Set a provider of opentelemetry.sdk that exports to your backend"
        )
    return None


SUPPRESSED = "suppress_instrumentation"
"""OpenTelemetry's instrumentation creates no span while its context has this key."""


@contextmanager
def reading_calls() -> Iterator[None]:
    """Suppress the spans of calls made before the Invocation is known: without a parent, each would be a trace of its own."""
    api = sys.modules.get("opentelemetry.trace")
    if api is None or (not is_quiet() and api.get_current_span().get_span_context().is_valid):
        yield
        return
    from opentelemetry import context

    token = context.attach(context.set_value(SUPPRESSED, True))
    try:
        yield
    finally:
        context.detach(token)


def suppress_calls(around: Context) -> None:
    """Suppress the spans of calls that are made with these context variables, if the environment asks for it."""
    if is_quiet() and "opentelemetry.trace" in sys.modules:
        from opentelemetry import context

        around.run(lambda: context.attach(context.set_value(SUPPRESSED, True)))


def is_quiet() -> bool:
    """Tell whether the environment suppresses the spans of checkpoint calls."""
    return os.environ.get(CALLS.name, CALLS.default).strip().lower() in OFF

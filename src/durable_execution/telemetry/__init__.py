"""Traces, metrics and logs of executions.

If the application has an OpenTelemetry provider, it is found and used; there is nothing to set up. If it has none,
`configure()` creates one. Without either, nothing is sent and OpenTelemetry's SDK is not imported.

Finished spans are values (`SpanRecord`): they can be stored (`store`), drawn (`tree`), computed from a history
(`backfill`) and sent (`otlp`) without a collector or a provider.
"""

from durable_execution.telemetry.configuration import Telemetry, configure
from durable_execution.telemetry.environment import observers_from_environment
from durable_execution.telemetry.logs import CorrelationFilter, correlate_logs
from durable_execution.telemetry.safe_meter import replay_safe_meter
from durable_execution.telemetry.spans import SpanEvent, SpanLink, SpanRecord, SpanStatus

__all__ = [
    "CorrelationFilter",
    "SpanEvent",
    "SpanLink",
    "SpanRecord",
    "SpanStatus",
    "Telemetry",
    "configure",
    "correlate_logs",
    "observers_from_environment",
    "replay_safe_meter",
]

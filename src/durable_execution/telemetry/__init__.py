"""Traces, metrics and logs of executions.

Nothing here needs setting up where the application has an OpenTelemetry provider: it is found and used. Where there is
none, `configure()` makes one. Without either, nothing is sent, and OpenTelemetry's SDK is not even imported.

Finished spans are values (`SpanRecord`), so traces can be kept (`store`), drawn (`tree`), computed from a history
(`backfill`) and sent (`otlp`) without a collector or a provider.
"""

from durable_execution.telemetry.configuration import Telemetry, configure
from durable_execution.telemetry.environment import observers_from_environment
from durable_execution.telemetry.logs import CorrelationFilter, correlate_logs
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
]

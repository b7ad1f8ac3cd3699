"""Sends span records through OpenTelemetry's own OTLP exporters, so that all of their settings apply.

This module needs the extra `[otlp]`.
"""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from durable_execution.errors import ConfigurationError
from durable_execution.telemetry import settings
from durable_execution.telemetry.configuration import is_service_named, noticing_session, otlp_exporter
from durable_execution.telemetry.export_outcomes import ExportOutcomes
from durable_execution.telemetry.spans import (
    SCHEMA_URL,
    SCOPE,
    SPANS_PER_REQUEST,
    ExportError,
    SpanRecord,
    sdk_version,
)

SAMPLED = TraceFlags(TraceFlags.SAMPLED)


def send(
    records: Sequence[SpanRecord],
    *,
    service_name: str | None,
    default_service_name: str,
    endpoint: str | None,
    protocol: str,
    headers: Mapping[str, str] | None = None,
    timeout_seconds: float | None = None,
) -> None:
    """Send spans to a collector.

    Args:
        records: The spans.
        service_name: The service that the backend lists them under; None for `OTEL_SERVICE_NAME` or the default.
        default_service_name: The service where nothing names one.
        endpoint: URL of the collector, complete for HTTP; None for that of the `OTEL_EXPORTER_OTLP_*` variables.
        protocol: `http/protobuf` or `grpc`.
        headers: Headers in place of those of the variables.
        timeout_seconds: Longest wait for one response, in place of that of the variables.

    Raises:
        ExportError: The exporter is not installed, or the collector does not accept the spans.
    """
    known = {name: value for name, value in {"endpoint": endpoint, "headers": headers}.items() if value is not None}
    if timeout_seconds is not None:
        known["timeout"] = timeout_seconds  # type: ignore[assignment]
    outcomes, reasons = ExportOutcomes(), list[str]()
    if protocol != "grpc":
        known["session"] = noticing_session(outcomes, reasons.append)
    try:
        exporter = otlp_exporter("traces", protocol, **known)
    except ConfigurationError as error:
        raise ExportError(f"{error}, or choose the protocol http/json, which needs no extra") from None
    resource = resource_of(service_name, default_service_name)
    try:
        for start in range(0, len(records), SPANS_PER_REQUEST):
            batch = [readable(record, resource) for record in records[start : start + SPANS_PER_REQUEST]]
            with _messages() as said:
                is_accepted = exporter.export(batch) is SpanExportResult.SUCCESS
            if not is_accepted:
                where = (
                    endpoint or os.environ.get(settings.TRACES_ENDPOINT.name) or os.environ.get(settings.ENDPOINT.name)
                )
                raise ExportError(
                    f"the collector at {where or 'the default address'} did not accept the spans: "
                    f"{'; '.join(said) or 'the exporter gives no reason'}. Check the address, and the credentials in "
                    f"{settings.HEADERS.name}"
                )
    finally:
        exporter.shutdown()
    rejected = outcomes.take_lost()
    if rejected:
        raise ExportError.of_rejected(rejected, len(records), reasons)


def resource_of(service_name: str | None, default_service_name: str) -> Resource:
    """Return the resource of the spans, with the attributes that the `OTEL_*` variables set."""
    named = service_name or (None if is_service_named() else default_service_name)
    return Resource.create({SERVICE_NAME: named} if named else {})


def readable(record: SpanRecord, resource: Resource) -> ReadableSpan:
    """Return a record as a span of the SDK."""
    trace_id = int(record.trace_id, 16)
    parent = SpanContext(trace_id, int(record.parent_id, 16), False, SAMPLED) if record.parent_id is not None else None
    return ReadableSpan(
        name=record.name,
        context=SpanContext(trace_id, int(record.span_id, 16), False, SAMPLED),
        parent=parent,
        resource=resource,
        attributes=record.attributes,
        events=[Event(event.name, event.attributes, event.at_ns) for event in record.events],
        links=[
            Link(SpanContext(int(link.trace_id, 16), int(link.span_id, 16), False, SAMPLED)) for link in record.links
        ],
        kind=SpanKind[record.kind],
        status=Status(StatusCode[record.status.name], record.message if record.status.name == "ERROR" else None),
        start_time=record.start_ns,
        end_time=record.end_ns,
        instrumentation_scope=InstrumentationScope(SCOPE, sdk_version(), SCHEMA_URL),
    )


@contextmanager
def _messages() -> Iterator[list[str]]:
    """Collect what an exporter logs: its only way to say why it failed."""
    said: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    logger, handler = logging.getLogger("opentelemetry.exporter"), Collector(logging.WARNING)
    was_propagated, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield said
    finally:
        logger.removeHandler(handler)
        logger.propagate = was_propagated

"""Renders spans as OTLP JSON, which collectors, Jaeger and others read, and sends spans to a collector.

JSON works without OpenTelemetry's exporters installed.
"""

import json
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit
from urllib.request import Request, getproxies, urlopen

from durable_execution.telemetry import settings
from durable_execution.telemetry.spans import (
    SCHEMA_URL,
    SCOPE,
    SPANS_PER_REQUEST,
    AttributeValue,
    ExportError,
    SpanEvent,
    SpanLink,
    SpanRecord,
    SpanStatus,
    sdk_version,
)

KINDS = {"INTERNAL": 1, "SERVER": 2, "CLIENT": 3, "PRODUCER": 4, "CONSUMER": 5}
CODES = {SpanStatus.UNSET: 0, SpanStatus.OK: 1, SpanStatus.ERROR: 2}
DEFAULT_ENDPOINT = "http://localhost:4318"
PATH = "/v1/traces"
JSON = "http/json"
PROTOCOLS = ("http/protobuf", "grpc", JSON)
DEFAULT_TIMEOUT_SECONDS = 10.0
PORTS = {"http": 80, "https": 443}


def to_otlp(records: Sequence[SpanRecord], *, service_name: str, resource: Mapping[str, str] | None = None) -> Any:
    """Return the JSON form of an `ExportTraceServiceRequest`.

    Args:
        records: The spans.
        service_name: The service that the backend lists them under.
        resource: Further attributes of the resource.

    Returns:
        A JSON-ready object; write it with `json.dump`, or post it to `/v1/traces`.
    """
    known: dict[str, AttributeValue] = {"service.name": service_name, **(resource or {})}
    scope = {
        "scope": {"name": SCOPE, "version": sdk_version() or ""},
        "spans": [_span(record) for record in records],
        "schemaUrl": SCHEMA_URL,
    }
    return {"resourceSpans": [{"resource": {"attributes": _attributes(known)}, "scopeSpans": [scope]}]}


def send_otlp(
    records: Sequence[SpanRecord],
    *,
    service_name: str | None = None,
    default_service_name: str = "durable-execution",
    endpoint: str | None = None,
    protocol: str | None = None,
    headers: Mapping[str, str] | None = None,
    timeout_seconds: float | None = None,
) -> int:
    """Send spans to a collector by OTLP.

    Protobuf goes through OpenTelemetry's own exporter, which needs the extra `[otlp]` and reads all
    `OTEL_EXPORTER_OTLP_*` variables: headers, time-outs, compression, certificates. JSON needs no extra.

    Args:
        records: The spans.
        service_name: The service that the backend lists them under; by default `OTEL_SERVICE_NAME`, else
            `default_service_name`.
        default_service_name: The service where nothing names one.
        endpoint: The collector's address, for example `http://localhost:4318`; by default `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`
            or `OTEL_EXPORTER_OTLP_ENDPOINT`.
        protocol: `http/protobuf`, `grpc` or `http/json`; by default `OTEL_EXPORTER_OTLP_TRACES_PROTOCOL` or
            `OTEL_EXPORTER_OTLP_PROTOCOL`, else `http/protobuf`.
        headers: Headers; by default those of `OTEL_EXPORTER_OTLP_HEADERS`.
        timeout_seconds: Longest wait for one response; by default that of the variables, else 10 seconds.

    Returns:
        The number of spans delivered.

    Raises:
        ExportError: The collector cannot be reached or refuses the spans, or the exporter is not installed.
    """
    said = os.environ.get(settings.TRACES_PROTOCOL.name) or os.environ.get(settings.PROTOCOL.name)
    chosen = protocol or (said or settings.PROTOCOL.default).strip().lower()
    if chosen not in PROTOCOLS:
        raise ExportError(f"{chosen!r} is not an OTLP protocol; use one of {', '.join(PROTOCOLS)}")
    if chosen != JSON:
        from durable_execution.telemetry.sdk_spans import send

        url = endpoint if chosen == "grpc" else traces_url(endpoint)
        if url is not None and chosen != "grpc":
            _check_reachable(url, timeout_seconds or DEFAULT_TIMEOUT_SECONDS)
        send(
            records,
            service_name=service_name,
            default_service_name=default_service_name,
            endpoint=url,
            protocol=chosen,
            headers=headers,
            timeout_seconds=timeout_seconds,
        )
        return len(records)
    named = service_name or os.environ.get(settings.SERVICE.name) or default_service_name
    _send_json(records, traces_url(endpoint), named, headers, timeout_seconds or DEFAULT_TIMEOUT_SECONDS)
    return len(records)


def _check_reachable(url: str, timeout_seconds: float) -> None:
    """Fail at once where no collector listens: the exporter would try again until its time is over."""
    parts = urlsplit(url)
    if getproxies() or parts.hostname is None:
        return
    try:
        socket.create_connection((parts.hostname, parts.port or PORTS[parts.scheme]), timeout_seconds).close()
    except OSError as error:
        raise _unreachable(url, error) from None


def _unreachable(url: str, error: Exception) -> ExportError:
    return ExportError(
        f"no collector answers at {url}: {getattr(error, 'reason', error)}. Start one, or set a different address with "
        f"--endpoint or {settings.ENDPOINT.name}"
    )


def _send_json(
    records: Sequence[SpanRecord],
    url: str,
    service_name: str,
    headers: Mapping[str, str] | None,
    timeout_seconds: float,
) -> None:
    sent = dict(headers) if headers is not None else headers_from_environment()
    rejected, reasons = 0, dict[str, None]()
    for part in _parts(records):
        document = json.dumps(to_otlp(part, service_name=service_name)).encode()
        answer = _post(url, document, {**sent, "content-type": "application/json"}, timeout_seconds)
        count, reason = _rejected(answer)
        rejected += count
        reasons.update({reason: None} if count else {})
    if rejected:
        raise ExportError.of_rejected(rejected, len(records), reasons)


def _rejected(answer: bytes) -> tuple[int, str]:
    """Return the number of rejected spans, and why, from a collector's answer."""
    try:
        success = json.loads(answer)["partialSuccess"]
        return int(success.get("rejectedSpans", 0)), str(success.get("errorMessage") or "it gives no reason")
    except (ValueError, TypeError, KeyError, AttributeError):
        return 0, ""  # not the answer of a collector, or everything was accepted


def traces_url(endpoint: str | None = None) -> str:
    """Return the URL that spans are posted to.

    Raises:
        ExportError: It is not an HTTP address.
    """
    specific = os.environ.get(settings.TRACES_ENDPOINT.name) if endpoint is None else None
    base = specific or endpoint or os.environ.get(settings.ENDPOINT.name) or DEFAULT_ENDPOINT
    parts = urlsplit(base)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ExportError(f"{base!r} is not the address of a collector: use an address like {DEFAULT_ENDPOINT}")
    return base if specific or parts.path.endswith(PATH) else base.rstrip("/") + PATH


def headers_from_environment() -> dict[str, str]:
    """Parse `OTEL_EXPORTER_OTLP_HEADERS`: percent-encoded `key=value` pairs, separated by commas."""
    text = os.environ.get(settings.TRACES_HEADERS.name) or os.environ.get(settings.HEADERS.name) or ""
    pairs = (pair.partition("=") for pair in text.split(",") if "=" in pair)
    return {unquote(key).strip().lower(): unquote(value).strip() for key, _, value in pairs if key.strip()}


def _parts(records: Sequence[SpanRecord]) -> Iterator[Sequence[SpanRecord]]:
    for start in range(0, len(records), SPANS_PER_REQUEST):
        yield records[start : start + SPANS_PER_REQUEST]


def _post(url: str, document: bytes, headers: Mapping[str, str], timeout_seconds: float) -> bytes:
    request = Request(url, data=document, headers=dict(headers), method="POST")  # noqa: S310  # checked to be http
    try:
        with urlopen(request, timeout=timeout_seconds) as answer:  # noqa: S310  # checked to be http
            return bytes(answer.read())
    except HTTPError as error:
        with error:
            reason = error.read(500).decode("utf-8", "replace").strip()
        raise ExportError(
            f"the collector at {url} refused the spans: {error.code} {error.reason} {reason}".rstrip()
            + ". Check the path, and the credentials in OTEL_EXPORTER_OTLP_HEADERS"
        ) from None
    except (URLError, OSError) as error:
        raise _unreachable(url, error) from None


def _span(record: SpanRecord) -> dict[str, Any]:
    span: dict[str, Any] = {
        "traceId": record.trace_id,
        "spanId": record.span_id,
        "name": record.name,
        "kind": KINDS.get(record.kind, 1),
        "startTimeUnixNano": str(record.start_ns),
        "endTimeUnixNano": str(record.end_ns),
        "attributes": _attributes(record.attributes),
        "events": [_event(event) for event in record.events],
        "links": [_link(link) for link in record.links],
        "status": {"code": CODES[record.status]},
    }
    if record.parent_id is not None:
        span["parentSpanId"] = record.parent_id
    if record.message:
        span["status"]["message"] = record.message
    return span


def _event(event: SpanEvent) -> dict[str, Any]:
    return {"name": event.name, "timeUnixNano": str(event.at_ns), "attributes": _attributes(event.attributes)}


def _link(link: SpanLink) -> dict[str, Any]:
    return {"traceId": link.trace_id, "spanId": link.span_id}


def _attributes(attributes: Mapping[str, AttributeValue]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in attributes.items()]


def _value(value: AttributeValue) -> dict[str, Any]:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case str():
            return {"stringValue": value}
        case _:
            return {"arrayValue": {"values": [_value(item) for item in value]}}

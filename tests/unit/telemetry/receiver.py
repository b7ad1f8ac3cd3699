"""An OTLP/HTTP collector for tests: takes the real protobuf of the real exporter, and answers as it is told."""

import gzip
import json
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from google.protobuf import json_format  # type: ignore[import-untyped]
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

STATUS = {0: "UNSET", 1: "OK", 2: "ERROR"}
KIND = {1: "INTERNAL", 2: "SERVER", 3: "CLIENT", 4: "PRODUCER", 5: "CONSUMER"}


@dataclass(frozen=True)
class Received:
    """A span as it arrived."""

    name: str
    trace_id: str
    span_id: str
    parent_span_id: str | None
    start_ns: int
    end_ns: int
    kind: str
    status: str
    message: str
    service_name: str
    attributes: dict[str, Any]
    links: tuple[tuple[str, str], ...]
    events: tuple[tuple[str, int, dict[str, Any]], ...]


@dataclass
class Collector:
    """What has arrived."""

    endpoint: str = ""
    spans: list[Received] = field(default_factory=list)
    metrics: dict[str, Any] = field(default_factory=dict)
    logs: list[Any] = field(default_factory=list)
    rejects_half: bool = False
    rejected: int = 0
    status: int = 200
    hangs: threading.Event | None = None
    requests: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    delay_seconds: float = 0.0

    def named(self, name: str) -> list[Received]:
        return [span for span in self.spans if span.name == name]

    def take(self, path: str, body: bytes, kind: str = "") -> bytes:
        self.requests += 1
        if path == "/v1/metrics":
            request = ExportMetricsServiceRequest.FromString(body)
            self.metrics.update(
                {m.name: m for r in request.resource_metrics for s in r.scope_metrics for m in s.metrics}
            )
            return b""
        if path == "/v1/logs":
            for resource in ExportLogsServiceRequest.FromString(body).resource_logs:
                self.logs.extend(record for scope in resource.scope_logs for record in scope.log_records)
            return b""
        request = from_json(body) if kind == "application/json" else ExportTraceServiceRequest.FromString(body)
        rejected = 0
        for resource in request.resource_spans:
            known = _attributes(resource.resource.attributes)
            for scope in resource.scope_spans:
                taken = scope.spans[::2] if self.rejects_half else scope.spans
                rejected += len(scope.spans) - len(taken)
                self.spans.extend(_span(span, known.get("service.name", "")) for span in taken)
        self.rejected += rejected
        if not rejected:
            return b""
        answer = ExportTraceServiceResponse()
        answer.partial_success.rejected_spans = rejected
        answer.partial_success.error_message = "quota"
        if kind == "application/json":
            return str(json_format.MessageToJson(answer)).encode()
        return bytes(answer.SerializeToString())


@contextmanager
def collector(port: int = 0) -> Iterator[Collector]:
    """Listen on a port; by default a free one."""
    received = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            received.headers = {key.lower(): value for key, value in self.headers.items()}
            if received.hangs is not None:
                received.hangs.wait(30)
            threading.Event().wait(received.delay_seconds)
            answer = (
                received.take(self.path, body, self.headers.get("content-type", "")) if received.status == 200 else b""
            )
            self.send_response(received.status)
            self.send_header("content-type", self.headers.get("content-type", "application/x-protobuf"))
            self.send_header("content-length", str(len(answer)))
            with suppress(BrokenPipeError, ConnectionResetError):  # the sender has given up
                self.end_headers()
                self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the name it is called with
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    received.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield received
    finally:
        if received.hangs is not None:
            received.hangs.set()
        server.shutdown()
        server.server_close()
        thread.join(5)


def from_json(body: bytes) -> ExportTraceServiceRequest:
    """OTLP's JSON is protobuf's, but for ids, which are hexadecimal."""

    def as_protobuf(value: Any) -> Any:
        if isinstance(value, list):
            return [as_protobuf(item) for item in value]
        if not isinstance(value, dict):
            return value
        return {
            key: b64encode(bytes.fromhex(item)).decode()
            if key in ("traceId", "spanId", "parentSpanId")
            else as_protobuf(item)
            for key, item in value.items()
        }

    request = ExportTraceServiceRequest()
    json_format.ParseDict(as_protobuf(json.loads(body)), request)
    return request


def _span(span: Any, service_name: str) -> Received:
    return Received(
        name=span.name,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_span_id=span.parent_span_id.hex() or None,
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        kind=KIND[span.kind],
        status=STATUS[span.status.code],
        message=span.status.message,
        service_name=service_name,
        attributes=_attributes(span.attributes),
        links=tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
        events=tuple((event.name, event.time_unix_nano, _attributes(event.attributes)) for event in span.events),
    )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return tuple(_value(item) for item in value.array_value.values)
    return getattr(value, kind) if kind else None

"""`configure()`: creates tracer and meter providers from the standard `OTEL_*` variables, for applications that have none."""

import importlib
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from durable_execution.errors import ConfigurationError
from durable_execution.telemetry import settings

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

    from durable_execution.telemetry.export_outcomes import ExportOutcomes

logger = logging.getLogger("durable_execution")

PROTOCOLS = ("http/protobuf", "grpc")


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What `configure()` set up.

    Attributes:
        tracer_provider: The tracer provider in use.
        meter_provider: The meter provider in use; None when metrics were not requested and the application has no provider.
        is_ours: Whether `configure()` created the tracer provider. If False, the application had one, which is used
            unchanged.
        logger_provider: The logger provider in use; None unless `OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN` asks for log records.
    """

    tracer_provider: Any
    meter_provider: Any
    is_ours: bool
    logger_provider: Any = None

    def flush(self, timeout_seconds: float = 5.0) -> bool:
        """Export pending spans and metrics. Returns whether that finished in time."""
        from durable_execution.telemetry.flushing import Flusher

        flushes = [provider.force_flush for provider in self._providers if hasattr(provider, "force_flush")]
        return Flusher().flush(flushes, timeout_seconds).is_complete

    def shutdown(self) -> None:
        """Export pending spans and metrics and shut down, if `configure()` created the providers."""
        if self.is_ours:
            for provider in self._providers:
                if hasattr(provider, "shutdown"):
                    provider.shutdown()

    @property
    def _providers(self) -> tuple[Any, ...]:
        return self.tracer_provider, self.meter_provider, self.logger_provider


def configure(
    *,
    service_name: str | None = None,
    view: str | None = None,
    trace_name: str | None = None,
    trace_root: str | None = None,
    metrics: bool = True,
    resource_attributes: Mapping[str, str] | None = None,
    span_exporter: "SpanExporter | None" = None,
) -> Telemetry:
    """Send the spans and metrics of every execution by OTLP.

    Call it once, at module level, in applications without an OpenTelemetry set-up of their own. If there is one (the
    ADOT layer, the community's layer, your own code), it is used and not changed.

    OpenTelemetry's own variables configure the endpoint, the protocol and sampling: `OTEL_EXPORTER_OTLP_ENDPOINT`,
    `OTEL_EXPORTER_OTLP_PROTOCOL` (`http/protobuf` or `grpc`), `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_TRACES_SAMPLER`,
    `OTEL_RESOURCE_ATTRIBUTES`, and so on; `OTEL_TRACES_EXPORTER=none` and `OTEL_METRICS_EXPORTER=none` turn a signal off.

    Args:
        service_name: Name of the service; by default `OTEL_SERVICE_NAME`, else the Lambda function's name.
        view: `execution` or `invocation`; by default `DURABLE_TRACE_VIEW`.
        trace_name: Name that trace lists show; by default `DURABLE_TRACE_NAME`, else the function's name.
        trace_root: `workflow`, `once` or `plain`; by default `DURABLE_TRACE_ROOT`. Use `once` with Jaeger and Phoenix.
        metrics: Whether to send metrics as well.
        resource_attributes: Further attributes of the resource.
        span_exporter: An exporter that receives the spans instead of OTLP.

    Raises:
        ConfigurationError: The OTLP exporters are not installed, or an option is invalid.
    """
    if view is not None:
        settings.choose_view(view)
    settings.choose_root(trace_root, trace_name)
    from opentelemetry import metrics as metrics_api
    from opentelemetry import trace

    try:
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.trace import TracerProvider
    except ImportError as error:
        raise ConfigurationError(
            "telemetry.configure() needs the OpenTelemetry SDK: pip install 'durable-execution-sdk[otlp]'"
        ) from error

    current, current_meters = trace.get_tracer_provider(), metrics_api.get_meter_provider()
    has_meters = isinstance(current_meters, MeterProvider)
    if isinstance(current, TracerProvider):
        return Telemetry(current, current_meters if has_meters else None, is_ours=False)
    resource = _resource(service_name, resource_attributes or {})
    provider = _tracer_provider(resource, span_exporter)
    trace.set_tracer_provider(provider)
    meters = current_meters if has_meters else (_meter_provider(resource) if metrics else None)
    if meters is not None and not has_meters:
        metrics_api.set_meter_provider(meters)
    logs = _logger_provider(resource) if "logs" in settings.exception_signals() else None
    return Telemetry(provider, meters, is_ours=True, logger_provider=logs)


def lambda_resource(environment: Mapping[str, str]) -> dict[str, str | int]:
    """Describe the Lambda function by OpenTelemetry's conventions."""
    said = {key: environment.get(variable.name, "") for key, variable in settings.LAMBDA_RESOURCE.items()}
    if not said["faas.name"]:
        return {}
    found: dict[str, str | int] = {"cloud.provider": "aws", "cloud.platform": "aws_lambda"}
    megabytes = said.pop("faas.max_memory")
    if megabytes.isdigit():
        found["faas.max_memory"] = int(megabytes) * 1_024 * 1_024
    return found | {key: value for key, value in said.items() if value}


def _resource(service_name: str | None, further: Mapping[str, str]) -> "Resource":
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource

    known: dict[str, Any] = {**lambda_resource(os.environ), **further}
    named = service_name or ("" if is_service_named() else known.get("faas.name"))
    if named:
        known[SERVICE_NAME] = named
    return Resource.create(known)


def is_service_named() -> bool:
    """Tell whether an `OTEL_*` variable names the service."""
    further = os.environ.get(settings.RESOURCE.name, "")
    return bool(os.environ.get(settings.SERVICE.name)) or "service.name=" in further


def _tracer_provider(resource: "Resource", exporter: "SpanExporter | None") -> "TracerProvider":
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    from durable_execution.telemetry.environment_memory import sent_roots
    from durable_execution.telemetry.export_outcomes import RetainingExporter, retaining

    provider = TracerProvider(resource=resource)
    chosen = exporter or _exporter("traces")
    if chosen is not None:
        kept = RetainingExporter(chosen, on_lost=sent_roots.lose_spans)
        provider.add_span_processor(BatchSpanProcessor(kept, max_queue_size=_queue_size()))
        retaining.add(provider)
    return provider


def _meter_provider(resource: "Resource") -> "MeterProvider | None":
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

    exporter = _exporter("metrics")
    if exporter is None:
        return None
    return MeterProvider([PeriodicExportingMetricReader(exporter)], resource=resource)


def _logger_provider(resource: "Resource") -> Any:
    """Return the application's logger provider, or set one; None when log records have no exporter."""
    from opentelemetry import _logs as logs_api
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor

    current: Any = logs_api.get_logger_provider()
    if isinstance(current, LoggerProvider):
        return current
    exporter = _exporter("logs")
    if exporter is None:
        return None
    provider = LoggerProvider(resource=resource)
    provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
    logs_api.set_logger_provider(provider)
    return provider


EXPORTERS = {"traces": settings.TRACES_EXPORTER, "metrics": settings.METRICS_EXPORTER, "logs": settings.LOGS_EXPORTER}


def _exporter(signal: str) -> Any:
    variable = EXPORTERS[signal]
    chosen = os.environ.get(variable.name, "").strip().lower() or variable.default
    if chosen == "none":
        return None
    if chosen == "console":
        return _console(signal)
    if chosen != "otlp":
        raise ConfigurationError(
            f"{variable.name}={chosen!r} is not one of otlp, console, none; for a different exporter, set a "
            "provider of opentelemetry.sdk yourself instead of calling configure()"
        )
    return _otlp(signal, _protocol(signal))


def _console(signal: str) -> Any:
    if signal == "traces":
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter

        return ConsoleSpanExporter()
    if signal == "logs":
        from opentelemetry.sdk._logs import export

        return (getattr(export, "ConsoleLogRecordExporter", None) or export.ConsoleLogExporter)()
    from opentelemetry.sdk.metrics.export import ConsoleMetricExporter

    return ConsoleMetricExporter()


SPECIFIC = {
    "traces": (settings.TRACES_TIMEOUT, settings.TRACES_PROTOCOL),
    "metrics": (settings.METRICS_TIMEOUT, settings.METRICS_PROTOCOL),
    "logs": (settings.LOGS_TIMEOUT, settings.LOGS_PROTOCOL),
}
OTLP = {
    "traces": ("trace_exporter", "OTLPSpanExporter"),
    "metrics": ("metric_exporter", "OTLPMetricExporter"),
    "logs": ("_log_exporter", "OTLPLogExporter"),
}


def _otlp(signal: str, protocol: str) -> Any:
    specific = SPECIFIC[signal][0]
    options: dict[str, Any] = {}
    if signal == "traces" and protocol != "grpc":
        from durable_execution.telemetry.export_outcomes import outcomes

        options["session"] = noticing_session(outcomes)
    is_timed = {settings.TIMEOUT.name, specific.name} & set(os.environ)
    if not is_timed:
        options["timeout"] = int(settings.TIMEOUT.default)
    return otlp_exporter(signal, protocol, **options)


def noticing_session(counted: "ExportOutcomes", on_rejected: Callable[[str], None] | None = None) -> Any:
    """Create a session for an exporter that notices spans which a collector rejects.

    Args:
        counted: Counts them.
        on_rejected: Called with the collector's reason; without it, the first rejection is logged.
    """
    from durable_execution.telemetry.export_outcomes import RejectionNotice

    session = _session()
    session.hooks["response"].append(RejectionNotice(counted, on_rejected))
    return session


def _session() -> Any:
    """Create the session that the exporter would create: an exporter that is given one asks no credential provider."""
    import requests

    chosen = os.environ.get(settings.CREDENTIALS.name) or os.environ.get(settings.TRACES_CREDENTIALS.name)
    if not chosen:
        return requests.Session()
    for found in entry_points(group="opentelemetry_otlp_credential_provider", name=chosen):
        return found.load()()
    raise ConfigurationError(
        f"{settings.CREDENTIALS.name}={chosen!r} is not an installed credential provider: install the package that has "
        "it among its entry points opentelemetry_otlp_credential_provider"
    )


def otlp_exporter(signal: str, protocol: str, **options: Any) -> Any:
    """Create OpenTelemetry's own OTLP exporter, which reads the `OTEL_EXPORTER_OTLP_*` variables.

    Args:
        signal: `traces`, `metrics` or `logs`.
        protocol: `http/protobuf` or `grpc`.
        options: Arguments of the exporter, which override the variables.

    Raises:
        ConfigurationError: The exporter is not installed.
    """
    package = "opentelemetry.exporter.otlp.proto." + ("grpc" if protocol == "grpc" else "http")
    module, kind = OTLP[signal]
    try:
        exporters = importlib.import_module(f"{package}.{module}")
    except ImportError as error:
        raise ConfigurationError(
            f"the OTLP exporter for {protocol} is not installed: {error}. Install durable-execution-sdk[otlp]"
        ) from error
    return getattr(exporters, kind)(**options)


def _protocol(signal: str) -> str:
    specific = SPECIFIC[signal][1]
    said = os.environ.get(specific.name) or os.environ.get(settings.PROTOCOL.name)
    protocol = (said or settings.PROTOCOL.default).strip().lower()
    if protocol not in PROTOCOLS:
        raise ConfigurationError(f"{settings.PROTOCOL.name}={protocol!r} is not one of {', '.join(PROTOCOLS)}")
    return protocol


def _queue_size() -> int:
    text = os.environ.get(settings.QUEUE.name, "")
    return int(text if text.isdigit() and int(text) else settings.QUEUE.default)

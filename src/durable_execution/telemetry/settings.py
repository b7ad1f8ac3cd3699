"""All environment variables in one table: the code reads it, and the documentation is generated from it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from durable_execution.errors import ConfigurationError

VIEWS = ("execution", "invocation")
ROOTS = ("workflow", "once", "plain")
OFF = frozenset({"off", "false", "0", "no", "none"})


@dataclass(frozen=True, slots=True)
class Variable:
    """An environment variable.

    Attributes:
        name: Its name.
        default: Its value when not set.
        meaning: What it does.
    """

    name: str
    default: str
    meaning: str


TELEMETRY = Variable(
    "DURABLE_TELEMETRY", "on", "`off` sends no spans and no metrics, even if a provider is configured."
)
VIEW = Variable(
    "DURABLE_TRACE_VIEW",
    "execution",
    "`execution`: one tree per execution, each operation once. `invocation`: one tree per invocation, with a segment of "
    "each operation that was open in it; for executions of hours or months, and for X-Ray.",
)
CONTEXT = Variable(
    "DURABLE_TRACE_CONTEXT",
    "incoming",
    "`incoming` joins the trace of the invocation's X-Ray or W3C header. `none` ignores it: every execution has its "
    "own trace. Use it when the function has no active tracing, since Lambda then sends `Sampled=0`.",
)
ROOT = Variable(
    "DURABLE_TRACE_ROOT",
    "workflow",
    "The root of a trace without an incoming header. `workflow`: has the function's name; sent with the first invocation, and "
    "again, with status and duration, with the last. `once`: the same, but sent with the last invocation only; for backends "
    "that keep the first version of a span, or show both. `plain`: `DurableExecutionRoot` without status and duration, as AWS's "
    "plugin sends it.",
)
TRACE_NAME = Variable("DURABLE_TRACE_NAME", "the function's name", "Name of the root, unless that is `plain`.")
WORKFLOW_NAME = Variable("DURABLE_WORKFLOW_SPAN_NAME", "Workflow", "Name of the span of the whole execution.")
FLUSH = Variable(
    "DURABLE_TELEMETRY_FLUSH_SECONDS",
    "5",
    "Longest time an invocation waits for the delivery of its spans and metrics. It never waits beyond the function's "
    "own deadline, less half a second. After a failed delivery it waits for a fifth of this time, then for a fiftieth, until "
    "a delivery succeeds.",
)
CALLS = Variable(
    "DURABLE_TRACE_CALLS",
    "on",
    "`off` suppresses the spans that instrumentation of botocore or urllib3 creates for checkpoint calls through a `client=` of "
    "yours.",
)
VARIABLES = (TELEMETRY, VIEW, CONTEXT, ROOT, TRACE_NAME, WORKFLOW_NAME, CALLS, FLUSH)
"""Variables that this SDK reads, whoever creates the provider."""

TRACES_EXPORTER = Variable("OTEL_TRACES_EXPORTER", "otlp", "`otlp`, `console` or `none`.")
METRICS_EXPORTER = Variable("OTEL_METRICS_EXPORTER", "otlp", "`otlp`, `console` or `none`.")
ENDPOINT = Variable(
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "http://localhost:4318, or :4317 for gRPC",
    "Address of the collector; `/v1/traces` and `/v1/metrics` are appended.",
)
TRACES_ENDPOINT = Variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "as above", "For spans only; nothing is appended.")
METRICS_ENDPOINT = Variable("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "as above", "For metrics only; nothing is appended.")
LOGS_ENDPOINT = Variable("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "as above", "For log records only; nothing is appended.")
HEADERS = Variable("OTEL_EXPORTER_OTLP_HEADERS", "none", "Headers to send, such as an API key: `key=value,…`.")
TRACES_HEADERS = Variable("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "as above", "For spans only.")
METRICS_HEADERS = Variable("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "as above", "For metrics only.")
LOGS_HEADERS = Variable("OTEL_EXPORTER_OTLP_LOGS_HEADERS", "as above", "For log records only.")
PROTOCOL = Variable("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf", "`http/protobuf` or `grpc`.")
TRACES_PROTOCOL = Variable("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "as above", "For spans only.")
METRICS_PROTOCOL = Variable("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "as above", "For metrics only.")
LOGS_PROTOCOL = Variable("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "as above", "For log records only.")
# An invocation waits for the collector.
TIMEOUT = Variable(
    "OTEL_EXPORTER_OTLP_TIMEOUT", "3", "Seconds to wait for the collector; OpenTelemetry's own default is 10."
)
TRACES_TIMEOUT = Variable("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "as above", "For spans only.")
METRICS_TIMEOUT = Variable("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "as above", "For metrics only.")
LOGS_TIMEOUT = Variable("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "as above", "For log records only.")
CREDENTIALS = Variable(
    "OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER",
    "none",
    "Entry point of the group `opentelemetry_otlp_credential_provider` that creates the exporters' session: for backends whose "
    "credentials change.",
)
TRACES_CREDENTIALS = Variable(
    "OTEL_PYTHON_EXPORTER_OTLP_HTTP_TRACES_CREDENTIAL_PROVIDER", "as above", "For spans only."
)
SAMPLER = Variable(
    "OTEL_TRACES_SAMPLER",
    "parentbased_always_on",
    "Which executions are traced when no incoming trace header decides it; with `OTEL_TRACES_SAMPLER_ARG`.",
)
# An invocation of 3,000 operations can end with twice as many spans at once.
QUEUE = Variable("OTEL_BSP_MAX_QUEUE_SIZE", "16384", "Spans queued for delivery; OpenTelemetry's own default is 2048.")
EXCEPTIONS = Variable(
    "OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN",
    "none",
    "`logs` sends exceptions and divergences as log records in place of span events, which OpenTelemetry deprecates; `logs/dup` "
    "sends both.",
)
LOGS_EXPORTER = Variable("OTEL_LOGS_EXPORTER", "otlp", "`otlp`, `console` or `none`; for those log records.")
SERVICE = Variable("OTEL_SERVICE_NAME", "the function's name", "Name of the service.")
RESOURCE = Variable("OTEL_RESOURCE_ATTRIBUTES", "none", "Further attributes of the resource: `key=value,…`.")
STANDARD = (
    ENDPOINT, TRACES_ENDPOINT, METRICS_ENDPOINT, LOGS_ENDPOINT, HEADERS, TRACES_HEADERS, METRICS_HEADERS, LOGS_HEADERS,
    PROTOCOL, TRACES_PROTOCOL, METRICS_PROTOCOL, LOGS_PROTOCOL, TIMEOUT, TRACES_TIMEOUT, METRICS_TIMEOUT, LOGS_TIMEOUT,
    CREDENTIALS, TRACES_CREDENTIALS, TRACES_EXPORTER, METRICS_EXPORTER, LOGS_EXPORTER, EXCEPTIONS, SAMPLER, QUEUE, SERVICE, RESOURCE,
)  # fmt: skip
"""Variables that `configure()` and OpenTelemetry's SDK read for the provider that `configure()` creates."""

XRAY_HEADER = Variable(
    "_X_AMZN_TRACE_ID", "set by Lambda", "The incoming trace: trace id, parent span, sampling decision."
)
LAMBDA_RESOURCE = {
    "faas.name": Variable(
        "AWS_LAMBDA_FUNCTION_NAME", "set by Lambda", "`faas.name` of the resource; the service's name by default."
    ),
    "faas.version": Variable("AWS_LAMBDA_FUNCTION_VERSION", "set by Lambda", "`faas.version` of the resource."),
    "faas.instance": Variable("AWS_LAMBDA_LOG_STREAM_NAME", "set by Lambda", "`faas.instance` of the resource."),
    "faas.max_memory": Variable(
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "set by Lambda", "`faas.max_memory` of the resource, there in bytes."
    ),
    "cloud.region": Variable("AWS_REGION", "set by Lambda", "`cloud.region` of the resource."),
    "aws.log.group.names": Variable(
        "AWS_LAMBDA_LOG_GROUP_NAME", "set by Lambda", "`aws.log.group.names` of the resource."
    ),
}
"""Variables that set attributes of the resource that `configure()` creates."""

EVERY = (*VARIABLES, *STANDARD, XRAY_HEADER, *LAMBDA_RESOURCE.values())
"""All variables that this package reads."""


class ViewInCode:
    """The view that code has chosen, which overrides the environment; None while it has not."""

    def __init__(self) -> None:
        self.name: str | None = None


_in_code = ViewInCode()
_chosen_root: dict[str, str] = {}


def choose_root(root: str | None, name: str | None) -> None:
    """Choose in code how roots look; this overrides the environment.

    Args:
        root: `workflow`, `once` or `plain`; None for the environment's choice.
        name: The name; None for the environment's choice.

    Raises:
        ConfigurationError: There is no such choice.
    """
    if root is not None and root not in ROOTS:
        raise ConfigurationError(f"trace_root {root!r} does not exist; use one of {', '.join(ROOTS)}")
    _chosen_root.update({key: value for key, value in (("root", root), ("name", name)) if value is not None})


def choose_view(view: str) -> None:
    """Choose a view in code; this overrides the environment.

    Raises:
        ConfigurationError: The view does not exist.
    """
    if view not in VIEWS:
        raise ConfigurationError(f"view {view!r} does not exist; use one of {', '.join(VIEWS)}")
    _in_code.name = view


def exception_signals(environment: Mapping[str, str] | None = None) -> frozenset[str]:
    """Return where exceptions and divergences go: `span`, `logs` or both."""
    given = os.environ if environment is None else environment
    chosen = {choice.strip() for choice in given.get(EXCEPTIONS.name, "").lower().split(",")}
    if "logs/dup" in chosen:
        return frozenset({"span", "logs"})
    return frozenset({"logs"}) if "logs" in chosen else frozenset({"span"})


@dataclass(frozen=True, slots=True)
class TopSpans:
    """How the two spans that represent a whole execution look.

    Attributes:
        root: `workflow`, `once` or `plain`; see `DURABLE_TRACE_ROOT`.
        trace_name: Name of the root; None for the function's name.
        workflow_name: Name of Workflow.
    """

    root: str = "plain"
    trace_name: str | None = None
    workflow_name: str = WORKFLOW_NAME.default


PLAIN = TopSpans()
"""The root and Workflow as AWS's plugin sends them."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings read from the environment.

    Attributes:
        is_on: Whether to send anything.
        view: `execution` or `invocation`.
        joins_incoming: Whether to join an incoming trace.
        top: How the root and Workflow look.
        flush_seconds: Longest wait at the end of an invocation.
        problems: Invalid settings, one line each.
    """

    is_on: bool = True
    view: str = "execution"
    joins_incoming: bool = True
    top: TopSpans = TopSpans(ROOT.default)
    flush_seconds: float = 5.0
    problems: tuple[str, ...] = ()

    @classmethod
    def read(cls, environment: Mapping[str, str] | None = None) -> "Settings":
        """Read the settings. Invalid ones keep their defaults and are named in `problems`."""
        given = os.environ if environment is None else environment
        problems: list[str] = []
        return cls(
            is_on=given.get(TELEMETRY.name, "on").strip().lower() not in OFF,
            view=_in_code.name or _choice(given, VIEW, VIEWS, problems),
            joins_incoming=_choice(given, CONTEXT, ("incoming", "none"), problems) == "incoming",
            top=TopSpans(
                root=_chosen_root.get("root") or _choice(given, ROOT, ROOTS, problems),
                trace_name=_chosen_root.get("name") or given.get(TRACE_NAME.name, "").strip() or None,
                workflow_name=given.get(WORKFLOW_NAME.name, "").strip() or WORKFLOW_NAME.default,
            ),
            flush_seconds=_seconds(given, FLUSH, problems),
            problems=tuple(problems),
        )


def _choice(given: Mapping[str, str], variable: Variable, choices: tuple[str, ...], problems: list[str]) -> str:
    value = given.get(variable.name, "").strip().lower() or variable.default
    if value in choices:
        return value
    problems.append(f"{variable.name}={value[:40]!r} is not one of {', '.join(choices)}: using {variable.default}")
    return variable.default


def _seconds(given: Mapping[str, str], variable: Variable, problems: list[str]) -> float:
    text = given.get(variable.name, "").strip() or variable.default
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if 0 <= seconds <= 900:
        return seconds
    problems.append(f"{variable.name}={text[:40]!r} is not a number of seconds from 0 to 900: using {variable.default}")
    return float(variable.default)

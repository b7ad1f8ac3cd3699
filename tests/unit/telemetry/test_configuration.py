"""`configure()`: the real exporters over real sockets, in processes of their own since providers are set once."""

import json
import logging
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple

import grpc  # type: ignore[import-untyped]
import pytest
import requests
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

from durable_execution.errors import ConfigurationError
from durable_execution.telemetry import Telemetry, configuration, configure, export_outcomes
from durable_execution.telemetry.configuration import lambda_resource
from durable_execution.telemetry.environment_memory import sent_roots
from durable_execution.telemetry.export_outcomes import ExportOutcomes, RetainingExporter
from tests.unit.telemetry.receiver import Collector, collector

SCRIPT = """
import json, os, sys
from durable_execution import durable_execution
from durable_execution.local import LocalEngine
from durable_execution.telemetry import configure

telemetry = configure(**json.loads(os.environ["ARGUMENTS"]))

@durable_execution
async def workflow(_, ctx):
    from datetime import timedelta
    await ctx.step(lambda _: 1, "charge")
    await ctx.wait(timedelta(seconds=5), "rest")
    return await ctx.step(lambda _: 2, "ship")

with LocalEngine(None, time="skip") as engine:
    engine.register("workflow", workflow)
    assert engine.run("workflow").result == 2
telemetry.flush()
telemetry.shutdown()
print(telemetry.is_ours, type(telemetry.meter_provider).__name__)
"""


def run(endpoint: str, script: str = SCRIPT, arguments: dict[str, Any] | None = None, **environment: str) -> str:
    known: dict[str, str] = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "ARGUMENTS": json.dumps(arguments or {}),
        "PATH": "/usr/bin:/bin",
        **environment,
    }
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=known, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def received() -> Iterator[Collector]:
    with collector() as found:
        yield found


def test_spans_and_metrics_are_sent_by_the_standard_variables(received: Collector) -> None:
    lambda_environment: dict[str, Any] = {
        "AWS_LAMBDA_FUNCTION_NAME": "orders",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
        "AWS_REGION": "eu-west-1",
    }
    assert run(received.endpoint, **lambda_environment) == "True MeterProvider"
    assert {span.name for span in received.spans} == {
        "workflow", "Workflow", "Invocation", "charge", "charge attempt 1", "rest", "rest resume latency",
        "ship", "ship attempt 1",
    }  # fmt: skip
    assert {span.service_name for span in received.spans} == {"orders"}
    assert len({span.trace_id for span in received.spans}) == 1
    assert {"replay.invocations", "replay.operations", "replay.checkpoint.duration"} <= set(received.metrics)


FAILING = SCRIPT.replace("lambda _: 1", "lambda _: 1 / 0").replace(".result == 2", ".error")


def test_exceptions_are_sent_as_log_records_to_those_who_opted_in(received: Collector) -> None:
    run(received.endpoint, FAILING, OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN="logs")
    assert {event_name(record) for record in received.logs} == {"exception"}
    by_id = {span.span_id: span for span in received.spans}
    assert {by_id[record.span_id.hex()].name for record in received.logs} == {
        f"charge attempt {number}" for number in range(1, len(received.logs) + 1)
    }
    assert not any(event[0] == "exception" for span in received.spans for event in span.events)
    assert {span.status for span in received.named("charge attempt 1")} == {"ERROR"}


def event_name(record: Any) -> str:
    """The name of an event: a field of the record, before OTLP 1.5 an attribute."""
    attributes = {attribute.key: attribute.value.string_value for attribute in record.attributes}
    return str(getattr(record, "event_name", "") or attributes["event.name"])


def test_options_go_before_the_environment(received: Collector) -> None:
    arguments = {"service_name": "shop", "view": "invocation", "metrics": False}
    assert run(received.endpoint, arguments=arguments, OTEL_SERVICE_NAME="other") == "True NoneType"
    assert {span.service_name for span in received.spans} == {"shop"}
    assert len(received.named("rest")) == 2
    assert not received.metrics


def test_the_services_own_name_goes_before_the_functions(received: Collector) -> None:
    run(received.endpoint, AWS_LAMBDA_FUNCTION_NAME="orders", OTEL_SERVICE_NAME="shop")
    assert {span.service_name for span in received.spans} == {"shop"}


def test_signals_can_be_turned_off(received: Collector) -> None:
    run(received.endpoint, OTEL_TRACES_EXPORTER="none", OTEL_METRICS_EXPORTER="none")
    assert received.requests == 0


def test_a_sampler_can_be_named(received: Collector) -> None:
    run(received.endpoint, OTEL_TRACES_SAMPLER="always_off", OTEL_METRICS_EXPORTER="none")
    assert not received.spans


def test_spans_can_be_printed() -> None:
    printed = run("", OTEL_TRACES_EXPORTER="console", OTEL_METRICS_EXPORTER="none")
    assert '"name": "charge attempt 1"' in printed


def test_a_collector_that_refuses_changes_nothing(received: Collector) -> None:
    received.status = 403
    assert run(received.endpoint, OTEL_METRICS_EXPORTER="none") == "True NoneType"


@contextmanager
def grpc_collector(names: list[str]) -> Iterator[str]:
    def export(request: bytes, _context: Any) -> bytes:
        for resource in ExportTraceServiceRequest.FromString(request).resource_spans:
            names.extend(span.name for scope in resource.scope_spans for span in scope.spans)
        return b""

    handler = grpc.method_handlers_generic_handler(
        "opentelemetry.proto.collector.trace.v1.TraceService", {"Export": grpc.unary_unary_rpc_method_handler(export)}
    )
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


def test_grpc_works_as_well() -> None:
    names: list[str] = []
    with grpc_collector(names) as endpoint:
        run(endpoint, OTEL_EXPORTER_OTLP_PROTOCOL="grpc", OTEL_METRICS_EXPORTER="none")
    assert {"charge", "charge attempt 1", "Workflow"} <= set(names)


USES_WHAT_IS_THERE = """
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from durable_execution.telemetry import configure
provider = TracerProvider(shutdown_on_exit=False)
trace.set_tracer_provider(provider)
known = dict(vars(provider))
telemetry = configure(service_name="mine")
assert telemetry.tracer_provider is provider is trace.get_tracer_provider()
assert dict(vars(provider)) == known
telemetry.shutdown()
provider.get_tracer("still").start_span("alive").end()
print(telemetry.is_ours, telemetry.meter_provider)
"""


def test_a_provider_that_is_there_is_used_and_not_changed() -> None:
    assert run("", USES_WHAT_IS_THERE) == "False None"


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "carrier-pigeon"}, "not one of http/protobuf, grpc"),
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "not one of otlp, console, none"),
    ],
)
def test_what_makes_no_sense_is_refused(
    environment: dict[str, str], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=says):
        configure()


def test_a_view_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="does not exist; use one of execution, invocation"):
        configure(view="sideways")


def test_a_missing_exporter_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(ConfigurationError, match=r"Install durable-execution-sdk\[otlp\]"):
        configure()


class Metadata(NamedTuple):
    """An entry point."""

    name: str

    def load(self) -> Any:
        return Signed


class Signed(requests.Session):
    """A session that a credential provider creates."""


def test_a_credential_provider_creates_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"gcp": [Metadata("gcp")]}
    monkeypatch.setattr(configuration, "entry_points", lambda group, name: known.get(name, []))
    counted = ExportOutcomes()
    assert type(configuration.noticing_session(counted)) is requests.Session
    monkeypatch.setenv("OTEL_PYTHON_EXPORTER_OTLP_HTTP_TRACES_CREDENTIAL_PROVIDER", "gcp")
    session = configuration.noticing_session(counted)
    assert isinstance(session, Signed)
    assert len(session.hooks["response"]) == 1
    monkeypatch.setenv("OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER", "gone")
    with pytest.raises(ConfigurationError, match="'gone' is not an installed credential provider"):
        configuration.noticing_session(counted)


@pytest.mark.parametrize("signal", ["traces", "metrics", "logs"])
def test_each_signal_has_variables_of_its_own(signal: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(
        configuration, "otlp_exporter", lambda _, protocol, **options: given.append((protocol, options))
    )
    configuration._exporter(signal)
    monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL", "grpc")
    monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{signal.upper()}_TIMEOUT", "8")
    configuration._exporter(signal)
    assert [(protocol, options.get("timeout")) for protocol, options in given] == [("http/protobuf", 3), ("grpc", None)]


class Refusing(SpanExporter):
    """Delivers nothing, or raises."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if self.error is not None:
            raise self.error
        return SpanExportResult.FAILURE


@pytest.mark.parametrize("error", [None, RuntimeError("no")])
def test_what_is_not_delivered_is_counted(error: Exception | None, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, logger="opentelemetry")
    lost = ExportOutcomes()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(RetainingExporter(Refusing(error), lost)))
    for _ in range(3):
        provider.get_tracer("tests").start_span("lost").end()
    provider.shutdown()
    assert (lost.failures, lost.take_lost(), lost.take_lost()) == (4, 3, 0)


def test_the_provider_keeps_spans_and_tells_which_roots_are_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    lost: list[str] = []
    monkeypatch.setattr(sent_roots, "lose_spans", lambda spans: lost.extend(span.name for span in spans))
    provider = configuration._tracer_provider(Resource({}), Refusing(None))
    assert provider in export_outcomes.retaining
    provider.get_tracer("tests").start_span("root").end()
    provider.shutdown()
    assert lost == ["root"]
    export_outcomes.outcomes.take_lost()


def test_lambda_says_what_it_is() -> None:
    assert lambda_resource({}) == {}
    known = lambda_resource({"AWS_LAMBDA_FUNCTION_NAME": "orders", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512"})
    assert known == {
        "faas.name": "orders",
        "cloud.provider": "aws",
        "cloud.platform": "aws_lambda",
        "faas.max_memory": 512 * 1024 * 1024,
    }


def test_telemetry_of_ours_can_be_flushed_and_shut_down() -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    telemetry = Telemetry(provider, None, is_ours=True)
    assert telemetry.flush()
    telemetry.shutdown()


def test_spans_that_the_collector_rejects_are_counted_and_their_parents_come_again(received: Collector) -> None:
    received.rejects_half = True
    script = SCRIPT.replace("telemetry.shutdown()", PRINT_LOST)
    lost = int(run(received.endpoint, script, {"metrics": False}).splitlines()[0])
    assert received.rejected > lost > 0  # at the exit, the parents came again, and one was rejected again


PRINT_LOST = """
from durable_execution.telemetry.export_outcomes import outcomes
print(outcomes.take_lost())
"""

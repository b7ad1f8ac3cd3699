"""Telemetry is delivered within the time there is; an invocation never waits for a collector that hangs."""

import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from durable_execution.clock import SystemClock
from durable_execution.observers import InvocationStarted
from durable_execution.telemetry import flushing, live
from durable_execution.telemetry.export_outcomes import ExportOutcomes
from durable_execution.telemetry.flushing import Flusher, budget_of
from durable_execution.telemetry.live import Delivery, assemble
from durable_execution.telemetry.settings import PLAIN, Settings
from tests.unit.telemetry.notifications import ARN, call, ended, started, step
from tests.unit.telemetry.receiver import collector
from tests.unit.telemetry.scenarios import provider_for

monotonic = SystemClock().monotonic


@pytest.fixture
def hanging() -> Iterator[Callable[[int], bool]]:
    """A flush that only ends with the test."""
    over = threading.Event()

    def flush(_milliseconds: int) -> bool:
        return over.wait(30)

    yield flush
    over.set()


def test_everything_is_flushed_with_the_time_that_is_left() -> None:
    given: list[int] = []
    flushed = Flusher().flush([given.append, given.append], 2.0)
    assert flushed.is_complete
    assert len(given) == 2
    assert all(1_000 < milliseconds <= 2_000 for milliseconds in given)


def test_a_flush_that_raises_does_not_keep_the_next_from_being_called(caplog: pytest.LogCaptureFixture) -> None:
    given: list[int] = []

    def broken(_milliseconds: int) -> None:
        raise RuntimeError("no")

    assert Flusher().flush([broken, given.append], 2.0).is_complete
    assert len(given) == 1
    assert "could not be delivered" in caplog.text


def test_a_hanging_collector_is_given_up(hanging: Callable[[int], bool], caplog: pytest.LogCaptureFixture) -> None:
    flusher = Flusher()
    began = monotonic()
    flushed = flusher.flush([hanging], 0.2)
    assert not flushed.is_complete
    assert 0.15 < monotonic() - began < 5
    (record,) = caplog.records
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in record.getMessage()


def test_it_waits_less_each_time_and_warns_once(
    hanging: Callable[[int], bool], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    flusher, threads_before = Flusher(), threading.active_count()
    waited: list[float] = []
    monkeypatch.setattr(flushing, "monotonic", lambda: 1_000.0)
    monkeypatch.setattr(flushing._Flush, "join", lambda _, seconds: waited.append(seconds))
    for _ in range(3):
        assert not flusher.flush([hanging], 0.4).is_complete
    assert waited == pytest.approx([0.4, 0.08, 0.008])
    assert len(caplog.records) == 1
    assert threading.active_count() - threads_before < 10


def test_it_recovers() -> None:
    flusher = Flusher()
    over = threading.Event()
    assert not flusher.flush([lambda _: over.wait(30)], 0.1).is_complete
    over.set()
    given: list[int] = []
    assert flusher.flush([given.append], 5.0).is_complete
    assert flusher.flush([given.append], 5.0).is_complete
    assert len(given) == 2


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        (None, 5.0),
        (SimpleNamespace(get_remaining_time_in_millis=lambda: 60_000), 5.0),
        (SimpleNamespace(get_remaining_time_in_millis=lambda: 2_000), 1.5),
        (SimpleNamespace(get_remaining_time_in_millis=lambda: 300), 0.0),
        (SimpleNamespace(get_remaining_time_in_millis=lambda: "soon"), 5.0),
        (SimpleNamespace(get_remaining_time_in_millis=5), 5.0),
    ],
)
def test_the_budget_ends_before_the_functions_time_does(context: Any, expected: float) -> None:
    assert budget_of(context, 5.0) == expected


def invoke(observers: Any, start: InvocationStarted) -> float:
    """One invocation with one step; how long its end took."""
    for observer in observers:
        observer.on_invocation_started(start)
    for observer in observers[:-1]:
        step(observer, call())
    began = monotonic()
    for observer in observers:
        observer.on_invocation_ended(ended(start))
    return monotonic() - began


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_flusher", Flusher())


@pytest.mark.usefixtures("fresh")
def test_with_a_hanging_collector_the_invocation_answers_in_time_and_counts_its_spans() -> None:
    reader = InMemoryMetricReader()
    meters = MeterProvider([reader], shutdown_on_exit=False)
    with collector() as received:
        received.hangs = threading.Event()
        provider = provider_for(OTLPSpanExporter(endpoint=f"{received.endpoint}/v1/traces", timeout=20))
        remaining = SimpleNamespace(get_remaining_time_in_millis=lambda: 800)
        start = started(arn=f"{ARN}/hanging", lambda_context=remaining)
        took = invoke(assemble(provider, meters, Settings()), start)
        received.hangs.set()
    assert 0.2 < took < 5
    data = reader.get_metrics_data()
    assert data is not None
    counted: dict[str, Any] = {
        metric.name: metric.data.data_points[0] for metric in data.resource_metrics[0].scope_metrics[0].metrics
    }
    assert counted["replay.dropped_spans"].value == 5
    tracing = live.LiveTracing(provider, view="execution")
    tracing.on_invocation_started(started(arn=f"{ARN}/hanging", is_first=False, updated=["x"], request_id="2"))
    assert tracing.outlet is not None
    assert tracing.outlet.sent == 1, "the root is sent again: it may have been lost"


@pytest.mark.usefixtures("fresh")
def test_an_unreachable_collector_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    provider = provider_for(OTLPSpanExporter(endpoint="http://127.0.0.1:9/v1/traces", timeout=0.2))
    start = started(arn=f"{ARN}/unreachable")
    assert invoke(assemble(provider, None, Settings(flush_seconds=1.0)), start) < 5


@pytest.mark.usefixtures("fresh")
def test_spans_have_arrived_when_the_invocation_answers() -> None:
    with collector() as received:
        provider = provider_for(OTLPSpanExporter(endpoint=f"{received.endpoint}/v1/traces"))
        invoke(assemble(provider, None, Settings()), started(arn=f"{ARN}/arrives"))
        assert {span.name for span in received.spans} >= {"charge", "charge attempt 1", "Invocation", "Workflow"}


def test_providers_that_cannot_be_flushed_are_left_alone() -> None:
    delivery = Delivery(None, None, [object(), None], 1.0)
    delivery.on_invocation_ended(ended(started()))


@pytest.mark.usefixtures("fresh")
def test_a_flush_that_reports_too_little_time_is_not_a_delivery(caplog: pytest.LogCaptureFixture) -> None:
    flusher = Flusher(ExportOutcomes())
    flushed = flusher.flush([lambda _: False, lambda _: True], 5.0)
    assert (flushed.is_complete, flushed.is_refused) == (False, False)
    (record,) = caplog.records
    assert "spans were not delivered: the provider did not flush" in record.getMessage()
    assert flusher.flush([lambda _: True], 5.0).is_complete


@pytest.mark.usefixtures("fresh")
def test_a_root_that_the_applications_exporter_did_not_deliver_is_sent_until_it_arrives() -> None:
    with collector() as received:
        provider = provider_for(OTLPSpanExporter(endpoint=f"{received.endpoint}/v1/traces", timeout=1))
        arrived = []
        for number, status in enumerate([415, 415, 200, 200]):
            received.status = status
            start = started(arn=f"{ARN}/refused", request_id=str(number), is_first=not number, updated=["w"][:number])
            invoke(assemble(provider, None, Settings(top=PLAIN)), start)
            arrived.append(len(received.named("DurableExecutionRoot")))
    assert arrived == [0, 0, 1, 1]


def test_spans_are_delivered_while_metrics_hang(
    hanging: Callable[[int], bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_flusher", Flusher())
    monkeypatch.setattr(live, "_other_flusher", Flusher(has_spans=False))
    sent: list[int] = []
    for number in range(1, 4):
        providers = [SimpleNamespace(force_flush=sent.append), SimpleNamespace(force_flush=hanging)]
        Delivery(None, None, providers, 0.1).on_invocation_ended(ended(started()))
        assert len(sent) == number


def test_metrics_that_are_not_delivered_cost_less_each_time_and_leave_the_root_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    spans, others = Flusher(), Flusher(has_spans=False)
    monkeypatch.setattr(live, "_flusher", spans)
    monkeypatch.setattr(live, "_other_flusher", others)
    exporter = InMemorySpanExporter()
    with collector() as received:
        received.status = 415
        reader = PeriodicExportingMetricReader(OTLPMetricExporter(f"{received.endpoint}/v1/metrics", timeout=1))
        meters = MeterProvider([reader], shutdown_on_exit=False)
        failed = []
        for number in range(1, 4):
            is_first = number == 1
            start = started(arn=f"{ARN}/metrics", is_first=is_first, updated=() if is_first else ("w",))
            received.status = 415 if number < 3 else 200
            patient = Settings(top=PLAIN, flush_seconds=120)  # the third waits for a thirtieth of it
            observers = assemble(provider_for(exporter), meters, patient)
            for observer in observers:
                observer.on_invocation_started(start)
            for observer in observers:
                observer.on_invocation_ended(ended(start))
            failed.append((spans._failed, others._failed))
        meters.shutdown()
    assert failed == [(0, 1), (0, 2), (0, 0)]
    assert [span.name for span in exporter.get_finished_spans()].count("DurableExecutionRoot") == 1
    assert [record.getMessage()[:41] for record in caplog.records if record.name == "durable_execution"] == [
        "metrics or log records were not delivered"
    ]

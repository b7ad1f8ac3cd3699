"""Failed exports: kept, sent again, given up only for their own sake, and noticed where the provider is not ours."""

import logging
import zlib
from collections.abc import Sequence
from types import SimpleNamespace

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import SpanContext

from durable_execution.telemetry import export_outcomes, flushing
from durable_execution.telemetry import vocabulary as names
from durable_execution.telemetry.environment_memory import RootLedger
from durable_execution.telemetry.export_outcomes import (
    ExportOutcomes,
    RejectionNotice,
    RetainingExporter,
    watch_exporters,
)
from durable_execution.telemetry.flushing import Flusher
from durable_execution.telemetry.identity import InvocationNames, identify
from durable_execution.telemetry.settings import Settings
from durable_execution.telemetry.trace_context import NOTHING
from tests.benchmarks import collector_faults
from tests.unit.telemetry.notifications import started


class Collector(SpanExporter):
    """Accepts spans while it is up, except those it never accepts; rejects some spans of the requests it accepts."""

    def __init__(self, counted: ExportOutcomes | None = None) -> None:
        self.is_up = True
        self.refused: set[str] = set()
        self.rejected: set[str] = set()
        self.received: list[str] = []
        self.counted = counted or ExportOutcomes()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        named = [span.name for span in spans]
        if not self.is_up or self.refused & set(named):
            return SpanExportResult.FAILURE
        self.received += [name for name in named if name not in self.rejected]
        if self.rejected & set(named):
            self.counted.reject(len(self.rejected & set(named)))
        return SpanExportResult.SUCCESS


def context_of(name: str) -> SpanContext:
    return SpanContext(1, zlib.crc32(name.encode()) + 1, is_remote=False)


def spans(*given: str) -> list[ReadableSpan]:
    """Spans by their names; `parent/child` has a parent."""
    return [
        ReadableSpan(name, context_of(name), parent=context_of(around or "top"))
        for around, _, name in (each.rpartition("/") for each in given)
    ]


def test_spans_of_failed_exports_arrive_once_the_collector_is_back() -> None:
    collector, counted = Collector(), ExportOutcomes()
    exporter = RetainingExporter(collector, counted)
    collector.is_up = False
    for name in ("root", "first", "second"):
        assert exporter.export(spans(name)) is SpanExportResult.FAILURE
    collector.is_up = True
    assert exporter.export(spans("third")) is SpanExportResult.SUCCESS
    assert collector.received == ["third", "root", "first", "second"]
    assert (counted.failures, counted.take_lost()) == (3, 0)


def test_a_batch_that_the_collector_never_accepts_does_not_hold_up_the_others() -> None:
    collector, counted, lost = Collector(), ExportOutcomes(), list[str]()
    exporter = RetainingExporter(collector, counted, lambda given: lost.extend(span.name for span in given))
    collector.refused = {"poison"}
    exporter.export(spans("poison"))
    for number in range(4):
        exporter.export(spans(f"good {number}"))
    assert collector.received == [f"good {number}" for number in range(4)]
    assert (lost, counted.take_lost()) == (["poison"], 1)


def test_the_oldest_spans_are_lost_when_too_many_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_outcomes, "KEPT_SPANS", 3)
    collector, counted = Collector(), ExportOutcomes()
    exporter = RetainingExporter(collector, counted)
    collector.is_up = False
    for number in range(5):
        exporter.export(spans(str(number)))
    collector.is_up = True
    exporter.export(spans("new"))
    assert collector.received == ["new", "2", "3", "4"]
    assert counted.take_lost() == 2


def test_a_span_that_was_kept_does_not_come_after_its_later_state() -> None:
    collector = Collector()
    exporter = RetainingExporter(collector)
    collector.is_up = False
    exporter.export(spans("root", "first"))
    collector.is_up = True
    exporter.export(spans("last", "root"))
    assert collector.received == ["last", "root", "first"]


def test_parents_among_rejected_spans_are_sent_again_once_a_whole_request_is_accepted() -> None:
    counted = ExportOutcomes()
    collector = Collector(counted)
    exporter = RetainingExporter(collector, counted)
    exporter.export(spans("charge/attempt"))
    collector.rejected = {"charge"}
    exporter.export(spans("charge", "ship/ship attempt", "ship"))
    exporter.export(spans("charge", "leaf"))
    assert collector.received == ["attempt", "ship attempt", "ship", "leaf"]
    collector.rejected = set()
    collector.received.clear()
    for name in ("next", "after"):
        exporter.export(spans(name))
    assert collector.received == ["next", "ship", "charge", "after"]
    assert (counted.failures, counted.take_lost()) == (0, 2)


def test_parents_that_are_never_accepted_are_given_up() -> None:
    counted, lost = ExportOutcomes(), list[str]()
    collector = Collector(counted)
    exporter = RetainingExporter(collector, counted, lambda given: lost.extend(span.name for span in given))
    collector.rejected = {"poison"}
    exporter.export(spans("poison/leaf", "poison"))
    for number in range(4):
        exporter.export(spans(f"good {number}"))
    assert collector.received == ["leaf", *(f"good {number}" for number in range(4))]
    assert (lost, counted.take_lost()) == (["poison"], 1)


def test_kept_spans_of_which_some_are_rejected_leave_their_parents() -> None:
    counted = ExportOutcomes()
    collector = Collector(counted)
    exporter = RetainingExporter(collector, counted)
    collector.is_up = False
    exporter.export(spans("charge/attempt", "charge"))
    collector.is_up, collector.rejected = True, {"charge"}
    exporter.export(spans("next"))
    collector.rejected = set()
    exporter.export(spans("after"))
    assert collector.received == ["next", "attempt", "after", "charge"]


def test_only_so_many_parents_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_outcomes, "KNOWN_PARENTS", 2)
    exporter = RetainingExporter(Collector())
    exporter.export(spans("a/1", "b/2", "c/3"))
    assert list(exporter._parents) == [(1, context_of(name).span_id) for name in "bc"]


FAULTS = [name for name in collector_faults.FAULTS if not name.startswith("slow")]


@pytest.mark.parametrize("name", FAULTS)
def test_everything_arrives_once_the_collector_is_back(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector_faults, "TIMEOUT_SECONDS", 0.1)
    found = collector_faults.measure(name, Settings(flush_seconds=0.2))
    assert found.orphans == ()
    assert found.missing == ()


def test_a_root_that_is_given_up_is_sent_again() -> None:
    ledger, start = RootLedger(), started(updated=("w",), is_first=True)
    identity = identify(start, NOTHING, InvocationNames())
    assert ledger.is_due(identity, start)
    later = started(updated=("w",), is_first=False)
    assert not ledger.is_due(identity, later)
    context = SpanContext(identity.trace_id, 1, is_remote=False)
    root = ReadableSpan("root", context, attributes={names.EXECUTION_ARN: identity.arn, names.SYNTHETIC_ROOT: True})
    ledger.lose_spans([ReadableSpan("other", context), root])
    assert ledger.is_due(identity, later)


def test_a_collector_that_fails_costs_less_each_time_until_it_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flushing, "monotonic", lambda: 0.0)
    counted, granted = ExportOutcomes(), list[int]()
    flusher = Flusher(counted)

    def refused(milliseconds: int) -> bool:
        granted.append(milliseconds)
        counted.fail()
        return True

    flushed = [flusher.flush([refused], 5.0) for _ in range(4)]
    assert all(each.is_refused and each.is_complete for each in flushed)
    assert granted == [5000, 1000, 100, 100]
    assert not flusher.flush([granted.append], 5.0).is_refused
    flusher.flush([granted.append], 5.0)
    assert granted[-1] > 4_000


@pytest.mark.parametrize(
    ("name", "message", "of_spans"),
    [
        (
            "exporter.otlp.proto.http.trace_exporter",
            "Failed to export span batch due to timeout, max retries or shutdown.",
            1,
        ),
        ("exporter.otlp.proto.grpc.exporter", "Failed to export traces to localhost:4317, error code: %s", 1),
        ("sdk._shared_internal", "Exception while exporting Span.", 1),
        ("exporter.otlp.proto.grpc.exporter", "Failed to export metrics to localhost:4317, error code: %s", 0),
        ("exporter.otlp.proto.http.metric_exporter", "Failed to export batch code: 503, reason: busy", 0),
        ("sdk._shared_internal", "Exception while exporting Log.", 0),
    ],
)
def test_failures_are_noticed_by_log_records(
    name: str, message: str, of_spans: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = ExportOutcomes()
    monkeypatch.setattr(export_outcomes, "outcomes", counted)
    watch_exporters()
    watch_exporters()
    exporter = logging.getLogger(f"opentelemetry.{name}")
    assert len([each for each in exporter.filters if type(each).__module__ == export_outcomes.__name__]) == 1
    monkeypatch.setattr(exporter, "propagate", False)
    exporter.addHandler(logging.NullHandler())
    for _ in range(2):  # the SDK hides a record that repeats
        exporter.error(message, *(["UNAVAILABLE"] if "%s" in message else []))
    exporter.info("fine")
    assert (counted.failures, counted.other_failures) == (2 * of_spans, 2 - 2 * of_spans)


def test_an_application_that_keeps_its_provider_is_not_changed() -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    assert provider not in export_outcomes.retaining


@pytest.mark.parametrize(("is_ok", "content"), [(True, b""), (True, b"<html>"), (False, b"\x0a\x02\x08\x05")])
def test_other_answers_reject_nothing(is_ok: bool, content: bytes) -> None:
    counted = ExportOutcomes()
    RejectionNotice(counted, lambda _: pytest.fail("nothing was rejected"))(SimpleNamespace(ok=is_ok, content=content))
    assert (counted.take_lost(), counted.rejected) == (0, 0)


def test_rejected_spans_are_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    counted = ExportOutcomes()
    notice = RejectionNotice(counted)
    for _ in range(2):
        notice(SimpleNamespace(ok=True, content=b"\x0a\x02\x08\x05"))
    assert (counted.take_lost(), counted.rejected) == (10, 10)
    (record,) = caplog.records
    assert record.getMessage().startswith("the collector rejected 5 spans: it gives no reason. ")


def test_a_caller_that_asks_for_the_reasons_gets_no_log_record(caplog: pytest.LogCaptureFixture) -> None:
    reasons: list[str] = []
    notice = RejectionNotice(ExportOutcomes(), reasons.append)
    for _ in range(2):
        notice(SimpleNamespace(ok=True, content=b"\x0a\x02\x08\x05"))
    assert reasons == ["it gives no reason"] * 2
    assert caplog.records == []

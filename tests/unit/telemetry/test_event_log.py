"""Exceptions and divergences as log records, for those who opted in."""

from typing import Any

import pytest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs import export as log_export
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from durable_execution.observers import AttemptEnded, AttemptStarted, Diverged, OperationCompleted, OperationStarted
from durable_execution.protocol import ErrorObject, InvocationStatus, OperationStatus
from durable_execution.telemetry.event_log import EventLog
from durable_execution.telemetry.live import LiveTracing, assemble
from durable_execution.telemetry.settings import Settings, exception_signals
from tests.unit.telemetry.notifications import BEGAN, at, call, ended, started
from tests.unit.telemetry.scenarios import provider_for
from tests.unit.telemetry.test_vocabulary import divergence

InMemoryLogs: Any = getattr(log_export, "InMemoryLogRecordExporter", None) or log_export.InMemoryLogExporter


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", {"span"}),
        ("logs", {"logs"}),
        ("http, Logs ", {"logs"}),
        ("logs/dup", {"span", "logs"}),
        ("other", {"span"}),
    ],
)
def test_the_variable_of_the_conventions_chooses(value: str, expected: set[str]) -> None:
    assert exception_signals({"OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN": value}) == expected
    assert exception_signals({}) == {"span"}


def failing(signal: str, *, is_sampled: bool = True) -> tuple[dict[str, ReadableSpan], list[Any]]:
    """One invocation with a failed step and a divergence: its spans, and the log records."""
    exporter, logs = InMemorySpanExporter(), InMemoryLogs()
    logger_provider = LoggerProvider(shutdown_on_exit=False)
    logger_provider.add_log_record_processor(log_export.SimpleLogRecordProcessor(logs))
    provider = provider_for(exporter)
    header = f"Root=1-{int(BEGAN.timestamp()):08x}-{'1' * 24};Parent=00f067aa0ba902b7;Sampled={int(is_sampled)}"
    start = started(header=header)
    event_log = EventLog(
        logger_provider.get_logger("durable_execution"), keeps="span" in exception_signals({NAME: signal})
    )
    tracing = LiveTracing(provider, view="execution", event_log=event_log if signal else None)
    tracing.on_invocation_started(start)
    error, exception = ErrorObject("declined", "CardError"), ValueError("declined")
    tracing.on_operation_started(OperationStarted(call(), at(1), False, OperationStatus.STARTED, None))
    tracing.on_attempt_started(AttemptStarted(call(), 1, at(1)))
    tracing.on_attempt_ended(AttemptEnded(call(), 1, at(2), at(1), "FAILED", error, exception, None))
    tracing.on_operation_completed(
        OperationCompleted(call(), at(2), at(1), OperationStatus.FAILED, error=error, exception=exception, attempt=1)
    )
    tracing.on_diverged(Diverged(at(2), None, divergence()))
    tracing.on_invocation_ended(ended(start, InvocationStatus.SUCCEEDED))
    provider.shutdown()
    return {span.name: span for span in exporter.get_finished_spans()}, list(logs.get_finished_logs())


NAME = "OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN"


def event_names(spans: dict[str, ReadableSpan]) -> set[str]:
    return {event.name for span in spans.values() for event in span.events}


def name_of(record: Any) -> str:
    return str(getattr(record, "event_name", None) or record.attributes["event.name"])


@pytest.mark.parametrize(
    ("signal", "kept"), [("logs", set[str]()), ("logs/dup", {"exception", "replay.nondeterminism"})]
)
def test_events_are_log_records_in_the_context_of_their_span(signal: str, kept: set[str]) -> None:
    spans, found = failing(signal)
    assert event_names(spans) == kept
    records = {name_of(each.log_record): each.log_record for each in found}
    assert len(found) == len(records) == 2
    attempt = spans["charge attempt 1"].context
    assert attempt is not None
    record = records["exception"]
    assert (record.trace_id, record.span_id) == (attempt.trace_id, attempt.span_id)
    assert record.attributes["exception.type"] == "CardError"
    assert record.attributes["exception.message"] == "declined"
    assert (record.severity_text, record.body, record.timestamp) == ("ERROR", "declined", int(at(2).timestamp() * 1e9))
    diverged = records["replay.nondeterminism"]
    assert diverged.span_id == spans["Invocation"].context.span_id
    assert diverged.attributes["replay.nondeterminism.kind"]


def test_without_the_opt_in_events_stay_on_spans() -> None:
    spans, found = failing("")
    assert event_names(spans) == {"exception", "replay.nondeterminism"}
    assert found == []


def test_exceptions_of_executions_that_are_not_sampled_are_still_logged() -> None:
    spans, found = failing("logs", is_sampled=False)
    assert spans == {}
    assert len(found) == 2


def test_a_log_that_raises_leaves_the_events_on_the_spans() -> None:
    class Raising:
        def emit(self, *_: Any, **__: Any) -> None:
            raise RuntimeError("no")

    exporter = InMemorySpanExporter()
    tracing = LiveTracing(provider_for(exporter), view="execution", event_log=EventLog(Raising(), keeps=False))
    tracing.on_invocation_started(started())
    tracing.on_diverged(Diverged(at(2), None, divergence()))
    tracing.on_invocation_ended(ended(started()))
    assert tracing.outlet is not None


def test_the_logger_provider_is_flushed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, "logs")
    logger_provider, flushed = LoggerProvider(shutdown_on_exit=False), list[int]()
    monkeypatch.setattr(logger_provider, "force_flush", flushed.append)
    observers = assemble(provider_for(InMemorySpanExporter()), None, Settings(), logger_provider)
    start = started()
    for observer in observers:
        observer.on_invocation_started(start)
    for observer in observers:
        observer.on_invocation_ended(ended(start))
    assert len(flushed) == 1

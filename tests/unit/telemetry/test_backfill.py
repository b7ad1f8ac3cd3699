"""Spans computed from a history are those that were sent live."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from durable_execution.history.reading import read_history
from durable_execution.protocol import ErrorObject
from durable_execution.telemetry.backfill import backfill
from durable_execution.telemetry.span_kinds import Failure
from durable_execution.telemetry.spans import SpanRecord
from tests.unit.telemetry.scenarios import CALLBACK_NAMES, SCENARIOS, Run, Tracing, engine_with, provider_for, run

VIEWS = ("execution", "invocation")
SUCCESS = {"Operation": "success", "Payload": "{}"}

ONLY_LIVE = {
    "replay.handler",
    "replay.path",
    "code.function.name",
    "code.file.path",
    "code.line.number",
    "faas.coldstart",
}
"""What a history does not tell; replay traces tell the first five."""


def described(span: ReadableSpan) -> dict[str, Any]:
    context, parent = span.get_span_context(), span.parent
    assert context is not None
    return {
        "name": span.name,
        "id": f"{context.trace_id:032x}/{context.span_id:016x}",
        "parent": f"{parent.span_id:016x}" if parent else None,
        "status": span.status.status_code.name,
        "links": [f"{link.context.trace_id:032x}/{link.context.span_id:016x}" for link in span.links],
        "attributes": {k: v for k, v in (span.attributes or {}).items() if k not in ONLY_LIVE},
        "path": (span.attributes or {}).get("replay.path"),
        "due": (span.attributes or {}).get("replay.due_time"),
        "waiting_for": (span.attributes or {}).get("replay.waiting_for"),
        "events": [event.name for event in span.events],
    }


def described_record(span: SpanRecord) -> dict[str, Any]:
    return {
        "name": span.name,
        "id": f"{span.trace_id}/{span.span_id}",
        "parent": span.parent_id,
        "status": span.status.value,
        "links": [f"{link.trace_id}/{link.span_id}" for link in span.links],
        "attributes": {k: v for k, v in span.attributes.items() if k not in ONLY_LIVE},
        "path": span.attributes.get("replay.path"),
        "due": span.attributes.get("replay.due_time"),
        "waiting_for": span.attributes.get("replay.waiting_for"),
        "events": [event.name for event in span.events],
    }


def by_id(spans: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {span["id"]: span for span in spans}


def live_and_history(view: str, payload: dict[str, Any], **options: Any) -> tuple[list[ReadableSpan], Run, list[Any]]:
    exporter = InMemorySpanExporter()
    provider = provider_for(exporter)
    with engine_with(Tracing(provider, view)) as engine:
        done = run(engine, payload, **options)
        history = done.history()
    provider.shutdown()
    return list(exporter.get_finished_spans()), done, history


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("scenario", [name for name in SCENARIOS if name != "target"])
def test_the_same_spans_come_out_of_the_history(scenario: str, view: str) -> None:
    payload: dict[str, Any] = {"scenario": scenario, "callback": CALLBACK_NAMES.get(scenario)}
    failing = {"Operation": "failure", "Payload": {"ErrorType": "RejectedError", "ErrorMessage": "no"}}
    callbacks = [failing if "failure" in scenario else SUCCESS] if scenario in CALLBACK_NAMES else []
    timeout = timedelta(seconds=3) if scenario == "wait-interrupted" else None
    spans, done, history = live_and_history(view, payload, callbacks=callbacks, timeout=timeout)
    recorded = read_history(history, arn=done.arn)
    live = by_id(
        described(span)
        for span in spans
        if (span.attributes or {}).get("durable.execution.arn") == done.arn
        or (span.attributes or {}).get("replay.execution.arn") == done.arn
    )
    computed = by_id(described_record(record) for record in backfill(recorded, view=view))
    for span in (*live.values(), *computed.values()):
        span["path"] = span["path"] and span["path"].partition("/")[2]
    if scenario == "wait-interrupted":  # no handler learns of the time-out
        assert {root["status"] for root in roots_of(computed)} == {"ERROR"}
        assert {root.pop("status") for root in roots_of(live)} == {"UNSET"}
        assert {root.pop("status") for root in roots_of(computed)} == {"ERROR"}
        assert {computed.pop(i)["name"] for i in set(computed) - set(live)} <= {"Workflow", "otel-interrupted-wait"}
    assert computed == live


def roots_of(spans: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return [span for span in spans.values() if span["parent"] is None]


def test_a_recorded_stack_is_shown_without_secrets() -> None:
    stack = ('  File "orders.py", line 3, in charge\n    login(password="hunter2xyz")',)
    failure = Failure.of(ErrorObject("declined", "CardError", stack_trace=stack), None)
    assert failure is not None
    shown = str(failure.event(1).attributes["exception.stacktrace"])
    assert 'login(password="⊘")' in shown
    assert "hunter2xyz" not in shown

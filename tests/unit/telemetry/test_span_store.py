"""Spans that are kept, drawn and sent without a collector or OpenTelemetry."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_execution.handler import durable_execution
from durable_execution.history.reading import read_history
from durable_execution.local import LocalEngine
from durable_execution.telemetry.backfill import backfill
from durable_execution.telemetry.otlp import headers_from_environment, send_otlp, to_otlp, traces_url
from durable_execution.telemetry.span_store import SpanKeeper, SpanSink, read_spans
from durable_execution.telemetry.span_tree import duration, render_tree
from durable_execution.telemetry.spans import ExportError, SpanEvent, SpanLink, SpanRecord, SpanStatus
from tests.unit.telemetry.notifications import ARN, call, ended, started, step
from tests.unit.telemetry.receiver import Collector, collector
from tests.unit.telemetry.scenarios import run, run_scenario

HEX = st.text("0123456789abcdef", min_size=16, max_size=16)
VALUES = st.one_of(st.text(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False))
ATTRIBUTES = st.dictionaries(st.text(min_size=1), st.one_of(VALUES, st.lists(st.text()).map(tuple)), max_size=4)
TIMES = st.integers(0, 2**62)
RECORDS = st.builds(
    SpanRecord,
    name=st.text(),
    trace_id=HEX.map(lambda text: text * 2),
    span_id=HEX,
    parent_id=st.none() | HEX,
    start_ns=TIMES,
    end_ns=TIMES,
    attributes=ATTRIBUTES,
    events=st.lists(st.builds(SpanEvent, st.text(), TIMES, ATTRIBUTES), max_size=2).map(tuple),
    links=st.lists(st.builds(SpanLink, HEX, HEX), max_size=2).map(tuple),
    status=st.sampled_from(SpanStatus),
    message=st.text(),
)


def record(name: str, span_id: str, parent_id: str | None = None, **options: Any) -> SpanRecord:
    known: dict[str, Any] = {"start_ns": 0, "end_ns": 1_500_000_000, **options}
    return SpanRecord(name, "1" * 32, span_id, parent_id, **known)


@given(RECORDS)
def test_a_span_makes_the_round_trip_through_json(span: SpanRecord) -> None:
    assert SpanRecord.from_json(json.loads(json.dumps(span.to_json()))) == span


@given(st.lists(RECORDS, max_size=8))
def test_any_spans_can_be_drawn(spans: list[SpanRecord]) -> None:
    drawn = render_tree(spans)
    ids = {(span.trace_id, span.span_id) for span in spans}
    assert len([line for line in drawn.splitlines() if line and not line.startswith("trace ")]) <= len(ids)


def test_a_tree_is_drawn_with_times_and_ends() -> None:
    spans = [
        record("root", "a" * 16, end_ns=0),
        record("charge", "b" * 16, "a" * 16, status=SpanStatus.OK, attributes={"durable.operation.status": "SUCCEEDED"}),
        record(
            "ship", "c" * 16, "a" * 16, start_ns=2_000_000_000, end_ns=92_000_000_000, status=SpanStatus.ERROR,
            message="no truck", attributes={"durable.operation.status": "FAILED", "error.type": "ValueError"},
        ),
        record("ship attempt 1", "d" * 16, "c" * 16, start_ns=2_000_000_000, end_ns=2_000_500_000),
        record("c" * 64, "e" * 16, "a" * 16, start_ns=93_000_000_000, end_ns=93_000_000_000,
               attributes={"durable.operation.id": "c" * 64, "replay.path": "process_order/wait(2)"}),
        record("short latency", "f" * 16, "a" * 16, end_ns=10, attributes={"replay.waiting_for": "Wait"}),
    ]  # fmt: skip
    lines = [" ".join(line.split()) for line in render_tree(reversed(spans)).splitlines()]
    assert lines == [
        f"trace {'1' * 32}",
        "· root +0 0",
        "├─ ✓ charge +0 1.5 s SUCCEEDED",
        "├─ ✗ ship +2.0 s 1.5 min FAILED ValueError: no truck",
        "│ └─ · ship attempt 1 +2.0 s 0.5 ms",
        "└─ · wait(2) +1.6 min 0",
    ]


def test_traces_are_drawn_apart_and_long_ones_cut() -> None:
    spans = [record(f"n{n}", f"{n:016x}") for n in range(1, 50)]
    other = SpanRecord("other", "2" * 32, "1" * 16, None, 5, 6)
    drawn = render_tree([*spans, other], limit=3)
    assert drawn.count("trace ") == 2
    assert "… 46 more spans" in drawn
    assert render_tree([]) == ""


@pytest.mark.parametrize(
    ("nanoseconds", "shown"),
    [
        (0, "0"),
        (250_000, "0.2 ms"),
        (1_500_000_000, "1.5 s"),
        (7_200_000_000_000, "2.0 h"),
        (2 * 86_400 * 10**9, "2.0 d"),
    ],
)
def test_durations_are_shown_in_their_largest_unit(nanoseconds: int, shown: str) -> None:
    assert duration(nanoseconds) == shown


def test_spans_are_kept_in_a_file_for_each_execution(tmp_path: Path) -> None:
    sink = SpanSink(tmp_path / "spans")
    assert sink.read(ARN) == []
    for view in ("execution", "invocation"):
        start = started(arn=ARN)
        keeper = SpanKeeper(sink, view=view)
        keeper.on_invocation_started(start)
        for number in range(1, 301):
            step(keeper, call(number, f"n{number}"))
        assert len(sink.read(ARN, view=view)) >= 256, "written while it runs"
        keeper.on_invocation_ended(ended(start))
    assert sink.path_of(ARN) == tmp_path / "spans" / "0001.jsonl"
    assert len(sink.read(ARN, view="execution")) == 603
    assert {span.name for span in sink.read(ARN, view="invocation")} >= {"n1", "n1 attempt 1", "Workflow"}


def test_a_line_that_a_crash_cut_off_is_left_out(tmp_path: Path) -> None:
    sink = SpanSink(tmp_path)
    whole = record("whole", "a" * 16)
    sink.append(ARN, [whole], view="execution")
    path = sink.path_of(ARN)
    path.write_bytes(path.read_bytes() * 2 + b'{"view": "execution", "name": "cut\xff')
    with path.open("ab") as file:
        file.write(b'\n[1, 2]\n"text"\n{"view": "execution"}\n' + b"[" * 10_000)
    assert read_spans(path) == [whole]


def test_the_local_engine_keeps_spans_beside_its_store(tmp_path: Path) -> None:
    with LocalEngine(tmp_path / "executions.db", time="skip") as engine:
        handler = durable_execution(run_scenario)
        engine.register("main", handler)
        engine.register("target", handler)
        done = run(engine, {"scenario": "everything"})
        history = done.history()
    kept = SpanSink(tmp_path / "spans").read(done.arn)
    computed = {span.span_id: span for span in backfill(read_history(history, arn=done.arn))}
    assert {span.span_id for span in kept} <= set(computed)
    missing = [span.name for identity, span in computed.items() if identity not in {k.span_id for k in kept}]
    assert all(name.endswith("resume latency") for name in missing)
    assert "✓ branch-1 attempt 2" in render_tree(kept)


@pytest.mark.parametrize("off", ["sink", "variable", "memory"])
def test_an_engine_that_is_told_not_to_keeps_none(off: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if off == "variable":
        monkeypatch.setenv("DURABLE_TELEMETRY", "off")
    options: dict[str, Any] = {"trace_sink": False} if off == "sink" else {}
    store = None if off == "memory" else tmp_path / "executions.db"
    with LocalEngine(store, time="skip", **options) as engine:
        engine.register("main", durable_execution(run_scenario))
        run(engine, {"scenario": "success"})
    assert not (tmp_path / "spans").exists()


@pytest.fixture
def received() -> Iterator[Collector]:
    with collector() as found:
        yield found


def everything_recorded() -> list[SpanRecord]:
    with LocalEngine(None, time="skip") as engine:
        handler = durable_execution(run_scenario)
        engine.register("main", handler)
        engine.register("target", handler)
        done = run(engine, {"scenario": "terminal-failure"}, timeout=timedelta(hours=1))
        return backfill(read_history(done.history(), arn=done.arn))


@pytest.mark.parametrize(
    ("protocol", "kind"), [("", "x-protobuf"), ("http/protobuf", "x-protobuf"), ("http/json", "json")]
)
def test_a_trace_is_sent_to_a_collector(
    protocol: str, kind: str, received: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", received.endpoint)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20x")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
    spans = everything_recorded()
    assert send_otlp(spans, service_name="shop") == len(spans) == 5
    assert received.headers["authorization"] == "Bearer x"
    assert received.headers["content-type"] == f"application/{kind}"
    arrived = {span.span_id: span for span in received.spans}
    for span in spans:
        other = arrived[span.span_id]
        assert (other.name, other.trace_id, other.parent_span_id) == (span.name, span.trace_id, span.parent_id)
        assert (other.start_ns, other.end_ns, other.status) == (span.start_ns, span.end_ns, span.status)
        assert (other.message, other.kind, other.service_name) == (span.message, "INTERNAL", "shop")
        assert {**other.attributes} == {**span.attributes}
        assert other.links == tuple((link.trace_id, link.span_id) for link in span.links)
        assert other.events == tuple((e.name, e.at_ns, dict(e.attributes)) for e in span.events)


def test_the_service_is_named_by_argument_variable_or_default(
    received: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    for protocol in ("http/protobuf", "http/json"):
        monkeypatch.delenv("OTEL_SERVICE_NAME", raising=False)
        span = [record("n", "a" * 16)]
        send_otlp(span, default_service_name="function", endpoint=received.endpoint, protocol=protocol)
        monkeypatch.setenv("OTEL_SERVICE_NAME", "variable")
        send_otlp(span, default_service_name="function", endpoint=received.endpoint, protocol=protocol)
        send_otlp(span, service_name="argument", endpoint=received.endpoint, protocol=protocol)
    assert [each.service_name for each in received.spans] == ["function", "variable", "argument"] * 2


def test_a_protocol_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ExportError, match="'carrier-pigeon' is not an OTLP protocol; use one of http/protobuf, grpc"):
        send_otlp([record("n", "a" * 16)], protocol="carrier-pigeon")


def test_many_spans_are_sent_in_parts(received: Collector) -> None:
    spans = [record(f"n{n}", f"{n:016x}") for n in range(1, 1_200)]
    assert send_otlp(spans, service_name="shop", endpoint=received.endpoint, headers={}) == 1_199
    assert (received.requests, len(received.spans)) == (3, 1_199)


def test_all_kinds_of_values_have_a_form() -> None:
    span = record("n", "a" * 16, attributes={"a": True, "b": 1, "c": 0.5, "d": "x", "e": ("y", "z")})
    document = to_otlp([span], service_name="shop", resource={"deployment.environment.name": "test"})
    values = {
        item["key"]: item["value"] for item in document["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["attributes"]
    }
    assert values == {
        "a": {"boolValue": True},
        "b": {"intValue": "1"},
        "c": {"doubleValue": 0.5},
        "d": {"stringValue": "x"},
        "e": {"arrayValue": {"values": [{"stringValue": "y"}, {"stringValue": "z"}]}},
    }
    assert len(document["resourceSpans"][0]["resource"]["attributes"]) == 2


@pytest.mark.parametrize(
    ("endpoint", "environment", "url"),
    [
        (None, {}, "http://localhost:4318/v1/traces"),
        ("https://collector:4318/", {}, "https://collector:4318/v1/traces"),
        ("http://c/v1/traces", {}, "http://c/v1/traces"),
        (None, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c/otlp"}, "http://c/otlp/v1/traces"),
        (None, {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c/mine"}, "http://c/mine"),
        ("http://d", {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c/mine"}, "http://d/v1/traces"),
    ],
)
def test_where_spans_are_sent(
    endpoint: str | None, environment: dict[str, str], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert traces_url(endpoint) == url


@pytest.mark.parametrize("endpoint", ["file:///etc/passwd", "collector:4318", "", "http://"])
def test_what_is_no_address_is_refused(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "ftp://elsewhere")
    with pytest.raises(ExportError, match="is not the address of a collector"):
        traces_url(endpoint)


@pytest.mark.parametrize(
    ("protocol", "says"), [("http/json", "refused the spans: 401"), ("http/protobuf", "accept.*401")]
)
def test_a_refusal_says_what_to_look_at(protocol: str, says: str, received: Collector) -> None:
    received.status = 401
    with pytest.raises(ExportError, match=rf"{says}.*OTEL_EXPORTER_OTLP_HEADERS"):
        send_otlp([record("n", "a" * 16)], endpoint=received.endpoint, headers={}, protocol=protocol)


def test_nobody_there_says_so() -> None:
    with pytest.raises(ExportError, match=r"no collector answers at http://127.0.0.1:9/v1/traces.*--endpoint"):
        send_otlp([record("n", "a" * 16)], service_name="shop", endpoint="http://127.0.0.1:9", headers={})


def test_headers_without_a_variable_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_HEADERS", raising=False)
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_TRACES_HEADERS", raising=False)
    assert headers_from_environment() == {}


@pytest.mark.parametrize("protocol", ["http/protobuf", "http/json"])
def test_spans_that_the_collector_rejects_are_an_error_of_the_export(
    protocol: str, caplog: pytest.LogCaptureFixture
) -> None:
    span = SpanRecord("charge", "1" * 32, "2" * 16, None, 1, 2)
    with collector() as received:
        received.rejects_half = True
        with pytest.raises(ExportError, match="rejected 2 of 5 spans: quota"):
            send_otlp([span] * 5, endpoint=received.endpoint, protocol=protocol)
    assert caplog.records == []

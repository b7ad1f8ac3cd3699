"""Trace headers come from outside: what is well-formed is read, the rest is as if it were not there."""

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_execution.telemetry.trace_context import (
    NOTHING,
    TraceContext,
    incoming,
    parse_header,
    parse_traceparent,
    parse_xray,
    traceparent,
    xray_header,
)

ROOT = "1-5759e988-bd862e3fe1be46a994272793"
TRACE = 0x5759E988BD862E3FE1BE46A994272793
SPAN = 0x53995C3F42CD8AD8

TRACE_IDS = st.integers(1, 2**128 - 1)
SPAN_IDS = st.integers(1, 2**64 - 1)


@given(TRACE_IDS, SPAN_IDS, st.booleans())
def test_what_is_sent_to_a_chained_function_is_read_there(trace_id: int, span_id: int, is_sampled: bool) -> None:
    header = xray_header(trace_id, span_id, is_sampled=is_sampled)
    assert parse_header(header) == TraceContext(trace_id, span_id, is_sampled)


@given(TRACE_IDS, SPAN_IDS, st.booleans())
def test_w3c_makes_the_round_trip(trace_id: int, span_id: int, is_sampled: bool) -> None:
    header = traceparent(trace_id, span_id, is_sampled=is_sampled)
    assert parse_header(header) == TraceContext(trace_id, span_id, is_sampled, is_timed=False)


@given(st.text())
def test_no_text_breaks_the_reader(text: str) -> None:
    found = parse_header(text)
    assert found.trace_id is None or 0 < found.trace_id < 2**128
    assert found.parent_id is None or 0 < found.parent_id < 2**64


@given(st.text(alphabet="Rotaeplnd=;-01af Srm", max_size=80))
def test_almost_headers_do_not_either(text: str) -> None:
    parse_xray(text)
    parse_traceparent(text)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (f"Root={ROOT};Parent=53995c3f42cd8ad8;Sampled=1", TraceContext(TRACE, SPAN, True)),
        (f"Sampled=0;Lineage=1:a;Parent=53995C3F42CD8AD8; root={ROOT}", TraceContext(TRACE, SPAN, False)),
        (f"Root={ROOT};Parent=53995c3f42cd8ad8;Sampled=?", TraceContext(TRACE, SPAN, None)),
        (f"Root={ROOT}", TraceContext(TRACE, None, None)),
        (f"Root={ROOT};Parent=short;Sampled=1", TraceContext(TRACE, None, True)),
        (f"Root={ROOT};Parent=0000000000000000", TraceContext(TRACE, None, None)),
        ("Root=1-5759e988;Parent=53995c3f42cd8ad8;Sampled=1", TraceContext(None, SPAN, True)),
        ("Root=2-5759e988-bd862e3fe1be46a994272793", NOTHING),
        ("Root=1-00000000-000000000000000000000000", NOTHING),
        (f"Root={ROOT};" + "x" * 10_000, NOTHING),
        ("Root=1-５759e988-bd862e3fe1be46a994272793", NOTHING),
    ],
)
def test_xray_headers(header: str, expected: TraceContext) -> None:
    assert parse_xray(header) == expected if len(header) < 8_192 else parse_header(header) == expected


@pytest.mark.parametrize(
    "header",
    [
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        "",
    ],
)
def test_invalid_w3c_headers_are_ignored(header: str) -> None:
    assert parse_traceparent(header) == NOTHING


def test_a_later_version_of_w3c_is_read_as_far_as_it_is_known() -> None:
    found = parse_traceparent("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more")
    assert found.parent_id == 0x00F067AA0BA902B7


def test_the_environment_stands_in_for_a_header(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_X_AMZN_TRACE_ID", f"Root={ROOT};Parent=53995c3f42cd8ad8;Sampled=1")
    assert incoming(None).trace_id == TRACE
    assert incoming(xray_header(7, 8, is_sampled=True)).trace_id == 7


@pytest.mark.parametrize("as_object", [True, False])
def test_a_caller_can_hand_w3c_context_in_the_client_context(as_object: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("_X_AMZN_TRACE_ID", raising=False)
    custom = {"traceparent": traceparent(7, 8, is_sampled=True), "tracestate": "vendor=1"}
    given: Any = SimpleNamespace(custom=custom) if as_object else {"custom": custom}
    found = incoming(None, SimpleNamespace(client_context=given))
    assert (found.trace_id, found.parent_id, found.trace_state) == (7, 8, "vendor=1")


@pytest.mark.parametrize("client_context", [None, 5, {"custom": 5}, {"custom": {"traceparent": b"00"}}, {}])
def test_a_hostile_client_context_is_ignored(client_context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("_X_AMZN_TRACE_ID", raising=False)
    assert incoming(None, SimpleNamespace(client_context=client_context)) == NOTHING

"""Ids are those of AWS's plugin where it has any, and stay below the age at which backends refuse traces."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_execution.protocol import Operation
from durable_execution.telemetry import span_ids
from durable_execution.telemetry.identity import InvocationNames, identify
from durable_execution.telemetry.trace_context import NOTHING, TraceContext, parse_header
from tests.unit.telemetry.notifications import ARN, BEGAN, started

MOMENTS = st.datetimes(datetime(2025, 12, 1), datetime(2040, 1, 1), timezones=st.just(UTC))


def hashed(source: str, digits: int) -> int:
    return int(hashlib.blake2b(source.encode()).hexdigest()[:digits], 16)


def test_a_trace_is_the_executions_start_and_its_arn() -> None:
    digits = f"{span_ids.trace_id_of(ARN, BEGAN):032x}"
    assert digits[:8] == f"{int(BEGAN.timestamp()):08x}"
    assert int(digits[8:], 16) == hashed(ARN, 24)


def test_spans_have_the_ids_of_awss_plugin() -> None:
    assert span_ids.operation_span_id(ARN, "abc") == hashed(f"{ARN}:abc", 16)
    assert span_ids.workflow_span_id(ARN) == hashed(f"workflow:{ARN}", 16)
    assert span_ids.root_span_id(ARN) == hashed(f"execution-root:{ARN}", 16)


def test_awss_plugin_agrees() -> None:
    theirs = pytest.importorskip("aws_durable_execution_sdk_python_otel.deterministic_id_generator")
    assert theirs._to_otel_trace_id(ARN, BEGAN) == span_ids.trace_id_of(ARN, BEGAN)
    assert theirs.operation_id_to_span_id(ARN, "abc") == span_ids.operation_span_id(ARN, "abc")
    assert theirs.derive_workflow_span_id(ARN) == span_ids.workflow_span_id(ARN)
    assert theirs.derive_execution_root_span_id(ARN) == span_ids.root_span_id(ARN)


@given(began=MOMENTS, age=st.timedeltas(timedelta(0), timedelta(days=366)))
def test_no_trace_is_ever_as_old_as_xrays_exporter_refuses(began: datetime, age: timedelta) -> None:
    first = span_ids.trace_id_of(ARN, began)
    trace_id, generation = span_ids.rolled_over(first, began + age)
    born = datetime.fromtimestamp(trace_id >> 96, UTC)
    assert timedelta(0) <= began + age - born <= timedelta(days=27, seconds=1)
    assert (generation == 0) == (trace_id == first)
    assert trace_id & ((1 << 96) - 1) == first & ((1 << 96) - 1)


def test_a_long_execution_goes_on_in_a_linked_trace() -> None:
    names = InvocationNames()
    first = identify(started(), NOTHING, names)
    at_day_60 = started(when=BEGAN + timedelta(days=60), request_id="request-2")
    later = identify(at_day_60, NOTHING, names, ran_at=[BEGAN, BEGAN + timedelta(days=40)])
    assert (first.generation, first.previous) == (0, None)
    assert later.generation == 2
    assert later.previous == (
        span_ids.rolled_over(first.trace_id, BEGAN + timedelta(days=40))[0],
        span_ids.root_span_id(ARN, 1),
    )
    assert len({first.ancestor_id, later.ancestor_id, span_ids.root_span_id(ARN, 1)}) == 3
    assert later.trace_at(BEGAN + timedelta(days=1)) == first.trace_id
    assert later.ancestor_started_at == BEGAN + timedelta(days=54)


def test_a_trace_links_to_the_latest_one_in_which_the_execution_ran() -> None:
    names = InvocationNames()
    first = identify(started(), NOTHING, names)
    step = {"Id": "s", "Type": "STEP", "Status": "SUCCEEDED", "StartTimestamp": BEGAN, "EndTimestamp": BEGAN}
    woken = BEGAN + timedelta(days=59)
    sleep = {"Id": "w", "Type": "WAIT", "Status": "SUCCEEDED", "StartTimestamp": BEGAN, "EndTimestamp": woken}
    operations = [Operation(step), Operation(sleep)]
    later = identify(started(when=woken, operations=operations), NOTHING, names)
    assert (later.generation, later.active) == (2, (0,))
    assert later.previous == (first.trace_id, first.ancestor_id)
    assert later.in_generation(0) == replace(first, invocation=later.invocation)


def test_the_first_trace_after_a_remote_parent_links_to_it() -> None:
    header = f"Root=1-{int(BEGAN.timestamp()):08x}-{'1' * 24};Parent=00f067aa0ba902b7;Sampled=1"
    later = identify(started(when=BEGAN + timedelta(days=30)), parse_header(header), InvocationNames())
    assert (later.is_remote, later.ancestor_id) == (False, span_ids.root_span_id(ARN, 1))
    assert later.previous == (int(f"{int(BEGAN.timestamp()):08x}{'1' * 24}", 16), 0x00F067AA0BA902B7)


def test_a_random_trace_id_has_no_age() -> None:
    random = TraceContext(trace_id=int("6" * 32, 16), parent_id=5, is_sampled=True, is_timed=False)
    identity = identify(started(when=BEGAN + timedelta(days=90)), random, InvocationNames())
    assert (identity.trace_id, identity.generation, identity.is_remote) == (random.trace_id, 0, True)


def test_a_trace_that_began_long_before_the_execution_is_not_taken_for_an_old_one() -> None:
    header = f"Root=1-00000001-{'1' * 24};Parent=00f067aa0ba902b7;Sampled=1"
    identity = identify(started(), parse_header(header), InvocationNames())
    assert (identity.trace_id >> 96, identity.generation) == (1, 0)


def test_a_repeated_request_id_is_told_apart() -> None:
    names = InvocationNames()
    first, second = started(), started(when=BEGAN + timedelta(seconds=5))
    told = [identify(notification, NOTHING, names).invocation_id for notification in (first, second, first)]
    assert told[0] == told[2] != told[1]


def test_an_invocation_without_a_request_id_is_named_by_its_start() -> None:
    names = InvocationNames()
    first = identify(started(request_id=None), NOTHING, names)
    second = identify(started(request_id=None, when=BEGAN + timedelta(seconds=1)), NOTHING, names)
    assert first.invocation_id != second.invocation_id


def test_names_of_old_invocations_are_forgotten() -> None:
    names = InvocationNames()
    for number in range(1_000):
        names.name(ARN, f"request-{number}", BEGAN)
    assert len(names._seen) <= 256

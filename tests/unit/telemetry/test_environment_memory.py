"""How late a next attempt began is told live too, although the service says no longer when it was due."""

from datetime import timedelta

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from durable_execution.observers import AttemptStarted, OperationStarted
from durable_execution.protocol import Operation, OperationStatus
from durable_execution.telemetry.environment_memory import REMEMBERED_DUE_TIMES, DueTimes, Surroundings
from durable_execution.telemetry.identity import InvocationNames, identify
from durable_execution.telemetry.open_span import RecordOutlet
from durable_execution.telemetry.spans import SpanRecord, to_ns
from durable_execution.telemetry.trace_context import NOTHING
from durable_execution.telemetry.trace_views import VIEWS
from tests.unit.telemetry.notifications import ARN, BEGAN, at, call, started
from tests.unit.telemetry.scenarios import Tracing, engine_with, provider_for, run


def sent(view: str, scenario: str) -> list[ReadableSpan]:
    exporter = InMemorySpanExporter()
    with engine_with(Tracing(provider_for(exporter), view)) as engine:
        assert run(engine, {"scenario": scenario}).status == "SUCCEEDED"
    return list(exporter.get_finished_spans())


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize(("scenario", "name"), [("retry", "otel-retry"), ("wait-for-condition", "otel-condition")])
def test_each_next_attempt_has_its_latency(view: str, scenario: str, name: str) -> None:
    spans = sent(view, scenario)
    invocations = [span for span in spans if span.name == "Invocation"]
    (latency,) = (span for span in spans if span.name == f"{name} resume latency")
    assert latency.attributes is not None
    assert latency.end_time == invocations[1].start_time
    assert latency.attributes["replay.waiting_for"] in ("Step", "WaitForCondition")
    assert "replay.due_time" in latency.attributes


def resumed(status: str, due_times: DueTimes, next_attempt: float | None = None) -> list[SpanRecord]:
    """An invocation a minute after the start that finds a step in a state, and tries it a second time."""
    details = {"Attempt": 1, **({"NextAttemptTimestamp": at(next_attempt)} if next_attempt is not None else {})}
    recorded = Operation({"Id": call().id, "Type": "STEP", "Status": status, "StepDetails": details})
    start = started(when=at(60), is_first=False, operations=[recorded])
    outlet = RecordOutlet()
    identity = identify(start, NOTHING, InvocationNames())
    view = VIEWS["execution"](identity, start, outlet, Surroundings(due_times=due_times))
    view.on_operation_started(OperationStarted(call(), BEGAN, True, OperationStatus(status), recorded))
    view.on_attempt_started(AttemptStarted(call(), 2, at(60.5), True))
    return [record for record in outlet.records if record.name.endswith("resume latency")]


def remembered(seconds: float) -> DueTimes:
    known = DueTimes()
    known.remember(ARN, call().id, at(seconds))
    return known


def test_what_is_due_is_remembered_while_nothing_runs() -> None:
    (latency,) = resumed("READY", remembered(50))
    assert (latency.start_ns, latency.end_ns) == (to_ns(at(50)), to_ns(at(60)))


def test_what_the_service_says_goes_before_what_is_remembered() -> None:
    (latency,) = resumed("PENDING", remembered(50), next_attempt=55)
    assert latency.start_ns == to_ns(at(55))


def test_a_new_environment_does_not_guess() -> None:
    assert resumed("READY", DueTimes()) == []


def test_an_attempt_that_was_begun_before_a_crash_is_not_late_again() -> None:
    assert resumed("STARTED", remembered(50)) == []


def test_old_ones_are_forgotten() -> None:
    known = DueTimes()
    for number in range(REMEMBERED_DUE_TIMES + 1):
        known.remember(ARN, str(number), BEGAN + timedelta(seconds=number))
    assert known.recall(ARN, "0") is None
    assert known.recall(ARN, str(REMEMBERED_DUE_TIMES)) == BEGAN + timedelta(seconds=REMEMBERED_DUE_TIMES)

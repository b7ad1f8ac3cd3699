"""What a list of traces shows of an execution: the root's name, status and duration, and Workflow's name."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from durable_execution.errors import ConfigurationError
from durable_execution.history.reading import read_history
from durable_execution.protocol import InvocationStatus
from durable_execution.telemetry import settings
from durable_execution.telemetry.backfill import backfill
from durable_execution.telemetry.live import LiveTracing
from durable_execution.telemetry.settings import Settings, TopSpans
from durable_execution.telemetry.spans import SpanStatus, to_ns
from tests.unit.telemetry.notifications import BEGAN, at, ended, started, step
from tests.unit.telemetry.notifications import call as call_of
from tests.unit.telemetry.scenarios import Tracing, engine_with, provider_for, run

FUNCTION = "process"
PENDING, FAILED = InvocationStatus.PENDING, InvocationStatus.FAILED


def is_root(span: ReadableSpan) -> bool:
    return "durable.execution.synthetic_root" in (span.attributes or {})


def roots_of(top: TopSpans, *statuses: InvocationStatus, view: str = "execution", arn: str = "") -> list[ReadableSpan]:
    """The roots that an execution sends whose invocations end so, ten seconds apart."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    arn = arn or f"arn:aws:lambda:eu-west-1:123456789012:function:{FUNCTION}:1/durable-execution/{top.root}/{view}"
    for number, status in enumerate(statuses):
        start = started(
            arn=arn,
            when=at(10 * number),
            is_first=number == 0,
            updated=["w"] if number else (),
            request_id=f"r{number}",
        )
        tracing = LiveTracing(provider, view=view, top=top)
        tracing.on_invocation_started(start)
        step(tracing, call_of(number + 1), begins=1)
        error = ValueError("declined") if status is FAILED else None
        tracing.on_invocation_ended(ended(start, status, after=5, error=error))
    return [span for span in exporter.get_finished_spans() if is_root(span)]


def told(span: ReadableSpan) -> tuple[str, str, float]:
    assert span.start_time == to_ns(BEGAN)
    assert span.start_time is not None
    assert span.end_time is not None
    return span.name, span.status.status_code.name, (span.end_time - span.start_time) / 1e9


@pytest.mark.parametrize("view", settings.VIEWS)
def test_the_root_has_the_functions_name_at_once_and_status_and_duration_at_the_end(view: str) -> None:
    roots = roots_of(TopSpans("workflow"), PENDING, PENDING, FAILED, view=view)
    assert [told(root) for root in roots] == [(FUNCTION, "UNSET", 0.0), (FUNCTION, "ERROR", 25.0)]
    assert roots[1].status.description == "declined"
    assert len({root.context.span_id for root in roots if root.context}) == 1


def test_an_execution_of_one_invocation_sends_its_root_once() -> None:
    assert [told(root) for root in roots_of(TopSpans("workflow"), FAILED)] == [(FUNCTION, "ERROR", 5.0)]


def test_a_root_that_is_wanted_once_comes_with_the_last_invocation() -> None:
    assert [told(root) for root in roots_of(TopSpans("once"), PENDING, FAILED)] == [(FUNCTION, "ERROR", 15.0)]
    assert roots_of(TopSpans("once"), PENDING) == []


def test_a_plain_root_is_that_of_awss_plugin() -> None:
    (root,) = roots_of(TopSpans("plain", "ignored"), PENDING, FAILED)
    assert told(root) == ("DurableExecutionRoot", "UNSET", 0.0)
    assert set(root.attributes or {}) == {"durable.execution.arn", "durable.execution.synthetic_root"}


@pytest.mark.parametrize(
    ("arn", "top", "expected"),
    [
        ("", TopSpans("workflow", "orders"), "orders"),
        ("not-an-arn", TopSpans("workflow"), "process_order"),
    ],
)
def test_the_name_is_the_one_chosen_or_the_handlers(arn: str, top: TopSpans, expected: str) -> None:
    (root,) = roots_of(top, FAILED, arn=arn)
    assert root.name == expected
    assert (root.attributes or {})["replay.handler"]


@pytest.fixture
def chosen() -> Iterator[dict[str, str]]:
    yield settings._chosen_root
    settings._chosen_root.clear()


def test_the_environment_and_the_code_choose_the_names(chosen: dict[str, str]) -> None:
    assert Settings.read({}).top == TopSpans("workflow", None, "Workflow")
    environment = {"DURABLE_TRACE_ROOT": "once", "DURABLE_TRACE_NAME": "a", "DURABLE_WORKFLOW_SPAN_NAME": "Flow"}
    assert Settings.read(environment).top == TopSpans("once", "a", "Flow")
    wrong = Settings.read({"DURABLE_TRACE_ROOT": "none"})
    assert wrong.top.root == "workflow"
    assert "workflow, once, plain" in wrong.problems[0]
    settings.choose_root("workflow", "b")
    assert chosen == {"root": "workflow", "name": "b"}
    assert Settings.read(environment).top == TopSpans("workflow", "b", "Flow")
    with pytest.raises(ConfigurationError, match="workflow, once, plain"):
        settings.choose_root("never", None)


@pytest.mark.parametrize("view", settings.VIEWS)
def test_backfill_makes_the_root_of_an_execution_that_timed_out_red(view: str) -> None:
    exporter = InMemorySpanExporter()
    with engine_with(Tracing(provider_for(exporter), view)) as engine:
        done = run(engine, {"scenario": "wait-interrupted"}, timeout=timedelta(seconds=3))
        recorded = read_history(done.history(), arn=done.arn)
    assert recorded.status == "TIMED_OUT"
    spans = {span.name: span for span in backfill(recorded, view=view, top=TopSpans("workflow", "orders", "Flow"))}
    assert spans["orders"].status is SpanStatus.ERROR
    assert spans["orders"].end_ns == spans["Flow"].end_ns > spans["orders"].start_ns

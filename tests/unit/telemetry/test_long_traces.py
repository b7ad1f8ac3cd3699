"""Executions of months: several traces, each of them whole, and no link or parent that leads nowhere."""

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from durable_execution import RetryPresets, StepConfig
from durable_execution.context.durable_context import DurableContext
from durable_execution.history.reading import read_history
from durable_execution.protocol import InvocationStatus
from durable_execution.telemetry.backfill import backfill
from durable_execution.telemetry.live import LiveTracing
from durable_execution.telemetry.open_span import OpenSpan
from durable_execution.telemetry.settings import VIEWS, TopSpans
from tests.unit.telemetry.notifications import ARN, BEGAN, call, ended, started, step
from tests.unit.telemetry.scenarios import Tracing, engine_with, provider_for, run


async def months(_: Any, ctx: DurableContext) -> str:
    await ctx.step(lambda _: 1, "first")
    await ctx.wait(timedelta(days=30), "a month")
    await ctx.step(lambda _: 2, "second")
    await ctx.wait(timedelta(days=90), "a season")  # sleeps through two whole traces
    await ctx.step(lambda _: 3, "third")
    return "done"


async def nested(_: Any, ctx: DurableContext) -> str:
    """Contexts and a retried step that are open when the trace rolls over."""

    def flaky(step: Any) -> int:
        if step.attempt < 3:
            raise ValueError("not yet")
        return 1

    async def naps(inner: DurableContext) -> None:
        await inner.step(lambda _: 1, "before")
        await inner.wait(timedelta(days=27, seconds=1), "nap")
        again = RetryPresets.fixed(timedelta(days=20), attempts=3)
        await inner.step(flaky, "flaky", config=StepConfig(retry_strategy=again))

    async def travels(inner: DurableContext) -> None:
        for number in range(3):
            await inner.wait(timedelta(days=20), f"leg {number}")
            await inner.step(lambda _: 1, f"stop {number}")

    await ctx.parallel([naps, travels], name="both")
    return "done"


def live(view: str, root: str, workflow: Any = months) -> tuple[Sequence[ReadableSpan], Any]:
    exporter = InMemorySpanExporter()
    provider = provider_for(exporter)
    with engine_with(Tracing(provider, view, top=TopSpans(root)), workflow) as engine:
        done = run(engine, {})
        recorded = read_history(done.history(), arn=done.arn)
    provider.shutdown()
    return exporter.get_finished_spans(), recorded


def places(span: ReadableSpan) -> tuple[int, int]:
    assert span.context is not None
    return span.context.trace_id, span.context.span_id


def lasts(span: ReadableSpan) -> tuple[int, int]:
    assert span.start_time is not None
    assert span.end_time is not None
    return span.start_time, span.end_time


@pytest.mark.parametrize("workflow", [months, nested])
@pytest.mark.parametrize("root", ["workflow", "plain"])
@pytest.mark.parametrize("view", VIEWS)
def test_every_trace_is_whole(view: str, root: str, workflow: Any) -> None:
    spans, _ = live(view, root, workflow)
    known = {places(span): span for span in spans}
    traces = {trace for trace, _ in known}
    assert len(traces) == 3
    assert len({span for _, span in known}) == len(known)  # some backends expect ids to be unique across traces
    for trace in traces:
        inside = [span for place, span in known.items() if place[0] == trace]
        assert [span.name for span in inside].count("Workflow") == 1
        assert sum(span.parent is None for span in inside) == 1
    for span in spans:
        assert span.parent is None or (span.parent.trace_id, span.parent.span_id) in known, span.name
        if span.parent is not None and view == "execution":
            around = known[span.parent.trace_id, span.parent.span_id]
            assert around.parent is None or lasts(around)[0] <= lasts(span)[0] <= lasts(span)[1] <= lasts(around)[1]
        for link in span.links:
            assert (link.context.trace_id, link.context.span_id) in known, span.name
    workflows = [span for span in known.values() if span.name == "Workflow"]
    assert len({(span.start_time, span.end_time, span.status.status_code) for span in workflows}) == 1
    if root == "workflow":
        roots = [span for span in known.values() if span.parent is None]
        assert {span.status.status_code.name for span in roots} == {"OK"}


@pytest.mark.parametrize("is_xray", [True, False])
def test_a_trace_near_the_limit_of_xray_is_reported_once(caplog: pytest.LogCaptureFixture, is_xray: bool) -> None:
    header = f"Root=1-{int(BEGAN.timestamp()):08x}-{uuid4().hex[:24]};Parent=00f067aa0ba902b7;Sampled=1"
    exporter = InMemorySpanExporter()
    provider = provider_for(exporter, queue_size=4_096)
    for number in range(3):
        start = started(
            header=header if is_xray else None, request_id=f"r{number}", is_first=number == 0, updated=["w"]
        )
        tracing = LiveTracing(provider, view="invocation")
        tracing.on_invocation_started(start)
        for position in range(1, 201):
            step(tracing, call(position + 1_000 * number, f"n{position}"))
        tracing.on_invocation_ended(ended(start, InvocationStatus.PENDING))
    provider.shutdown()
    reported = [record for record in caplog.records if "X-Ray accepts 500 KB" in record.getMessage()]
    assert len(reported) == int(is_xray)
    assert len(exporter.get_finished_spans()) >= 1_200


def test_the_size_of_a_span_is_close_to_that_of_its_json() -> None:
    known = {"durable.execution.arn": ARN, "durable.operation.name": "charge", "replay.path": "process/charge"}
    span = OpenSpan("charge", 1, 2, start_ns=0, attributes=dict(known))
    document = json.dumps({"id": "0" * 16, "trace_id": "1-" + "0" * 33, "name": "charge", "annotations": known})
    assert len(document) < span.size_bytes < 2 * len(document)


@pytest.mark.parametrize("workflow", [months, nested])
@pytest.mark.parametrize("view", VIEWS)
def test_backfill_sends_the_same_traces(view: str, workflow: Any) -> None:
    spans, recorded = live(view, "workflow", workflow)
    computed = {(int(span.trace_id, 16), int(span.span_id, 16)): span for span in backfill(recorded, view=view)}
    assert set(computed) == {places(span) for span in spans}
    sent = {places(span): span for span in spans}
    for place, span in computed.items():
        assert span.status.value == sent[place].status.status_code.name, span.name
        parent = sent[place].parent
        assert (int(span.parent_id, 16) if span.parent_id else None) == (parent.span_id if parent else None)
        assert [(int(link.trace_id, 16), int(link.span_id, 16)) for link in span.links] == [
            (link.context.trace_id, link.context.span_id) for link in sent[place].links
        ]

"""Spans that instrumentation of the AWS client makes of checkpoint calls: they belong under the invocation."""

import asyncio
import time
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest
from opentelemetry import context, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from durable_execution import BlockingContext, DurableContext, StepContext, durable_execution
from durable_execution.protocol import Wire
from durable_execution.telemetry import settings
from durable_execution.telemetry.live import LiveTracing
from tests.unit.fake_service import FakeService, envelope

CALL = "Lambda.CheckpointDurableExecution"
READ = "Lambda.GetDurableExecutionState"


class InstrumentedClient:
    """A client whose calls are spans, under the span that is current when a call is made."""

    def __init__(self, provider: TracerProvider) -> None:
        self.service = FakeService()
        self.tracer = provider.get_tracer("opentelemetry.instrumentation.botocore")

    def checkpoint_durable_execution(self, **members: Any) -> Wire:
        with self.span(CALL):
            call = self.service.checkpoint(
                members["DurableExecutionArn"], members["CheckpointToken"], members["Updates"]
            )
            with pytest.raises(StopIteration) as answered:  # the fake never waits
                call.send(None)
        answer = answered.value.value
        return {"CheckpointToken": answer.token, "NewExecutionState": {"Operations": answer.operations}}

    def get_durable_execution_state(self, **members: Any) -> Wire:
        assert members["Marker"] == "second"
        with self.span(READ):
            return {"Operations": [], "NextMarker": None}

    def span(self, name: str) -> AbstractContextManager[Any]:
        is_suppressed = bool(context.get_value("suppress_instrumentation"))
        return nullcontext() if is_suppressed else self.tracer.start_as_current_span(name)


async def sequence(_: Any, ctx: DurableContext) -> None:
    for number in range(3):
        await ctx.step(lambda _: number, name=f"one-{number}")  # noqa: B023  # runs before the next


async def gathered(_: Any, ctx: DurableContext) -> None:
    async def body(_: StepContext) -> None:
        await asyncio.sleep(0.01)

    async def child(inner: DurableContext) -> None:
        await inner.step(body, name="inside")

    await asyncio.gather(
        *(ctx.step(body, name=f"many-{n}") for n in range(4)), ctx.run_in_child_context(child, name="c")
    )


def blocking(_: Any, ctx: BlockingContext) -> None:
    for number in range(2):
        ctx.step(lambda _: time.sleep(0.01), name=f"blocking-{number}")


@pytest.mark.parametrize("view", settings.VIEWS)
@pytest.mark.parametrize("workflow", [sequence, gathered, blocking])
def test_every_checkpoint_call_is_under_the_invocation(workflow: Any, view: str) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    client, tracing = InstrumentedClient(provider), LiveTracing(provider, view=view)
    handler = durable_execution(client=client, observers=[tracing])(workflow)
    assert handler(envelope(), None)["Status"] == "SUCCEEDED"
    spans = exporter.get_finished_spans()
    (invocation,) = (span for span in spans if span.name == "Invocation")
    calls = [span for span in spans if span.name == CALL]
    assert calls
    assert invocation.context is not None
    assert {span.parent and span.parent.span_id for span in calls} == {invocation.context.span_id}
    assert len({span.context.trace_id for span in spans if span.context}) == 1


def traced(around: AbstractContextManager[Any] | None = None) -> list[Any]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing = LiveTracing(provider, view="execution")
    handler = durable_execution(client=InstrumentedClient(provider), observers=[tracing])(sequence)
    with around or nullcontext():
        assert handler(envelope(marker="second"), None)["Status"] == "SUCCEEDED"
    assert context.get_value("suppress_instrumentation") is None
    return list(exporter.get_finished_spans())


def test_reading_further_pages_makes_no_trace_of_its_own() -> None:
    spans = traced()
    assert CALL in {span.name for span in spans}
    assert READ not in {span.name for span in spans}
    assert len({span.context.trace_id for span in spans}) == 1


def test_reading_further_pages_is_under_a_span_of_the_application() -> None:
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("application")
    with tracer.start_as_current_span("function") as outer:
        (read,) = (span for span in traced(trace.use_span(outer)) if span.name == READ)
    assert read.parent.span_id == outer.get_span_context().span_id


def test_an_option_suppresses_the_spans_of_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(settings.CALLS.name, "off")
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("application")
    with tracer.start_as_current_span("function") as outer:
        names = {span.name for span in traced(trace.use_span(outer))}
    assert "Invocation" in names
    assert not {CALL, READ} & names

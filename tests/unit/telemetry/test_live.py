"""Live tracing next to the application's own: its spans, its provider, its processors, its mistakes."""

import logging
import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from importlib.metadata import version
from typing import Any

import pytest
from opentelemetry import baggage, trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Sampler, SamplingResult, TraceIdRatioBased
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, TraceFlags

from durable_execution.call_site import CallSite
from durable_execution.context.durable_context import DurableContext
from durable_execution.divergence import Divergence, DivergenceKind, Severity, Side
from durable_execution.errors import StepError
from durable_execution.handler import durable_execution
from durable_execution.history.reading import read_history
from durable_execution.observers import AttemptStarted, ContextEntered, Diverged, OperationCompleted, OperationStarted
from durable_execution.protocol import ErrorObject, InvocationStatus, Operation, OperationStatus
from durable_execution.telemetry import environment_memory, live
from durable_execution.telemetry.attributes import code_attributes
from durable_execution.telemetry.backfill import backfill
from durable_execution.telemetry.live import LiveTracing, assemble
from durable_execution.telemetry.otlp import to_otlp
from durable_execution.telemetry.outlets import PlaceholderSpan
from durable_execution.telemetry.sdk_spans import readable
from durable_execution.telemetry.settings import Settings
from durable_execution.telemetry.spans import SCHEMA_URL, SpanRecord
from tests.unit.telemetry.notifications import ARN, BEGAN, at, call, ended, replayed, started, step
from tests.unit.telemetry.scenarios import (
    ObservedEngine,
    Tracing,
    engine_with,
    provider_for,
    retry_in,
    run,
    run_scenario,
)

VIEWS = ("execution", "invocation")


class Listening(SpanProcessor):
    """A processor that wants to see spans start, so that they have to be started for real."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.ended: list[str] = []

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        assert span.is_recording()
        span.set_attribute("seen.by", "listener")
        self.started.append(span.name)

    def on_end(self, span: ReadableSpan) -> None:
        self.ended.append(span.name)


class Provided:
    """A provider, what it exports, and a tracer for the user's code."""

    def __init__(self, *, starts_are_seen: bool = False, **options: Any) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False, **options)
        self.listener = Listening()
        if starts_are_seen:
            self.provider.add_span_processor(self.listener)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.provider.get_tracer("shop")

    def spans(self) -> dict[str, ReadableSpan]:
        return {span.name: span for span in self.exporter.get_finished_spans()}

    def names(self) -> list[str]:
        return [span.name for span in self.exporter.get_finished_spans()]


@pytest.fixture(params=[False, True], ids=["deferred", "started"])
def provided(request: pytest.FixtureRequest) -> Provided:
    return Provided(starts_are_seen=request.param)


def id_of(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.span_id)


def parent_of(span: ReadableSpan) -> int | None:
    return span.parent.span_id if span.parent is not None else None


def traced(provider: TracerProvider, workflow: Any, *, view: str = "execution") -> Any:
    with engine_with(Tracing(provider, view), workflow) as engine:
        return run(engine, {})


def traced_all(provider: TracerProvider, *, view: str = "execution") -> Any:
    with engine_with(Tracing(provider, view)) as engine:
        return run(engine, {"scenario": "everything"})


@pytest.mark.parametrize("view", VIEWS)
def test_the_users_spans_are_inside_the_attempt(provided: Provided, view: str) -> None:
    async def awaited(_: Any) -> None:
        with provided.tracer.start_as_current_span("awaited call"):
            pass

    def threaded(_: Any) -> None:
        with provided.tracer.start_as_current_span("threaded call"):
            pass

    async def inside(ctx: DurableContext) -> None:
        with provided.tracer.start_as_current_span("in the context"):
            await ctx.step(awaited, "inner")

    async def workflow(_: Any, ctx: DurableContext) -> None:
        await ctx.step(awaited, "first")
        await ctx.step(threaded, "second")
        await ctx.run_in_child_context(inside, "child")
        with provided.tracer.start_as_current_span("in the handler"):
            pass

    traced(provided.provider, workflow, view=view)
    spans = provided.spans()
    assert parent_of(spans["threaded call"]) == id_of(spans["second attempt 1"])
    assert parent_of(spans["in the context"]) == id_of(spans["child"])
    assert parent_of(spans["in the handler"]) == id_of(spans["Invocation"])
    assert spans["in the handler"].context.trace_id == spans["Workflow"].context.trace_id
    calls = [span for span in provided.exporter.get_finished_spans() if span.name == "awaited call"]
    assert {parent_of(span) for span in calls} == {
        id_of(spans["first attempt 1"]),
        id_of(spans["inner attempt 1"]),
    }


def test_what_the_user_adds_to_the_current_span_is_sent(provided: Provided, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, logger="opentelemetry")
    elsewhere = SpanContext(5, 6, is_remote=True, trace_flags=TraceFlags(1))

    def body(_: Any) -> None:
        span = trace.get_current_span()
        assert span.is_recording()
        span.set_attribute("order.id", "7")
        span.set_attributes({"order.size": 2, "bad": object()})  # type: ignore[dict-item]  # users do that
        span.add_event("picked", {"shelf": 3})
        span.add_link(elsewhere, {"why": "same order"})
        span.record_exception(ValueError("handled"))
        span.update_name("mine")
        span.end()

    async def inside(ctx: DurableContext) -> None:
        trace.get_current_span().set_attribute("tenant", "a")

    async def workflow(_: Any, ctx: DurableContext) -> None:
        await ctx.step(body, "charge")
        await ctx.run_in_child_context(inside, "child")

    traced(provided.provider, workflow)
    span = provided.spans().get("charge attempt 1") or provided.spans()["mine"]
    assert span.attributes is not None
    assert (span.attributes["order.id"], span.attributes["order.size"]) == ("7", 2)
    assert span.attributes["durable.operation.name"] == "charge"
    assert [event.name for event in span.events] == ["picked", "exception"]
    assert span.events[1].attributes["exception.message"] == "handled"  # type: ignore[index]
    assert elsewhere in [link.context for link in span.links]
    assert provided.spans()["child"].attributes["tenant"] == "a"  # type: ignore[index]


@pytest.mark.parametrize("view", VIEWS)
def test_nothing_stays_open_or_current(provided: Provided, view: str) -> None:
    before = trace.get_current_span()
    traced_all(provided.provider, view=view)
    assert trace.get_current_span() is before
    assert sorted(provided.listener.started) == sorted(provided.listener.ended)


def test_processors_that_listen_see_every_span_start_and_end() -> None:
    provided = Provided(starts_are_seen=True)
    traced_all(provided.provider)
    assert len(provided.listener.started) == len(provided.names()) > 20
    assert all(span.attributes["seen.by"] == "listener" for span in provided.spans().values() if span.attributes)


def test_the_applications_provider_is_not_touched(provided: Provided) -> None:
    theirs = provided.provider.get_tracer("durable_execution")
    known = (theirs.id_generator, theirs.sampler, theirs.span_processor)  # type: ignore[attr-defined]
    traced_all(provided.provider)
    again = provided.provider.get_tracer("durable_execution")
    assert (theirs.id_generator, theirs.sampler, theirs.span_processor) == known  # type: ignore[attr-defined]
    assert (again.id_generator, again.sampler, again.span_processor) == known  # type: ignore[attr-defined]


class Raising(SpanProcessor, SpanExporter):
    """Fails at whatever it is asked."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        raise RuntimeError("on_start")

    def on_end(self, span: ReadableSpan) -> None:
        raise RuntimeError("on_end")

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        raise RuntimeError("export")

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        raise RuntimeError("force_flush")


class RaisingSampler(Sampler):
    """Fails when it is asked."""

    def should_sample(self, *args: Any, **kwargs: Any) -> SamplingResult:
        raise RuntimeError("should_sample")

    def get_description(self) -> str:
        return "Raising"


@pytest.mark.parametrize("view", VIEWS)
def test_trouble_in_the_applications_telemetry_changes_nothing(view: str, caplog: pytest.LogCaptureFixture) -> None:
    processor = TracerProvider(shutdown_on_exit=False)
    processor.add_span_processor(Raising())
    exporter = TracerProvider(shutdown_on_exit=False)
    exporter.add_span_processor(SimpleSpanProcessor(Raising()))
    sampler = TracerProvider(shutdown_on_exit=False, sampler=RaisingSampler())
    for provider in (processor, exporter, sampler):
        assert traced_all(provider, view=view).status == "SUCCEEDED"
    assert "OpenTelemetry could not start a span" in caplog.text
    assert "OpenTelemetry could not ask the sampler" in caplog.text
    assert "observer" not in caplog.text


def test_executions_at_the_same_time_do_not_mix() -> None:
    provided = Provided()
    both = threading.Barrier(4)

    async def workflow(payload: dict[str, Any], ctx: DurableContext) -> None:
        def body(_: Any) -> None:
            both.wait(20)
            with provided.tracer.start_as_current_span(f"user {payload['n']}"):
                both.wait(20)

        for number in range(3):
            await ctx.step(body, f"{payload['n']}-{number}")

    observe = Tracing(provided.provider, "execution")
    with ObservedEngine(observe, time="real", max_concurrency=4) as engine:
        engine.register("main", durable_execution(workflow))
        arns = [engine.start("main", {"n": n}) for n in range(4)]
        for arn in arns:
            engine.wait(arn, timeout=timedelta(seconds=30))
    traces: dict[int, set[str]] = {}
    for span in provided.exporter.get_finished_spans():
        if span.attributes and "durable.execution.arn" in span.attributes:
            traces.setdefault(span.context.trace_id, set()).add(str(span.attributes["durable.execution.arn"]))
    assert sorted(map(sorted, traces.values())) == sorted([arn] for arn in arns)
    for span in provided.exporter.get_finished_spans():
        if span.name.startswith("user"):
            (arn,) = traces[span.context.trace_id]
            assert arn == arns[int(span.name[-1])]


@pytest.mark.parametrize(
    ("sampler", "header", "is_sampled"),
    [
        (None, "Sampled=1", True),
        (None, "Sampled=0", False),
        (None, "", True),
        (ALWAYS_OFF, "", False),
        (ALWAYS_OFF, "Sampled=1", False),
        (ALWAYS_ON, "Sampled=0", True),
        (TraceIdRatioBased(0.0), "", False),
        (TraceIdRatioBased(1.0), "", True),
    ],
)
@pytest.mark.parametrize("starts_are_seen", [False, True])
def test_the_providers_sampler_decides(sampler: Any, header: str, is_sampled: bool, starts_are_seen: bool) -> None:
    provided = Provided(starts_are_seen=starts_are_seen, sampler=sampler)
    root = f"Root=1-{int(BEGAN.timestamp()):08x}-{'a' * 24};Parent=00f067aa0ba902b7;"
    start = started(header=root + header)
    tracing = LiveTracing(provided.provider, view="execution")
    tracing.on_invocation_started(start)
    step(tracing, call())
    outgoing = tracing.trace_header(call(2, type="CHAINED_INVOKE"))
    tracing.on_invocation_ended(ended(start))
    assert bool(provided.names()) == is_sampled
    assert outgoing is not None
    assert outgoing.endswith(f"Sampled={int(is_sampled)}")


class Picky(Sampler):
    """Leaves out operations of one name."""

    def should_sample(self, parent_context: Any, trace_id: int, name: str, *args: Any, **kwargs: Any) -> SamplingResult:
        sampler = ALWAYS_OFF if name.startswith("secret") else ALWAYS_ON
        return sampler.should_sample(parent_context, trace_id, name, *args, **kwargs)

    def get_description(self) -> str:
        return "Picky"


def test_a_sampler_that_looks_at_each_span_is_asked_for_each() -> None:
    provided = Provided(sampler=Picky())
    start = started()
    tracing = LiveTracing(provided.provider, view="invocation")
    tracing.on_invocation_started(start)
    step(tracing, call(1, "secret"))
    step(tracing, call(2, "open"))
    tracing.on_invocation_ended(ended(start))
    assert {"open", "open attempt 1", "Invocation"} <= set(provided.names())
    assert not any(name.startswith("secret") for name in provided.names())


def test_the_providers_limits_hold() -> None:
    provided = Provided(span_limits=SpanLimits(max_span_attribute_length=5))
    start = started()
    tracing = LiveTracing(provided.provider, view="execution")
    tracing.on_invocation_started(start)
    step(tracing, call(1, "a long name"))
    tracing.on_invocation_ended(ended(start))
    assert provided.spans()["a long name"].attributes["durable.operation.name"] == "a lon"  # type: ignore[index]


def test_a_span_of_the_same_trace_is_the_invocations_parent(provided: Provided) -> None:
    root = int(f"{int(BEGAN.timestamp()):08x}{'a' * 24}", 16)
    header = f"Root=1-{int(BEGAN.timestamp()):08x}-{'a' * 24};Parent=00f067aa0ba902b7;Sampled=1"
    for number, (trace_id, parent) in enumerate([(root, 0x77), (root + 1, 0x00F067AA0BA902B7)]):
        layer = NonRecordingSpan(SpanContext(trace_id, 0x77, is_remote=False, trace_flags=TraceFlags(1)))
        token = attach(baggage.set_baggage("tenant", "a", trace.set_span_in_context(layer)))
        start = started(header=header, request_id=f"request-{number}-{provided.listener.started}")
        tracing = LiveTracing(provided.provider, view="execution")
        tracing.on_invocation_started(start)
        assert baggage.get_baggage("tenant") == "a"
        tracing.on_invocation_ended(ended(start))
        assert trace.get_current_span() is layer
        detach(token)
        spans = provided.spans()
        assert parent_of(spans["Invocation"]) == parent
        assert parent_of(spans["Workflow"]) == 0x00F067AA0BA902B7
        assert "DurableExecutionRoot" not in spans
        provided.exporter.clear()


def invoke(provided: Provided, **options: Any) -> list[str]:
    """One invocation that does nothing; the names of its spans."""
    start = started(**options)
    tracing = LiveTracing(provided.provider, view="execution")
    tracing.on_invocation_started(start)
    tracing.on_invocation_ended(ended(start, InvocationStatus.PENDING))
    names = provided.names()
    provided.exporter.clear()
    return names


def test_the_root_is_sent_once_unless_it_may_be_lost(provided: Provided) -> None:
    arn = f"{ARN}/{provided.listener}"
    later = {"arn": arn, "is_first": False}
    assert "DurableExecutionRoot" in invoke(provided, arn=arn)
    assert "DurableExecutionRoot" not in invoke(provided, **later, when=at(5), updated=["wait"])
    assert "DurableExecutionRoot" not in invoke(provided, **later, when=at(9))
    environment_memory.sent_roots.lose(_identity(provided, arn))
    assert "DurableExecutionRoot" in invoke(provided, **later, when=at(10), updated=["wait"])
    assert "DurableExecutionRoot" not in invoke(provided, arn=arn + "2", is_first=False, when=at(5), updated=["wait"])
    assert "DurableExecutionRoot" in invoke(provided, arn=arn + "3", is_first=False, when=at(5))
    assert "DurableExecutionRoot" in invoke(provided, **later, when=at(40 * 86_400), updated=["wait"])


def _identity(provided: Provided, arn: str) -> Any:
    tracing = LiveTracing(provided.provider, view="execution")
    tracing.on_invocation_started(started(arn=arn))
    provided.exporter.clear()
    return tracing.identity


def test_after_27_days_the_trace_goes_on_in_a_linked_one(provided: Provided) -> None:
    arn = f"{ARN}/long/{provided.listener}"
    first, later = started(arn=arn), started(arn=arn, when=at(40 * 86_400), is_first=False, updated=["x"])
    for start in (first, later):
        tracing = LiveTracing(provided.provider, view="invocation")
        tracing.on_invocation_started(start)
        tracing.on_operation_started(OperationStarted(call(), BEGAN, start is later, OperationStatus.STARTED, None))
        tracing.on_invocation_ended(ended(start, InvocationStatus.PENDING))
    roots = [span for span in provided.exporter.get_finished_spans() if span.name == "DurableExecutionRoot"]
    segments = [span for span in provided.exporter.get_finished_spans() if span.name == "charge"]
    assert roots[0].context.trace_id != roots[1].context.trace_id
    assert [link.context.trace_id for link in roots[1].links] == [roots[0].context.trace_id]
    assert roots[1].attributes["replay.trace.generation"] == 1  # type: ignore[index]
    assert segments[1].links[0].context.span_id == id_of(segments[0])
    assert segments[1].links[0].context.trace_id == segments[0].context.trace_id
    mirrored = str(segments[1].attributes["replay.links"])  # type: ignore[index]
    assert mirrored.startswith(f"{segments[0].context.trace_id:032x}:{id_of(segments[0]):016x},")


def test_a_failure_tells_what_was_really_raised(provided: Provided) -> None:
    class CardDeclinedError(Exception):
        pass

    def declined(_: Any) -> None:
        raise CardDeclinedError("no funds")

    async def workflow(_: Any, ctx: DurableContext) -> None:
        await ctx.step(declined, "charge", config=retry_in(1, attempts=1))

    done = traced(provided.provider, workflow)
    assert done.status == "FAILED"
    spans = provided.spans()
    for name in ("charge attempt 1", "charge", "Invocation", "Workflow"):
        span = spans[name]
        assert span.status.status_code.name == "ERROR", name
        assert span.status.description == "no funds", name
        assert str(span.attributes["error.type"]).endswith("CardDeclinedError"), name  # type: ignore[index]
    raised = [(name, event) for name, span in spans.items() for event in span.events if event.name == "exception"]
    ((name, event),) = raised  # one failure is one exception, where it was raised
    assert name == "charge attempt 1"
    assert event.attributes is not None
    assert "in declined" in str(event.attributes["exception.stacktrace"])
    assert spans["charge"].attributes["code.function.name"].startswith(f"{__name__}.")  # type: ignore[union-attr, index]
    assert spans["charge"].attributes["code.file.path"] == __file__  # type: ignore[index]


def test_a_failure_that_a_later_invocation_raises_again_is_still_one_exception(provided: Provided) -> None:
    def declined(_: Any) -> None:
        raise ValueError("no funds")

    async def workflow(_: Any, ctx: DurableContext) -> None:
        try:
            await ctx.step(declined, "charge", config=retry_in(1, attempts=1))
        except StepError:
            await ctx.wait(timedelta(seconds=5), "rest")
            raise

    with engine_with(Tracing(provided.provider, "execution"), workflow) as engine:
        done = run(engine, {})
        exported = backfill(read_history(done.history(), arn=done.arn))
    assert done.status == "FAILED"
    for spans in (provided.exporter.get_finished_spans(), exported):
        raised = [span.name for span in spans for event in span.events if event.name == "exception"]
        assert raised == ["charge attempt 1"]
        assert sum("error.type" in (span.attributes or {}) for span in spans) == 4


def test_branches_that_fail_alike_are_exceptions_of_their_own(provided: Provided) -> None:
    def declined(_: Any) -> None:
        raise ValueError("no funds")

    async def workflow(_: Any, ctx: DurableContext) -> None:
        for name in ("first", "second"):
            with pytest.raises(StepError):
                await ctx.step(declined, name, config=retry_in(1, attempts=1))

    traced(provided.provider, workflow)
    spans = provided.spans()
    raised = [name for name, span in spans.items() for event in span.events if event.name == "exception"]
    assert sorted(raised) == ["first attempt 1", "second attempt 1"]


def test_a_handled_failure_leaves_the_execution_as_it_ended(provided: Provided) -> None:
    async def workflow(_: Any, ctx: DurableContext) -> None:
        def bad(_: Any) -> None:
            raise ValueError("no")

        with pytest.raises(StepError):
            await ctx.step(bad, "bad", config=retry_in(1, attempts=1))

    traced(provided.provider, workflow)
    codes = {name: span.status.status_code.name for name, span in provided.spans().items()}
    assert (codes["bad"], codes["Invocation"], codes["Workflow"]) == ("ERROR", "OK", "OK")


def test_replay_is_one_event(provided: Provided) -> None:
    start = started(is_first=False, when=at(5), updated=["x"])
    tracing = LiveTracing(provided.provider, view="execution")
    tracing.on_invocation_started(start)
    for number in range(1, 4):
        tracing.on_operation_replayed(replayed(call(number), "12345", 5 + number / 10))
    tracing.on_invocation_ended(ended(start))
    (event,) = provided.spans()["Invocation"].events
    assert event.name == "replay.completed"
    assert dict(event.attributes or {}) == {
        "replay.operations": 3,
        "replay.bytes": 15,
        "replay.duration_ms": pytest.approx(300),
    }
    assert provided.names().count("charge") == 0


DIVERGENCE = Divergence(
    kind=DivergenceKind.SKIPPED,
    severity=Severity.ERROR,
    handler="shop:process_order",
    path="process_order/cool_down",
    context_path="process_order",
    position=3,
    recorded=Side("STEP", "Step", "reserve_stock", status="SUCCEEDED", invocation=1),
    replayed=Side("WAIT", "Wait", "cool_down", call_site=call().call_site),
    effect='"cool_down" would take the recorded result of "reserve_stock"',
    fix="read the clock in a step",
)


def test_nondeterminism_is_an_event_with_both_sides(provided: Provided) -> None:
    start = started()
    tracing = LiveTracing(provided.provider, view="execution")
    tracing.on_invocation_started(start)
    tracing.on_diverged(Diverged(at(1), call(), DIVERGENCE))
    tracing.on_diverged(Diverged(at(1), None, replace(DIVERGENCE, replayed=None)))
    tracing.on_invocation_ended(ended(start, InvocationStatus.PENDING))
    span = provided.spans()["Invocation"]
    event = span.events[0]
    assert event.name == "replay.nondeterminism"
    known = dict(event.attributes or {})
    assert "reserve_stock" in str(known["replay.nondeterminism.recorded"])
    assert "cool_down" in str(known["replay.nondeterminism.replayed"])
    assert known["code.line.number"] == 12
    assert span.status.status_code.name == "ERROR"


def test_a_difference_that_only_deserves_a_warning_is_no_error(provided: Provided) -> None:
    start = started()
    tracing = LiveTracing(provided.provider, view="execution")
    tracing.on_invocation_started(start)
    tracing.on_diverged(Diverged(at(1), call(), replace(DIVERGENCE, severity=Severity.WARNING)))
    tracing.on_invocation_ended(ended(start, InvocationStatus.PENDING))
    assert provided.spans()["Invocation"].status.status_code.name == "OK"


def test_what_was_unfinished_in_a_context_is_told_of_when_a_crash_comes_before_the_contexts_end_was(
    provided: Provided,
) -> None:
    """Later invocations find the context finished, and do not come by what is in it."""
    race = call(1, "race", type="CONTEXT", subtype="Parallel")
    loser = call(2, "loser", type="CONTEXT", subtype="ParallelBranch", context_id=race.id)
    inside = call(1, "slow", context_id=loser.id)
    start = started()
    tracing = LiveTracing(provided.provider, view="execution")
    tracing.on_invocation_started(start)
    for which in (race, loser, inside):
        tracing.on_operation_started(OperationStarted(which, at(1), False, OperationStatus.STARTED, None))
    for which in (race, loser):
        tracing.on_context_entered(ContextEntered(which, at(1), False))
    tracing.on_attempt_started(AttemptStarted(inside, 1, at(1)))
    recorded = {
        which.id: Operation({"Id": which.id, "Type": which.type, "Status": status, "ParentId": which.parent_id})
        for which, status in ((race, "SUCCEEDED"), (loser, "STARTED"), (inside, "STARTED"))
    }
    tracing.on_invocation_ended(replace(ended(start, InvocationStatus.RETRY, after=2), operations=recorded))
    told = {name: (span.attributes or {}).get("durable.operation.status") for name, span in provided.spans().items()}
    assert told == {
        "DurableExecutionRoot": None,
        "slow attempt 1": None,
        "slow": "STARTED",
        "loser": "STARTED",
        "race": "SUCCEEDED",
        "Invocation": None,
    }


def test_ten_thousand_spans_in_one_invocation() -> None:
    exporter = InMemorySpanExporter()
    provider = provider_for(exporter, queue_size=20_000)
    start = started()
    tracing = LiveTracing(provider, view="execution")
    tracing.on_invocation_started(start)
    for number in range(1, 5_001):
        step(tracing, call(number, f"n{number}"))
    tracing.on_invocation_ended(ended(start))
    provider.shutdown()
    ids = [span.context.span_id for span in exporter.get_finished_spans() if span.context]
    assert len(ids) == len(set(ids)) == 10_000 + 3


@pytest.mark.parametrize("view", VIEWS)
def test_hostile_names_and_values_are_bounded(provided: Provided, view: str) -> None:
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

    hostile = "a\x00\n\x1b[31m\ud800" + "x" * 1_000_000
    start = started(request_id=hostile)
    tracing = LiveTracing(provided.provider, view=view)
    tracing.on_invocation_started(start)
    which = call(1, hostile, subtype=hostile, path=hostile)
    tracing.on_operation_started(OperationStarted(which, at(1), False, OperationStatus.STARTED, None))
    tracing.on_attempt_started(AttemptStarted(which, 1, at(1)))
    error = ErrorObject(hostile, hostile, hostile, (hostile,) * 50)
    tracing.on_operation_completed(
        OperationCompleted(which, at(2), at(1), OperationStatus.FAILED, None, error, None, 1, False)
    )
    tracing.on_invocation_ended(ended(start, InvocationStatus.FAILED, error=RuntimeError(hostile)))
    finished = provided.exporter.get_finished_spans()
    assert len(finished) == 5
    assert len(encode_spans(finished).SerializeToString()) < 200_000


def test_a_context_left_in_another_task_is_not_an_error(provided: Provided, caplog: pytest.LogCaptureFixture) -> None:
    import contextvars

    tracing = LiveTracing(provided.provider, view="execution")
    start = started()
    tracing.on_invocation_started(start)
    context = call(1, "child", type="CONTEXT", subtype="RunInChildContext")
    tracing.on_operation_started(OperationStarted(context, at(1), False, OperationStatus.STARTED, None))
    contextvars.copy_context().run(tracing.on_context_entered, ContextEntered(context, at(1), False))
    tracing.on_invocation_ended(ended(start, InvocationStatus.PENDING))
    assert not caplog.records


class Baggage(SpanProcessor):
    """Reads baggage when spans start, as OpenTelemetry's baggage processor does."""

    def __init__(self) -> None:
        self.seen: dict[str, object] = {}

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        self.seen[span.name] = baggage.get_baggage("tenant", parent_context)


@pytest.mark.parametrize("view", VIEWS)
def test_processors_see_the_baggage_and_not_a_foreign_parent(view: str) -> None:
    provided, reading = Provided(), Baggage()
    provided.provider.add_span_processor(reading)
    layer = NonRecordingSpan(SpanContext(1, 2, is_remote=False, trace_flags=TraceFlags(1)))
    token = attach(baggage.set_baggage("tenant", "a", trace.set_span_in_context(layer)))
    try:
        start = started()
        tracing = LiveTracing(provided.provider, view=view)
        tracing.on_invocation_started(start)
        step(tracing, call(1, "charge"))
        tracing.on_invocation_ended(ended(start, InvocationStatus.SUCCEEDED))
    finally:
        detach(token)
    assert {"Workflow", "Invocation", "charge", "charge attempt 1"} <= reading.seen.keys()
    assert set(reading.seen.values()) == {"a"}
    ids = {span.context.span_id for span in provided.exporter.get_finished_spans()}
    assert {parent_of(span) for span in provided.exporter.get_finished_spans()} <= {None, *ids}


def test_every_signal_names_its_scope_and_its_conventions(provided: Provided) -> None:
    reader, loggers = InMemoryMetricReader(), LoggerProvider(shutdown_on_exit=False)
    start = started()
    for observer in assemble(provided.provider, MeterProvider([reader], shutdown_on_exit=False), Settings(), loggers):
        observer.on_invocation_started(start)
        observer.on_invocation_ended(ended(start))
    data = reader.get_metrics_data()
    assert data is not None
    exported = readable(SpanRecord("charge", "1" * 32, "2" * 16, None, 1, 2), Resource({}))
    scopes = {
        *(span.instrumentation_scope for span in (*provided.exporter.get_finished_spans(), exported)),
        data.resource_metrics[0].scope_metrics[0].scope,
        live._event_log_of(loggers)._logger._instrumentation_scope,
    }
    known = version("durable-execution-sdk"), SCHEMA_URL
    assert {(each.name, each.version, each.schema_url) for each in scopes if each} == {("durable_execution", *known)}
    (document,) = to_otlp([], service_name="shop")["resourceSpans"][0]["scopeSpans"]
    assert (document["scope"]["version"], document["schemaUrl"]) == known


def test_links_are_the_sdks_own(provided: Provided) -> None:
    traced_all(provided.provider)
    assert all(isinstance(link, Link) for span in provided.exporter.get_finished_spans() for link in span.links)


def test_an_engine_of_ones_own_is_traced_by_the_handler_itself() -> None:
    """The engine's observers and the handler's are told of the same invocation, and agree on its ids."""
    first, second = Provided(), Provided()
    both = [Tracing(first.provider, "execution"), Tracing(second.provider, "execution")]
    with ObservedEngine(lambda a: [*both[0](a), *both[1](a)], time="skip") as engine:
        engine.register("main", durable_execution(run_scenario))
        engine.register("target", durable_execution(run_scenario))
        engine.start("main", {"scenario": "everything"})
        engine.run_until_idle()
    assert not trace.get_current_span().get_span_context().is_valid
    ids = [{span.context.span_id for span in p.exporter.get_finished_spans() if span.context} for p in (first, second)]
    assert ids[0] ^ ids[1] <= {id_of(s) for s in first.spans().values() if s.name == "DurableExecutionRoot"}


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        (__file__, __name__),
        ("/var/task/shop/orders.py", "shop.orders"),
        ("/var/task/orders.py", "orders"),
        ("/home/me/orders.py", "orders"),
    ],
)
def test_functions_are_named_with_their_module(file: str, expected: str) -> None:
    assert code_attributes(CallSite(file, 7, "process"))["code.function.name"] == f"{expected}.process"


def test_an_exception_that_the_user_records_is_redacted(provided: Provided) -> None:
    recorded_by_opentelemetry: list[bool] = []

    def body(_: Any) -> None:
        recorded_by_opentelemetry.extend([True] * (not isinstance(trace.get_current_span(), PlaceholderSpan)))
        try:
            raise ValueError("login failed: password=hunter2xyz")
        except ValueError as error:
            trace.get_current_span().record_exception(error)

    async def workflow(_: Any, ctx: DurableContext) -> None:
        await ctx.step(body, "charge")

    traced(provided.provider, workflow)
    (event,) = provided.spans()["charge attempt 1"].events
    assert "login failed" in str(event.attributes)
    if not recorded_by_opentelemetry:  # its own span writes what the user gives it
        assert "hunter2xyz" not in str(dict(event.attributes or {}))

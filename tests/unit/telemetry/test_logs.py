"""Log records say whose code wrote them; nothing is installed unless asked for."""

import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from durable_execution import durable_execution, local
from durable_execution.context.durable_context import DurableContext
from durable_execution.telemetry.live import LiveTracing
from durable_execution.telemetry.logs import FIELDS, CorrelationFilter, LogPlaces, correlate_logs, is_asked_for
from tests.unit.telemetry.scenarios import engine_with, retry_in, run

FIELD_NAMES = [field.name for field in FIELDS]


class Kept(logging.Handler):
    """Keeps the fields of records, by message."""

    def __init__(self) -> None:
        super().__init__()
        self.fields: dict[str, dict[str, Any]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        known = {name: getattr(record, name) for name in FIELD_NAMES if hasattr(record, name)}
        self.fields[record.getMessage()] = known


@pytest.fixture
def kept() -> Iterator[Kept]:
    handler = Kept()
    log = logging.getLogger("shop")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    yield handler
    log.removeHandler(handler)


async def workflow(_: Any, ctx: DurableContext) -> None:
    log = logging.getLogger("shop")

    def threaded(step: Any) -> None:
        log.info("attempt %d", step.attempt)
        if step.attempt == 1:
            raise ValueError("not yet")

    async def inside(child: DurableContext) -> None:
        log.info("in the context")

        async def awaited(_: Any) -> None:
            log.info("in the inner step", extra={"operationName": "mine"})

        await child.step(awaited, "inner")
        log.info("in the context again")

    log.info("before")
    await ctx.step(threaded, "charge", config=retry_in(1))
    await ctx.run_in_child_context(inside, "child")
    log.info("after")


def run_workflow() -> tuple[str, InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with engine_with(lambda _: [LogPlaces(), LiveTracing(provider, view="execution")], workflow) as engine:
        return run(engine, {}).arn, exporter


def check(fields: dict[str, dict[str, Any]], arn: str, exporter: InMemorySpanExporter) -> None:
    ids = {span.name: f"{span.context.span_id:016x}" for span in exporter.get_finished_spans() if span.context}
    assert all(known["executionArn"] == arn for known in fields.values())
    assert all(known["requestId"] and known["otelTraceSampled"] for known in fields.values())
    assert len({known["traceId"] for known in fields.values()}) == 1
    second = fields["attempt 2"]
    assert (second["operationName"], second["attempt"], second["spanId"]) == ("charge", 2, ids["charge attempt 2"])
    assert "parentId" not in second
    assert fields["in the context"]["spanId"] == ids["child"]
    assert fields["in the context again"]["operationName"] == "child"
    assert fields["in the inner step"]["operationName"] == "mine"
    assert fields["in the inner step"]["operationPath"].endswith("child/inner")
    assert fields["in the inner step"]["parentId"] == fields["in the context"]["operationId"]
    assert "operationId" not in fields["after"]
    assert fields["after"]["spanId"] == ids["Invocation"]


def test_a_filter_on_a_handler_adds_the_fields(kept: Kept) -> None:
    kept.addFilter(CorrelationFilter())
    arn, exporter = run_workflow()
    assert set(kept.fields) >= {"before", "attempt 1", "attempt 2", "after"}
    check(kept.fields, arn, exporter)


def test_all_handlers_of_a_logger_can_be_told(kept: Kept) -> None:
    other = Kept()
    log = logging.getLogger("shop")
    log.addHandler(other)
    undo = correlate_logs(log)
    arn, exporter = run_workflow()
    undo()
    log.removeHandler(other)
    check(kept.fields, arn, exporter)
    check(other.fields, arn, exporter)
    assert not kept.filters
    assert not other.filters
    assert not is_asked_for(), "nobody pays for it any more"


def test_without_a_logger_the_root_logger_is_meant() -> None:
    root = logging.getLogger()
    before = [list(handler.filters) for handler in root.handlers]
    undo = correlate_logs()
    assert all(isinstance(handler.filters[-1], CorrelationFilter) for handler in root.handlers)
    undo()
    assert [list(handler.filters) for handler in root.handlers] == before


def test_outside_of_an_execution_nothing_is_added(kept: Kept) -> None:
    kept.addFilter(CorrelationFilter())
    logging.getLogger("shop").info("elsewhere")
    assert kept.fields == {"elsewhere": {}}


def test_executions_do_not_leave_anything_behind(kept: Kept) -> None:
    kept.addFilter(CorrelationFilter())
    run_workflow()
    kept.fields.clear()
    logging.getLogger("shop").info("elsewhere")
    assert kept.fields == {"elsewhere": {}}


def test_a_handler_says_whose_code_logs_without_opentelemetry() -> None:
    """Which is what a function has that correlates its logs and traces nothing."""
    script = """
import logging, sys
from durable_execution import durable_execution
from durable_execution.telemetry import correlate_logs
from tests.benchmarks.service import LambdaContext, MemoryService, OurClient, event

logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(operationName)s %(attempt)s %(message)s")
correlate_logs()

@durable_execution
async def handler(_, ctx):
    return await ctx.step(lambda _: logging.getLogger("shop").info("paid"), name="charge")

handler.invoke(event(), LambdaContext(), client=OurClient(MemoryService()))
print(any(name.startswith("opentelemetry") for name in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["charge 1 paid", "False"]


def test_logs_are_correlated_without_opentelemetry() -> None:
    """In a process that has not loaded it, the fields of the execution are there and those of the span are not."""
    script = """
import logging, sys
from tests.unit.telemetry.notifications import call, started, at
from durable_execution.observers import AttemptStarted
from durable_execution.telemetry import CorrelationFilter, observers_from_environment
filter = CorrelationFilter()
(places,) = observers_from_environment()
places.on_invocation_started(started())
places.on_attempt_started(AttemptStarted(call(), 3, at(1)))
record = logging.makeLogRecord({})
filter.filter(record)
print(record.operationName, record.attempt, hasattr(record, "traceId"))
print(any(name.startswith("opentelemetry") for name in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["charge 3 False", "False"]


def test_loggers_with_handlers_of_their_own_are_reached_also_when_created_later() -> None:
    undo = correlate_logs()
    records: list[logging.LogRecord] = []

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    try:
        own = logging.getLogger("tests.powertools.created_later")
        own.propagate = False
        own.addHandler(Keeping())

        async def workflow(_: Any, ctx: DurableContext) -> None:
            own.warning("here")

        assert local.run(durable_execution(workflow)).error is None
    finally:
        undo()
    assert "arn:aws:lambda" in records[0].executionArn  # type: ignore[attr-defined]
    assert not own.handlers[0].filters
    own.handlers.clear()

"""The tables of spans, attributes, events, variables and fields are what the code has, no more and no less."""

import ast
import importlib.util
import inspect
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from durable_execution import telemetry
from durable_execution.divergence import Divergence, DivergenceKind, Severity, Side
from durable_execution.observers import Diverged
from durable_execution.telemetry import vocabulary
from durable_execution.telemetry.environment_memory import Surroundings
from durable_execution.telemetry.identity import InvocationNames, identify
from durable_execution.telemetry.live import LiveTracing
from durable_execution.telemetry.logs import FIELDS, LogPlace, fields_of
from durable_execution.telemetry.metrics import METRICS
from durable_execution.telemetry.open_span import RecordOutlet
from durable_execution.telemetry.settings import EVERY, STANDARD, VARIABLES, TopSpans
from durable_execution.telemetry.spans import SpanRecord
from durable_execution.telemetry.trace_context import parse_header
from durable_execution.telemetry.trace_views import VIEWS
from durable_execution.telemetry.vocabulary import ATTRIBUTES, EVENTS, SPANS, Place, SpanKind
from tests.unit.telemetry.notifications import at, call, ended, replayed, started, step
from tests.unit.telemetry.scenarios import CALLBACK_NAMES, Tracing, engine_with, provider_for, run

HEADER = "Root=1-69a42a40-0123456789abcdef01234567;Sampled=1"
FAILED_CALLBACK = {"Operation": "failure", "Payload": {"ErrorType": "RejectedError", "ErrorMessage": "no"}}

Seen = dict[Place, set[str]]


class Lambda:
    """What Lambda's context object says of the function."""

    invoked_function_arn = "arn:aws:lambda:eu-west-1:123456789012:function:orders:live"
    client_context = None


def kind_of(name: str, attributes: Any) -> SpanKind:
    by_title = {kind.title: kind for kind in SPANS}
    if name in by_title:
        return by_title[name]
    if "durable.operation.id" in attributes:
        return vocabulary.ATTEMPT if "durable.attempt.outcome" in attributes else vocabulary.OPERATION
    return vocabulary.WAIT if name.endswith(" wait") else vocabulary.RESUMPTION


NAMED = TopSpans("workflow", trace_name=vocabulary.ROOT.title)


def note(seen: Seen, name: str, attributes: Any, events: Iterable[tuple[str, Any]]) -> None:
    kind = kind_of(name, attributes)
    seen[kind].update(attributes)
    for title, known in events:
        event = next(event for event in EVENTS if event.title == title)
        assert kind in event.on, f"{title} stands on {name}"
        seen[event].update(known)


def note_spans(seen: Seen, spans: Iterable[ReadableSpan]) -> None:
    for span in spans:
        note(seen, span.name, span.attributes or {}, [(event.name, event.attributes or {}) for event in span.events])


def note_records(seen: Seen, records: Iterable[SpanRecord]) -> None:
    for record in records:
        note(seen, record.name, record.attributes, [(event.name, event.attributes) for event in record.events])


def by_executions(seen: Seen, view: str) -> None:
    """What executions bring about."""
    exporter = InMemorySpanExporter()
    with engine_with(Tracing(provider_for(exporter), view, top=NAMED)) as engine:
        for scenario in ("everything", "wait-for-callback-failure", "terminal-failure", "child-failure", "retry"):
            name = CALLBACK_NAMES.get(scenario)
            answers = [FAILED_CALLBACK] if name else []
            run(engine, {"scenario": scenario, "callback": name}, callbacks=answers)
    note_spans(seen, exporter.get_finished_spans())


def by_hand(seen: Seen, view: str) -> None:
    """What no execution brings about on demand: X-Ray's header, Lambda, a divergence, a roll-over."""
    outlet = RecordOutlet()
    for when, is_first in ((0.0, True), (28 * 86_400, False)):
        start = started(when=at(when), header=HEADER, lambda_context=Lambda(), is_first=is_first)
        identity = identify(start, parse_header(HEADER), InvocationNames())
        around = Surroundings(has_root=True, is_cold=True, is_xray=True, top=NAMED)
        spans = VIEWS[view](identity, start, outlet, around)
        spans.on_invocation_started(start)
        spans.on_operation_replayed(replayed(call(1)))
        step(spans, call(2), begins=when + 0.1)
        spans.on_diverged(Diverged(at(when), None, divergence()))
        spans.on_invocation_ended(ended(start))
    note_records(seen, outlet.records)


def divergence() -> Divergence:
    side = Side("STEP", "Step", "pay", call_site=call().call_site)
    return Divergence(
        DivergenceKind.RENAMED,
        Severity.ERROR,
        "shop:order",
        "order/pay",
        "order",
        1,
        side,
        side,
        "it fails",
        "rename it",
    )


def test_every_span_and_event_carries_what_the_table_says() -> None:
    seen: Seen = defaultdict(set)
    for view in VIEWS:
        by_executions(seen, view)
        by_hand(seen, view)
    told: Seen = defaultdict(set)
    for attribute in ATTRIBUTES:
        for place in attribute.on:
            told[place].add(attribute.name)
    assert {place.title: sorted(names) for place, names in told.items()} == {
        place.title: sorted(names) for place, names in seen.items()
    }
    assert set(told) == {*SPANS, *EVENTS}
    names = [attribute.name for attribute in ATTRIBUTES]
    assert len(names) == len(set(names))


def strings_in_the_package() -> Iterator[tuple[str, str]]:
    """Every string of the package that is not a docstring, with the module it is in."""
    for file in sorted(Path(inspect.getfile(telemetry)).parent.glob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        bare = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in bare:
                yield file.name, node.value


def test_every_variable_and_attribute_is_named_in_one_place() -> None:
    variable = re.compile(r"_?(OTEL|DURABLE|AWS|X_AMZN)_[A-Z_]+")
    attribute = re.compile(r"(durable|code|faas|cloud|exception)\.[a-z_.]+")
    found = {
        (file, text)
        for file, text in strings_in_the_package()
        if (variable.fullmatch(text) and file != "settings.py")
        or (attribute.fullmatch(text) and file not in ("vocabulary.py", "settings.py"))
    }
    assert found == {
        ("configuration.py", "cloud.platform"),  # of the resource, always the same
        ("configuration.py", "cloud.provider"),
        ("configuration.py", "faas.max_memory"),
        ("configuration.py", "faas.name"),
        *(("metrics.py", metric.name) for metric in METRICS if metric.name.startswith("faas.")),
        ("outlets.py", "exception.escaped"),  # on exceptions that the user's own code records
    }


def test_variables_are_told_apart() -> None:
    names = [variable.name for variable in EVERY]
    assert len(names) == len(set(names))
    assert {variable.name.partition("_")[0] for variable in VARIABLES} == {"DURABLE"}
    assert {variable.name.partition("_")[0] for variable in STANDARD} == {"OTEL"}


def test_log_records_get_the_fields_of_the_table() -> None:
    from opentelemetry import trace
    from opentelemetry.context import attach, detach

    exporter = InMemorySpanExporter()
    span = provider_for(exporter).get_tracer("shop").start_span("mine")
    token = attach(trace.set_span_in_context(span))
    try:
        assert list(fields_of(LogPlace("arn"))) == [field.name for field in FIELDS]
    finally:
        detach(token)
        span.end()


def tables(repository: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("tables", repository / "docs" / "tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_has_the_tables_of_the_code(repository: Path) -> None:
    page = (repository / "docs" / "observability.md").read_text(encoding="utf-8")
    shown = {match["name"] for match in tables(repository).MARKED.finditer(page)}
    assert shown == {"all-variables", "spans", "attributes", "events", "metrics", "log-fields"}
    assert tables(repository).filled(page) == page, "run `python docs/tables.py`"
    assert all(f"`{variable.name}`" in page for variable in EVERY)


@pytest.mark.parametrize("view", VIEWS)
def test_names_with_braces_are_names(view: str) -> None:
    exporter = InMemorySpanExporter()
    tracing = LiveTracing(provider_for(exporter), view=view)
    start = started()
    tracing.on_invocation_started(start)
    step(tracing, call(name="{operation} {0}"))
    tracing.on_invocation_ended(ended(start))
    tracing._provider.force_flush()
    assert {"{operation} {0}", "{operation} {0} attempt 1"} <= {span.name for span in exporter.get_finished_spans()}

"""AWS's requirements for spans, where they are at hand: whole executions, the real exporter, the real protobuf."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import Span, SpanProcessor

from tests.conftest import REPOSITORY
from tests.unit.telemetry.receiver import Collector, collector
from tests.unit.telemetry.requirements import PLACEHOLDER, bind, matches, problems
from tests.unit.telemetry.scenarios import (
    CALLBACK_NAMES,
    SCENARIOS,
    SERVICE,
    Run,
    Tracing,
    engine_with,
    provider_for,
    run,
)

CONFORMANCE = REPOSITORY.parent / "shared" / "conformance"
FILES = sorted(
    path for folder in ("otel-execution", "otel-invocation") for path in (CONFORMANCE / folder).glob("*.yaml")
)
LONG = sorted((CONFORMANCE / "otel-long-running").glob("*.yaml"))
CASES: list[tuple[Path | None, str, str]] = [
    *((path, "TelemetryAssertions", path.parent.name.removeprefix("otel-")) for path in FILES),
    *((path, "TelemetryAssertions", "invocation") for path in LONG),
    *((path, "ExecutionTelemetryAssertions", "execution") for path in LONG),
] or [(None, "", "")]


@pytest.fixture
def received() -> Iterator[Collector]:
    with collector() as found:
        yield found


class Listening(SpanProcessor):
    """Wants to see spans start, so that they have to be started for real."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        span.set_attribute("listened.to", True)


@pytest.mark.parametrize("is_listened_to", [False, True], ids=["deferred", "started"])
@pytest.mark.parametrize(("path", "member", "view"), CASES, ids=lambda value: getattr(value, "stem", str(value)))
def test_spans_are_as_required(
    path: Path | None, member: str, view: str, received: Collector, is_listened_to: bool
) -> None:
    if path is None:
        pytest.skip(f"no requirement files in {CONFORMANCE}")
    requirement = yaml.safe_load(path.read_text())
    given = bind(requirement["Input"], {name: str(v) for name, v in requirement.get("Variables", {}).items()})
    if given["scenario"] not in SCENARIOS:
        pytest.skip(f"no workflow for the scenario {given['scenario']}")
    if given["scenario"] in CALLBACK_NAMES:
        given["callback"] = CALLBACK_NAMES[given["scenario"]]
    provider = provider_for(OTLPSpanExporter(endpoint=f"{received.endpoint}/v1/traces"))
    if is_listened_to:
        provider.add_span_processor(Listening())
    with engine_with(Tracing(provider, view)) as engine:
        is_cut_off = requirement["ExpectedResult"]["ExecutionStatus"] == "TIMED_OUT"
        timeout = timedelta(seconds=3) if is_cut_off else None
        done = run(engine, given, timeout=timeout, callbacks=requirement.get("CallbackActions", ()))
        assert done.status == requirement["ExpectedResult"]["ExecutionStatus"]
        bound = bound_by_history(done, requirement["ExpectedExecutionHistory"])
    provider.shutdown()
    assert problems(received.spans, requirement[member], bound) == []
    assert all(("listened.to" in span.attributes) is is_listened_to for span in received.spans)


def bound_by_history(done: Run, expected: list[dict[str, Any]]) -> dict[str, str]:
    """What the placeholders stand for, as the history has it."""
    bound = {"EXECUTION_ARN": done.arn, "SERVICE_NAME": SERVICE}
    events = {event["EventId"]: event for event in done.history()}
    for asked in expected:
        _bind_into(bound, asked, events[asked["EventId"]])
        assert matches(bind(asked, bound), events[asked["EventId"]]), f"{asked} is {events[asked['EventId']]}"
    return bound


def _bind_into(bound: dict[str, str], asked: Any, actual: Any) -> None:
    if isinstance(asked, dict) and isinstance(actual, dict):
        for key, value in asked.items():
            _bind_into(bound, value, actual.get(key))
    elif isinstance(asked, str) and (match := PLACEHOLDER.fullmatch(asked)):
        bound.setdefault(match.group(1), actual)

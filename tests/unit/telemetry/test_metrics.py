"""Metrics: every instrument is fed, attributes have few values, limits are metered and warned of."""

from datetime import timedelta
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from durable_execution.context.durable_context import DurableContext
from durable_execution.divergence import Divergence, DivergenceKind, Severity
from durable_execution.observers import CheckpointSent, Diverged
from durable_execution.protocol import InvocationStatus, Operation
from durable_execution.telemetry.live import assemble
from durable_execution.telemetry.metrics import (
    LIMIT_OPERATIONS,
    LIMIT_PAYLOAD,
    LIMIT_STORAGE,
    LIMIT_WARNINGS,
    METRICS,
    Instruments,
    Metrics,
    usage_of,
)
from durable_execution.telemetry.settings import Settings
from tests.unit.telemetry.notifications import ARN, at, call, ended, replayed, started, step
from tests.unit.telemetry.scenarios import engine_with, retry_in, run

FEW = {
    "durable.operation.type", "durable.operation.subtype", "durable.operation.status", "replay.status", "replay.outcome",
    "replay.limit", "replay.kind", "replay.severity", "faas.trigger",
}  # fmt: skip


class Meters:
    """A meter provider whose numbers can be read."""

    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.provider = MeterProvider([self.reader], shutdown_on_exit=False)
        self.instruments = Instruments(self.provider.get_meter("tests"))

    def points(self) -> dict[str, list[Any]]:
        data = self.reader.get_metrics_data()
        assert data is not None
        return {
            metric.name: list(metric.data.data_points)
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }


async def workflow(_: Any, ctx: DurableContext) -> None:
    def flaky(step: Any) -> int:
        if step.attempt < 2:
            raise ValueError("not yet")
        return 1

    await ctx.step(flaky, "flaky", config=retry_in(1))
    await ctx.wait(timedelta(seconds=5))


def test_an_execution_feeds_the_instruments() -> None:
    meters = Meters()
    settings = Settings(flush_seconds=0)
    with engine_with(lambda _: assemble(None, meters.provider, settings), workflow) as engine:
        run(engine, {})
    points = meters.points()
    assert sum(p.value for p in points["replay.invocations"]) == 3
    assert {(p.attributes["durable.operation.subtype"], p.value) for p in points["replay.operations"]} == {
        ("Step", 1),
        ("Wait", 1),
    }
    outcomes = {p.attributes["replay.outcome"]: p.value for p in points["replay.attempts"]}
    assert outcomes == {"FAILED": 1, "SUCCEEDED": 1}
    assert points["replay.checkpoints"][0].value == points["replay.checkpoint.batch_size"][0].count > 2
    assert points["replay.checkpoint.size"][0].sum > 100
    assert points["replay.replayed_operations"][0].value == 1
    assert points["replay.flush.duration"][0].count == 3
    (wait,) = (p for p in points["replay.operation.duration"] if p.attributes["durable.operation.type"] == "WAIT")
    assert wait.sum == pytest.approx(5, abs=0.1)


DIVERGENCE = Divergence(
    DivergenceKind.SKIPPED,
    Severity.ERROR,
    "workflow",
    "workflow/a",
    "workflow",
    1,
    None,
    None,
    effect="none",
    fix="none",
)


def test_attributes_have_few_values() -> None:
    meters = Meters()
    metrics = Metrics(meters.instruments)
    start = started()
    metrics.on_invocation_started(start)
    for number in range(1, 200):
        step(metrics, call(number, f"name-{number}", subtype=f"own-{number}"))
    metrics.on_operation_replayed(replayed(call(1)))
    metrics.on_checkpoint_sent(CheckpointSent(ARN, at(1), 0.01, [{}], 10, RuntimeError("no")))
    metrics.on_diverged(Diverged(at(1), None, DIVERGENCE))
    metrics.on_invocation_ended(ended(start))
    points = meters.points()
    assert all(set(point.attributes) <= FEW for found in points.values() for point in found)
    assert len(points["replay.operations"]) == 1
    assert points["replay.operations"][0].attributes["durable.operation.subtype"] == "custom"
    assert points["replay.checkpoints"][0].attributes["replay.outcome"] == "refused"
    assert points["replay.nondeterminism"][0].value == 1


def test_every_metric_has_a_unit_and_a_meaning() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    for metric in METRICS:
        assert metric.name.startswith(("replay.", "faas."))
        assert metric.unit
        assert metric.meaning.endswith(".")
        assert set(metric.labels) <= FEW


def recorded(count: int, result: str) -> list[Operation]:
    execution = {"Id": "e", "Type": "EXECUTION", "Status": "STARTED", "ExecutionDetails": {"InputPayload": "12"}}
    steps = [
        {"Id": str(n), "Type": "STEP", "Status": "SUCCEEDED", "StepDetails": {"Result": result}} for n in range(count)
    ]
    return [Operation(wire) for wire in (execution, *steps)]


def test_usage_counts_what_is_kept() -> None:
    assert usage_of(recorded(3, "abcd")) == (3, 14, 4)
    assert usage_of([]) == (0, 0, 0)


@pytest.mark.parametrize(
    ("count", "result", "limits"),
    [
        (2_399, "1", set()),
        (2_400, "1", {LIMIT_OPERATIONS.name}),
        (1, "x" * 838_860, set()),
        (1, "x" * 838_861, {LIMIT_PAYLOAD.name}),
        (402, "x" * 209_000, {LIMIT_STORAGE.name}),
    ],
)
def test_limits_are_warned_of_at_80_percent(
    count: int, result: str, limits: set[str], caplog: pytest.LogCaptureFixture
) -> None:
    meters = Meters()
    metrics = Metrics(meters.instruments)
    start = started(operations=recorded(count, result))
    metrics.on_invocation_started(start)
    metrics.on_invocation_ended(ended(start))
    points = meters.points()
    assert points[LIMIT_OPERATIONS.name][0].sum == count
    assert {p.attributes["replay.limit"] for p in points.get(LIMIT_WARNINGS.name, [])} == limits
    assert len(caplog.records) == len(limits)
    assert all("chained invokes" in record.getMessage() for record in caplog.records)


def test_histograms_advise_boundaries_that_fit_their_unit() -> None:
    meters = Meters()
    for metric in METRICS:
        if metric.kind == "histogram":
            meters.instruments.measure(metric, 1)
    bounds = {name: list(points[0].explicit_bounds) for name, points in meters.points().items()}
    assert bounds["replay.checkpoint.duration"][:3] == [0.005, 0.01, 0.025]
    assert bounds["replay.operation.duration"][-1] == 366 * 86_400
    assert bounds["replay.checkpoint.size"][0] == 64
    assert bounds["replay.limit.operations"][-1] == 3_000
    assert all(each == sorted(set(each)) for each in bounds.values())


@pytest.mark.parametrize(
    ("status", "is_cold", "expected"),
    [
        (InvocationStatus.PENDING, True, {"faas.invocations", "faas.coldstarts", "faas.invoke_duration"}),
        (InvocationStatus.FAILED, False, {"faas.invocations", "faas.invoke_duration"}),
        (InvocationStatus.RETRY, False, {"faas.errors", "faas.invoke_duration"}),
    ],
)
def test_functions_have_the_metrics_of_the_conventions(
    status: InvocationStatus, is_cold: bool, expected: set[str]
) -> None:
    meters = Meters()
    metrics = Metrics(meters.instruments, is_cold=is_cold)
    start = started()
    metrics.on_invocation_started(start)
    metrics.on_invocation_ended(ended(start, status, after=2.5))
    points = {name: found for name, found in meters.points().items() if name.startswith("faas.")}
    assert set(points) == expected
    assert all(point.attributes == {"faas.trigger": "other"} for found in points.values() for point in found)
    assert points["faas.invoke_duration"][0].sum == 2.5

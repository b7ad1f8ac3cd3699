"""What an invocation's telemetry consists of depends on what the application has set up; without, it costs nothing."""

import subprocess
import sys
import timeit
from types import ModuleType, SimpleNamespace
from typing import Any
from weakref import WeakSet

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider

from durable_execution.telemetry import environment, logs
from durable_execution.telemetry.environment import observers_from_environment
from durable_execution.telemetry.live import Delivery, LiveTracing
from durable_execution.telemetry.metrics import Metrics
from durable_execution.telemetry.settings import VARIABLES, Settings


class ProxyTracerProvider:
    """Named like what the API hands out while nothing is configured."""


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What OpenTelemetry's API says is configured, without setting it for the process."""
    found = SimpleNamespace(trace=ProxyTracerProvider(), metrics=ProxyTracerProvider())
    trace, metrics = ModuleType("opentelemetry.trace"), ModuleType("opentelemetry.metrics")
    trace.get_tracer_provider = lambda: found.trace  # type: ignore[attr-defined]
    metrics.get_meter_provider = lambda: found.metrics  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", trace)
    monkeypatch.setitem(sys.modules, "opentelemetry.metrics", metrics)
    monkeypatch.setattr(logs, "_filters", WeakSet())
    monkeypatch.setattr(environment._warnings, "logged", set())
    return found


def kinds() -> list[type]:
    return [type(observer) for observer in observers_from_environment()]


def test_nothing_is_configured(configured: SimpleNamespace) -> None:
    assert kinds() == []


def test_a_tracer_provider_is_used(configured: SimpleNamespace) -> None:
    configured.trace = TracerProvider(shutdown_on_exit=False)
    assert kinds() == [LiveTracing, Delivery]


def test_a_meter_provider_is_used(configured: SimpleNamespace) -> None:
    configured.metrics = MeterProvider(shutdown_on_exit=False)
    assert kinds() == [Metrics, Delivery]


def test_delivery_comes_last(configured: SimpleNamespace) -> None:
    configured.trace = TracerProvider(shutdown_on_exit=False)
    configured.metrics = MeterProvider(shutdown_on_exit=False)
    assert kinds() == [LiveTracing, Metrics, Delivery]


def test_it_can_be_turned_off(configured: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    configured.trace = TracerProvider(shutdown_on_exit=False)
    monkeypatch.setenv("DURABLE_TELEMETRY", "off")
    assert kinds() == []


def test_a_provider_that_is_not_the_sdks_is_named_once(
    configured: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    class VendorProvider:
        pass

    configured.trace = VendorProvider()
    assert kinds() == kinds() == []
    (record,) = caplog.records
    assert "VendorProvider" in record.getMessage()
    assert "opentelemetry.sdk" in record.getMessage()


def test_a_setting_that_makes_no_sense_is_named_once(
    configured: SimpleNamespace, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured.trace = TracerProvider(shutdown_on_exit=False)
    monkeypatch.setenv("DURABLE_TRACE_VIEW", "sideways")
    assert kinds() == kinds() == [LiveTracing, Delivery]
    (record,) = caplog.records
    assert "'sideways' is not one of execution, invocation" in record.getMessage()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, Settings()),
        ({"DURABLE_TRACE_VIEW": " Invocation "}, Settings(view="invocation")),
        ({"DURABLE_TRACE_CONTEXT": "none"}, Settings(joins_incoming=False)),
        ({"DURABLE_TELEMETRY_FLUSH_SECONDS": "0.5"}, Settings(flush_seconds=0.5)),
        ({"DURABLE_TELEMETRY": "FALSE"}, Settings(is_on=False)),
        ({"DURABLE_TRACE_VIEW": ""}, Settings()),
    ],
)
def test_settings(given: dict[str, str], expected: Settings) -> None:
    assert Settings.read(given) == expected


@pytest.mark.parametrize("value", ["-1", "nan", "inf", "1e9", "soon", "901"])
def test_a_flush_time_that_is_none_is_left_at_its_default(value: str) -> None:
    settings = Settings.read({"DURABLE_TELEMETRY_FLUSH_SECONDS": value})
    assert settings.flush_seconds == 5
    assert "DURABLE_TELEMETRY_FLUSH_SECONDS" in settings.problems[0]


def test_every_variable_is_described() -> None:
    assert len({variable.name for variable in VARIABLES}) == 8
    assert all(variable.meaning.endswith(".") for variable in VARIABLES)


def test_looking_costs_microseconds(configured: SimpleNamespace) -> None:
    assert min(timeit.repeat(observers_from_environment, number=1_000, repeat=5)) / 1_000 < 100e-6


def run_in_process(script: str, **environ: Any) -> list[str]:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_an_execution_without_a_provider_does_not_load_opentelemetrys_sdk() -> None:
    script = """
import sys
from opentelemetry import trace, metrics
from durable_execution import durable_execution
from durable_execution.local import LocalEngine
@durable_execution
async def workflow(_, ctx):
    return await ctx.step(lambda _: 1, "one")
with LocalEngine(None, time="skip") as engine:
    engine.register("workflow", workflow)
    assert engine.run("workflow").result == 1
print(sorted(name for name in sys.modules if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter"))))
"""
    assert run_in_process(script) == ["[]"]


def test_importing_the_package_loads_nothing_of_opentelemetry() -> None:
    script = """
import sys
import durable_execution.telemetry, durable_execution.telemetry.backfill, durable_execution.telemetry.otlp
import durable_execution.telemetry.span_store, durable_execution.telemetry.span_tree
print(sorted(name for name in sys.modules if name.startswith(("opentelemetry", "pydantic", "boto", "sqlite"))))
"""
    assert run_in_process(script) == ["[]"]

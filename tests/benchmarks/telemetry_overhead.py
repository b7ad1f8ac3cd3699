"""What tracing costs: `python -m tests.benchmarks.telemetry_overhead` prints the extra CPU of a step with its two spans.

End to end: a handler of so many steps in one invocation, with a tracer provider and without, in turns. The provider has a
batch processor and an exporter that keeps spans in memory, and is flushed inside what is measured. Each figure is the best of
several runs: what else the machine does only adds. For scale: two bare OpenTelemetry spans, one inside the other, with the
attributes a step's spans have.
"""

import argparse
import importlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from tests.benchmarks.measuring import Sample, measure
from tests.benchmarks.service import ARN, BotoShapedClient, LambdaContext, MemoryService, OurClient, event

COUNTS = (100, 1_000, 3_000)
VIEWS = ("execution", "invocation")
REPEATS = {
    "ours": {100: 30, 1_000: 10, 3_000: 6},
    "aws": {100: 5, 1_000: 2, 3_000: 1},  # minutes at 3,000
}
SPANS_PER_STEP = 2

Work = Callable[[], Any]


class Tracing:
    """A provider that sends into memory."""

    def __init__(self) -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(resource=Resource.create({"service.name": "bench"}), shutdown_on_exit=False)
        self.provider.add_span_processor(BatchSpanProcessor(self.exporter, max_queue_size=16_384))

    def delivered(self) -> int:
        """Flush; how many spans have arrived since the last time."""
        self.provider.force_flush()
        count = len(self.exporter.get_finished_spans())
        self.exporter.clear()
        return count

    @contextmanager
    def configured(self) -> Iterator[None]:
        """The application's provider for a while: OpenTelemetry has no public way to take it away again."""
        from opentelemetry import trace

        trace._TRACER_PROVIDER = self.provider
        try:
            yield
        finally:
            trace._TRACER_PROVIDER = None


def untraced(count: int) -> Work:
    """An invocation of this SDK, traced if a provider is configured."""
    from durable_execution import durable_execution
    from tests.benchmarks.ours import constant

    @durable_execution
    async def handler(_event: Any, context: Any) -> int:
        for number in range(count):
            await context.step(constant(number), name="work")
        return count

    def run() -> None:
        answer = handler.invoke(fresh_event(), LambdaContext(), client=OurClient(MemoryService()))
        assert answer["Status"] == "SUCCEEDED", answer

    return run


def ours(count: int, tracing: Tracing, view: str) -> tuple[Work, Work]:
    """This SDK without and with a provider."""
    from durable_execution.telemetry.settings import choose_view

    choose_view(view)
    plain = untraced(count)

    def traced() -> None:
        with tracing.configured():
            plain()
        assert_all(tracing, count)

    return plain, traced


def aws(count: int, tracing: Tracing, view: str) -> tuple[Work, Work]:
    """AWS's SDK without and with its plugin."""
    import aws_durable_execution_sdk_python_otel as otel
    from aws_durable_execution_sdk_python import durable_execution

    from tests.benchmarks.aws import constant

    factory = {"execution": otel.ExecutionOtelPluginFactory, "invocation": otel.InvocationOtelPluginFactory}[view]
    config = otel.OtelPluginConfig(tracer_provider=tracing.provider, enrich_logger=False)

    def run(plugins: list[Any]) -> None:
        def handler(_event: Any, context: Any) -> int:
            for number in range(count):
                context.step(constant(number), name="work")
            return count

        client = cast(Any, BotoShapedClient(MemoryService()))
        durable = durable_execution(handler, boto3_client=client, plugins=plugins)
        answer = durable(fresh_event(), cast(Any, LambdaContext()))
        assert answer["Status"] == "SUCCEEDED", answer

    def traced() -> None:
        run([factory(config)])
        assert_all(tracing, count)

    return lambda: run([]), traced


def bare_spans(count: int) -> float:
    """Seconds of processor time of two OpenTelemetry spans, one in the other."""
    tracing = Tracing()
    tracer = tracing.provider.get_tracer("bench")
    known: dict[str, Any] = {
        "durable.execution.arn": ARN,
        "durable.operation.id": "0" * 64,
        "durable.operation.type": "STEP",
        "durable.operation.subtype": "Step",
        "durable.operation.name": "work",
        "durable.attempt.number": 1,
    }

    def run() -> None:
        for _ in range(count):
            with (
                tracer.start_as_current_span("work", attributes=known),
                tracer.start_as_current_span("work attempt 1", attributes=known),
            ):
                pass
        assert tracing.delivered() == SPANS_PER_STEP * count

    run()
    return min(measure(run).cpu_seconds for _ in range(REPEATS["ours"][count])) / count


def extra_of(sdk: str, count: int, view: str = "execution") -> Sample:
    """What a step costs more with a provider than without, of so many in one invocation."""
    plain, traced = {"ours": ours, "aws": aws}[sdk](count, Tracing(), view)
    plain()
    traced()
    pairs = [(measure(plain), measure(traced)) for _ in range(REPEATS[sdk][count])]
    return Sample(
        (min(b.cpu_seconds for _, b in pairs) - min(a.cpu_seconds for a, _ in pairs)) / count,
        (min(b.wall_seconds for _, b in pairs) - min(a.wall_seconds for a, _ in pairs)) / count,
        max(b.memory_mib for _, b in pairs),
        max(b.threads for _, b in pairs),
    )


def unconfigured(count: int) -> tuple[float, float, bool]:
    """Seconds of CPU per step before anything of telemetry is loaded and after; whether OpenTelemetry's SDK was."""
    run = untraced(count)
    run()
    assert not any(name.startswith(("opentelemetry", "durable_execution.telemetry")) for name in sys.modules)
    before = _best(run, count)
    importlib.import_module("opentelemetry.trace")
    importlib.import_module("durable_execution.telemetry")
    return before, _best(run, count), "opentelemetry.sdk" in sys.modules


def _best(run: Work, count: int) -> float:
    return min(measure(run).cpu_seconds for _ in range(4 * REPEATS["ours"][count])) / count


def fresh_event() -> Any:
    """The event of a first invocation, begun just now; AWS's plugin looks its start up by the end of the ARN."""
    known = event(0)
    known["InitialExecutionState"]["Operations"][0] |= {
        "Id": ARN.rpartition("/")[2],
        "StartTimestamp": int(time.time() * 1_000),
    }
    return known


def assert_all(tracing: Tracing, count: int) -> None:
    """A figure for spans that were lost would flatter."""
    assert tracing.delivered() >= SPANS_PER_STEP * count


def main() -> None:
    """Measure, each figure in a process of its own, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--figure", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.figure:
        print_figure(*arguments.figure)
        return
    print(f"{'extra CPU of a step with two spans, µs':44}" + "".join(f"{count:>10,}" for count in COUNTS) + "  steps")
    for title, figure in (
        ("two bare OpenTelemetry spans", ("bare",)),
        *((f"{sdk}, {view} view", (sdk, view)) for view in VIEWS for sdk in ("ours", "aws")),
    ):
        print(f"{title:44}" + "".join(f"{figure_of(*figure, str(count)):>10}" for count in COUNTS), flush=True)
    print(f"\nwithout a provider: {figure_of('unconfigured', '1000')}")


def figure_of(*words: str) -> str:
    """One figure, measured in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.telemetry_overhead", "--figure", *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def print_figure(kind: str, *rest: str) -> None:
    """Measure one figure here."""
    count = int(rest[-1])
    match kind:
        case "bare":
            print(f"{bare_spans(count) * 1e6:,.0f}")
        case "unconfigured":
            before, after, is_loaded = unconfigured(count)
            print(
                f"{before * 1e6:.1f} µs a step before telemetry and OpenTelemetry's API are loaded, {after * 1e6:.1f} µs "
                f"after; OpenTelemetry's SDK is {'' if is_loaded else 'not '}loaded"
            )
        case _:
            print(f"{extra_of(kind, count, rest[0]).cpu_seconds * 1e6:,.0f}")


if __name__ == "__main__":
    main()

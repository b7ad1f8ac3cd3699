"""What a failing collector costs an invocation, and what arrives once the collector is back.

Run `python -m tests.benchmarks.collector_faults`. For each fault, an execution of six invocations is traced as `configure()` does
it, with default time-outs. A healthy seventh invocation follows. A row shows the seconds that each of the six invocations waited,
the spans that arrived of those that were sent, and how many of them have no parent in the trace.
"""

import logging
import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
import requests
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from durable_execution.clock import SystemClock
from durable_execution.protocol import InvocationStatus
from durable_execution.telemetry import live
from durable_execution.telemetry.environment_memory import RootLedger
from durable_execution.telemetry.export_outcomes import RejectionNotice, RetainingExporter, outcomes, retaining
from durable_execution.telemetry.flushing import Flusher
from durable_execution.telemetry.settings import Settings
from tests.unit.telemetry.notifications import ARN, call, ended, started, step
from tests.unit.telemetry.receiver import Collector, collector

INVOCATIONS = 6
TIMEOUT_SECONDS = 3
"""The time-out that `configure()` sets."""
monotonic = SystemClock().monotonic

CLOSED_PORTS = {"closed port in the first only": 1, "closed port always": INVOCATIONS}
"""Faults with which nothing listens up to an invocation."""

Fault = Callable[[Collector, int], None]


def status(code: int, *, until: int = INVOCATIONS) -> Fault:
    """Answer with a status in the invocations up to a number."""

    def apply(received: Collector, number: int) -> None:
        received.status = code if number <= until else 200

    return apply


def black_hole(received: Collector, number: int) -> None:
    """Accept connections and never answer."""
    if number == 1:
        received.hangs = threading.Event()
    elif number > INVOCATIONS and received.hangs is not None:
        received.hangs.set()
        received.hangs = None


def slow(received: Collector, number: int) -> None:
    """Answer after a second."""
    received.delay_seconds = 1.0 if number <= INVOCATIONS else 0.0


def half_rejected(received: Collector, number: int) -> None:
    """Accept every second span, and report the others as rejected."""
    received.rejects_half = number <= INVOCATIONS


FAULTS: dict[str, Fault] = {
    "healthy": status(200),
    **dict.fromkeys(CLOSED_PORTS, status(200)),
    "slow: 1 s": slow,
    "half rejected": half_rejected,
    "503 in the first only": status(503, until=1),
    "503 always": status(503),
    "429 always": status(429),
    "415 always": status(415),
    "500 always": status(500),
    "black hole": black_hole,
}


@dataclass(frozen=True)
class Outcome:
    """What one fault did.

    Attributes:
        waited: Seconds that each invocation waited.
        arrived: The number of spans that arrived.
        missing: Names of spans that did not arrive.
        orphans: Names of spans that arrived without their parent.
    """

    waited: tuple[float, ...]
    arrived: int
    missing: tuple[str, ...]
    orphans: tuple[str, ...]


def measure(name: str, settings: Settings | None = None) -> Outcome:
    """Trace the execution with one fault."""
    port = _free_port()
    closed_until = CLOSED_PORTS.get(name, 0)
    with pytest.MonkeyPatch.context() as patches, ExitStack() as stack:
        patches.setattr(live, "_flusher", Flusher())  # every fault has an environment of its own
        roots = RootLedger()
        patches.setattr(live, "sent_roots", roots)
        received = Collector() if closed_until else stack.enter_context(collector(port))
        session = requests.Session()
        session.hooks["response"].append(RejectionNotice(outcomes))
        exporter = OTLPSpanExporter(f"http://127.0.0.1:{port}/v1/traces", timeout=TIMEOUT_SECONDS, session=session)
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(RetainingExporter(exporter, on_lost=roots.lose_spans)))
        sent = InMemorySpanExporter()
        provider.add_span_processor(SimpleSpanProcessor(sent))
        retaining.add(provider)
        waited = []
        for number in range(1, INVOCATIONS + 2):
            if number == closed_until + 1 and closed_until:
                received = stack.enter_context(collector(port))
            FAULTS[name](received, number)
            waited.append(_invoke(provider, settings or Settings(), name, number))
        provider.force_flush()
        provider.shutdown()
        outcomes.take_lost()
    expected = {f"{span.context.span_id:016x}": span.name for span in sent.get_finished_spans()}
    found = {span.span_id: span for span in received.spans}
    return Outcome(
        tuple(waited),
        len(found),
        tuple(name for span_id, name in expected.items() if span_id not in found),
        tuple(span.name for span in found.values() if span.parent_span_id and span.parent_span_id not in found),
    )


def row(name: str) -> str:
    """Measure a fault and return its row of the table."""
    found = measure(name)
    shown = "".join(f"{seconds:>8.2f}" for seconds in found.waited[:INVOCATIONS])
    sent = found.arrived + len(found.missing)
    return f"{name:<32}{shown}{found.arrived:>8}/{sent}{len(found.orphans):>9}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _invoke(provider: Any, settings: Settings, name: str, number: int) -> float:
    is_last = number == INVOCATIONS + 1
    start = started(
        arn=f"{ARN}/{name}", request_id=f"request-{number}", is_first=number == 1, updated=() if number == 1 else ("w",)
    )
    observers = live.assemble(provider, None, settings)
    for observer in observers:
        observer.on_invocation_started(start)
    step(observers[0], call(number, f"step-{number}"))
    before = monotonic()
    for observer in observers:
        observer.on_invocation_ended(ended(start, InvocationStatus.SUCCEEDED if is_last else InvocationStatus.PENDING))
    return monotonic() - before


def main() -> None:
    """Measure and print."""
    logging.disable(logging.CRITICAL)
    numbers = "".join(f"{number:>8}" for number in range(1, INVOCATIONS + 1))
    print(f"{'seconds of invocation':<32}{numbers}{'arrived':>11}{'orphans':>9}")
    for name in FAULTS:
        print(row(name), flush=True)


if __name__ == "__main__":
    main()

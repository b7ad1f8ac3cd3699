"""Metrics about executions, with low-cardinality attributes, and meters of how close an execution is to its limits."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from durable_execution.notes import ReplayNotes
from durable_execution.observers import (
    AttemptEnded,
    CheckpointSent,
    Diverged,
    InvocationEnded,
    InvocationStarted,
    Observer,
    OperationCall,
    OperationCompleted,
)
from durable_execution.protocol import InvocationStatus, Operation, OperationSubType
from durable_execution.protocol.enums import MAX_EXECUTION_BYTES, MAX_OPERATIONS, MAX_PAYLOAD_BYTES
from durable_execution.telemetry import attributes
from durable_execution.telemetry import vocabulary as names
from durable_execution.telemetry.span_kinds import WAITED_FOR, ReplayTally

logger = logging.getLogger("durable_execution")

WARN_AT = 0.8
KNOWN_SUBTYPES = frozenset(OperationSubType)
OWN_SUBTYPE = "custom"

Labels = Mapping[str, str | bool]


class Metric(NamedTuple):
    """An instrument.

    Attributes:
        name: Its name.
        kind: `counter` or `histogram`.
        unit: Its unit in UCUM, as OpenTelemetry requires.
        meaning: What it counts or measures.
        labels: Names of its attributes.
    """

    name: str
    kind: str
    unit: str
    meaning: str
    labels: tuple[str, ...] = ()


STATUS_LABEL = "replay.status"
OUTCOME_LABEL = "replay.outcome"
LIMIT_LABEL = "replay.limit"
KIND_LABEL = "replay.kind"
SEVERITY_LABEL = "replay.severity"
TYPE_LABELS = (names.OPERATION_TYPE, names.OPERATION_SUBTYPE)

INVOCATIONS = Metric("replay.invocations", "counter", "{invocation}", "Invocations that ended.", (STATUS_LABEL,))
INVOCATION_DURATION = Metric("replay.invocation.duration", "histogram", "s", "Their duration.", (STATUS_LABEL,))
OPERATIONS = Metric(
    "replay.operations", "counter", "{operation}", "Operations that ended.", (*TYPE_LABELS, names.OPERATION_STATUS)
)
OPERATION_DURATION = Metric(
    "replay.operation.duration",
    "histogram",
    "s",
    "From an operation's start to its end, waiting included.",
    TYPE_LABELS,
)
ATTEMPTS = Metric("replay.attempts", "counter", "{attempt}", "Attempts that ended.", (*TYPE_LABELS, OUTCOME_LABEL))
ATTEMPT_DURATION = Metric("replay.attempt.duration", "histogram", "s", "Their duration.", TYPE_LABELS)
CHECKPOINTS = Metric("replay.checkpoints", "counter", "{call}", "Checkpoint calls.", (OUTCOME_LABEL,))
CHECKPOINT_DURATION = Metric("replay.checkpoint.duration", "histogram", "s", "Their duration.")
CHECKPOINT_SIZE = Metric("replay.checkpoint.size", "histogram", "By", "Their size.")
CHECKPOINT_BATCH = Metric("replay.checkpoint.batch_size", "histogram", "{update}", "Updates in each call.")
REPLAYED = Metric("replay.replayed_operations", "counter", "{operation}", "Calls answered from the record.")
REPLAY_DURATION = Metric(
    "replay.replay.duration", "histogram", "s", "From an invocation's start to the last answer from the record."
)
RESUME_LATENCY = Metric(
    "replay.resume_latency",
    "histogram",
    "s",
    "From the end of a wait, or the due time of an attempt, to the invocation that continues.",
)
NONDETERMINISM = Metric(
    "replay.nondeterminism",
    "counter",
    "{divergence}",
    "Divergences of the code from the recording.",
    (KIND_LABEL, SEVERITY_LABEL),
)
FLUSH_DURATION = Metric(
    "replay.flush.duration", "histogram", "s", "How long invocations waited for the flush of their telemetry."
)
DROPPED = Metric("replay.dropped_spans", "counter", "{span}", "Spans not delivered when their invocation answered.")
LIMIT_OPERATIONS = Metric(
    "replay.limit.operations", "histogram", "{operation}", "Operations in an execution; the limit is 3,000."
)
LIMIT_STORAGE = Metric(
    "replay.limit.storage", "histogram", "By", "Payloads stored by an execution; the limit is 100 MiB."
)
LIMIT_PAYLOAD = Metric(
    "replay.limit.payload",
    "histogram",
    "By",
    "The execution's largest stored result; the limit of an operation is 1 MiB.",
)
LIMIT_WARNINGS = Metric(
    "replay.limit.warnings", "counter", "{warning}", "Executions at 80 % or more of a limit.", (LIMIT_LABEL,)
)
TRIGGER_LABELS = (names.FAAS_TRIGGER,)
FAAS_INVOCATIONS = Metric(
    "faas.invocations", "counter", "{invocation}", "Invocations that Lambda counts as successful.", TRIGGER_LABELS
)
FAAS_ERRORS = Metric(
    "faas.errors", "counter", "{error}", "Invocations that raised, so that Lambda retries.", TRIGGER_LABELS
)
FAAS_COLD_STARTS = Metric(
    "faas.coldstarts", "counter", "{coldstart}", "Invocations that were the first of their environment.", TRIGGER_LABELS
)
FAAS_DURATION = Metric(
    "faas.invoke_duration", "histogram", "s", "Duration of invocations, by OpenTelemetry's conventions.", TRIGGER_LABELS
)
METRICS = (
    INVOCATIONS, INVOCATION_DURATION, OPERATIONS, OPERATION_DURATION, ATTEMPTS, ATTEMPT_DURATION, CHECKPOINTS,
    CHECKPOINT_DURATION, CHECKPOINT_SIZE, CHECKPOINT_BATCH, REPLAYED, REPLAY_DURATION, RESUME_LATENCY, NONDETERMINISM,
    FLUSH_DURATION, DROPPED, LIMIT_OPERATIONS, LIMIT_STORAGE, LIMIT_PAYLOAD, LIMIT_WARNINGS,
    FAAS_INVOCATIONS, FAAS_ERRORS, FAAS_COLD_STARTS, FAAS_DURATION,
)  # fmt: skip


class Meter(Protocol):
    """The part of OpenTelemetry's `Meter` that is used here."""

    def create_counter(self, name: str, unit: str, description: str) -> Any:
        """Create a counter."""

    def create_histogram(
        self,
        name: str,
        unit: str,
        description: str,
        *,
        explicit_bucket_boundaries_advisory: Sequence[float] | None = None,
    ) -> Any:
        """Create a histogram."""


SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""The boundaries that OpenTelemetry's conventions advise for durations."""
MINUTE, HOUR, DAY = 60.0, 3_600.0, 86_400.0
LONG_SECONDS = (
    *SECONDS, 30.0, MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 6 * HOUR, DAY, 7 * DAY, 30 * DAY, 90 * DAY, 366 * DAY,
)  # fmt: skip
BOUNDARIES: Mapping[str, Sequence[float]] = {
    "s": SECONDS,
    INVOCATION_DURATION.name: (*SECONDS, 30.0, MINUTE, 3 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE),
    OPERATION_DURATION.name: LONG_SECONDS,
    RESUME_LATENCY.name: LONG_SECONDS,
    "By": tuple(4.0**power for power in range(3, 14)),
    "{update}": (1, 2, 5, 10, 25, 50, 100, 250, 500),
    "{operation}": (10, 25, 50, 100, 250, 500, 1_000, 2_000, 2_400, 3_000),
}
"""Advised histogram boundaries, by the name of a metric or by its unit: the SDK's defaults are meant for milliseconds."""


class Instruments:
    """The instruments of one meter, created once per provider."""

    def __init__(self, meter: Meter) -> None:
        self._made = {metric.name: _make(meter, metric) for metric in METRICS}

    def count(self, metric: Metric, amount: int = 1, labels: Labels | None = None) -> None:
        """Add to a counter."""
        self._made[metric.name].add(amount, labels)

    def measure(self, metric: Metric, value: float, labels: Labels | None = None) -> None:
        """Add a measurement to a histogram."""
        self._made[metric.name].record(value, labels)


class Metrics(Observer, ReplayNotes):
    """Records the metrics of one invocation. One object per invocation."""

    def __init__(self, instruments: Instruments, *, is_cold: bool = False) -> None:
        """Prepare.

        Args:
            instruments: Receive the measurements.
            is_cold: Whether it is the first invocation of this environment.
        """
        self._instruments = instruments
        self._is_cold = is_cold
        self._started: InvocationStarted | None = None
        self._replay: ReplayTally | None = None

    def on_invocation_started(self, notification: InvocationStarted) -> None:
        """Start to count."""
        self._started = notification
        self._replay = ReplayTally(notification.at)

    def note_replayed(self, call: object, recorded: Mapping[str, Any], at: datetime) -> None:
        """Count a replayed call; the sum is recorded when the invocation ends."""
        if self._replay is not None:
            self._replay.count(recorded, at)

    def on_operation_completed(self, notification: OperationCompleted) -> None:
        """Record the end of an operation."""
        labels = type_labels(notification.call)
        status = {**labels, names.OPERATION_STATUS: str(notification.status)}
        self._instruments.count(OPERATIONS, labels=status)
        if notification.started_at is not None:
            seconds = (notification.at - notification.started_at).total_seconds()
            self._instruments.measure(OPERATION_DURATION, max(0.0, seconds), labels)
        is_waited_for = notification.is_replayed and notification.call.type in WAITED_FOR
        if is_waited_for and self._started is not None and notification.at <= self._started.at:
            self._instruments.measure(RESUME_LATENCY, (self._started.at - notification.at).total_seconds())

    def on_attempt_ended(self, notification: AttemptEnded) -> None:
        """Record the end of an attempt."""
        labels = type_labels(notification.call)
        self._instruments.count(ATTEMPTS, labels={**labels, OUTCOME_LABEL: notification.outcome})
        seconds = (notification.at - notification.started_at).total_seconds()
        self._instruments.measure(ATTEMPT_DURATION, max(0.0, seconds), labels)

    def on_checkpoint_sent(self, notification: CheckpointSent) -> None:
        """Record a checkpoint call."""
        outcome = "accepted" if notification.error is None else "refused"
        self._instruments.count(CHECKPOINTS, labels={OUTCOME_LABEL: outcome})
        self._instruments.measure(CHECKPOINT_DURATION, notification.duration_seconds)
        self._instruments.measure(CHECKPOINT_SIZE, notification.size_bytes)
        self._instruments.measure(CHECKPOINT_BATCH, len(notification.updates))

    def on_diverged(self, notification: Diverged) -> None:
        """Count a divergence."""
        divergence = notification.divergence
        labels = {KIND_LABEL: divergence.kind.value, SEVERITY_LABEL: divergence.severity.value}
        self._instruments.count(NONDETERMINISM, labels=labels)

    def on_invocation_ended(self, notification: InvocationEnded) -> None:
        """Record the totals, and check how close the execution is to its limits."""
        labels = {STATUS_LABEL: attributes.invocation_word(notification.status)}
        self._instruments.count(INVOCATIONS, labels=labels)
        seconds = (notification.at - notification.started.at).total_seconds()
        self._instruments.measure(INVOCATION_DURATION, max(0.0, seconds), labels)
        self._measure_function(max(0.0, seconds), is_error=notification.status is InvocationStatus.RETRY)
        if self._replay is not None and self._replay.operations:
            self._instruments.count(REPLAYED, self._replay.operations)
            self._instruments.measure(REPLAY_DURATION, self._replay.duration_seconds)
        self._meter_limits(notification.started.execution_arn, usage_of(notification.operations.values()))

    def _measure_function(self, seconds: float, *, is_error: bool) -> None:
        """Record the metrics that OpenTelemetry's conventions define for functions."""
        labels = {names.FAAS_TRIGGER: names.TRIGGER}
        self._instruments.count(FAAS_ERRORS if is_error else FAAS_INVOCATIONS, labels=labels)
        self._instruments.measure(FAAS_DURATION, seconds, labels)
        if self._is_cold:
            self._instruments.count(FAAS_COLD_STARTS, labels=labels)

    def _meter_limits(self, arn: str, usage: "Usage") -> None:
        for metric, used, limit, what in (
            (LIMIT_OPERATIONS, usage.operations, MAX_OPERATIONS, "operations"),
            (LIMIT_STORAGE, usage.stored_bytes, MAX_EXECUTION_BYTES, "bytes of payload"),
            (LIMIT_PAYLOAD, usage.largest_bytes, MAX_PAYLOAD_BYTES, "bytes in its largest result"),
        ):
            self._instruments.measure(metric, used)
            if used >= WARN_AT * limit:
                self._instruments.count(LIMIT_WARNINGS, labels={LIMIT_LABEL: metric.name})
                logger.warning(
                    "the execution has %s %s of %s: beyond the limit the service fails it or stores less. Split the "
                    "work into chained invokes, or store large values elsewhere and pass references",
                    f"{used:,}",
                    what,
                    f"{limit:,}",
                    extra={"executionArn": arn},
                )


class Usage(NamedTuple):
    """The size of an execution."""

    operations: int
    stored_bytes: int
    largest_bytes: int


def usage_of(operations: Iterable[Operation]) -> Usage:
    """Measure the recorded operations. Characters count as bytes: payloads are JSON, which is ASCII by default."""
    count, stored, largest = 0, 0, 0
    for operation in operations:
        if operation.wire.get("Type") == "EXECUTION":
            stored += len(operation.input_payload or "")
            continue
        size = len(operation.result or "")
        count += 1
        stored += size
        largest = max(largest, size)
    return Usage(count, stored, largest)


def type_labels(call: OperationCall) -> dict[str, str]:
    """Return type and subtype; custom subtypes count as one, since their number is unbounded."""
    subtype = call.subtype if call.subtype in KNOWN_SUBTYPES else OWN_SUBTYPE
    return {names.OPERATION_TYPE: str(call.type), names.OPERATION_SUBTYPE: str(subtype)}


def _make(meter: Meter, metric: Metric) -> Any:
    if metric.kind == "counter":
        return meter.create_counter(metric.name, unit=metric.unit, description=metric.meaning)
    boundaries = BOUNDARIES.get(metric.name) or BOUNDARIES.get(metric.unit)
    try:
        return meter.create_histogram(
            metric.name,
            unit=metric.unit,
            description=metric.meaning,
            explicit_bucket_boundaries_advisory=boundaries,
        )
    except TypeError:  # an API before 1.30 takes no advice
        return meter.create_histogram(metric.name, unit=metric.unit, description=metric.meaning)

"""Derives the trace that an invocation writes to, and its ancestor span."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from threading import Lock

from durable_execution.observers import InvocationStarted
from durable_execution.protocol import Operation, OperationType
from durable_execution.telemetry import span_ids
from durable_execution.telemetry.trace_context import TraceContext

XRAY_KEEPS = timedelta(days=30)
PERIOD_SECONDS = int(span_ids.ROLL_OVER_AFTER.total_seconds())
REMEMBERED_INVOCATIONS = 256


@dataclass(frozen=True, slots=True)
class TraceIdentity:
    """The deterministic ids of one invocation of one execution.

    Attributes:
        arn: The execution.
        invocation: The invocation's request id, or its substitute.
        trace_id: The trace its spans belong to.
        ancestor_id: The parent span of Workflow and Invocation.
        is_remote: Whether that span comes from a remote caller; if not, it is the synthetic root.
        is_sampled: Upstream's sampling decision; None when the provider decides.
        trace_state: W3C vendor data of the remote parent.
        generation: The number of earlier traces of this execution.
        active: The generations before this one in which the execution ran: it may have slept through others.
        began: When the execution started.
        remote_parent_id: The parent span from a remote caller, for the first trace; None when there is none.
        first_trace_id: The execution's first trace.
        ancestor_started_at: Time of the synthetic root.
    """

    arn: str
    invocation: str
    trace_id: int
    ancestor_id: int
    is_remote: bool
    is_sampled: bool | None
    trace_state: str | None
    generation: int
    first_trace_id: int
    ancestor_started_at: datetime
    began: datetime
    active: tuple[int, ...] = ()
    remote_parent_id: int | None = None

    @property
    def previous(self) -> tuple[int, int] | None:
        """Trace and ancestor ids of the preceding trace; None in the first."""
        before = self.in_generation(self.active[-1]) if self.active else None
        return (before.trace_id, before.ancestor_id) if before is not None else None

    def in_generation(self, number: int) -> "TraceIdentity":
        """Return the ids that the execution has in one of its earlier traces."""
        parent = self.remote_parent_id if number == 0 else None
        return replace(
            self,
            trace_id=self.first_trace_id + ((number * PERIOD_SECONDS) << 96),
            ancestor_id=parent or span_ids.root_span_id(self.arn, number),
            is_remote=parent is not None,
            generation=number,
            active=tuple(earlier for earlier in self.active if earlier < number),
            ancestor_started_at=self.began + number * span_ids.ROLL_OVER_AFTER,
        )

    @property
    def workflow_id(self) -> int:
        """The id of the span of the whole execution."""
        return span_ids.workflow_span_id(self.arn, self.generation)

    @property
    def invocation_id(self) -> int:
        """The id of the span of this invocation."""
        return span_ids.invocation_span_id(self.arn, self.invocation)

    def trace_at(self, moment: datetime) -> int:
        """Return the trace that received the spans of a given time."""
        return span_ids.rolled_over(self.first_trace_id, moment)[0] if self.generation else self.trace_id

    def generation_at(self, moment: datetime) -> int:
        """Return the generation of that trace."""
        return min(span_ids.rolled_over(self.first_trace_id, moment)[1], self.generation) if self.generation else 0

    def operation_id_in(self, number: int, operation_id: str, born: int) -> int:
        """Return the span id that an operation has in the trace of one generation; `born` is that of its start."""
        return span_ids.operation_span_id(self.arn, operation_id, number if number != born else 0)


class InvocationNames:
    """Distinguishes the invocations of an execution.

    Lambda's request id identifies each one, and the history records it. Some emulators use the same id every time;
    a repeated id gets a number, in the order of the invocations.
    """

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[str, str], list[datetime]] = OrderedDict()
        self._lock = Lock()

    def name(self, arn: str, request_id: str | None, at: datetime) -> str:
        """Return the name that this invocation's ids are derived from."""
        if not request_id:
            return f"at-{int(at.timestamp() * 1_000)}"
        with self._lock:
            starts = self._seen.setdefault((arn, request_id), [])
            self._seen.move_to_end((arn, request_id))
            if at not in starts:
                starts.append(at)
            while len(self._seen) > REMEMBERED_INVOCATIONS:
                self._seen.popitem(last=False)
            occurrence = starts.index(at)
        return f"{request_id}#{occurrence + 1}" if occurrence else request_id


invocation_names = InvocationNames()
"""The invocation names of this process."""


def identify(
    started: InvocationStarted,
    context: TraceContext,
    names: InvocationNames,
    *,
    ran_at: Iterable[datetime] | None = None,
) -> TraceIdentity:
    """Derive the ids of an invocation.

    Args:
        started: The invocation.
        context: The incoming trace context.
        names: Remembers earlier invocations.
        ran_at: When earlier invocations ran; by default the times of the recorded operations.
    """
    arn, at = started.execution_arn, started.at
    began = started.execution_started_at or at
    first = context.trace_id or span_ids.trace_id_of(arn, began)
    trace_id, generation = span_ids.rolled_over(first, at) if _has_age(first, began, context) else (first, 0)
    remote = context.parent_id if context.trace_id is not None else None
    parent = remote if generation == 0 else None
    active: set[int] = set()
    if generation:
        ran = _ran_at(started.operations.values()) if ran_at is None else ran_at
        active = {0, *(span_ids.rolled_over(first, moment)[1] for moment in ran)}
    return TraceIdentity(
        arn=arn,
        invocation=names.name(arn, started.request_id, at),
        trace_id=trace_id,
        ancestor_id=parent or span_ids.root_span_id(arn, generation),
        is_remote=parent is not None,
        is_sampled=context.is_sampled,
        trace_state=context.trace_state if parent is not None else None,
        generation=generation,
        first_trace_id=first,
        ancestor_started_at=began + generation * span_ids.ROLL_OVER_AFTER,
        began=began,
        active=tuple(sorted(number for number in active if number < generation)),
        remote_parent_id=remote,
    )


def _ran_at(operations: Iterable[Operation]) -> Iterator[datetime]:
    """Return times at which the execution ran: code starts operations, and ends those that nothing outside ends."""
    for operation in operations:
        if operation.type is OperationType.EXECUTION:
            continue
        if operation.started_at is not None:
            yield operation.started_at
        if operation.ended_at is not None and operation.type in (OperationType.STEP, OperationType.CONTEXT):
            yield operation.ended_at


def _has_age(trace_id: int, began: datetime, context: TraceContext) -> bool:
    """Tell whether the trace id holds the trace's start time: X-Ray's and ours do, a random one does not."""
    born = trace_id >> 96
    return context.is_timed and abs(int(began.timestamp()) - born) <= XRAY_KEEPS.total_seconds()

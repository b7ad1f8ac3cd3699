"""Derives the trace that an invocation writes to, and its ancestor span."""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock

from durable_execution.observers import InvocationStarted
from durable_execution.telemetry import span_ids
from durable_execution.telemetry.trace_context import TraceContext

XRAY_KEEPS = timedelta(days=30)
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
        previous: Trace and ancestor ids of the preceding trace; None in the first.
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
    previous: tuple[int, int] | None
    first_trace_id: int
    ancestor_started_at: datetime

    @property
    def workflow_id(self) -> int:
        """The id of the span of the whole execution."""
        return span_ids.workflow_span_id(self.arn)

    @property
    def invocation_id(self) -> int:
        """The id of the span of this invocation."""
        return span_ids.invocation_span_id(self.arn, self.invocation)

    def trace_at(self, moment: datetime) -> int:
        """Return the trace that received the spans of a given time."""
        return span_ids.rolled_over(self.first_trace_id, moment)[0] if self.generation else self.trace_id


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


def identify(started: InvocationStarted, context: TraceContext, names: InvocationNames) -> TraceIdentity:
    """Derive the ids of an invocation.

    Args:
        started: The invocation.
        context: The incoming trace context.
        names: Remembers earlier invocations.
    """
    arn, at = started.execution_arn, started.at
    began = started.execution_started_at or at
    first = context.trace_id or span_ids.trace_id_of(arn, began)
    trace_id, generation = span_ids.rolled_over(first, at) if _has_age(first, began, context) else (first, 0)
    parent = context.parent_id if context.trace_id is not None and generation == 0 else None
    return TraceIdentity(
        arn=arn,
        invocation=names.name(arn, started.request_id, at),
        trace_id=trace_id,
        ancestor_id=parent or span_ids.root_span_id(arn, generation),
        is_remote=parent is not None,
        is_sampled=context.is_sampled,
        trace_state=context.trace_state if parent is not None else None,
        generation=generation,
        previous=_previous(arn, trace_id, generation, context) if generation else None,
        first_trace_id=first,
        ancestor_started_at=began + generation * span_ids.ROLL_OVER_AFTER,
    )


def _has_age(trace_id: int, began: datetime, context: TraceContext) -> bool:
    """Tell whether the trace id holds the trace's start time: X-Ray's and ours do, a random one does not."""
    born = trace_id >> 96
    return context.is_timed and abs(int(began.timestamp()) - born) <= XRAY_KEEPS.total_seconds()


def _previous(arn: str, trace_id: int, generation: int, context: TraceContext) -> tuple[int, int]:
    """Return the trace before the roll-over: only the first is under the remote parent."""
    remote = context.parent_id if generation == 1 and context.trace_id is not None else None
    return trace_id - (int(span_ids.ROLL_OVER_AFTER.total_seconds()) << 96), remote or span_ids.root_span_id(
        arn, generation - 1
    )

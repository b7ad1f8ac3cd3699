"""Which trace an invocation writes to, and under which ancestor."""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock

from durable_execution.observers import InvocationStarted
from durable_execution.telemetry import ids
from durable_execution.telemetry.trace_context import TraceContext

XRAY_KEEPS = timedelta(days=30)
REMEMBERED_INVOCATIONS = 256


@dataclass(frozen=True, slots=True)
class TraceIdentity:
    """The deterministic ids of one invocation of one execution.

    Attributes:
        arn: The execution.
        invocation: The invocation's request id, or what stands in for it.
        trace_id: The trace its spans belong to.
        ancestor_id: The span that Workflow and Invocation go under.
        is_remote: Whether that span is somebody else's; otherwise it is the synthetic root.
        is_sampled: The decision upstream; None when it is the provider's.
        trace_state: W3C vendor data of the remote parent.
        generation: How many traces of this execution came before this one.
        previous: Trace and ancestor of the trace before this one; None in the first.
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
        """The span of the whole execution."""
        return ids.workflow_span_id(self.arn)

    @property
    def invocation_id(self) -> int:
        """The span of this invocation."""
        return ids.invocation_span_id(self.arn, self.invocation)

    def trace_at(self, moment: datetime) -> int:
        """The trace that spans of a moment went to."""
        return ids.rolled_over(self.first_trace_id, moment)[0] if self.generation else self.trace_id


class InvocationNames:
    """Tells invocations of an execution apart.

    Lambda's request id does that, and the history records it. Emulators are known to hand out the same one every
    time; a repeated one gets a number, in the order of the invocations.
    """

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[str, str], list[datetime]] = OrderedDict()
        self._lock = Lock()

    def name(self, arn: str, request_id: str | None, at: datetime) -> str:
        """What to derive this invocation's ids from."""
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
"""Of this process."""


def identify(started: InvocationStarted, context: TraceContext, names: InvocationNames) -> TraceIdentity:
    """Work out the ids of an invocation.

    Args:
        started: The invocation.
        context: The trace context that came in with it.
        names: Remembers the invocations before it.
    """
    arn, at = started.execution_arn, started.at
    began = started.execution_started_at or at
    first = context.trace_id or ids.trace_id_of(arn, began)
    trace_id, generation = ids.rolled_over(first, at) if _has_age(first, began, context) else (first, 0)
    parent = context.parent_id if context.trace_id is not None and generation == 0 else None
    return TraceIdentity(
        arn=arn,
        invocation=names.name(arn, started.request_id, at),
        trace_id=trace_id,
        ancestor_id=parent or ids.root_span_id(arn),
        is_remote=parent is not None,
        is_sampled=context.is_sampled,
        trace_state=context.trace_state if parent is not None else None,
        generation=generation,
        previous=_previous(arn, trace_id, generation, context) if generation else None,
        first_trace_id=first,
        ancestor_started_at=began + generation * ids.ROLL_OVER_AFTER,
    )


def _has_age(trace_id: int, began: datetime, context: TraceContext) -> bool:
    """Whether the trace id tells when the trace began: X-Ray's and ours do, a random one only seems to."""
    born = trace_id >> 96
    return context.is_timed and abs(int(began.timestamp()) - born) <= XRAY_KEEPS.total_seconds()


def _previous(arn: str, trace_id: int, generation: int, context: TraceContext) -> tuple[int, int]:
    """Where the execution's trace was before it rolled over: under the remote parent only at first."""
    remote = context.parent_id if generation == 1 and context.trace_id is not None else None
    return trace_id - (int(ids.ROLL_OVER_AFTER.total_seconds()) << 96), remote or ids.root_span_id(arn)

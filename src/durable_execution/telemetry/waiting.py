"""Time that passed while nothing ran: how long an operation was waited for, and how late it was resumed.

Computed from what is recorded, with ids from the moment it was due, or the attempt that was, so that live tracing and backfill
come to the same spans. They carry no `durable.*` attribute: they are not operations.
"""

from datetime import datetime, timedelta

from durable_execution.observers import OperationCall
from durable_execution.protocol import Operation
from durable_execution.telemetry import attributes
from durable_execution.telemetry import vocabulary as names
from durable_execution.telemetry.bounded import bounded
from durable_execution.telemetry.identity import TraceIdentity
from durable_execution.telemetry.ids import waiting_span_id
from durable_execution.telemetry.open_span import OpenSpan
from durable_execution.telemetry.spans import to_ns

WAITED_FOR = frozenset({"WAIT", "CALLBACK", "CHAINED_INVOKE"})
"""Operations that the service, somebody outside or another function finishes."""


def due_of_wait(call: OperationCall, at: datetime, recorded: Operation | None) -> datetime | None:
    """When a WAIT is over: as the service says, else as the code asked for."""
    scheduled = recorded.scheduled_end_at if recorded is not None else None
    asked = (call.configuration or {}).get("wait_seconds")
    if scheduled is None and isinstance(asked, (int, float)):
        return at + timedelta(seconds=asked)
    return scheduled


def wait_span(identity: TraceIdentity, call: OperationCall, *, since: datetime, due: datetime) -> OpenSpan:
    """From the start of an operation to the moment it was done, while no code ran."""
    return _span(names.WAIT, identity, call, since=since, until=due, due=due, parent=None)


def resume_span(
    identity: TraceIdentity,
    call: OperationCall,
    *,
    due: datetime,
    resumed: datetime,
    parent: OpenSpan | None,
    attempt: int | None = None,
) -> OpenSpan:
    """From the moment an operation was done, or due for its next attempt, to the invocation that went on with it.

    Args:
        identity: The ids of the invocation that went on.
        call: The operation.
        due: When it was done, or due.
        resumed: When the invocation began.
        parent: What was open meanwhile; None when that is only the ancestor of all invocations.
        attempt: The attempt that was due.
    """
    occasion = f"attempt-{attempt}" if attempt is not None else None
    since = min(due, resumed)
    return _span(
        names.RESUMPTION, identity, call, since=since, until=resumed, due=due, parent=parent, occasion=occasion
    )


def _span(
    kind: names.SpanKind,
    identity: TraceIdentity,
    call: OperationCall,
    *,
    since: datetime,
    until: datetime,
    due: datetime,
    parent: OpenSpan | None,
    occasion: str | None = None,
) -> OpenSpan:
    span = OpenSpan(
        kind.name(call.name or call.id),
        identity.trace_id,
        waiting_span_id(identity.arn, call.id, kind.name().strip(), occasion or str(to_ns(due) // 1_000_000)),
        parent=parent,
        parent_id=identity.ancestor_id,
        start_ns=to_ns(since),
        attributes={
            names.WAITING_ARN: identity.arn,
            names.WAITING_OPERATION: call.id,
            names.WAITING_FOR: bounded(call.subtype or str(call.type)),
            names.PATH: bounded(call.path),
            names.DUE: attributes.iso(due),
        },
        is_live=False,
    )
    span.finish(max(to_ns(until), span.start_ns))
    return span

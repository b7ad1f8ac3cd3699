"""Builds spans for time in which nothing ran: how long an operation waited, and how late it resumed.

They are computed from the recording, with ids derived from the due time or the due attempt, so that live tracing and
backfill agree. They carry no `durable.*` attributes: they are not operations.
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
"""Operations that the service, an outside system or a different function completes."""


def due_of_wait(call: OperationCall, at: datetime, recorded: Operation | None) -> datetime | None:
    """Return when a WAIT ends: the service's time, else the time computed from the code."""
    scheduled = recorded.scheduled_end_at if recorded is not None else None
    asked = (call.configuration or {}).get("wait_seconds")
    if scheduled is None and isinstance(asked, (int, float)):
        return at + timedelta(seconds=asked)
    return scheduled


def wait_span(identity: TraceIdentity, call: OperationCall, *, since: datetime, due: datetime) -> OpenSpan:
    """Build the span from an operation's start to its end while no code ran."""
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
    """Build the span from an operation's end, or its next attempt's due time, to the invocation that continued it.

    Args:
        identity: The ids of the invocation that continued.
        call: The operation.
        due: When it ended, or was due.
        resumed: When the invocation started.
        parent: The span open in the meantime; None for the ancestor of all invocations.
        attempt: The due attempt.
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

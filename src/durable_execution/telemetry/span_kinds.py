"""Builds the spans that are not operations, and what spans say about failures, divergences and replayed operations.

Three of the spans are the root, the workflow and the invocation. The others cover time in which nothing ran: how long an
operation waited, and how late it resumed. These are computed from the recording, with ids derived from the due time or the
due attempt, so that live tracing and backfill agree. They carry no `durable.*` attributes: they are not operations.
"""

import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from durable_execution.divergence import Divergence, Severity
from durable_execution.errors import OperationError, type_name
from durable_execution.observers import Diverged, InvocationStarted, OperationCall
from durable_execution.protocol import ErrorObject, ExecutionArn, Operation
from durable_execution.protocol.operation import DETAILS_MEMBER
from durable_execution.redaction import redacted
from durable_execution.telemetry import attributes
from durable_execution.telemetry import vocabulary as names
from durable_execution.telemetry.bounded import MAX_TEXT, bounded, bounded_trace
from durable_execution.telemetry.identity import TraceIdentity
from durable_execution.telemetry.open_span import Links, OpenSpan
from durable_execution.telemetry.settings import PLAIN, TopSpans
from durable_execution.telemetry.span_ids import waiting_span_id
from durable_execution.telemetry.spans import AttributeValue, SpanEvent, to_ns


def root_span(identity: TraceIdentity, handler: str = "", top: TopSpans = PLAIN) -> OpenSpan:
    """Build the synthetic root of a trace without a remote parent. It has no length until the execution has ended.

    Args:
        identity: The ids of an invocation.
        handler: `module:function` of the handler.
        top: How the root looks.
    """
    known = attributes.root_attributes(identity.arn)
    if handler and top.root != PLAIN.root:
        known[names.HANDLER] = bounded(handler)
    links: Links = ()
    if identity.previous is not None:
        known[names.GENERATION] = identity.generation
        links = (identity.previous,)
    return OpenSpan(
        names.ROOT.title if top.root == PLAIN.root else top.trace_name or _function_of(identity.arn, handler),
        identity.trace_id,
        identity.ancestor_id,
        start_ns=to_ns(identity.ancestor_started_at),
        attributes=known,
        links=links,
    )


def ended_root(root: OpenSpan, workflow: OpenSpan) -> OpenSpan:
    """Give the root the end and the status of Workflow, for lists of traces, which show the root."""
    root.finish(workflow.end_ns)
    root.status, root.message = workflow.status, workflow.message
    return root


def _function_of(arn: str, handler: str) -> str:
    """Return the function of an execution, by its ARN, else by its handler."""
    try:
        return ExecutionArn.parse(arn).function
    except ValueError:
        return handler.rpartition(":")[2] or names.ROOT.title


def workflow_span(
    identity: TraceIdentity, started: InvocationStarted, *, is_xray: bool, name: str = PLAIN.workflow_name
) -> OpenSpan:
    """Open the span of the whole execution, from its start; it is sent when the last invocation ends."""
    return OpenSpan(
        name,
        identity.trace_id,
        identity.workflow_id,
        parent_id=identity.ancestor_id,
        start_ns=to_ns(started.execution_started_at or started.at),
        attributes=attributes.workflow_attributes(identity.arn, handler=started.handler, is_xray=is_xray),
        is_live=False,
    )


def invocation_span(
    identity: TraceIdentity, started: InvocationStarted, *, parent_id: int | None, is_cold: bool | None, is_xray: bool
) -> OpenSpan:
    """Open the span of one run of the handler."""
    return OpenSpan(
        names.INVOCATION.title,
        identity.trace_id,
        identity.invocation_id,
        parent_id=parent_id or identity.ancestor_id,
        start_ns=to_ns(started.at),
        attributes=attributes.invocation_attributes(started, is_cold=is_cold, is_xray=is_xray),
    )


UNKNOWN = "Error"


@dataclass(frozen=True, slots=True)
class Failure:
    """An error, with everything known about it."""

    type: str
    message: str
    stack: str | None

    @classmethod
    def of(cls, error: ErrorObject | None, exception: BaseException | None) -> "Failure | None":
        """Build the failure. The recorded error wins over the raised exception, which may only wrap it."""
        if error is None and exception is None:
            return None
        kind = (error.type if error else None) or (type_name(type(exception)) if exception is not None else UNKNOWN)
        message = (error.message if error else None) or (str(exception) if exception is not None else "")
        return cls(bounded(kind, 256), bounded(_shown(message), MAX_TEXT), _stack(error, exception))

    def mark(self, span: OpenSpan, late: dict[str, AttributeValue]) -> None:
        """Mark the span as failed. `late` are the attributes it gets when it ends."""
        late[names.ERROR_TYPE] = self.type
        span.fail(self.message)

    def event(self, at_ns: int) -> SpanEvent:
        """Build the event defined by OpenTelemetry's conventions for exceptions."""
        known: dict[str, AttributeValue] = {
            names.EXCEPTION_TYPE: self.type,
            names.EXCEPTION_MESSAGE: self.message,
        }
        if self.stack:
            known[names.EXCEPTION_STACK] = self.stack
        return SpanEvent(names.EXCEPTION.title, at_ns, known)


def _stack(error: ErrorObject | None, exception: BaseException | None) -> str | None:
    """Render where the error was raised: in the operation's body, not where its wrapper was raised."""
    recorded = exception.stack_trace if isinstance(exception, OperationError) else None
    if recorded is None and exception is not None and exception.__traceback__ is not None:
        return bounded_trace(_shown("".join(traceback.format_exception(exception))))
    lines = recorded or (error.stack_trace if error is not None else None)
    text = "".join(line if line.endswith("\n") else f"{line}\n" for line in lines or ())
    return bounded_trace(_shown(text)) if text else None


def _shown(text: str) -> str:
    """Return the text without secrets. Of a very long text, only the parts that a span keeps are read."""
    if len(text) > 4 * MAX_TEXT:
        text = text[: 2 * MAX_TEXT] + text[-2 * MAX_TEXT :]
    return redacted(text)


def mark_divergence(span: OpenSpan, notification: Diverged) -> None:
    """Add the event to the span, and mark the span as failed unless the divergence is only a warning."""
    divergence = notification.divergence
    span.events.append(SpanEvent(names.NONDETERMINISM.title, to_ns(notification.at), divergence_attributes(divergence)))
    if divergence.severity is Severity.ERROR:
        span.fail(divergence.headline)


def divergence_attributes(divergence: Divergence) -> dict[str, AttributeValue]:
    """Return both sides and the rest of the explanation as texts."""
    from durable_execution.divergence import explanation

    known: dict[str, AttributeValue] = {
        names.DIVERGENCE_KIND: divergence.kind.value,
        names.DIVERGENCE_SEVERITY: divergence.severity.value,
        names.PATH: bounded(divergence.path),
    }
    known.update({names.DIVERGENCE_LINES[word]: bounded(line) for word, line in explanation(divergence)})
    side = divergence.replayed
    if side is not None and side.call_site is not None:
        known.update(attributes.code_attributes(side.call_site))
    return known


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


class ReplayTally:
    """Counts operations answered from the record.

    Attributes:
        operations: Their number.
        size_bytes: Characters in their serialized results.
        ended_at: When the last of them was answered; before that, the invocation's start.
    """

    __slots__ = ("_began_at", "ended_at", "operations", "size_bytes")

    def __init__(self, began_at: datetime) -> None:
        self._began_at = began_at
        self.operations = 0
        self.size_bytes = 0
        self.ended_at = began_at

    def count(self, recorded: Mapping[str, Any], at: datetime) -> None:
        """Count a recorded operation, in wire form."""
        self.operations += 1
        details = recorded.get(DETAILS_MEMBER[recorded["Type"]])
        result = details.get("Result") if details else None
        if result:
            self.size_bytes += len(result)
        self.ended_at = max(self.ended_at, at)

    @property
    def duration_seconds(self) -> float:
        """Seconds from the start of the invocation to the last answer."""
        return (self.ended_at - self._began_at).total_seconds()

    def events(self, latest_ns: int) -> list[SpanEvent]:
        """Return the event; None when nothing was replayed."""
        if not self.operations:
            return []
        known = {
            names.REPLAYED_COUNT: self.operations,
            names.REPLAYED_BYTES: self.size_bytes,
            names.REPLAYED_MILLISECONDS: self.duration_seconds * 1_000,
        }
        return [SpanEvent(names.REPLAY_COMPLETED.title, min(to_ns(self.ended_at), latest_ns), known)]

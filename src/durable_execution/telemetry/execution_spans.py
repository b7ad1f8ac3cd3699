"""Builds the three spans that are not operations: the root, the workflow and the invocation."""

from durable_execution.observers import InvocationStarted
from durable_execution.telemetry import attributes
from durable_execution.telemetry import vocabulary as names
from durable_execution.telemetry.identity import TraceIdentity
from durable_execution.telemetry.open_span import Links, OpenSpan
from durable_execution.telemetry.spans import to_ns


def root_span(identity: TraceIdentity) -> OpenSpan:
    """Build the synthetic, zero-length root of a trace without a remote parent."""
    known = attributes.root_attributes(identity.arn)
    links: Links = ()
    if identity.previous is not None:
        known[names.GENERATION] = identity.generation
        links = (identity.previous,)
    return OpenSpan(
        names.ROOT.title,
        identity.trace_id,
        identity.ancestor_id,
        start_ns=to_ns(identity.ancestor_started_at),
        attributes=known,
        links=links,
    )


def workflow_span(identity: TraceIdentity, started: InvocationStarted, *, is_xray: bool) -> OpenSpan:
    """Open the span of the whole execution, from its start; it is sent when the last invocation ends."""
    return OpenSpan(
        names.WORKFLOW.title,
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

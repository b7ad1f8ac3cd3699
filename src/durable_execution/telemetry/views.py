"""The two views of an execution: one tree per execution, or one per invocation."""

from collections.abc import Iterable
from datetime import datetime
from typing import ClassVar

from durable_execution.observers import InvocationEnded, OperationCall
from durable_execution.protocol import Operation, OperationType
from durable_execution.telemetry import ids
from durable_execution.telemetry.failures import Failure
from durable_execution.telemetry.model import ENDED, UNFINISHED, SpanView, Unreported
from durable_execution.telemetry.open_span import Links, OpenSpan
from durable_execution.telemetry.spans import to_ns
from durable_execution.telemetry.waiting import wait_span


class ExecutionView(SpanView):
    """One tree per execution: operations under Workflow, each sent once and whole, when it ends."""

    view: ClassVar[str] = "execution"

    def attempt_links(self) -> Links:
        """The invocation it ran in."""
        return ((self.identity.trace_id, self.invocation.span_id),)

    def outer_span(self) -> OpenSpan:
        """The workflow."""
        return self.workflow

    def open_operation(self, call: OperationCall, at: datetime, *, is_later: bool) -> OpenSpan:
        """Hold it back; it links to this invocation, which sends it only if it ends here."""
        return self.operation_span(
            call,
            at,
            span_id=ids.operation_span_id(self.identity.arn, call.id),
            start_ns=to_ns(at),
            links=self.attempt_links(),
            is_live=False,
        )

    def close_unfinished(self, happening: InvocationEnded) -> None:
        """Later invocations go on with them; when there are none, they are sent as they are."""
        if happening.status not in ENDED:
            self.operations.clear()
            return
        self.close_unreported(_never_called_again(happening.operations.values(), self.operations), happening.at)

    def announce_wait(self, call: OperationCall, *, since: datetime | None, due: datetime) -> None:
        """The operation's own span covers it."""

    def close_unreported(self, operations: Iterable[Unreported], at: datetime) -> None:
        """Send them as they are, and with them whatever is open."""
        found: dict[str, Operation] = {}
        for call, recorded in operations:
            found[call.id] = recorded
            self.open_operation(call, recorded.started_at or at, is_later=True)
        for operation_id in reversed(list(self.operations)):
            span, known = self.operations[operation_id], found.get(operation_id)
            if known is not None and known.is_terminal:
                end_ns, failure = to_ns(known.ended_at or at), Failure.of(known.error, None)
                self.close_operation(span, operation_id, known.status, end_ns, failure=failure)
            else:
                self.close_operation(span, operation_id, UNFINISHED, to_ns(at))


class InvocationView(SpanView):
    """One tree per invocation: each operation has a segment in every invocation it was open in."""

    view: ClassVar[str] = "invocation"

    def attempt_links(self) -> Links:
        """The workflow."""
        return ((self.identity.trace_id, self.identity.workflow_id),)

    def outer_span(self) -> OpenSpan:
        """The invocation."""
        return self.invocation

    def open_operation(self, call: OperationCall, at: datetime, *, is_later: bool) -> OpenSpan:
        """Its first segment has the operation's own id; later ones begin with this invocation and link to it."""
        identity = self.identity
        if is_later or (call.is_virtual and not self.started.is_first):
            span_id = ids.segment_span_id(identity.arn, call.id, identity.invocation)
        else:
            span_id = ids.operation_span_id(identity.arn, call.id)
        links = self.attempt_links()
        if is_later:
            links = ((identity.trace_at(at), ids.operation_span_id(identity.arn, call.id)), *links)
        start_ns = self.now_ns if is_later else to_ns(at)
        return self.operation_span(call, at, span_id=span_id, start_ns=start_ns, links=links, is_live=True)

    def close_unfinished(self, happening: InvocationEnded) -> None:
        """Their segments end with the invocation."""
        for operation_id in reversed(list(self.operations)):
            self.close_operation(self.operations[operation_id], operation_id, UNFINISHED, self.now_ns)

    def announce_wait(self, call: OperationCall, *, since: datetime | None, due: datetime) -> None:
        """No segment covers the time between invocations."""
        if since is not None:
            self.send(wait_span(self.identity, call, since=since, due=due))

    def close_unreported(self, operations: Iterable[Unreported], at: datetime) -> None:
        """No invocation came to tell of them; their last segments have been sent."""


VIEWS: dict[str, type[SpanView]] = {view.view: view for view in (ExecutionView, InvocationView)}


def _never_called_again(recorded: Iterable[Operation], called: dict[str, OpenSpan]) -> list[Unreported]:
    """Operations of branches that were given up, which this invocation did not come by; parents first."""
    return [
        Unreported(_call_of(operation), operation)
        for operation in recorded
        if not operation.is_terminal and operation.type is not OperationType.EXECUTION and operation.id not in called
    ]


def _call_of(operation: Operation) -> OperationCall:
    """What is recorded of a call that was not made in this invocation."""
    return OperationCall(
        id=operation.id,
        parent_id=operation.parent_id,
        context_id=operation.parent_id,
        position=0,
        path=operation.name or operation.id,
        type=operation.type,
        subtype=operation.subtype,
        name=operation.name,
    )

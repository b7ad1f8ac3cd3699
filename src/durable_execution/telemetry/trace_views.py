"""The two views of an execution: one tree per execution, or one per invocation."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import cached_property
from typing import ClassVar

from durable_execution.observers import InvocationEnded, OperationCall
from durable_execution.protocol import Operation, OperationType
from durable_execution.telemetry import span_ids
from durable_execution.telemetry import vocabulary as names
from durable_execution.telemetry.open_span import Links, OpenSpan
from durable_execution.telemetry.span_kinds import wait_span
from durable_execution.telemetry.span_view import ENDED, SpanView, Unreported
from durable_execution.telemetry.spans import to_ns

PARENTS = frozenset({str(OperationType.CONTEXT), str(OperationType.STEP), str(OperationType.CHAINED_INVOKE)})
"""Types of operations whose spans have spans inside, or in the trace of a chained execution."""


class ExecutionView(SpanView):
    """One tree per execution: operations under Workflow, each sent once, complete, when it ends."""

    view: ClassVar[str] = "execution"

    @cached_property
    def _born(self) -> dict[str, int]:
        """The generations of the traces in which operations started."""
        return {}

    def attempt_links(self) -> Links:
        """Link to the invocation it ran in."""
        return ((self.identity.trace_id, self.invocation.span_id),)

    def outer_span(self) -> OpenSpan:
        """Return the workflow's span."""
        return self.workflow

    def open_operation(self, call: OperationCall, at: datetime, *, is_later: bool) -> OpenSpan:
        """Hold it back; it links to this invocation, which sends it only if the operation ends here."""
        identity = self.identity
        born = self._born[call.id] = identity.generation_at(at)
        return self.operation_span(
            call,
            at,
            span_id=identity.operation_id_in(identity.generation, call.id, born),
            start_ns=to_ns(at),
            links=self.attempt_links(),
            is_live=False,
        )

    def close_in_earlier_traces(self, span: OpenSpan, operation_id: str) -> None:
        """Send it to the traces in which it was open as well: spans there have it as their parent."""
        if span.attributes.get(names.OPERATION_TYPE) not in PARENTS:
            return
        for number in self.identity.active:
            if number >= self._born[operation_id]:
                self.send(self._in_generation(number, span, operation_id))

    def _in_generation(self, number: int, span: OpenSpan, operation_id: str) -> OpenSpan:
        identity = self.identity.in_generation(number)
        around = str(span.parent.attributes.get(names.OPERATION_ID, "")) if span.parent is not None else ""
        parent_id = (
            identity.operation_id_in(number, around, self._born[around])
            if around in self._born
            else identity.workflow_id
        )
        copy = OpenSpan(
            span.name,
            identity.trace_id,
            identity.operation_id_in(number, operation_id, self._born[operation_id]),
            parent_id=parent_id,
            start_ns=span.start_ns,
            attributes=dict(span.attributes),
            links=span.links,
            is_live=False,
        )
        copy.finish(span.end_ns)
        copy.status, copy.message = span.status, span.message
        return copy

    def close_unfinished(self, notification: InvocationEnded) -> None:
        """Leave them to later invocations; if there are none, send them with their current status."""
        recorded = notification.operations
        if notification.status in ENDED:
            self._send_open(_never_called_again(recorded, self.is_told_of), recorded, notification.at)
            return
        for operation_id in reversed(list(self.operations)):
            known = recorded.get(operation_id)
            if known is None or not known.is_terminal or operation_id not in self.operations:
                continue
            if known.type is OperationType.CONTEXT:  # its end was recorded but, because of a crash, never announced
                self.end_inside(operation_id, notification.at)
            self.close_as_recorded(operation_id, known, notification.at)
        self.operations.clear()

    def announce_wait(self, call: OperationCall, *, since: datetime | None, due: datetime) -> None:
        """Do nothing: the operation's own span covers it."""

    def reopen_left_behind(self, context_id: str, at: datetime) -> None:
        """Send operations of a losing branch with their current status: after a cut-off invocation, a different branch can win."""
        contexts = [context_id] if context_id in self.started.operations else []
        while contexts:
            for operation in self._unfinished.get(contexts.pop(), ()):
                contexts.append(operation.id)
                if not self.is_told_of(operation.id):
                    self.open_operation(_call_of(operation), operation.started_at or at, is_later=True)

    @cached_property
    def _unfinished(self) -> dict[str | None, list[Operation]]:
        """Operations that were open when this invocation started, by their context."""
        found: dict[str | None, list[Operation]] = {}
        for operation in self.started.operations.values():
            if not operation.is_terminal and (operation.started_at or self.started.at) <= self.started.at:
                found.setdefault(operation.parent_id, []).append(operation)
        return found

    def close_unreported(self, operations: Iterable[Unreported], at: datetime) -> None:
        """Send them, and everything open inside them, with their current status."""
        found = list(operations)
        self._send_open(found, {call.id: recorded for call, recorded in found}, at)

    def _send_open(self, unreported: Iterable[Unreported], known: Mapping[str, Operation], at: datetime) -> None:
        for call, recorded in unreported:
            self.open_operation(call, recorded.started_at or at, is_later=True)
        for operation_id in reversed(list(self.operations)):
            self.close_as_recorded(operation_id, known.get(operation_id), at)


class InvocationView(SpanView):
    """One tree per invocation: each operation has a segment in every invocation it was open in."""

    view: ClassVar[str] = "invocation"

    def attempt_links(self) -> Links:
        """Return the workflow's span."""
        return ((self.identity.trace_id, self.identity.workflow_id),)

    def outer_span(self) -> OpenSpan:
        """Return the invocation's span."""
        return self.invocation

    def open_operation(self, call: OperationCall, at: datetime, *, is_later: bool) -> OpenSpan:
        """Start a segment: the first has the operation's id; later ones start with this invocation and link to the first."""
        identity = self.identity
        if is_later or (call.is_virtual and not self.started.is_first):
            span_id = span_ids.segment_span_id(identity.arn, call.id, identity.invocation)
        else:
            span_id = span_ids.operation_span_id(identity.arn, call.id)
        links = self.attempt_links()
        if is_later:
            links = ((identity.trace_at(at), span_ids.operation_span_id(identity.arn, call.id)), *links)
        start_ns = self.now_ns if is_later else to_ns(at)
        return self.operation_span(call, at, span_id=span_id, start_ns=start_ns, links=links, is_live=True)

    def close_unfinished(self, notification: InvocationEnded) -> None:
        """End their segments with the invocation."""
        for operation_id in reversed(list(self.operations)):
            self.close_as_recorded(operation_id, notification.operations.get(operation_id), notification.at)

    def announce_wait(self, call: OperationCall, *, since: datetime | None, due: datetime) -> None:
        """Add a wait span: no segment covers the time between invocations."""
        if since is not None:
            self.send(wait_span(self.identity, call, since=since, due=due))

    def reopen_left_behind(self, context_id: str, at: datetime) -> None:
        """Do nothing: the invocations that reached them sent their segments."""

    def close_in_earlier_traces(self, span: OpenSpan, operation_id: str) -> None:
        """Do nothing: each trace has segments of its own."""

    def close_unreported(self, operations: Iterable[Unreported], at: datetime) -> None:
        """Do nothing: their last segments have been sent, and no later invocation ran."""


VIEWS: dict[str, type[SpanView]] = {view.view: view for view in (ExecutionView, InvocationView)}


def _never_called_again(recorded: Mapping[str, Operation], is_called: Callable[[str], bool]) -> list[Unreported]:
    """Return open operations that this invocation did not reach; parents first.

    Those in an ended context were sent with it.
    """
    return [
        Unreported(_call_of(operation), operation)
        for operation in recorded.values()
        if not operation.is_terminal
        and operation.type is not OperationType.EXECUTION
        and not is_called(operation.id)
        and not _is_left_behind(operation, recorded)
    ]


def _is_left_behind(operation: Operation, recorded: Mapping[str, Operation]) -> bool:
    """Tell whether a context around it has ended."""
    around = recorded.get(operation.parent_id or "")
    while around is not None and not around.is_terminal:
        around = recorded.get(around.parent_id or "")
    return around is not None


def _call_of(operation: Operation) -> OperationCall:
    """Build the call of a recorded operation that this invocation did not call."""
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

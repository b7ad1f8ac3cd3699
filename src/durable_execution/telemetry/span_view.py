"""Decides which spans an invocation has: the part that both views share.

A view observes one invocation's notifications and passes spans to an outlet. Live tracing and backfill use the same view
with different outlets, so they agree by construction.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar, NamedTuple

from durable_execution.observers import (
    AttemptEnded,
    AttemptStarted,
    ContextEntered,
    ContextLeft,
    Diverged,
    InvocationEnded,
    InvocationStarted,
    Observer,
    OperationCall,
    OperationCompleted,
    OperationReplayed,
    OperationStarted,
)
from durable_execution.protocol import ErrorObject, InvocationStatus, Operation, OperationStatus, OperationType
from durable_execution.telemetry import attributes, span_ids
from durable_execution.telemetry import vocabulary as names
from durable_execution.telemetry.environment_memory import DueTimes, Surroundings
from durable_execution.telemetry.identity import TraceIdentity
from durable_execution.telemetry.novelty import Novelty
from durable_execution.telemetry.open_span import Links, OpenSpan, SpanOutlet
from durable_execution.telemetry.settings import PLAIN
from durable_execution.telemetry.span_kinds import (
    WAITED_FOR,
    Failure,
    ReplayTally,
    due_of_wait,
    ended_root,
    invocation_span,
    mark_divergence,
    resume_span,
    root_span,
    workflow_span,
)
from durable_execution.telemetry.spans import SpanStatus, to_ns
from durable_execution.telemetry.trace_context import xray_header

UNFINISHED = "STARTED"
INCOMPLETE = "INCOMPLETE"

ENDED = frozenset({InvocationStatus.SUCCEEDED, InvocationStatus.FAILED})
STATUS_OF_INVOCATION = {
    InvocationStatus.SUCCEEDED: SpanStatus.OK,
    InvocationStatus.PENDING: SpanStatus.OK,
    InvocationStatus.FAILED: SpanStatus.ERROR,
}
STATUS_OF_OUTCOME = {"SUCCEEDED": SpanStatus.OK, "FAILED": SpanStatus.ERROR}


class Unreported(NamedTuple):
    """An operation whose end was not announced; parents come before children."""

    call: OperationCall
    recorded: Operation


class SpanView(Observer):
    """Builds the spans of one invocation. One object per invocation."""

    view: ClassVar[str]

    def __init__(
        self, identity: TraceIdentity, started: InvocationStarted, outlet: SpanOutlet, around: Surroundings
    ) -> None:
        self.identity = identity
        self.started = started
        self.outlet = outlet
        self.operations: dict[str, OpenSpan] = {}
        self.novelty = Novelty(is_first=started.is_first)
        self.now_ns = to_ns(started.at)
        self._replay = ReplayTally(started.at)
        self._attempts: dict[tuple[str, int], tuple[OpenSpan, Any]] = {}
        self._entered: dict[str, Any] = {}
        self._due_for_attempt: dict[str, datetime] = {}
        self._due_times = around.due_times or DueTimes()
        self._invocation_token: Any = None
        self._updated = frozenset(started.updated_operation_ids)
        self._over: set[str] = set()
        self._raised: set[tuple[str, str]] = set()
        self._top = around.top
        self._has_root = around.has_root
        if around.has_root and around.top.root == PLAIN.root:
            self.send(root_span(identity))
        self.workflow = workflow_span(identity, started, is_xray=around.is_xray, name=around.top.workflow_name)
        outlet.open(self.workflow)
        self.invocation = invocation_span(
            identity,
            started,
            parent_id=around.invocation_parent_id,
            is_cold=around.is_cold,
            is_xray=around.is_xray,
        )
        outlet.open(self.invocation)

    # Where the views differ.

    def attempt_links(self) -> Links:
        """Return the links of an attempt's span."""
        raise NotImplementedError

    def outer_span(self) -> OpenSpan:
        """Return the parent span of operations outside all contexts."""
        raise NotImplementedError

    def open_operation(self, call: OperationCall, at: datetime, *, is_later: bool) -> OpenSpan:
        """Start an operation's span; `is_later` when an earlier invocation started the operation."""
        raise NotImplementedError

    def close_unfinished(self, notification: InvocationEnded) -> None:
        """Handle operations that are open when the invocation ends."""
        raise NotImplementedError

    def close_unreported(self, operations: Iterable[Unreported], at: datetime) -> None:
        """Handle operations that ended unannounced because the execution was stopped or timed out."""
        raise NotImplementedError

    def reopen_left_behind(self, context_id: str, at: datetime) -> None:
        """Handle operations of a context that ended although this invocation did not reach all of them."""
        raise NotImplementedError

    def announce_wait(self, call: OperationCall, *, since: datetime | None, due: datetime) -> None:
        """Handle an operation that ended between invocations."""
        raise NotImplementedError

    def close_in_earlier_traces(self, span: OpenSpan, operation_id: str) -> None:
        """Handle the end of an operation that earlier traces of a long execution can refer to."""
        raise NotImplementedError

    # What happens.

    def on_invocation_started(self, notification: InvocationStarted) -> None:
        """Open the Invocation; the handler's own code runs under it."""
        self._invocation_token = self.outlet.enter(self.invocation)

    def on_operation_started(self, notification: OperationStarted) -> None:
        """Start or continue an operation's span."""
        call, recorded = notification.call, notification.recorded
        if self._is_given_up(call):
            return
        if not notification.is_replayed:
            self._advance(to_ns(notification.at))
        if recorded is not None and call.type == OperationType.STEP:
            self._expect_attempt(call, recorded.next_attempt_at, is_ready=notification.status is OperationStatus.READY)
        if call.id not in self.operations:
            self._begin(call, notification.at, is_later=notification.is_replayed)

    def on_operation_replayed(self, notification: OperationReplayed) -> None:
        """Count a call answered from the record; it gets no span."""
        self._replay.count(notification.recorded.wire, notification.at)
        self._note_failure(notification.recorded)
        self.novelty.replay(notification.call.context_id)

    def note_replayed(self, call: Any, recorded: Mapping[str, Any], at: datetime) -> None:
        """Count a call answered from the record; it gets no span."""
        self._replay.count(recorded, at)
        if recorded["Status"] != "SUCCEEDED":
            self._note_failure(Operation(dict(recorded)))
        self.novelty.replay(call.scope.ids.prefix)

    def _note_failure(self, recorded: Operation) -> None:
        """Note an exception that an earlier invocation recorded."""
        failure = Failure.of(recorded.error, None)
        if failure is not None:
            self._raised.add((failure.type, failure.message))

    def on_operation_completed(self, notification: OperationCompleted) -> None:
        """End an operation's span."""
        call = notification.call
        if self._is_given_up(call):
            return
        span = self.operations.get(call.id)
        if span is None:
            span = self._begin(call, notification.started_at or notification.at, is_later=notification.is_replayed)
        if call.type in WAITED_FOR and notification.is_replayed and self._is_before(call, notification.at):
            self.announce_wait(call, since=notification.started_at, due=notification.at)
            self._announce_resumption(call, notification.at)
        end_ns = to_ns(notification.at)
        if not notification.is_replayed:
            self._advance(end_ns)
        if call.type == OperationType.CONTEXT:
            self.end_inside(call.id, notification.at)
        if not call.is_virtual:
            self.novelty.happen(call)
        elif not self.novelty.is_in(call) and not span.is_live:
            self._forget(call.id)
            return
        failure = Failure.of(notification.error, notification.exception) if notification.error is not None else None
        attempt = notification.attempt if call.type == OperationType.STEP else None
        self.close_operation(span, call.id, notification.status, end_ns, attempt=attempt, failure=failure)

    def on_attempt_started(self, notification: AttemptStarted) -> None:
        """Start an attempt's span; the body runs under it."""
        call = notification.call
        if self._is_given_up(call):
            return
        start_ns = to_ns(notification.at)
        self._advance(start_ns)
        self.novelty.happen(call)
        operation = self.operations.get(call.id)
        if operation is None:
            operation = self._begin(call, notification.at, is_later=notification.attempt > 1)
        due = self._due_for_attempt.pop(call.id, None)
        if due is not None:
            self._announce_resumption(call, due, notification.attempt)
        known = {**operation.shared, names.ATTEMPT_NUMBER: notification.attempt}
        span = OpenSpan(
            names.ATTEMPT.name(call.name or call.id, notification.attempt),
            self.identity.trace_id,
            span_ids.attempt_span_id(self.identity.arn, call.id, notification.attempt, self.identity.invocation),
            parent=operation,
            start_ns=start_ns,
            attributes=known,
            links=self.attempt_links(),
        )
        operation.open_inside += 1
        self.outlet.open(span)
        self._attempts[call.id, notification.attempt] = (span, self.outlet.enter(span))

    def on_attempt_ended(self, notification: AttemptEnded) -> None:
        """End an attempt's span."""
        end_ns = to_ns(notification.at)
        self._advance(end_ns)
        span, token = self._attempts.pop((notification.call.id, notification.attempt), (None, None))
        if span is None:
            return
        self.outlet.leave(token)
        late: dict[str, Any] = {}
        if notification.next_attempt_delay_seconds is not None:
            late[names.NEXT_ATTEMPT_DELAY] = notification.next_attempt_delay_seconds
            self._due_for_attempt[notification.call.id] = notification.at + timedelta(
                seconds=notification.next_attempt_delay_seconds
            )
        failure = Failure.of(notification.error, notification.exception) if notification.outcome == "FAILED" else None
        self._close_attempt(span, notification.outcome, end_ns, late, failure)

    def on_context_entered(self, notification: ContextEntered) -> None:
        """Make a context's span current for its body."""
        self._advance(to_ns(notification.at))
        span = self.operations.get(notification.call.id)
        if span is not None:
            self._entered[notification.call.id] = self.outlet.enter(span)

    def on_context_left(self, notification: ContextLeft) -> None:
        """Restore the enclosing span after a context's body."""
        self._advance(to_ns(notification.at))
        if notification.call.id in self._entered:
            self.outlet.leave(self._entered.pop(notification.call.id))

    def on_diverged(self, notification: Diverged) -> None:
        """Record both sides of the divergence on the Invocation."""
        self._advance(to_ns(notification.at))
        mark_divergence(self.invocation, notification)

    def on_invocation_ended(self, notification: InvocationEnded) -> None:
        """End all open spans, innermost first."""
        self._advance(to_ns(notification.at))
        self._remember_due_times(notification.operations)
        for call_id in reversed(list(self._entered)):
            self.outlet.leave(self._entered.pop(call_id))
        for key in reversed(list(self._attempts)):
            span, token = self._attempts.pop(key)
            self.outlet.leave(token)
            self._close_attempt(span, INCOMPLETE, self.now_ns, {}, None)
        self.outlet.leave(self._invocation_token)
        self.close_unfinished(notification)
        failure = Failure.of(notification.error, notification.exception) if notification.error is not None else None
        self._close_invocation(notification.status, failure)
        if notification.status in ENDED:
            self._close_workflow(notification.status.value, failure, self.invocation.end_ns)
        self._send_root(is_over=notification.status in ENDED)

    def trace_header(self, call: OperationCall) -> str:
        """Return the header that puts a chained execution's spans under the operation that invoked it."""
        operation = span_ids.operation_span_id(self.identity.arn, call.id)
        return xray_header(self.identity.trace_id, operation, is_sampled=self.outlet.is_sampled)

    def conclude(self, status: str, at: datetime, error: ErrorObject | None, unreported: Iterable[Unreported]) -> None:
        """Record that the execution was stopped or timed out after this invocation. No handler learns of it; backfill does."""
        self._advance(to_ns(at))
        self.close_unreported(unreported, at)
        self._close_workflow(status, Failure.of(error, None), to_ns(at))
        self._send_root(is_over=True)

    # Building spans.

    def operation_span(
        self, call: OperationCall, at: datetime, *, span_id: int, start_ns: int, links: Links, is_live: bool
    ) -> OpenSpan:
        """Open an operation's span."""
        shared = attributes.call_attributes(self.identity.arn, call)
        known = {**shared, **attributes.place_attributes(call)}
        if call.type == OperationType.WAIT:
            due = due_of_wait(call, at, self.started.operations.get(call.id))
            known.update({names.DUE: attributes.iso(due)} if due is not None else {})
        span = OpenSpan(
            call.name or call.id,
            self.identity.trace_id,
            span_id,
            parent=self.parent_of(call),
            start_ns=start_ns,
            attributes=known,
            links=links,
            is_live=is_live,
        )
        span.shared = shared
        if span.parent is not None:
            span.parent.open_inside += 1
        self.operations[call.id] = span
        self.outlet.open(span)
        return span

    def close_operation(
        self,
        span: OpenSpan,
        operation_id: str,
        status: str,
        end_ns: int,
        *,
        attempt: int | None = None,
        failure: Failure | None = None,
    ) -> None:
        """End an operation's span."""
        self._forget(operation_id)
        late: dict[str, Any] = {names.OPERATION_STATUS: str(status)}
        if attempt is not None:
            late[names.ATTEMPT_NUMBER] = attempt
        span.finish(end_ns)
        if failure is not None:
            failure.mark(span, late)
            self._record_exception(span, failure, is_origin=span.attributes.get(names.OPERATION_TYPE) in WAITED_FOR)
        elif status == OperationStatus.SUCCEEDED:
            span.status = SpanStatus.OK
        self._close(span, late)
        if self.identity.active:
            self.close_in_earlier_traces(span, operation_id)

    def parent_of(self, call: OperationCall) -> OpenSpan:
        """Return the span of the CONTEXT that records it: calls of a virtual context go beside that context's own span."""
        parent = self.operations.get(call.parent_id) if call.parent_id is not None else None
        return parent if parent is not None else self.outer_span()

    def send(self, span: OpenSpan) -> None:
        """Send a span that is complete from the start."""
        self.outlet.open(span)
        self.outlet.close(span, {})

    def is_told_of(self, operation_id: str) -> bool:
        """Tell whether an operation has, or had, a span in this invocation."""
        return operation_id in self.operations or operation_id in self._over

    def end_inside(self, context_id: str, at: datetime) -> None:
        """Close the spans still open inside a context that ended, with their recorded status."""
        self.reopen_left_behind(context_id, at)
        self._give_up_inside(self.operations[context_id], at)

    def close_as_recorded(self, operation_id: str, recorded: Operation | None, at: datetime) -> None:
        """End the span of an operation without an announced end: its code was cancelled or is suspended."""
        span = self.operations[operation_id]
        if recorded is None or not recorded.is_terminal:
            self.close_operation(span, operation_id, UNFINISHED, to_ns(at))
            return
        attempt = recorded.attempt if recorded.type is OperationType.STEP else None
        failure = Failure.of(recorded.error, None)
        end_ns = to_ns(recorded.ended_at or at)
        self.close_operation(span, operation_id, recorded.status, end_ns, attempt=attempt, failure=failure)

    def _forget(self, operation_id: str) -> None:
        span = self.operations.pop(operation_id)
        if span.parent is not None:
            span.parent.open_inside -= 1
        self._over.add(operation_id)

    def _is_given_up(self, call: OperationCall) -> bool:
        """Tell whether a notification is too late: the operation or its context has ended."""
        return call.id in self._over or call.parent_id in self._over

    def _give_up_inside(self, around: OpenSpan, at: datetime) -> None:
        """Tell whether a context around it has ended while its branches were still running: their work has no effect."""
        if not around.open_inside:
            return
        for key in [key for key, (span, _) in self._attempts.items() if span.is_inside(around)]:
            span, _ = self._attempts.pop(key)
            self._close_attempt(span, INCOMPLETE, to_ns(at), {}, None)
        for operation_id in reversed([key for key, span in self.operations.items() if span.is_inside(around)]):
            self.close_as_recorded(operation_id, self.started.operations.get(operation_id), at)

    def _begin(self, call: OperationCall, at: datetime, *, is_later: bool) -> OpenSpan:
        if not is_later:
            self.novelty.begin(call)
        return self.open_operation(call, at, is_later=is_later)

    def _close_attempt(
        self, span: OpenSpan, outcome: str, end_ns: int, late: dict[str, Any], failure: Failure | None
    ) -> None:
        late[names.ATTEMPT_OUTCOME] = outcome
        if span.parent is not None:
            span.parent.open_inside -= 1
        span.finish(end_ns)
        span.status = STATUS_OF_OUTCOME.get(outcome, SpanStatus.UNSET)
        if failure is not None:
            failure.mark(span, late)
            self._record_exception(span, failure, is_origin=True)
        self._close(span, late)

    def _record_exception(self, span: OpenSpan, failure: Failure, *, is_origin: bool = False) -> None:
        """Add the exception to the span where it was raised. The spans around it only refer to it by `error.type`.

        One failure is one exception for those who count them, however many spans it passes through.
        """
        raised = failure.type, failure.message
        if is_origin or raised not in self._raised:
            self._raised.add(raised)
            span.events.append(failure.event(span.end_ns))

    def _close_invocation(self, status: InvocationStatus, failure: Failure | None) -> None:
        span = self.invocation
        late: dict[str, Any] = {names.INVOCATION_STATUS: attributes.invocation_word(status)}
        span.finish(self.now_ns)
        span.events.extend(self._replay.events(span.end_ns))
        if failure is not None:
            late[names.ERROR_TYPE] = failure.type
            self._record_exception(span, failure)
        if span.status is not SpanStatus.ERROR:
            span.status = STATUS_OF_INVOCATION.get(status, SpanStatus.UNSET)
            span.message = failure.message if failure is not None and span.status is SpanStatus.ERROR else ""
        self._close(span, late)

    def _close_workflow(self, status: str, failure: Failure | None, end_ns: int) -> None:
        span = self.workflow
        late: dict[str, Any] = {names.EXECUTION_STATUS: status}
        span.finish(end_ns)
        span.status = SpanStatus.OK if status == InvocationStatus.SUCCEEDED else SpanStatus.ERROR
        if failure is not None:
            failure.mark(span, late)
            self._record_exception(span, failure)
        self._close(span, late)
        self._complete_earlier_traces(late)

    def _complete_earlier_traces(self, late: dict[str, Any]) -> None:
        """Send Workflow and the root to the earlier traces of a long execution: spans there have them as parents and links."""
        for number in self.identity.active:
            earlier = self.identity.in_generation(number)
            workflow = workflow_span(earlier, self.started, is_xray=False, name=self._top.workflow_name)
            workflow.attributes.update(late)
            workflow.finish(self.workflow.end_ns)
            workflow.status, workflow.message = self.workflow.status, self.workflow.message
            self.send(workflow)
            if not earlier.is_remote and self._top.root != PLAIN.root:
                self.send(ended_root(root_span(earlier, self.started.handler, self._top), workflow))

    def _send_root(self, *, is_over: bool) -> None:
        """Send the root, complete if the execution is over."""
        is_due = is_over or (self._has_root and self._top.root != "once")
        if self.identity.is_remote or self._top.root == PLAIN.root or not is_due:
            return
        root = root_span(self.identity, self.started.handler, self._top)
        self.send(ended_root(root, self.workflow) if is_over else root)

    def _close(self, span: OpenSpan, late: dict[str, Any]) -> None:
        span.attributes.update(late)
        self.outlet.close(span, late)

    def _advance(self, at_ns: int) -> None:
        """Note the latest time seen by this process. Recorded times do not count: they come from a different clock."""
        self.now_ns = max(self.now_ns, at_ns)

    def _is_before(self, call: OperationCall, moment: datetime) -> bool:
        """Tell whether the invocation found it ended. Its clock and the service's can differ."""
        return moment <= self.started.at or call.id in self._updated

    def _expect_attempt(self, call: OperationCall, due: datetime | None, *, is_ready: bool) -> None:
        """Tell whether an earlier invocation left it to this one."""
        known = self._due_times.recall(self.identity.arn, call.id) if is_ready and due is None else due
        if known is not None:
            self._due_for_attempt[call.id] = known

    def _remember_due_times(self, recorded: Mapping[str, Operation]) -> None:
        """Remember when next attempts are due: by the service, else by this process."""
        for operation_id, due in self._due_for_attempt.items():
            known = recorded.get(operation_id)
            told = known.next_attempt_at if known is not None else None
            self._due_times.remember(self.identity.arn, operation_id, told or due)

    def _announce_resumption(self, call: OperationCall, due: datetime, attempt: int | None = None) -> None:
        if not self._is_before(call, due):
            return
        parent = self.parent_of(call)
        around = None if parent.is_live else parent
        resumed = self.started.at
        self.send(resume_span(self.identity, call, due=due, resumed=resumed, parent=around, attempt=attempt))

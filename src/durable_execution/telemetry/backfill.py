"""Computes the spans of a recorded execution, with the same ids as live tracing.

Use it for executions that were not traced or not sampled, that were stopped or timed out, or that a different SDK ran.
Sent after live tracing, these spans replace what was sent and fill in what was lost.

Turns a recorded execution back into the notifications that its invocations sent.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from durable_execution.observers import (
    AttemptEnded,
    AttemptStarted,
    ContextEntered,
    ContextLeft,
    InvocationEnded,
    InvocationStarted,
    OperationCall,
    OperationCompleted,
    OperationReplayed,
    OperationStarted,
)
from durable_execution.protocol import InvocationStatus, Operation, OperationStatus, OperationType
from durable_execution.telemetry.environment_memory import RootLedger, Surroundings
from durable_execution.telemetry.history_calls import FlatBranch, RecordedCalls, wire_of
from durable_execution.telemetry.identity import InvocationNames, identify
from durable_execution.telemetry.open_span import RecordOutlet
from durable_execution.telemetry.settings import Settings, TopSpans
from durable_execution.telemetry.span_view import SpanView, Unreported
from durable_execution.telemetry.spans import SpanRecord
from durable_execution.telemetry.trace_context import NOTHING, TraceContext, parse_header
from durable_execution.telemetry.trace_views import VIEWS

if TYPE_CHECKING:
    from durable_execution.history.recorded import (
        RecordedAttempt,
        RecordedExecution,
        RecordedInvocation,
        RecordedOperation,
    )

CUT_SHORT = frozenset({"TIMED_OUT", "STOPPED"})
"""Terminal statuses that the service sets between invocations, so no handler learns of them."""


def backfill(
    execution: "RecordedExecution",
    *,
    view: str = "execution",
    trace_header: str | None = None,
    top: TopSpans | None = None,
) -> list[SpanRecord]:
    """Compute the spans of a recorded execution.

    Args:
        execution: The execution; see `durable_execution.history.reading.read_history`.
        view: `execution` or `invocation`.
        trace_header: The X-Ray or W3C header its invocations came with (`TraceHeader.XAmznTraceId` of
            GetDurableExecution), if any.
        top: How the root and Workflow look; by default as the environment says.

    Returns:
        Each span once, in the order in which the spans ended.

    Raises:
        ValueError: The history has no timestamps, or the view does not exist.
    """
    if view not in VIEWS:
        raise ValueError(f"view {view!r} does not exist; use one of {', '.join(VIEWS)}")
    context = parse_header(trace_header) if trace_header else NOTHING
    writer = _Writer(execution, view, context, top or Settings.read().top)
    for story in stories(execution, arn_of(execution)):
        writer.write(story)
    return writer.finished()


def arn_of(execution: "RecordedExecution") -> str:
    """Return the ARN that ids are derived from; without one, a value that is stable for the same history."""
    return execution.arn or f"unknown:{execution.name or ''}:{execution.id or ''}"


Told = tuple[str, Any]


class InvocationStory:
    """The notifications of one invocation: open operations continue first, then the tree in order."""

    def __init__(self, execution: "RecordedExecution", invocation: "RecordedInvocation", calls: RecordedCalls) -> None:
        """Prepare.

        Raises:
            ValueError: The history has no timestamps.
        """
        start = invocation.started_at or execution.started_at
        if start is None:
            raise ValueError(
                "the history has no timestamps, so its operations cannot be placed in time. Export it again with timestamps"
            )
        self._execution = execution
        self._invocation = invocation
        self._calls = calls
        self._number = invocation.number
        self.ran = Run(start, max(start, invocation.ended_at or start))
        self._inside: list[RecordedOperation | FlatBranch] = []
        self._entered: set[str] = set()

    def started(self) -> InvocationStarted:
        """Return the notification of its start."""
        began_before = (self._calls.began_in(operation) < self._number for operation in self._execution)
        return InvocationStarted(
            execution_arn=self._calls.arn,
            request_id=self._invocation.request_id,
            is_first=not any(began_before),
            at=self.ran.start,
            execution_started_at=self._execution.started_at,
            handler=self._execution.handler or "",
            operations=self._calls.waits_open_in(self._number),
            updated_operation_ids=[o.id for o in self._execution if self._ended_before(o) or self._was_due(o)],
            input=None,
            trace_header=None,
            lambda_context=None,
        )

    def tell(self) -> Iterator[Told]:
        """Return the notifications between start and end."""
        for operation in self._execution:
            yield from self._go_on_with(operation)
        for operation in self._execution:
            yield from self._leave_for(operation)
            yield from self._run(operation)
        yield from self._leave_for(None)

    def ended(self, started: InvocationStarted) -> InvocationEnded | None:
        """Return the notification of its end; None while it runs."""
        if self._invocation.outcome is None or self._invocation.ended_at is None:
            return None
        status = InvocationStatus(self._invocation.outcome)
        error = self._invocation.error
        if error is None and status is InvocationStatus.FAILED:
            error = self._execution.error
        return InvocationEnded(started, self.ran.end, status, None, error, None, self._calls.unfinished)

    @property
    def is_last(self) -> bool:
        """Tell whether it is the last invocation."""
        return self._number == len(self._execution.invocations)

    def unreported(self) -> list[Unreported]:
        """Return the operations that were open, or ended after this invocation without a handler; parents first."""
        found: list[Unreported] = []
        for operation in self._execution:
            if self._calls.over_in(operation) <= self._number:
                continue
            found.append(Unreported(self._calls.call(operation), Operation(wire_of(operation))))
        return found

    def _go_on_with(self, operation: "RecordedOperation") -> Iterator[Told]:
        """Announce what earlier invocations started: replayed if it had ended, continued if not."""
        if self._calls.began_in(operation) >= self._number:
            return
        is_replayed = self._calls.ended_in(operation) < self._number
        is_over = self._calls.over_in(operation) < self._number
        if is_over and not (is_replayed and self._number in operation.replayed_by):
            return
        branch = self._calls.branch_of(operation)
        if branch is not None:
            yield from self._enter_branch(branch, self.ran.start)
        call = self._calls.call(operation)
        if is_replayed:
            yield "on_operation_replayed", OperationReplayed(call, self.ran.start, Operation(wire_of(operation)))
            return
        recorded = self._before(operation)
        began = operation.started_at or self.ran.start
        yield "on_operation_started", OperationStarted(call, began, True, recorded.status, recorded)
        yield from self._enter(operation, call)

    def _run(self, operation: "RecordedOperation") -> Iterator[Told]:
        """Announce what this invocation started, attempted and finished."""
        call, began_in, ended_in = (
            self._calls.call(operation),
            self._calls.began_in(operation),
            self._calls.ended_in(operation),
        )
        branch = self._calls.branch_of(operation)
        if branch is not None and branch.call.id in self._entered and branch not in self._inside:
            self._inside.append(branch)
        if began_in > self._number or self._calls.over_in(operation) < self._number:
            return
        if began_in == self._number:
            began = self.ran.fit(operation.started_at)
            if branch is not None and branch not in self._inside:
                yield from self._enter_branch(branch, began)
                self._inside.append(branch)
            yield "on_operation_started", OperationStarted(call, began, False, OperationStatus.STARTED, None)
            yield from self._enter(operation, call)
        for attempt in operation.attempts:
            yield from self._attempt(call, attempt)
        if operation.type is OperationType.CONTEXT:
            self._inside.append(operation)
        elif ended_in == self._number:
            yield self._completed(operation, call)

    def _attempt(self, call: OperationCall, attempt: "RecordedAttempt") -> Iterator[Told]:
        """Assign an attempt to the invocation it ended in, and, cut off, to an earlier one that started it."""
        is_here = attempt.invocation == self._number
        was_cut_off = (attempt.invocation or 0) > self._number == self._calls.invocation_at(attempt.started_at)
        if not is_here and not was_cut_off:
            return
        began = self.ran.fit(attempt.started_at or attempt.ended_at)
        yield "on_attempt_started", AttemptStarted(call, attempt.number, began)
        if not is_here or attempt.outcome is None:
            return
        ended = AttemptEnded(
            call,
            attempt.number,
            max(began, self.ran.fit(attempt.ended_at or self.ran.end)),
            began,
            attempt.outcome,
            attempt.error,
            None,
            attempt.next_attempt_delay_seconds,
        )
        yield "on_attempt_ended", ended

    def _leave_for(self, operation: "RecordedOperation | None") -> Iterator[Told]:
        """Leave the contexts that the next operation is not in."""
        while self._inside and not self._is_inside(operation, self._inside[-1]):
            around = self._inside.pop()
            if isinstance(around, FlatBranch):
                yield from self._leave_branch(around)
            else:
                yield from self._leave_context(around)

    def _is_inside(self, operation: "RecordedOperation | None", around: "RecordedOperation | FlatBranch") -> bool:
        if operation is None:
            return False
        if isinstance(around, FlatBranch):
            return operation.depth > around.depth or self._calls.branch_of(operation) is around
        return operation.depth > around.depth

    def _leave_context(self, context: "RecordedOperation") -> Iterator[Told]:
        call, is_over = self._calls.call(context), self._calls.ended_in(context) == self._number
        at = self.ran.fit(context.ended_at) if is_over else self.ran.end
        outcome = context.status.value if is_over else "INCOMPLETE"
        yield "on_context_left", ContextLeft(call, at, self.ran.start, False, outcome)
        if is_over:
            yield self._completed(context, call)

    def _completed(self, operation: "RecordedOperation", call: OperationCall) -> Told:
        ended = operation.ended_at or self.ran.end
        notification = OperationCompleted(
            call,
            ended if self._ended_before(operation) else self.ran.fit(ended),
            operation.started_at,
            operation.status,
            operation.result,
            operation.error,
            None,
            operation.attempts[-1].number if operation.attempts else None,
            self._calls.began_in(operation) < self._number,
        )
        return "on_operation_completed", notification

    def _enter(self, operation: "RecordedOperation", call: OperationCall) -> Iterator[Told]:
        if operation.type is OperationType.CONTEXT:
            yield "on_context_entered", ContextEntered(call, self.ran.fit(operation.started_at), False)

    def _enter_branch(self, branch: FlatBranch, at: datetime) -> Iterator[Told]:
        if branch.call.id not in self._entered:
            self._entered.add(branch.call.id)
            yield "on_operation_started", OperationStarted(branch.call, at, False, OperationStatus.STARTED, None)
            yield "on_context_entered", ContextEntered(branch.call, at, False)

    def _leave_branch(self, branch: FlatBranch) -> Iterator[Told]:
        last = max(self._calls.over_in(operation) for operation in branch.operations)
        is_over = last <= self._number
        at = self.ran.fit(branch.ended_at) if is_over else self.ran.end
        outcome = branch.status.value if is_over else "INCOMPLETE"
        yield "on_context_left", ContextLeft(branch.call, at, self.ran.start, False, outcome)
        if is_over:
            notification = OperationCompleted(branch.call, at, branch.started_at, branch.status, error=branch.error)
            yield "on_operation_completed", notification

    def _ended_before(self, operation: "RecordedOperation") -> bool:
        """Tell whether it ended after the previous invocation and before this one started."""
        is_mine = self._calls.ended_in(operation) == self._number > self._calls.began_in(operation)
        is_service = operation.type in (OperationType.WAIT, OperationType.CALLBACK, OperationType.CHAINED_INVOKE)
        ended = operation.ended_at
        return is_mine and is_service and ended is not None and ended <= self.ran.start

    def _was_due(self, operation: "RecordedOperation") -> bool:
        """Tell whether an earlier invocation left the next attempt to this one."""
        ran_in = [attempt.invocation or 0 for attempt in operation.attempts]
        return any(before < after == self._number for before, after in pairwise(ran_in))

    def _before(self, operation: "RecordedOperation") -> Operation:
        """Return its recorded state when this invocation started."""
        before = [attempt for attempt in operation.attempts if (attempt.invocation or 0) < self._number]
        after = operation.attempts[len(before) : len(before) + 1]
        was_started = any((self._calls.invocation_at(attempt.started_at) or 0) < self._number for attempt in after)
        wire = wire_of(operation, last_attempt=before[-1] if before and not was_started else None)
        return Operation({**wire, "Status": OperationStatus.STARTED.value})


class _Writer:
    def __init__(self, execution: "RecordedExecution", view: str, context: TraceContext, top: TopSpans) -> None:
        self._top = top
        self._execution = execution
        self._view = VIEWS[view]
        self._context = context
        self._outlet = RecordOutlet()
        self._names = InvocationNames()
        self._roots = RootLedger()
        self._ran_at: list[datetime] = []

    def write(self, story: InvocationStory) -> None:
        """Pass the notifications of one invocation to the view."""
        started = story.started()
        identity = identify(started, self._context, self._names, ran_at=self._ran_at)
        self._ran_at.append(started.at)
        around = Surroundings(
            has_root=self._roots.is_due(identity, started),
            top=self._top,
            is_xray=self._context.is_xray,
        )
        spans = self._view(identity, started, self._outlet, around)
        spans.on_invocation_started(started)
        for hook, notification in story.tell():
            getattr(spans, hook)(notification)
        ended = story.ended(started)
        if ended is not None:
            spans.on_invocation_ended(ended)
            if story.is_last and self._execution.status in CUT_SHORT:
                self._conclude(spans, story)

    def finished(self) -> list[SpanRecord]:
        """Return every span once; the version written last wins."""
        unique = {(record.trace_id, record.span_id): record for record in self._outlet.records}
        return list(unique.values())

    def _conclude(self, spans: SpanView, story: InvocationStory) -> None:
        """Tell whether the execution ended without a running handler."""
        execution = self._execution
        spans.conclude(execution.status, execution.ended_at or story.ran.end, execution.error, story.unreported())


"""The name of an observer's method, and its argument."""


@dataclass(frozen=True, slots=True)
class Run:
    """The time span of an invocation."""

    start: datetime
    end: datetime

    def fit(self, moment: datetime | None) -> datetime:
        """Clamp a recorded time to this invocation: times from other clocks can lie slightly outside."""
        return self.start if moment is None else min(max(moment, self.start), self.end)


def stories(execution: "RecordedExecution", arn: str) -> Iterator[InvocationStory]:
    """Return the invocations of an execution, in order."""
    calls = RecordedCalls(execution, arn)
    for invocation in execution.invocations:
        yield InvocationStory(execution, invocation, calls)

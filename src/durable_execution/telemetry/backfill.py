"""Computes the spans of a recorded execution, with the same ids as live tracing.

Use it for executions that were not traced or not sampled, that were stopped or timed out, or that a different SDK ran.
Sent after live tracing, these spans replace what was sent and fill in what was lost.
"""

from typing import TYPE_CHECKING

from durable_execution.telemetry.history_happenings import InvocationStory, stories
from durable_execution.telemetry.identity import InvocationNames, identify
from durable_execution.telemetry.model import SpanView, Surroundings
from durable_execution.telemetry.open_span import RecordOutlet
from durable_execution.telemetry.roots import RootLedger
from durable_execution.telemetry.spans import SpanRecord
from durable_execution.telemetry.trace_context import NOTHING, TraceContext, parse_header
from durable_execution.telemetry.views import VIEWS

if TYPE_CHECKING:
    from durable_execution.replay.recorded import RecordedExecution

CUT_SHORT = frozenset({"TIMED_OUT", "STOPPED"})
"""Terminal statuses that the service sets between invocations, so no handler learns of them."""


def backfill(
    execution: "RecordedExecution", *, view: str = "execution", trace_header: str | None = None
) -> list[SpanRecord]:
    """Compute the spans of a recorded execution.

    Args:
        execution: The execution; see `durable_execution.replay.history.read_history`.
        view: `execution` or `invocation`.
        trace_header: The X-Ray or W3C header its invocations came with (`TraceHeader.XAmznTraceId` of
            GetDurableExecution), if any.

    Returns:
        Each span once, in the order in which the spans ended.

    Raises:
        ValueError: The history has no timestamps, or the view does not exist.
    """
    if view not in VIEWS:
        raise ValueError(f"view {view!r} does not exist; use one of {', '.join(VIEWS)}")
    context = parse_header(trace_header) if trace_header else NOTHING
    writer = _Writer(execution, view, context)
    for story in stories(execution, arn_of(execution)):
        writer.write(story)
    return writer.finished()


def arn_of(execution: "RecordedExecution") -> str:
    """Return the ARN that ids are derived from; without one, a value that is stable for the same history."""
    return execution.arn or f"unknown:{execution.name or ''}:{execution.id or ''}"


class _Writer:
    def __init__(self, execution: "RecordedExecution", view: str, context: TraceContext) -> None:
        self._execution = execution
        self._view = VIEWS[view]
        self._context = context
        self._outlet = RecordOutlet()
        self._names = InvocationNames()
        self._roots = RootLedger()

    def write(self, story: InvocationStory) -> None:
        """Pass the notifications of one invocation to the view."""
        started = story.started()
        identity = identify(started, self._context, self._names)
        around = Surroundings(
            has_root=self._roots.is_due(identity, started),
            is_xray=self._context.is_xray,
        )
        spans = self._view(identity, started, self._outlet, around)
        spans.on_invocation_started(started)
        for hook, happening in story.tell():
            getattr(spans, hook)(happening)
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

"""An observer that creates its view when the invocation starts, since only then are the spans' ids known."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from durable_execution.notes import ReplayNotes
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


class ForwardingObserver(Observer, ReplayNotes):
    """Creates a view when the invocation starts and forwards every notification to it. One object per invocation."""

    def __init__(self) -> None:
        self._spans: Observer = Observer()
        self._note: Callable[[Any, Mapping[str, Any], datetime], None] | None = None

    def make_view(self, started: InvocationStarted) -> Observer:
        """Create the view of an invocation that starts."""
        raise NotImplementedError

    def on_invocation_started(self, notification: InvocationStarted) -> None:
        """Create the view."""
        self._spans = self.make_view(notification)
        self._note = getattr(self._spans, "note_replayed", None)
        self._spans.on_invocation_started(notification)

    def on_invocation_ended(self, notification: InvocationEnded) -> None:
        """Forward the last notification; later ones are dropped."""
        spans, self._spans, self._note = self._spans, Observer(), None
        spans.on_invocation_ended(notification)

    def on_operation_started(self, notification: OperationStarted) -> None:
        """Forward."""
        self._spans.on_operation_started(notification)

    def on_operation_replayed(self, notification: OperationReplayed) -> None:
        """Forward."""
        self._spans.on_operation_replayed(notification)

    def note_replayed(self, call: Any, recorded: Mapping[str, Any], at: datetime) -> None:
        """Forward."""
        if self._note is not None:
            self._note(call, recorded, at)

    def on_operation_completed(self, notification: OperationCompleted) -> None:
        """Forward."""
        self._spans.on_operation_completed(notification)

    def on_attempt_started(self, notification: AttemptStarted) -> None:
        """Forward."""
        self._spans.on_attempt_started(notification)

    def on_attempt_ended(self, notification: AttemptEnded) -> None:
        """Forward."""
        self._spans.on_attempt_ended(notification)

    def on_context_entered(self, notification: ContextEntered) -> None:
        """Forward."""
        self._spans.on_context_entered(notification)

    def on_context_left(self, notification: ContextLeft) -> None:
        """Forward."""
        self._spans.on_context_left(notification)

    def on_diverged(self, notification: Diverged) -> None:
        """Forward."""
        self._spans.on_diverged(notification)

    def trace_header(self, call: OperationCall) -> str | None:
        """Return the view's answer."""
        return self._spans.trace_header(call)

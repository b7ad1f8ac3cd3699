"""An observer whose spans' ids are only known when the invocation starts: it hands everything on to the view made then."""

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


class ForwardingObserver(Observer):
    """Makes a view of the invocation when it starts, and hands every happening on to it. One object per invocation."""

    def __init__(self) -> None:
        self._spans: Observer = Observer()

    def make_view(self, started: InvocationStarted) -> Observer:
        """The view of an invocation that starts."""
        raise NotImplementedError

    def on_invocation_started(self, happening: InvocationStarted) -> None:
        """Make the view."""
        self._spans = self.make_view(happening)
        self._spans.on_invocation_started(happening)

    def on_invocation_ended(self, happening: InvocationEnded) -> None:
        """Hand on the last happening; whatever comes late goes nowhere."""
        spans, self._spans = self._spans, Observer()
        spans.on_invocation_ended(happening)

    def on_operation_started(self, happening: OperationStarted) -> None:
        """Hand on."""
        self._spans.on_operation_started(happening)

    def on_operation_replayed(self, happening: OperationReplayed) -> None:
        """Hand on."""
        self._spans.on_operation_replayed(happening)

    def on_operation_completed(self, happening: OperationCompleted) -> None:
        """Hand on."""
        self._spans.on_operation_completed(happening)

    def on_attempt_started(self, happening: AttemptStarted) -> None:
        """Hand on."""
        self._spans.on_attempt_started(happening)

    def on_attempt_ended(self, happening: AttemptEnded) -> None:
        """Hand on."""
        self._spans.on_attempt_ended(happening)

    def on_context_entered(self, happening: ContextEntered) -> None:
        """Hand on."""
        self._spans.on_context_entered(happening)

    def on_context_left(self, happening: ContextLeft) -> None:
        """Hand on."""
        self._spans.on_context_left(happening)

    def on_diverged(self, happening: Diverged) -> None:
        """Hand on."""
        self._spans.on_diverged(happening)

    def trace_header(self, call: OperationCall) -> str | None:
        """The view's answer."""
        return self._spans.trace_header(call)

"""Collects the calls that the code makes in one replay."""

from dataclasses import dataclass, field

from durable_execution.observers import (
    ContextEntered,
    ContextLeft,
    Diverged,
    InvocationStarted,
    Observer,
    OperationCall,
    OperationCompleted,
    OperationReplayed,
    OperationStarted,
)
from durable_execution.replay.divergence import Divergence, Severity
from durable_execution.replayer.isolation import SideEffectBlockedError


@dataclass(slots=True)
class Collected:
    """One collected call.

    Attributes:
        call: The call.
        is_recorded: Whether the recording contains it.
        is_entered: Whether its body ran; contexts only.
        has_left: Whether its body finished without being stopped by a refused side effect.
    """

    call: OperationCall
    is_recorded: bool
    is_entered: bool = False
    has_left: bool = False


@dataclass(slots=True)
class Collector(Observer):
    """Observes every call of an invocation.

    Attributes:
        calls: The calls by id, in the order in which they were observed.
        diverged: The first difference that ends the replay, with its call.
        has_started: Whether the handler started.
    """

    calls: dict[str, Collected] = field(default_factory=dict)
    diverged: Diverged | None = None
    has_started: bool = False

    def on_invocation_started(self, happening: InvocationStarted) -> None:
        """Remember that the handler started."""
        self.has_started = True

    def on_operation_started(self, happening: OperationStarted) -> None:
        """Collect a call that is new or not finished."""
        self._note(happening.call, is_recorded=happening.recorded is not None)

    def on_operation_replayed(self, happening: OperationReplayed) -> None:
        """Collect a call that the recording answers."""
        self._note(happening.call, is_recorded=True)

    def on_operation_completed(self, happening: OperationCompleted) -> None:
        """Collect a call that has finished."""
        self._note(happening.call, is_recorded=happening.is_replayed)

    def on_context_entered(self, happening: ContextEntered) -> None:
        """Remember that a context's body started."""
        self._note(happening.call, is_recorded=happening.is_replaying_children).is_entered = True

    def on_context_left(self, happening: ContextLeft) -> None:
        """Remember that a context's body ended."""
        collected = self._note(happening.call, is_recorded=happening.is_replaying_children)
        is_blocked = isinstance(happening.exception, SideEffectBlockedError)
        collected.has_left = happening.outcome != "INCOMPLETE" and not is_blocked

    def on_diverged(self, happening: Diverged) -> None:
        """Keep the first difference that ends the execution."""
        divergence: Divergence = happening.divergence
        if self.diverged is None and divergence.severity is Severity.ERROR:
            self.diverged = happening

    def _note(self, call: OperationCall, *, is_recorded: bool) -> Collected:
        found = self.calls.get(call.id)
        if found is None:
            found = self.calls[call.id] = Collected(call, is_recorded)
        return found

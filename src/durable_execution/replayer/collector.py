"""Collects what the code of one replay called."""

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
    """One call.

    Attributes:
        call: The call.
        is_recorded: Whether the recording knows it.
        is_entered: Whether its body was run; contexts only.
        has_left: Whether its body has come to its end, and was not kept from acting on the world.
    """

    call: OperationCall
    is_recorded: bool
    is_entered: bool = False
    has_left: bool = False


@dataclass(slots=True)
class Collector(Observer):
    """Hears of every call of an invocation.

    Attributes:
        calls: The calls by id, in the order they were heard of.
        diverged: The first difference that ends the replay, with its call.
        has_started: Whether the handler was reached.
    """

    calls: dict[str, Collected] = field(default_factory=dict)
    diverged: Diverged | None = None
    has_started: bool = False

    def on_invocation_started(self, happening: InvocationStarted) -> None:
        """The handler is about to run."""
        self.has_started = True

    def on_operation_started(self, happening: OperationStarted) -> None:
        """A call that is not finished, or new."""
        self._note(happening.call, is_recorded=happening.recorded is not None)

    def on_operation_replayed(self, happening: OperationReplayed) -> None:
        """A call answered from the record."""
        self._note(happening.call, is_recorded=True)

    def on_operation_completed(self, happening: OperationCompleted) -> None:
        """A call that has ended."""
        self._note(happening.call, is_recorded=happening.is_replayed)

    def on_context_entered(self, happening: ContextEntered) -> None:
        """A context's body begins."""
        self._note(happening.call, is_recorded=happening.is_replaying_children).is_entered = True

    def on_context_left(self, happening: ContextLeft) -> None:
        """A context's body has ended."""
        collected = self._note(happening.call, is_recorded=happening.is_replaying_children)
        is_blocked = isinstance(happening.exception, SideEffectBlockedError)
        collected.has_left = happening.outcome != "INCOMPLETE" and not is_blocked

    def on_diverged(self, happening: Diverged) -> None:
        """The runtime found a difference; those that end the execution are kept."""
        divergence: Divergence = happening.divergence
        if self.diverged is None and divergence.severity is Severity.ERROR:
            self.diverged = happening

    def _note(self, call: OperationCall, *, is_recorded: bool) -> Collected:
        found = self.calls.get(call.id)
        if found is None:
            found = self.calls[call.id] = Collected(call, is_recorded)
        return found

"""What a property-based test decides about one run of a workflow: inputs, outcomes, crashes, orders, pauses.

A plan is drawn whole before the run. Two runs of one plan therefore differ only in what the workflow itself does.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

MAX_ATTEMPTS = 3
MAX_CALLS = 3
MAX_CRASHES = 2
USUAL_CHECKPOINT = 5
MAX_CHECKPOINT = 12
MAX_CHOICE = 5
MAX_CHOICES = 6
ALL_AT_ONCE = -1
"""In a plan's order: everything that can happen next happens at the same time."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An outcome that raises: of a step's body, or of a callback.

    Attributes:
        error: The error. A callback sends its message.
    """

    error: Exception

    def __repr__(self) -> str:
        return f"fails with {self.error!r}"


@dataclass(frozen=True, slots=True)
class Silence:
    """An outcome of a callback that no one answers: its time-out expires, if it has one."""

    def __repr__(self) -> str:
        return "no answer"


def failures(*errors: Exception) -> SearchStrategy[Failure]:
    """Draw an outcome that raises one of these errors.

    Example:
        `steps={"charge": st.text() | failures(GatewayError("down"))}`
    """
    return st.sampled_from(errors).map(Failure)


def no_answer() -> SearchStrategy[Silence]:
    """Draw a callback that no one answers."""
    return st.just(Silence())


@dataclass(frozen=True, slots=True)
class Crash:
    """The process dies at a checkpoint.

    Attributes:
        checkpoint: Number of the checkpoint call, from 1, counted over all invocations.
        is_stored: Whether the service has stored the updates first.
    """

    checkpoint: int
    is_stored: bool

    def __repr__(self) -> str:
        return f"{'after' if self.is_stored else 'before'} checkpoint {self.checkpoint} is stored"


@dataclass(frozen=True, slots=True)
class PlannedOutcomes:
    """The outcomes of the calls of one step, or of the callbacks of one name.

    Attributes:
        usual: The outcome of every call that `first` does not list.
        first: For the first calls, the outcomes of their attempts; the last one repeats.
    """

    usual: Any
    first: tuple[tuple[Any, ...], ...] = ()

    def outcome(self, call: int, attempt: int) -> Any:
        """The outcome of a call (from 0) and attempt (from 1); the last listed attempt of a call repeats."""
        attempts = self.first[call] if call < len(self.first) else ()
        return attempts[min(attempt, len(attempts)) - 1] if attempts else self.usual

    def __str__(self) -> str:
        listed = [", then ".join(repr(outcome) for outcome in attempts) for attempts in self.first if attempts]
        return "; ".join([*listed, f"otherwise {self.usual!r}" if listed else repr(self.usual)])


@dataclass(frozen=True, slots=True)
class Plan:
    """One run of a workflow.

    Attributes:
        event: The input.
        steps: For each step name, the outcomes of its calls.
        callbacks: For each callback name, the outcomes of its callbacks.
        crashes: Where the process dies.
        order: Wherever several things can happen next, such as the ends of steps, which one does: its number, from 0, or
            `ALL_AT_ONCE`. The numbers repeat.
        pause_after: Number of the invocation after which the execution is paused and resumed; None for no pause.
    """

    event: Any
    steps: Mapping[str, PlannedOutcomes] = field(default_factory=dict)
    callbacks: Mapping[str, PlannedOutcomes] = field(default_factory=dict)
    crashes: tuple[Crash, ...] = ()
    order: tuple[int, ...] = ()
    pause_after: int | None = None

    def undisturbed(self) -> "Plan":
        """The same inputs and outcomes without crashes, pauses and changes of order."""
        return replace(self, crashes=(), order=(), pause_after=None)

    def __str__(self) -> str:
        lines = [f"input     {self.event!r}"]
        lines += [f"step      {name}: {planned}" for name, planned in self.steps.items()]
        lines += [f"callback  {name}: {planned}" for name, planned in self.callbacks.items()]
        lines += [f"crash     {crash!r}" for crash in self.crashes]
        lines += [f"pause     after invocation {self.pause_after}"] if self.pause_after else []
        return "\n".join(lines)


def plans(
    *,
    event: SearchStrategy[Any],
    steps: Mapping[str, SearchStrategy[Any]],
    callbacks: Mapping[str, SearchStrategy[Any]],
    has_crashes: bool,
    has_orders: bool,
    has_pauses: bool,
) -> SearchStrategy[Plan]:
    """Draw plans. Simple plans shrink to: the smallest input and outcomes, one attempt, nothing disturbed."""
    crash = st.builds(Crash, st.integers(1, USUAL_CHECKPOINT) | st.integers(1, MAX_CHECKPOINT), st.booleans())
    order = st.integers(0, MAX_CHOICE) | st.just(ALL_AT_ONCE)
    planned = {name: _step(outcome) for name, outcome in steps.items()}
    answers = {name: _callback(outcome) for name, outcome in callbacks.items()}
    return st.builds(
        Plan,
        event=event,
        steps=st.fixed_dictionaries(planned),
        callbacks=st.fixed_dictionaries(answers),
        crashes=st.lists(crash, max_size=MAX_CRASHES if has_crashes else 0).map(tuple),
        order=st.lists(order, max_size=MAX_CHOICES if has_orders else 0).map(tuple),
        pause_after=st.none() | st.integers(1, 3) if has_pauses else st.none(),
    )


def _step(outcome: SearchStrategy[Any]) -> SearchStrategy[PlannedOutcomes]:
    attempts = st.lists(outcome, max_size=MAX_ATTEMPTS).map(tuple)
    return st.builds(PlannedOutcomes, _usual(outcome), st.lists(attempts, max_size=MAX_CALLS).map(tuple))


def _callback(outcome: SearchStrategy[Any]) -> SearchStrategy[PlannedOutcomes]:
    first = st.lists(outcome.map(lambda answer: (answer,)), max_size=MAX_CALLS)
    return st.builds(PlannedOutcomes, outcome, first.map(tuple))


@st.composite
def _usual(draw: st.DrawFn, outcome: SearchStrategy[Any]) -> Any:
    """Draw a result rather than a failure: the failure of one call is simpler to look at than that of all."""
    value = draw(outcome)
    for _ in range(2):
        value = draw(outcome) if isinstance(value, Failure) else value
    return value

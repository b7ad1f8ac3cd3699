"""What looking for an execution gives: the execution, or where it was looked for and what is close."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from durable_execution.errors import DurableError
from durable_execution.replay.recorded import RecordedExecution


@dataclass(frozen=True, slots=True)
class Loaded:
    """An execution that was found.

    Attributes:
        execution: What is recorded.
        origin: Where it was read from, in words.
        as_of: The moment up to which it is known.
        reload: Reads it again, giving None when nothing was added; None itself where it can never change.
        poll_seconds: How often to look for news.
        title: What to call it when it has no name of its own.
    """

    execution: RecordedExecution
    origin: str
    as_of: datetime | None
    reload: "Callable[[], Loaded | None] | None" = None
    poll_seconds: float = 2.0
    title: str = ""


@dataclass(frozen=True, slots=True)
class Listed:
    """An execution in a list.

    Attributes:
        arn: Its ARN.
        name: Execution name.
        id: Execution id.
        function: Function name.
        status: An `ExecutionStatus`.
        started_at: When it started.
        ended_at: When it ended.
        place: Where it is kept, in words.
    """

    arn: str
    name: str
    id: str
    function: str
    status: str
    started_at: datetime | None
    ended_at: datetime | None
    place: str


class LookedIn(NamedTuple):
    """A place that was looked in.

    Attributes:
        place: The place, in words.
        finding: What was found there, or why nothing could be.
    """

    place: str
    finding: str


class NotFoundError(DurableError):
    """No execution goes by that name, in any of the places.

    Attributes:
        reference: What was asked for.
        looked_in: Where it was looked for.
        nearest: Executions with similar ids or names.
    """

    def __init__(self, reference: str, looked_in: Sequence[LookedIn], nearest: Sequence[Listed] = ()) -> None:
        super().__init__(f"no execution found for {reference!r}")
        self.reference = reference
        self.looked_in = tuple(looked_in)
        self.nearest = tuple(nearest)


class AmbiguousError(DurableError):
    """Several executions begin with what was asked for.

    Attributes:
        reference: What was asked for.
        candidates: The executions.
    """

    def __init__(self, reference: str, candidates: Sequence[Listed]) -> None:
        super().__init__(f"{len(candidates)} executions go by {reference!r}")
        self.reference = reference
        self.candidates = tuple(candidates)


class UnreadableError(DurableError):
    """A file, a store or a service that cannot be read: what is wrong with it and what to do."""


class UnreachableError(DurableError):
    """A service that does not answer, or refuses: trying again, or asking for a permission, may help."""

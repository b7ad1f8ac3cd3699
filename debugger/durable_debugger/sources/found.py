"""The result of looking for an execution: the execution, or the places searched and the nearest names."""

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
        execution: The recorded execution.
        origin: Description of its source.
        as_of: The time up to which it is known.
        reload: Reads it again and returns None when nothing was added; None when it can never change.
        poll_seconds: Seconds between polls.
        title: Title for an execution without a name.
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
        place: Description of where it is stored.
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
    """A place that was searched.

    Attributes:
        place: Description of the place.
        finding: What was found there, or why it could not be searched.
    """

    place: str
    finding: str


class NotFoundError(DurableError):
    """No place has an execution with that name.

    Attributes:
        reference: The reference given.
        looked_in: The places searched.
        nearest: Executions with similar ids or names.
    """

    def __init__(self, reference: str, looked_in: Sequence[LookedIn], nearest: Sequence[Listed] = ()) -> None:
        super().__init__(f"no execution found for {reference!r}")
        self.reference = reference
        self.looked_in = tuple(looked_in)
        self.nearest = tuple(nearest)


class AmbiguousError(DurableError):
    """Several executions match the reference.

    Attributes:
        reference: The reference given.
        candidates: The executions.
    """

    def __init__(self, reference: str, candidates: Sequence[Listed]) -> None:
        super().__init__(f"{len(candidates)} executions match {reference!r}")
        self.reference = reference
        self.candidates = tuple(candidates)


class UnreadableError(DurableError):
    """A file, store or service cannot be read. The message says why and what to do."""


class UnreachableError(DurableError):
    """A service does not answer or refuses access. Retrying, or granting a permission, may help."""

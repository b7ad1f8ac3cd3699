"""The result of looking for an execution: the execution, or the places searched and the nearest names.

References to an execution: an ARN, a console URL, an id, a name, or a prefix of either.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import SequenceMatcher
from typing import NamedTuple
from urllib.parse import unquote

from durable_execution.counts import counted, plural
from durable_execution.errors import DurableError
from durable_execution.history.recorded import RecordedExecution
from durable_execution.protocol.service_side import PATTERN


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
        client: The client it was read through, which can act on it; None for a file.
    """

    execution: RecordedExecution
    origin: str
    as_of: datetime | None
    reload: "Callable[[], Loaded | None] | None" = None
    poll_seconds: float = 2.0
    title: str = ""
    client: object = None


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
        forked_from: What it was forked from, in words; empty for other executions.
    """

    arn: str
    name: str
    id: str
    function: str
    status: str
    started_at: datetime | None
    ended_at: datetime | None
    place: str
    forked_from: str = ""


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
        super().__init__(
            f"{counted(len(candidates), 'execution')} {plural(len(candidates), 'matches', 'match')} {reference!r}"
        )
        self.reference = reference
        self.candidates = tuple(candidates)


class UnreadableError(DurableError):
    """A file, store or service cannot be read. The message says why and what to do."""


class NoEventsError(UnreadableError):
    """A file holds a history without events: nothing says what the execution did, or whether it ran.

    Attributes:
        loaded: What was read.
    """

    def __init__(self, loaded: Loaded) -> None:
        super().__init__(
            f"{loaded.origin} holds no execution: its history has no events. The execution has expired, or the export is incomplete. "
            "Export it again with: aws lambda get-durable-execution-history --include-execution-data --durable-execution-arn ARN"
        )
        self.loaded = loaded


class UnreachableError(DurableError):
    """A service does not answer or refuses access. Retrying, or granting a permission, may help."""


MAX_NEAREST = 3
NEAR_ENOUGH = 0.55
ARN_LIKE = re.compile(r"arn:[^\s?#&]+")


def arn_in(text: str) -> str | None:
    """Return the execution ARN in a reference or console URL; None when there is none."""
    if re.fullmatch(PATTERN, text):
        return text
    decoded = unquote(unquote(text)) if "://" in text else text
    return next((found for found in ARN_LIKE.findall(decoded) if re.fullmatch(PATTERN, found)), None)


def matching(reference: str, executions: Sequence[Listed]) -> list[Listed]:
    """Return the executions a reference names: by ARN, id or name, or by prefix of an id or name."""
    exact = [each for each in executions if reference in (each.arn, each.id, each.name)]
    if exact:
        return exact
    return [each for each in executions if each.id.startswith(reference) or each.name.startswith(reference)]


def nearest(reference: str, executions: Sequence[Listed]) -> list[Listed]:
    """Return the executions whose id or name is similar to a reference, nearest first."""
    scored = [(max(_likeness(reference, each.name), _likeness(reference, each.id)), each) for each in executions]
    close = [pair for pair in scored if pair[0] >= NEAR_ENOUGH]
    return [each for _, each in sorted(close, key=lambda pair: -pair[0])[:MAX_NEAREST]]


def _likeness(one: str, other: str) -> float:
    return SequenceMatcher(None, one.casefold(), other.casefold()[: len(one) + 8]).ratio()

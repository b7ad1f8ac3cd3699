"""Finding an execution: the places to search, in order."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Protocol

from durable_debugger.sources import aws
from durable_debugger.sources.api import ExecutionReader, list_from
from durable_debugger.sources.files import is_file_reference, load_file, no_file
from durable_debugger.sources.found import (
    AmbiguousError,
    Listed,
    Loaded,
    LookedIn,
    NotFoundError,
    UnreachableError,
    UnreadableError,
    arn_in,
    matching,
    nearest,
)
from durable_debugger.sources.traces import StoredTraces, is_trace_place, stored_traces
from durable_execution.clock import SystemClock
from durable_execution.trace.schema import InvocationTrace

OLDEST = datetime.min.replace(tzinfo=UTC)


class Place(Protocol):
    """A place that stores executions."""

    @property
    def words(self) -> str:
        """Description of the place."""
        ...

    def find(self, reference: str, arn: str | None) -> Loaded | LookedIn:
        """Return the execution, or what was found instead.

        Raises:
            AmbiguousError: Several executions match the reference.
        """
        ...

    def executions(self) -> Iterator[Listed]:
        """Yield its executions, latest first.

        Raises:
            UnreachableError: They cannot be listed.
        """
        ...


@dataclass(frozen=True, slots=True)
class AwsExecutions:
    """Executions on AWS, or on a server with the same API.

    Attributes:
        place: Region, profile and endpoint.
        function: The function whose executions are searched by name; None finds executions by ARN only.
        now: Returns the current time.
        progress: Called with the number of events read so far.
        traces: Reads the replay traces of an execution, which Lambda does not keep.
    """

    place: aws.AwsPlace
    function: str | None = None
    now: Callable[[], datetime] = field(default_factory=lambda: SystemClock().now)
    progress: Callable[[int], None] | None = None
    traces: Callable[[str], Sequence[InvocationTrace]] | None = None

    @property
    def words(self) -> str:
        """Description of the place."""
        return self.place.words

    def find(self, reference: str, arn: str | None) -> Loaded | LookedIn:
        """Find an execution by ARN, or by name or id among the executions of the function."""
        if arn is None and self.function is None:
            return LookedIn(self.words, "needs the full ARN, or --function NAME to search by name")
        try:
            if arn is None:
                found = matching(reference, list(self.executions()))
                if len(found) > 1:
                    raise AmbiguousError(reference, found)
                if not found:
                    return LookedIn(self.words, f"function {self.function}: none match")
                arn = found[0].arn
            place = self.place.for_arn(arn)
            client = aws.lambda_client(place)
            return ExecutionReader(client, arn, place.words, self.now, self.traces, progress=self.progress).read()
        except Exception as error:  # noqa: BLE001  # explained, or raised again unchanged
            if aws.is_absent(error):
                return LookedIn(self.words, "no such execution")
            aws.explain(error, "GetDurableExecution")

    def executions(self) -> Iterator[Listed]:
        """Yield the executions of the function."""
        if self.function is None:
            raise UnreachableError("AWS lists executions by function: add --function NAME")
        try:
            yield from list_from(aws.lambda_client(self.place), self.function, place=self.words)
        except Exception as error:  # noqa: BLE001  # explained, or raised again unchanged
            aws.explain(error, "ListDurableExecutionsByFunction")


def find(reference: str, places: Sequence[Place], *, trace: str | None = None) -> Loaded:
    """Find an execution.

    Args:
        reference: A file, a folder or `s3://bucket/prefix` with the replay traces of one execution, an ARN, a console URL, a name, an id, or a unique prefix of a name or id.
        places: The places to search, in order.
        trace: A replay trace to read with a file.

    Raises:
        NotFoundError: No place has it; the error lists the places searched and the nearest names.
        AmbiguousError: Several executions match the reference.
        UnreadableError: A file or store cannot be read.
        UnreachableError: The only place that can have it does not answer.
    """
    if is_file_reference(reference):
        stored = next((place.traces for place in places if isinstance(place, StoredTraces)), None)
        return load_file(reference, trace=trace, stored=stored)
    if is_trace_place(reference):
        at = next((place.place for place in places if isinstance(place, AwsExecutions)), aws.AwsPlace())
        return stored_traces(reference, region=at.region, profile=at.profile).only(reference)
    arn = arn_in(reference)
    looked_in = [LookedIn("files", no_file(reference))]
    unreachable: UnreachableError | None = None
    for place in places:
        try:
            found = place.find(reference, arn)
        except UnreachableError as error:
            unreachable = error
            found = LookedIn(place.words, str(error))
        if isinstance(found, Loaded):
            return found
        looked_in.append(found)
    if unreachable is not None and arn is not None:
        raise unreachable
    raise NotFoundError(reference, looked_in, nearest(reference, _known(places)))


@dataclass(frozen=True, slots=True)
class Library:
    """The executions of several places.

    Attributes:
        places: The places in search order.
    """

    places: Sequence[Place]

    def executions(self, limit: int = 200) -> list[Listed]:
        """Return the latest executions of every place that can list them."""
        found: list[Listed] = []
        for place in self.places:
            try:
                found += islice(place.executions(), limit)
            except (UnreachableError, UnreadableError):  # the other places can still list theirs
                continue
        return sorted(found, key=lambda each: each.started_at or OLDEST, reverse=True)

    def load(self, reference: str) -> Loaded:
        """Load an execution; see `find`."""
        return find(reference, self.places)


def _known(places: Sequence[Place]) -> list[Listed]:
    known: list[Listed] = []
    for place in places:
        try:
            known += place.executions()
        except UnreachableError:  # reported among the places searched
            continue
    return known

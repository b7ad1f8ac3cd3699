"""Reads the executions of a fleet: from AWS, from a folder of histories, or from a local store."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from durable_debugger.model.fleet_facts import FactReader, Facts
from durable_debugger.sources import aws
from durable_debugger.sources.api import ExecutionReader, list_from
from durable_debugger.sources.files import load_file, parsed
from durable_debugger.sources.found import Listed, UnreachableError
from durable_debugger.sources.local import LocalExecutions
from durable_execution.clock import SystemClock
from durable_execution.errors import DurableError
from durable_execution.history.reading import events_in
from durable_execution.history.recorded import RecordedExecution
from durable_execution.paging import pages
from durable_execution.replay.loading import history_files

READERS = 8
"""How many histories are read from AWS at the same time."""

AHEAD = 64
"""How many reads are asked for before the first is used, so that memory stays bounded."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which executions are read.

    Attributes:
        since: Only those that started later; None reads all.
        statuses: Only those with one of these statuses; empty reads all.
        limit: At most this many; None reads all.
    """

    since: datetime | None = None
    statuses: frozenset[str] = frozenset()
    limit: int | None = None

    def has(self, status: str, started_at: datetime | None) -> bool:
        """Whether an execution is wanted."""
        if self.statuses and status not in self.statuses:
            return False
        return self.since is None or (started_at is not None and started_at > self.since)


@dataclass(slots=True)
class FleetSource:
    """The executions of one place.

    Attributes:
        words: The place, in words.
        read: Yields the facts of each execution, or the reason why it cannot be read.
        load: Reads one execution as a whole, by its reference.
        unreadable: Executions that could not be read, with the reason.
    """

    words: str
    read: Callable[[], Iterator[Facts]]
    load: Callable[[str], RecordedExecution]
    unreadable: list[tuple[str, str]] = field(default_factory=list)


def folder_source(path: Path, wanted: Wanted) -> FleetSource:
    """The histories in a folder."""
    reader = FactReader()

    def read() -> Iterator[Facts]:
        for file in history_files([path]):
            try:
                document = parsed(file.read_text(encoding="utf-8"))
                arn = document.get("DurableExecutionArn") if isinstance(document, dict) else None
                if isinstance(document, dict) and "Events" not in document:
                    execution = load_file(str(file)).execution
                    document, arn = list(execution.events), execution.arn
                events = events_in(document) or load_file(str(file)).execution.events
                facts = reader.read(events, reference=str(file), arn=arn)
            except (DurableError, OSError, ValueError) as error:
                source.unreadable.append((str(file), str(error)))
                continue
            if wanted.has(facts.status, facts.started_at):
                yield facts

    source = FleetSource(f"folder {path}", _limited(read, wanted), lambda file: load_file(file).execution)
    return source


def store_source(path: Path, wanted: Wanted, function: str | None = None) -> FleetSource:
    """The executions of a local store."""
    local = LocalExecutions(path)
    reader = FactReader()

    def read() -> Iterator[Facts]:
        client = local.engine.client
        for listed in list_from(client, function, place=local.words, **_filters(wanted)):
            if listed.forked_from:  # an experiment, not an execution of the fleet
                continue
            yield reader.read(_history(client, listed.arn), reference=listed.arn, arn=listed.arn, status=listed.status)

    words = f"function {function} in {local.words}" if function else local.words
    return FleetSource(words, _limited(read, wanted), lambda arn: local.load(arn).execution)


def aws_source(place: aws.AwsPlace, function: str, wanted: Wanted) -> FleetSource:
    """The executions of a function on AWS, or on a server with the same API."""
    reader = FactReader()

    def read() -> Iterator[Facts]:
        client = aws.lambda_client(place)
        with ThreadPoolExecutor(READERS) as threads:
            listing = _explained(
                lambda: list_from(client, function, place=place.words, **_filters(wanted)),
                "ListDurableExecutionsByFunction",
            )
            asked: list[tuple[Listed, Future[list[Any]]]] = []
            try:
                for listed in listing:
                    asked.append((listed, threads.submit(_history, client, listed.arn)))
                    if len(asked) >= AHEAD:
                        yield from _answered(asked.pop(0), reader, source)
                while asked:
                    yield from _answered(asked.pop(0), reader, source)
            finally:
                for _, future in asked:
                    future.cancel()

    def load(arn: str) -> RecordedExecution:
        return ExecutionReader(aws.lambda_client(place), arn, place.words, SystemClock().now).read().execution

    source = FleetSource(f"function {function}, {place.words}", _limited(read, wanted), load)
    return source


def _answered(asked: tuple[Listed, Future[list[Any]]], reader: FactReader, source: FleetSource) -> Iterator[Facts]:
    listed, future = asked
    try:
        events = future.result()
    except Exception as error:  # noqa: BLE001  # explained; one that cannot be read must not hide the others
        try:
            aws.explain(error, "GetDurableExecutionHistory")
        except UnreachableError as explained:
            if "access denied" in str(explained):
                raise
            source.unreadable.append((listed.arn, str(explained)))
            return
    yield reader.read(events, reference=listed.arn, arn=listed.arn, status=listed.status)


def _explained(listing: Callable[[], Iterator[Listed]], operation: str) -> Iterator[Listed]:
    try:
        yield from listing()
    except Exception as error:  # noqa: BLE001  # explained, or raised again unchanged
        aws.explain(error, operation)


def _limited(read: Callable[[], Iterator[Facts]], wanted: Wanted) -> Callable[[], Iterator[Facts]]:
    return lambda: islice(read(), wanted.limit)


def _filters(wanted: Wanted) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if wanted.since is not None:
        found["StartedAfter"] = wanted.since
    if wanted.statuses:
        found["Statuses"] = sorted(wanted.statuses)
    return found


def _history(client: Any, arn: str) -> list[Any]:
    arguments = {"DurableExecutionArn": arn, "IncludeExecutionData": True}
    return [
        event
        for page in pages(client.get_durable_execution_history, "Events", MaxItems=1000, **arguments)
        for event in page
    ]

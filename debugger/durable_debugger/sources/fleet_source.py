"""Reads the executions of a fleet: from AWS, from a folder of histories, or from a local store."""

import functools
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from durable_debugger.model.fleet_facts import FactReader, Facts
from durable_debugger.sources import aws
from durable_debugger.sources.api import list_from
from durable_debugger.sources.fact_cache import FactCache, Kept
from durable_debugger.sources.files import load_file, parsed
from durable_debugger.sources.found import Listed, UnreachableError
from durable_debugger.sources.local import LocalExecutions
from durable_execution.errors import DurableError
from durable_execution.history.reading import events_in, text_in
from durable_execution.history.recorded import RecordedExecution
from durable_execution.paging import pages
from durable_execution.replay.checks import load_execution
from durable_execution.replay.loading import history_files

READERS = 8
"""How many histories are read from AWS at the same time."""

AHEAD = 64
"""How many reads are asked for before the first is used, so that memory stays bounded."""

NOTHING_KEPT = FactCache(None)


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
        close: Closes the place, when nothing is loaded from it any more.
        is_remote: Whether executions are loaded over a network, several at the same time.
    """

    words: str
    read: Callable[[], Iterator[Facts]]
    load: Callable[[str], RecordedExecution]
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    close: Callable[[], None] = lambda: None
    is_remote: bool = False


def folder_source(path: Path, wanted: Wanted, cache: FactCache = NOTHING_KEPT) -> FleetSource:
    """The histories in a folder."""
    reader = FactReader()

    def facts_of(file: Path) -> Facts:
        known = file.stat()
        name, stamp = str(file.absolute()), f"{known.st_mtime_ns}/{known.st_size}"
        kept = cache.get("folder", name)
        if kept is not None and kept.stamp == stamp:
            return replace(kept.facts, reference=str(file))
        document = parsed(text_in(file.read_bytes()))
        arn = document.get("DurableExecutionArn") if isinstance(document, dict) else None
        if isinstance(document, dict) and "Events" not in document:
            execution = load_file(str(file)).execution
            document, arn = list(execution.events), execution.arn
        events = events_in(document) or load_file(str(file)).execution.events
        facts = reader.read(events, reference=str(file), arn=arn)
        cache.put("folder", name, stamp, facts)
        return facts

    def read() -> Iterator[Facts]:
        for file in history_files([path]):
            try:
                facts = facts_of(file)
            except (DurableError, OSError, ValueError) as error:
                source.unreadable.append((str(file), str(error)))
                continue
            if wanted.has(facts.status, facts.started_at):
                yield facts

    source = FleetSource(f"folder {path}", _limited(read, wanted), lambda file: load_file(file).execution)
    return source


def store_source(
    path: Path, wanted: Wanted, function: str | None = None, cache: FactCache = NOTHING_KEPT
) -> FleetSource:
    """The executions of a local store."""
    local = LocalExecutions(path)
    reader = FactReader()

    def read() -> Iterator[Facts]:
        client = local.engine.client
        for listed in list_from(client, function, place=local.words, **_filters(wanted)):
            if listed.forked_from:  # an experiment, not an execution of the fleet
                continue
            kept = cache.get(place, listed.arn)
            yield _facts(listed, kept, _changed(client, listed, kept), reader, cache, place)

    place = f"store {path.resolve()}"
    words = f"function {function} in {local.words}" if function else local.words
    return FleetSource(words, _limited(read, wanted), lambda arn: local.load(arn).execution, close=local.close)


def aws_source(place: aws.AwsPlace, function: str, wanted: Wanted, cache: FactCache = NOTHING_KEPT) -> FleetSource:
    """The executions of a function on AWS, or on a server with the same API."""
    reader = FactReader()

    client_of = functools.cache(lambda: aws.lambda_client(place))

    def read() -> Iterator[Facts]:
        client = client_of()
        with ThreadPoolExecutor(READERS) as threads:
            listing = _explained(
                lambda: list_from(client, function, place=place.words, **_filters(wanted)),
                "ListDurableExecutionsByFunction",
            )
            asked: list[_Asked] = []
            try:
                for listed in listing:
                    kept = cache.get(where, listed.arn)
                    asked.append(_Asked(listed, kept, threads.submit(_changed, client, listed, kept)))
                    if len(asked) >= AHEAD:
                        yield from _answered(asked.pop(0), reader, source, cache, where)
                while asked:
                    yield from _answered(asked.pop(0), reader, source, cache, where)
            finally:
                for each in asked:
                    each.changed.cancel()

    where = f"{place.endpoint_url or 'AWS'} {place.region or ''} {place.profile or ''}"

    def load(arn: str) -> RecordedExecution:
        return load_execution(client_of(), arn)

    source = FleetSource(f"function {function}, {place.words}", _limited(read, wanted), load, is_remote=True)
    return source


class _Asked(NamedTuple):
    """An execution that is being read: what is kept of it, and its events if they have changed since."""

    listed: Listed
    kept: Kept | None
    changed: "Future[list[Any] | None]"


def _answered(asked: _Asked, reader: FactReader, source: FleetSource, cache: FactCache, place: str) -> Iterator[Facts]:
    listed = asked.listed
    try:
        events = asked.changed.result()
    except Exception as error:  # noqa: BLE001  # explained; one that cannot be read must not hide the others
        try:
            aws.explain(error, "GetDurableExecutionHistory")
        except UnreachableError as explained:
            if "access denied" in str(explained):
                raise
            source.unreadable.append((listed.arn, str(explained)))
            return
    yield _facts(listed, asked.kept, events, reader, cache, place)


def _changed(client: Any, listed: Listed, kept: Kept | None) -> list[Any] | None:
    """The history of an execution; None if nothing was added since its facts were kept."""
    if kept is not None:
        last: dict[str, Any] = {}
        if listed.ended_at is None:
            page = client.get_durable_execution_history(DurableExecutionArn=listed.arn, ReverseOrder=True, MaxItems=1)
            last = next(iter(page["Events"]), {})
        if kept.stamp == _stamp(listed, last):
            return None
    return _history(client, listed.arn)


def _facts(
    listed: Listed, kept: Kept | None, events: list[Any] | None, reader: FactReader, cache: FactCache, place: str
) -> Facts:
    if events is None and kept is not None:
        return kept.facts
    found = events or []
    facts = reader.read(found, reference=listed.arn, arn=listed.arn, status=listed.status)
    cache.put(place, listed.arn, _stamp(listed, found[-1] if found else {}), facts)
    return facts


def _stamp(listed: Listed, last: Mapping[str, Any]) -> str:
    """What is different after a change: the end of an execution, or its last event while it is open."""
    end = listed.ended_at.isoformat() if listed.ended_at is not None else last.get("EventId")
    return f"{listed.status} {end}"


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

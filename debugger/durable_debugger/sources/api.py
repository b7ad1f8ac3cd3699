"""Executions read through a Lambda client: AWS's, or the local engine's with the same interface."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from durable_debugger.sources.files import without_collection
from durable_debugger.sources.found import Listed, Loaded
from durable_execution.history.event_fold import text
from durable_execution.history.reading import read_history
from durable_execution.paging import pages
from durable_execution.protocol import ExecutionArn
from durable_execution.protocol.operation import to_datetime
from durable_execution.trace.schema import InvocationTrace

PAGE = 1000
TERMINAL = frozenset({"SUCCEEDED", "FAILED", "TIMED_OUT", "STOPPED"})


class ExecutionClient(Protocol):
    """The methods used of a Lambda client."""

    @property
    def get_durable_execution(self) -> Callable[..., Any]:
        """Describe one execution."""
        ...

    @property
    def get_durable_execution_history(self) -> Callable[..., Any]:
        """Read a page of its history."""
        ...

    @property
    def list_durable_executions_by_function(self) -> Callable[..., Any]:
        """Read a page of a function's executions."""
        ...


@dataclass(slots=True)
class ExecutionReader:
    """Reads one execution, then the events added since.

    Attributes:
        client: The client.
        arn: The execution's ARN.
        place: Description of the source.
        now: Returns the current time.
        traces: Reads the replay traces of an execution.
        poll_seconds: Seconds between polls.
        progress: Called with the number of events read so far.
        events: The history read so far.
    """

    client: ExecutionClient
    arn: str
    place: str
    now: Callable[[], datetime]
    traces: Callable[[str], Sequence[InvocationTrace]] | None = None
    poll_seconds: float = 2.0
    progress: Callable[[int], None] | None = None
    events: list[Any] = field(default_factory=list, repr=False)
    _status: str = ""

    def read(self) -> Loaded:
        """Read the current state of the execution."""
        described = self.client.get_durable_execution(DurableExecutionArn=self.arn)
        self.events += self._news()
        self._status = str(described.get("Status"))
        with without_collection():
            traces = self.traces(self.arn) if self.traces else ()
            execution = read_history(self.events, arn=self.arn, traces=traces, execution=described)
        is_over = self._status in TERMINAL
        as_of = (execution.ended_at if is_over else None) or self.now()
        return Loaded(
            execution,
            self.place,
            as_of,
            reload=None if is_over else self.read_if_changed,
            poll_seconds=self.poll_seconds,
            client=self.client,
        )

    def read_if_changed(self) -> Loaded | None:
        """Read the execution again; None when nothing was added."""
        page = self.client.get_durable_execution_history(DurableExecutionArn=self.arn, ReverseOrder=True, MaxItems=1)
        latest = page["Events"][0]["EventId"] if page["Events"] else 0
        return None if latest == self._last else self.read()

    @property
    def _last(self) -> int:
        return int(self.events[-1]["EventId"]) if self.events else 0

    def _news(self) -> list[Any]:
        """Read new events: all of them at first, later from the newest backwards."""
        operation, last = self.client.get_durable_execution_history, self._last
        arguments = {"DurableExecutionArn": self.arn, "IncludeExecutionData": True}
        if not last:
            return self._everything(operation, arguments)
        fresh: list[Any] = []
        for page in pages(operation, "Events", ReverseOrder=True, MaxItems=PAGE, **arguments):
            added = [event for event in page if event["EventId"] > last]
            fresh += added
            if len(added) < len(page):
                break
        return fresh[::-1]

    def _everything(self, operation: Callable[..., Any], arguments: dict[str, Any]) -> list[Any]:
        found: list[Any] = []
        for page in pages(operation, "Events", MaxItems=PAGE, **arguments):
            found += page
            if self.progress is not None:
                self.progress(len(found))
        return found


def list_from(client: ExecutionClient, function: str | None, *, place: str, **filters: Any) -> Iterator[Listed]:
    """Yield the executions of a function, latest first, reading pages on demand; None lists all functions."""
    filters = {**filters, "FunctionName": function} if function is not None else filters
    for page in pages(client.list_durable_executions_by_function, "DurableExecutions", MaxItems=PAGE, **filters):
        for each in page:
            yield listed(each, place)


def listed(wire: Any, place: str) -> Listed:
    """Convert one entry of a list of executions."""
    arn = wire["DurableExecutionArn"]
    try:
        parts = ExecutionArn.parse(arn)
        name, execution_id, function = parts.name, parts.id, parts.function
    except ValueError:
        name, execution_id, function = arn, arn, ""
    return Listed(
        arn=arn,
        name=text(wire.get("DurableExecutionName")) or name,
        id=execution_id,
        function=function,
        status=str(wire.get("Status")),
        started_at=to_datetime(wire.get("StartTimestamp")),
        ended_at=to_datetime(wire.get("EndTimestamp")),
        place=place,
        forked_from=_origin(wire.get("ForkedFrom")),
    )


def _origin(fork: Any) -> str:
    if not fork:
        return ""
    try:
        origin = ExecutionArn.parse(fork.get("DurableExecutionArn") or "").name
    except ValueError:
        origin = "a recording"
    return f"fork of {origin} at {str(fork.get('Call')).rpartition('/')[2]}"

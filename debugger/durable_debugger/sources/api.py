"""Executions behind the durable-execution operations of a Lambda client: AWS's, or the local engine with the same face."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any, Protocol

from durable_debugger.sources.found import Listed, Loaded
from durable_execution.protocol import ExecutionArn
from durable_execution.protocol.timestamps import to_datetime
from durable_execution.replay.history import read_history
from durable_execution.replay.trace import InvocationTrace

PAGE = 1000


class ExecutionClient(Protocol):
    """What is needed of a Lambda client."""

    @property
    def get_durable_execution(self) -> Callable[..., Any]:
        """One execution."""
        ...

    @property
    def get_durable_execution_history(self) -> Callable[..., Any]:
        """A page of its history."""
        ...

    @property
    def list_durable_executions_by_function(self) -> Callable[..., Any]:
        """A page of a function's executions."""
        ...


def load_from(
    client: ExecutionClient,
    arn: str,
    *,
    place: str,
    now: Callable[[], datetime],
    traces: Callable[[str], Sequence[InvocationTrace]] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Loaded:
    """Read an execution with its whole history.

    Args:
        client: The client.
        arn: The execution's ARN.
        place: The place, in words.
        now: Tells the time.
        traces: Reads the replay traces of an execution.
        progress: Told the number of events read so far.
    """
    described = client.get_durable_execution(DurableExecutionArn=arn)
    events: list[Any] = []
    for page in _pages(client.get_durable_execution_history, DurableExecutionArn=arn, IncludeExecutionData=True):
        events += page["Events"]
        if progress is not None:
            progress(len(events))
    execution = read_history(events, arn=arn, traces=traces(arn) if traces else (), execution=described)

    def again() -> Loaded:
        return load_from(client, arn, place=place, now=now, traces=traces)

    return Loaded(execution, place, execution.ended_at or now(), reload=again)


def list_from(client: ExecutionClient, function: str | None, *, place: str, **filters: Any) -> Iterator[Listed]:
    """The executions of a function, latest first, read page by page as they are asked for; None asks for all functions."""
    filters = {**filters, "FunctionName": function} if function is not None else filters
    for page in _pages(client.list_durable_executions_by_function, **filters):
        for each in page.get("DurableExecutions") or ():
            yield listed(each, place)


def listed(wire: Any, place: str) -> Listed:
    """One entry of a list of executions."""
    arn = wire["DurableExecutionArn"]
    try:
        parts = ExecutionArn.parse(arn)
        name, execution_id, function = parts.name, parts.id, parts.function
    except ValueError:
        name, execution_id, function = wire.get("DurableExecutionName") or arn, arn, ""
    return Listed(
        arn=arn,
        name=wire.get("DurableExecutionName") or name,
        id=execution_id,
        function=function,
        status=str(wire.get("Status")),
        started_at=to_datetime(wire.get("StartTimestamp")),
        ended_at=to_datetime(wire.get("EndTimestamp")),
        place=place,
    )


def _pages(operation: Callable[..., Any], **arguments: Any) -> Iterator[Any]:
    marker: str | None = None
    while True:
        more = {"Marker": marker} if marker else {}
        page = operation(MaxItems=PAGE, **arguments, **more)
        yield page
        marker = page.get("NextMarker")
        if not marker:
            return

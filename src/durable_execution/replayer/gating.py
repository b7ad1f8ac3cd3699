"""All running executions of a deployed function against new code."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from durable_execution.protocol import Wire
from durable_execution.replay.history import UnreadableHistoryError, read_history
from durable_execution.replay.recorded import RecordedExecution
from durable_execution.replayer.checking import Source

RUNNING = ("RUNNING",)
PAGE = 1000
MAX_PAGES = 10_000


def running_executions(
    client: Any, function: str, *, qualifier: str | None = None, statuses: Sequence[str] = RUNNING
) -> Iterator[Source]:
    """The executions of a function that have not ended, as recordings to `check`.

    Args:
        client: `boto3.client("lambda")`, or the local engine's client.
        function: Name or ARN of the function.
        qualifier: Only executions of this version or alias.
        statuses: Which executions count.

    Raises:
        Exception: What the client raises when the list cannot be read.
    """
    more: dict[str, Any] = {"Qualifier": qualifier} if qualifier else {}
    for _ in range(MAX_PAGES):
        page = client.list_durable_executions_by_function(FunctionName=function, Statuses=list(statuses), **more)
        for execution in page["DurableExecutions"]:
            arn = execution["DurableExecutionArn"]
            yield Source(arn, partial(_load, client, arn))
        if not page.get("NextMarker"):
            return
        more["Marker"] = page["NextMarker"]


def _load(client: Any, arn: str) -> RecordedExecution:
    """A recorded execution; one that cannot be read does not keep the others from being checked.

    Raises:
        UnreadableHistoryError: The client refused.
    """
    try:
        return fetch_history(client, arn)
    except Exception as error:
        raise UnreadableHistoryError(
            f"its history cannot be read (it needs lambda:GetDurableExecutionHistory, and may have ended and gone): {error}"
        ) from error


def fetch_history(client: Any, arn: str) -> RecordedExecution:
    """A recorded execution through the API, payloads included."""
    events: list[Wire] = []
    more: dict[str, Any] = {}
    for _ in range(MAX_PAGES):
        page = client.get_durable_execution_history(
            DurableExecutionArn=arn, IncludeExecutionData=True, MaxItems=PAGE, **more
        )
        events.extend(page["Events"])
        if not page.get("NextMarker"):
            break
        more = {"Marker": page["NextMarker"]}
    return read_history(events, arn=arn)

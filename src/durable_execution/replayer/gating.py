"""Lists the running executions of a deployed function, to replay them against new code."""

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
    """List a function's executions that have not ended, as recordings for `check`.

    Args:
        client: `boto3.client("lambda")`, or the local engine's client.
        function: The function's name or ARN.
        qualifier: List only executions of this version or alias.
        statuses: List only executions with one of these statuses.

    Raises:
        Exception: The client's error when it cannot list the executions.
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
    """Load one execution, turning any error into one that affects only its own report.

    Raises:
        UnreadableHistoryError: The client could not read the history.
    """
    try:
        return fetch_history(client, arn)
    except Exception as error:
        raise UnreadableHistoryError(
            f"cannot read its history: grant lambda:GetDurableExecutionHistory, or the execution has expired ({error})"
        ) from error


def fetch_history(client: Any, arn: str) -> RecordedExecution:
    """Fetch a recorded execution through the API, including payloads."""
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

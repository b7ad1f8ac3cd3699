"""What comes of running a handler, in whatever way it is run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tests.conformance.registry import Case
from tests.conformance.requirement import Requirement


@dataclass(frozen=True, slots=True)
class Outcome:
    """An execution as the API shows it, and what was logged.

    Attributes:
        status: Its status.
        result: Its serialized result.
        error: Its error.
        events: Its history, with data.
        records: Log records as JSON objects, in order.
    """

    status: str
    result: str | None
    error: Mapping[str, Any] | None
    events: Sequence[Mapping[str, Any]]
    records: Sequence[Mapping[str, Any]]


class Runner(Protocol):
    """A way to run a case."""

    def run(self, case: Case, required: Requirement) -> Outcome:
        """Run the case's handler with what the requirement sends it."""
        ...


def outcome_of(client: Any, arn: str, records: Sequence[Mapping[str, Any]]) -> Outcome:
    """Ask the API how an execution is, as a caller with default options would."""
    execution = client.get_durable_execution(DurableExecutionArn=arn)
    return Outcome(
        execution["Status"], execution.get("Result"), execution.get("Error"), history_of(client, arn), records
    )


def history_of(client: Any, arn: str) -> list[dict[str, Any]]:
    """The first page of an execution's history, with data."""
    page = client.get_durable_execution_history(DurableExecutionArn=arn, IncludeExecutionData=True)
    events: list[dict[str, Any]] = page["Events"]
    return events

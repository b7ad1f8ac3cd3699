"""Reports the progress of a running execution, one line per event."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from durable_debugger.model.facts import State, state_of
from durable_debugger.model.secrets import Secrets
from durable_debugger.sources.api import ExecutionClient
from durable_debugger.text import durations, payloads
from durable_debugger.text.cells import safe
from durable_debugger.text.segments import Line, Part
from durable_execution.history.event_fold import OPERATION_EVENTS
from durable_execution.paging import pages
from durable_execution.protocol.operation import to_datetime

PAGE = 1000


class Progress:
    """Reads the history of an execution as it grows.

    Args:
        client: Client that reads the history.
        arn: ARN of the execution.
        secrets: The rules that hide secrets; None shows them.
    """

    def __init__(self, client: ExecutionClient, arn: str, secrets: Secrets | None = None) -> None:
        self._client = client
        self._secrets = secrets
        self._arn = arn
        self._seen = 0
        self._invocation = 1
        self._names: dict[str, str] = {}
        self._depths: dict[str, int] = {}
        self._started: dict[str, datetime] = {}
        self._origin: datetime | None = None
        self._callbacks: dict[str, tuple[str, str]] = {}

    def news(self) -> Iterator[Line]:
        """Lines for the events since the last call."""
        for event in self._events():
            found = self._line(event if self._secrets is None else self._secrets.event(event))
            if found is not None:
                yield found

    def open_callbacks(self) -> list[tuple[str, str]]:
        """Open callback IDs, with the names of their operations."""
        return list(self._callbacks.values())

    def _events(self) -> Iterator[Mapping[str, Any]]:
        fresh: list[Mapping[str, Any]] = []
        options = {
            "DurableExecutionArn": self._arn,
            "IncludeExecutionData": True,
            "ReverseOrder": True,
            "MaxItems": PAGE,
        }
        for page in pages(self._client.get_durable_execution_history, "Events", **options):
            events = [event for event in page if event["EventId"] > self._seen]
            fresh += events
            if len(events) < len(page):  # newest first, until an event that was already read
                break
        if fresh:
            self._seen = fresh[0]["EventId"]
        yield from reversed(fresh)

    def _line(self, event: Mapping[str, Any]) -> Line | None:
        kind, at = str(event["EventType"]), to_datetime(event.get("EventTimestamp"))
        self._origin = self._origin or at
        offset = Part(f"{durations.offset(durations.between(self._origin, at)):>9}  ", "dim")
        if kind == "InvocationCompleted":
            return [offset, *self._invocation_ended(event)]
        known = OPERATION_EVENTS.get(kind)
        if known is None:
            return None
        identifier = str(event["Id"])
        self._names.setdefault(identifier, safe(event.get("Name") or str(event.get("SubType") or known[0]).lower()))
        self._depths.setdefault(identifier, self._depths.get(str(event.get("ParentId")), -1) + 1)
        is_new = identifier not in self._started
        if at is not None:
            self._started.setdefault(identifier, at)
        state = state_of(known[1], known[0])
        self._note_callback(event, identifier)
        if state is State.RUNNING:
            return None if not is_new or str(known[0]) != "CONTEXT" else [offset, *self._named(identifier, state)]
        return [offset, *self._named(identifier, state), *self._details(event, identifier, at, state)]

    def _note_callback(self, event: Mapping[str, Any], identifier: str) -> None:
        if event["EventType"] == "CallbackStarted":
            callback = str((event.get("CallbackStartedDetails") or {}).get("CallbackId"))
            self._callbacks[identifier] = (callback, self._names[identifier])
        elif str(event["EventType"]).startswith("Callback"):
            self._callbacks.pop(identifier, None)

    def _named(self, identifier: str, state: State) -> Line:
        indent = "  " * self._depths[identifier]
        return [Part(f"{indent}{state.glyph} ", state.role), Part(self._names[identifier], "name")]

    def _details(self, event: Mapping[str, Any], identifier: str, at: datetime | None, state: State) -> Line:
        details = event.get(f"{event['EventType']}Details") or {}
        if state is State.WAITING:
            until = to_datetime(details.get("ScheduledEndTimestamp"))
            due = f" for {durations.short(durations.between(at, until))}" if until else ""
            return [Part(f"  waiting{due}", "wait")]
        delay = (details.get("RetryDetails") or {}).get("NextAttemptDelaySeconds")
        attempt = (details.get("RetryDetails") or {}).get("CurrentAttempt") or 1
        took = durations.short(durations.between(self._started.get(identifier), at))
        parts: Line = [Part(f"  {took}", "dim")]
        if attempt > 1 or delay:
            parts.append(Part(f"  attempt {attempt}", "wait"))
        error = (details.get("Error") or {}).get("Payload")
        if isinstance(error, dict):
            parts.append(
                Part(
                    f"  {safe(str(error.get('ErrorType')))}: {payloads.summary(error.get('ErrorMessage'), 60)}", "fail"
                )
            )
        if delay:
            parts.append(Part(f"  retry in {durations.short(float(delay))}", "wait"))
        return parts

    def _invocation_ended(self, event: Mapping[str, Any]) -> Line:
        details = event.get("InvocationCompletedDetails") or {}
        number, self._invocation = self._invocation, self._invocation + 1
        error = (details.get("Error") or {}).get("Payload")
        text = f"── invocation {number} ended"
        if isinstance(error, dict) and error:
            return [
                Part(f"{text}: {safe(str(error.get('ErrorType')))}: {safe(str(error.get('ErrorMessage')))}", "fail")
            ]
        return [Part(text, "dim")]

"""Executions planted in every state that an explanation must tell apart, as history events in a neutral form."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from durable_execution.history.reading import read_history
from durable_execution.history.recorded import RecordedExecution
from durable_execution.protocol import Wire, operation_id

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
ARN = "arn:aws:lambda:eu-central-1:123456789012:function:orders:$LATEST/durable-execution/order-1/00000000-0000-0000-0000-000000000001"
CHILD_ARN = ARN.replace("order-1", "bill-1").replace("0001", "0002")


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


@dataclass
class History:
    """Builds the events of an execution; every method adds some and returns the history."""

    arn: str = ARN
    events: list[Wire] = field(default_factory=list)
    count: int = 0

    def event(self, kind: str, seconds: float, id_: str | None = None, **details: Any) -> "History":
        wire: Wire = {"EventId": len(self.events) + 1, "EventType": kind, "EventTimestamp": at(seconds)}
        for member in ("Name", "SubType", "ParentId"):
            if member in details:
                wire[member] = details.pop(member)
        if id_ is not None:
            wire["Id"] = id_
        self.events.append({**wire, f"{kind}Details": details})
        return self

    def started(self) -> "History":
        return self.event("ExecutionStarted", 0, "execution", Input={"Payload": "{}"})

    def next_id(self, parent: str | None = None, position: int | None = None) -> str:
        if parent is not None:
            return operation_id(parent, position or 1)
        self.count += 1
        return operation_id(None, self.count)

    def step(self, name: str, seconds: float, *, error: str | None = None, attempts: int = 1, delay: int | None = None,
             ends: bool = True, parent: str | None = None, subtype: str = "Step", frame: str | None = None) -> "History":  # fmt: skip
        id_, more = self.next_id(parent), {"Name": name, "SubType": subtype, **({"ParentId": parent} if parent else {})}
        for number in range(1, attempts + 1):
            self.event("StepStarted", seconds + number - 1, id_, **more)
            is_last = number == attempts
            if is_last and not ends:
                return self
            if error is not None and (not is_last or delay is not None):
                retry = {"CurrentAttempt": number, "NextAttemptDelaySeconds": delay or 1}
                self.event(
                    "StepFailed", seconds + number - 0.5, id_, RetryDetails=retry, Error=failure(error, frame), **more
                )
            elif error is not None:
                self.event("StepFailed", seconds + number - 0.5, id_, Error=failure(error, frame), **more)
            else:
                self.event("StepSucceeded", seconds + number - 0.5, id_, Result={"Payload": "1"}, **more)
        return self

    def retried(self, name: str, seconds: float, *, error: str, attempts: int) -> "History":
        """A step that failed some times and then succeeded."""
        id_, more = self.next_id(), {"Name": name, "SubType": "Step"}
        for number in range(1, attempts):
            retry = {"CurrentAttempt": number, "NextAttemptDelaySeconds": 1}
            self.event("StepStarted", seconds + number, id_, **more)
            self.event("StepFailed", seconds + number + 0.1, id_, RetryDetails=retry, Error=failure(error), **more)
        self.event("StepStarted", seconds + attempts, id_, **more)
        return self.event("StepSucceeded", seconds + attempts + 0.1, id_, Result={"Payload": "1"}, **more)

    def wait(self, name: str, seconds: float, duration: float, *, ends: bool = False) -> "History":
        id_, more = self.next_id(), {"Name": name, "SubType": "Wait"}
        self.event("WaitStarted", seconds, id_, Duration=duration, ScheduledEndTimestamp=at(seconds + duration), **more)
        return self.event("WaitSucceeded", seconds + duration, id_, **more) if ends else self

    def callback(self, name: str, seconds: float, **details: Any) -> "History":
        more = {"Name": name, "SubType": "Callback"}
        return self.event("CallbackStarted", seconds, self.next_id(), CallbackId="callback-1", **details, **more)

    def invoke(self, name: str, seconds: float, *, arn: str | None = CHILD_ARN) -> "History":
        more = {"Name": name, "SubType": "ChainedInvoke", **({"DurableExecutionArn": arn} if arn else {})}
        return self.event("ChainedInvokeStarted", seconds, self.next_id(), FunctionName="billing", **more)

    def invoked(self, start: float, end: float, *, error: str | None = None) -> "History":
        details: dict[str, Any] = {
            "StartTimestamp": at(start),
            "EndTimestamp": at(end),
            "RequestId": f"r{len(self.events)}",
        }
        if error is not None:
            details["Error"] = failure(error)
        return self.event("InvocationCompleted", end, **details)

    def ended(self, word: str, seconds: float, *, error: str | None = None, frame: str | None = None) -> "History":
        details = (
            {"Error": failure(error, frame)} if error else {"Result": {"Payload": "1"}} if word == "Succeeded" else {}
        )
        return self.event(f"Execution{word}", seconds, "execution", **details)

    def read(self, **more: Any) -> RecordedExecution:
        return read_history(self.events, arn=self.arn, **more)


def failure(text: str, frame: str | None = None) -> Wire:
    kind, _, message = text.partition(": ")
    error: Wire = {"ErrorType": kind, "ErrorMessage": message}
    return {"Payload": {**error, "StackTrace": [frame]} if frame else error}

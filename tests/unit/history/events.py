"""Events of histories, in few words."""

from collections.abc import Iterable
from typing import Any

from durable_execution.protocol import Wire, operation_id

BEGAN = 1_767_225_600


class Script:
    """Writes a history event by event; ids are this SDK's unless given."""

    def __init__(self) -> None:
        self.events: list[Wire] = []
        self.add("ExecutionStarted", "execution", Input={"Payload": "{}"})

    def add(
        self,
        kind: str,
        id_: str | None = None,
        *,
        name: str | None = None,
        parent: str | None = None,
        subtype: str | None = None,
        **details: Any,
    ) -> "Script":
        number = len(self.events) + 1
        event: Wire = {"EventType": kind, "EventId": number, "EventTimestamp": BEGAN + number}
        members = {"Id": id_, "Name": name, "ParentId": parent, "SubType": subtype}
        event |= {member: value for member, value in members.items() if value is not None}
        event[f"{kind}Details"] = details
        self.events.append(event)
        return self

    def step(self, position: int, name: str | None = None, *, parent: str | None = None, result: str = "1") -> "Script":
        id_ = operation_id(parent, position)
        self.add("StepStarted", id_, name=name, parent=parent, subtype="Step")
        done = {"Result": {"Payload": result}, "RetryDetails": {"CurrentAttempt": 1}}
        return self.add("StepSucceeded", id_, name=name, parent=parent, subtype="Step", **done)

    def wait(self, position: int, name: str | None = None, *, seconds: int = 5, parent: str | None = None) -> "Script":
        id_ = operation_id(parent, position)
        self.add("WaitStarted", id_, name=name, parent=parent, subtype="Wait", Duration=seconds)
        self.invocation_ends()
        return self.add("WaitSucceeded", id_, name=name, parent=parent, subtype="Wait", Duration=seconds)

    def context(self, id_: str, name: str | None, body: Iterable[Wire], *, subtype: str = "RunInChildContext",
                parent: str | None = None) -> "Script":  # fmt: skip
        self.add("ContextStarted", id_, name=name, parent=parent, subtype=subtype)
        for event in body:
            self.events.append({**event, "EventId": len(self.events) + 1})
        return self.add("ContextSucceeded", id_, name=name, parent=parent, subtype=subtype, Result={"Payload": "1"})

    def invocation_ends(self, *, request_id: str | None = None, error: Wire | None = None) -> "Script":
        number = sum(event["EventType"] == "InvocationCompleted" for event in self.events) + 1
        return self.add(
            "InvocationCompleted",
            RequestId=request_id or f"r{number}",
            StartTimestamp=BEGAN,
            EndTimestamp=BEGAN + len(self.events),
            Error={"Payload": error} if error else {},
        )

    def execution_ends(self, kind: str = "Succeeded", **details: Any) -> "Script":
        return self.add(f"Execution{kind}", "execution", **(details or {"Result": {"Payload": "null"}}))

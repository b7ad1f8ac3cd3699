"""A durable execution service in forty lines: applies updates, keeps what it was sent, fails and stalls on demand."""

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

from durable_execution import DurableHandler
from durable_execution.protocol import Wire
from durable_execution.runtime.service import CheckpointAnswer, StatePage

ARN = "arn:aws:lambda:us-east-1:123456789012:function:f:$LATEST/durable-execution/n/i"
DETAILS = {
    "STEP": "StepDetails",
    "CONTEXT": "ContextDetails",
    "CALLBACK": "CallbackDetails",
    "CHAINED_INVOKE": "ChainedInvokeDetails",
    "WAIT": "WaitDetails",
}
STATUSES = {"START": "STARTED", "SUCCEED": "SUCCEEDED", "FAIL": "FAILED", "RETRY": "PENDING", "CANCEL": "CANCELLED"}


def execution_operation(payload: Any = None, *, text: str | None = None) -> Wire:
    """The EXECUTION operation an envelope begins with."""
    given = text if text is not None else json.dumps(payload if payload is not None else {})
    return {"Id": "e", "Type": "EXECUTION", "Status": "STARTED", "ExecutionDetails": {"InputPayload": given}}


def step_operation(operation_id: str, result: Any, **members: Any) -> Wire:
    """A step that has succeeded."""
    details = {"Attempt": 1, "Result": json.dumps(result)}
    wire = {"Id": operation_id, "Type": "STEP", "SubType": "Step", "Status": "SUCCEEDED", "StepDetails": details}
    return {**wire, **members}


class FakeService:
    """A `ServiceClient`.

    Attributes:
        calls: The updates of each checkpoint call, in order.
        tokens: The token of each call.
        operations: What is stored, by id.
        pages: Answers to `get_state`, by marker.
        on_checkpoint: Called before a call is answered, with its number from 1; may raise, or return what to answer.
        gate: While it is not set, calls wait for it.
    """

    def __init__(self) -> None:
        self.calls: list[list[Wire]] = []
        self.tokens: list[str] = []
        self.operations: dict[str, Wire] = {}
        self.pages: dict[str, StatePage] = {}
        self.reads: list[tuple[str, str]] = []
        self.on_checkpoint: Callable[[int], CheckpointAnswer | None] = lambda number: None
        self.gate: asyncio.Event | None = None

    async def checkpoint(self, execution_arn: str, token: str, updates: list[Wire]) -> CheckpointAnswer:
        self.calls.append([dict(update) for update in updates])
        self.tokens.append(token)
        number = len(self.calls)
        if self.gate is not None:
            await self.gate.wait()
        answer = self.on_checkpoint(number)
        if answer is not None:
            return answer
        changed = {update["Id"]: self._apply(update) for update in updates}
        return CheckpointAnswer(f"token-{number}", [dict(wire) for wire in changed.values()])

    async def get_state(self, execution_arn: str, token: str, marker: str) -> StatePage:
        self.reads.append((token, marker))
        return self.pages[marker]

    @property
    def actions(self) -> list[list[str]]:
        """What each call did, for example `[["START charge", "SUCCEED charge"]]`."""
        return [[f"{update['Action']} {update.get('Name', update['Type'])}" for update in call] for call in self.calls]

    def _apply(self, update: Wire) -> Wire:
        wire = self.operations.get(update["Id"])
        if wire is None:
            members = ("Id", "Type", "SubType", "Name", "ParentId")
            identity: Wire = {key: update[key] for key in members if key in update}
            wire = self.operations[update["Id"]] = {**identity, "StartTimestamp": 1_700_000_000_000}
        wire["Status"] = STATUSES[update["Action"]]
        details = wire.setdefault(DETAILS.get(update["Type"], "Details"), {})
        if "Payload" in update and update["Action"] != "START":
            details["Result"] = update["Payload"]
        if "Error" in update:
            details["Error"] = update["Error"]
        if update["Type"] == "STEP" and update["Action"] != "START":
            details["Attempt"] = details.get("Attempt", 0) + 1
        if update["Type"] == "CALLBACK":
            details["CallbackId"] = f"callback-{update['Id'][:8]}"
        if (update.get("ContextOptions") or {}).get("ReplayChildren"):
            details["ReplayChildren"] = True
        return wire


def envelope(
    operations: Sequence[Wire] = (), *, payload: Any = None, text: str | None = None, marker: str = "", **members: Any
) -> dict[str, Any]:
    """The event of one invocation."""
    return {
        "DurableExecutionArn": ARN,
        "CheckpointToken": "token-0",
        "InitialExecutionState": {
            "Operations": [execution_operation(payload, text=text), *operations],
            "NextMarker": marker,
        },
        **members,
    }


def invoke(
    handler: DurableHandler[Any],
    service: FakeService,
    payload: Any = None,
    *,
    operations: Sequence[Wire] | None = None,
    **options: Any,
) -> Wire:
    """One invocation of a handler over what the service has stored."""
    stored = list(service.operations.values()) if operations is None else operations
    return handler.invoke(envelope(stored, payload=payload), None, client=service, **options)

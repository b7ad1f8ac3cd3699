"""A durable execution service that costs next to nothing, so that what is measured is the SDK.

It applies updates to operations in wire form and answers with what changed. Both SDKs get the same one: ours through its
`ServiceClient` protocol, AWS's through an object that looks like a boto3 client.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Any

from durable_execution.protocol import Wire
from durable_execution.runtime.service import CheckpointAnswer, StatePage

ARN = "arn:aws:lambda:us-east-1:123456789012:function:bench:$LATEST/durable-execution/bench/0001"
STATUS_AFTER = {"START": "STARTED", "SUCCEED": "SUCCEEDED", "FAIL": "FAILED", "RETRY": "PENDING"}


@dataclass(slots=True)
class MemoryService:
    """Applies updates, answers with what changed.

    Attributes:
        operations: Everything recorded, by id.
        calls: How many checkpoint calls were made.
    """

    operations: dict[str, Wire] = field(default_factory=dict)
    calls: int = 0

    def apply(self, updates: list[Wire]) -> list[Wire]:
        """Record the updates and return the operations they touched."""
        self.calls += 1
        return list({update["Id"]: self._touch(update) for update in updates}.values())

    def _touch(self, update: Wire) -> Wire:
        operation = self.operations.get(update["Id"])
        if operation is None:
            wanted = ("Id", "ParentId", "Name", "Type", "SubType")
            operation = self.operations[update["Id"]] = {k: update[k] for k in wanted if k in update}
        operation["Status"] = STATUS_AFTER[update["Action"]]
        details: Wire = {"Result": update.get("Payload")}
        if update["Type"] == "STEP":
            operation["StepDetails"] = {"Attempt": 1, **details}
        elif update["Type"] == "CONTEXT":
            operation["ContextDetails"] = details | (update.get("ContextOptions") or {})
        return operation


@dataclass(slots=True)
class OurClient:
    """The service as this SDK calls it."""

    service: MemoryService

    async def checkpoint(self, execution_arn: str, token: str, updates: list[Wire]) -> CheckpointAnswer:
        """Apply updates."""
        return CheckpointAnswer(token, self.service.apply(updates))

    async def get_state(self, execution_arn: str, token: str, marker: str) -> StatePage:
        """Nothing is paged here."""
        return StatePage([])


@dataclass(slots=True)
class BotoShapedClient:
    """The service as a boto3 Lambda client would show it."""

    service: MemoryService

    def checkpoint_durable_execution(self, **request: Any) -> Wire:
        """Apply updates."""
        changed = self.service.apply(request["Updates"])
        return {"CheckpointToken": request["CheckpointToken"], "NewExecutionState": {"Operations": changed}}

    def get_durable_execution_state(self, **request: Any) -> Wire:
        """Nothing is paged here."""
        return {"Operations": []}


def event(recorded_steps: int = 0) -> Wire:
    """The event of an invocation with so many finished steps behind it."""
    operations = [
        {
            "Id": "execution",
            "Type": "EXECUTION",
            "Status": "STARTED",
            "StartTimestamp": 1_767_225_600_000,
            "ExecutionDetails": {"InputPayload": "{}"},
        },
        *(_finished_step(number) for number in range(1, recorded_steps + 1)),
    ]
    return {
        "DurableExecutionArn": ARN,
        "CheckpointToken": "dG9rZW4=",
        "InitialExecutionState": {"Operations": operations, "NextMarker": ""},
        "UpdatedOperationIds": [],
    }


def _finished_step(number: int) -> Wire:
    return {
        "Id": hashlib.blake2b(str(number).encode()).hexdigest()[:64],
        "Type": "STEP",
        "SubType": "Step",
        "Name": "work",
        "Status": "SUCCEEDED",
        "StartTimestamp": 1_767_225_600_000 + number,
        "EndTimestamp": 1_767_225_600_001 + number,
        "StepDetails": {"Attempt": 1, "Result": str(number)},
    }


class LambdaContext:
    """What both SDKs read of Lambda's context object."""

    aws_request_id = "00000000-0000-0000-0000-000000000000"
    function_name = "bench"
    function_version = "$LATEST"
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:bench:$LATEST"
    tenant_id = None

    def get_remaining_time_in_millis(self) -> int:
        """Enough."""
        return 900_000

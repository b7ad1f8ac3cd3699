"""Rows in their wire form. Timestamps are Unix milliseconds; each interface of the engine converts them."""

import json
from typing import Any

from durable_execution.local.store.rows import EventRow, OperationRow
from durable_execution.protocol import Wire

DATA_MEMBERS = {
    "ExecutionStarted": "Input",
    "ExecutionSucceeded": "Result",
    "ExecutionFailed": "Error",
    "ExecutionStopped": "Error",
    "ExecutionTimedOut": "Error",
    "ExecutionPaused": "Reason",
    "ExecutionResumed": "Reason",
    "ContextSucceeded": "Result",
    "ContextFailed": "Error",
    "StepSucceeded": "Result",
    "StepFailed": "Error",
    "WaitCancelled": "Error",
    "CallbackSucceeded": "Result",
    "CallbackFailed": "Error",
    "CallbackTimedOut": "Error",
    "ChainedInvokeStarted": "Input",
    "ChainedInvokeSucceeded": "Result",
    "ChainedInvokeFailed": "Error",
    "ChainedInvokeTimedOut": "Error",
    "ChainedInvokeStopped": "Error",
    "InvocationCompleted": "Error",
}
"""The member of an event's details that has the payload."""

OPTIONAL_DATA = frozenset(
    {"InvocationCompleted", "ExecutionPaused", "ExecutionResumed", "ExecutionTimedOut", "WaitCancelled"}
)
"""Events that omit the member if they have no payload. In all others it is required, and empty without a payload."""


def operation_wire(row: OperationRow) -> Wire:
    """An operation as handlers and API clients see it."""
    wire: Wire = {"Id": row.id, "Type": row.type, "StartTimestamp": row.started_ms, "Status": row.status}
    if row.parent_id is not None:
        wire["ParentId"] = row.parent_id
    if row.name is not None:
        wire["Name"] = row.name
    if row.subtype is not None:
        wire["SubType"] = row.subtype
    if row.ended_ms is not None:
        wire["EndTimestamp"] = row.ended_ms
    member, details = _DETAILS[row.type](row)
    if row.type != "EXECUTION":
        if row.result is not None:
            details["Result"] = row.result
        if row.error is not None:
            details["Error"] = json.loads(row.error)
    wire[member] = details
    return wire


def operation_size(row: OperationRow) -> int:
    """Approximate size of an operation in a page, in bytes."""
    return 300 + sum(len(text) for text in (row.input, row.result, row.error) if text)


def event_wire(row: EventRow, *, with_data: bool) -> Wire:
    """An event of a history.

    Args:
        row: The event.
        with_data: Whether to include payloads. If False, each is marked as truncated.
    """
    wire: Wire = {"EventType": row.type, "EventId": row.id, "EventTimestamp": row.at_ms}
    for member, value in (
        ("SubType", row.subtype),
        ("Id", row.operation_id),
        ("Name", row.name),
        ("ParentId", row.parent_id),
    ):
        if value is not None:
            wire[member] = value
    details: Wire = json.loads(row.details) if row.details else {}
    member = DATA_MEMBERS.get(row.type, "")
    if member and (row.data is not None or row.type not in OPTIONAL_DATA):
        details[member] = _data(member, row.data, with_data)
    wire[f"{row.type}Details"] = details
    return wire


def event_size(row: EventRow) -> int:
    """Approximate size of an event in a page, in bytes."""
    return 300 + (len(row.data) if row.data else 0)


def _data(member: str, data: str | None, with_data: bool) -> Wire:
    if data is None:
        return {}
    if not with_data:
        return {"Truncated": True}
    return {"Payload": json.loads(data) if member == "Error" else data, "Truncated": False}


def _execution(row: OperationRow) -> tuple[str, dict[str, Any]]:
    return "ExecutionDetails", {"InputPayload": row.input if row.input is not None else ""}


def _context(row: OperationRow) -> tuple[str, dict[str, Any]]:
    return "ContextDetails", {"ReplayChildren": bool(row.replay_children)} if row.replay_children is not None else {}


def _step(row: OperationRow) -> tuple[str, dict[str, Any]]:
    details: dict[str, Any] = {"Attempt": row.attempt}
    if row.status == "PENDING":
        details["NextAttemptTimestamp"] = row.scheduled_ms
    return "StepDetails", details


def _wait(row: OperationRow) -> tuple[str, dict[str, Any]]:
    return "WaitDetails", {"ScheduledEndTimestamp": row.scheduled_ms}


def _callback(row: OperationRow) -> tuple[str, dict[str, Any]]:
    return "CallbackDetails", {"CallbackId": row.callback_id}


def _chained_invoke(_row: OperationRow) -> tuple[str, dict[str, Any]]:
    return "ChainedInvokeDetails", {}


_DETAILS = {
    "EXECUTION": _execution,
    "CONTEXT": _context,
    "STEP": _step,
    "WAIT": _wait,
    "CALLBACK": _callback,
    "CHAINED_INVOKE": _chained_invoke,
}

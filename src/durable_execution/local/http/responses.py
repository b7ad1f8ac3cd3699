"""Responses and errors as rest-json: timestamps are Unix seconds, and the error code is in the `x-amzn-ErrorType` header."""

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from durable_execution.errors import ServiceError
from durable_execution.local.faults import CAPITAL_MESSAGE
from durable_execution.protocol import Wire

ACCEPTED = frozenset({"PauseDurableExecution", "ResumeDurableExecution", "DeleteDurableExecution"})
"""Operations that answer with status 202."""

_INVOKE_HEADERS = {
    "DurableExecutionArn": "X-Amz-Durable-Execution-Arn",
    "ExecutedVersion": "X-Amz-Executed-Version",
    "FunctionError": "X-Amz-Function-Error",
}


@dataclass(frozen=True, slots=True)
class ApiResponse:
    """A response.

    Attributes:
        status: HTTP status.
        body: The body.
        headers: Headers in addition to those of every response.
    """

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def answer(operation: str, wire: Wire) -> ApiResponse:
    """The response to a successful operation."""
    if operation == "Invoke":
        return _invoked(wire)
    return ApiResponse(202 if operation in ACCEPTED else 200, json.dumps(wire, default=_encode).encode())


def refusal(error: ServiceError) -> ApiResponse:
    """The response to a refused request."""
    status = error.status or 500
    member = "Message" if error.code in CAPITAL_MESSAGE else "message"
    body = {"Type": "User" if status < 500 else "Service", member: error.message}
    return ApiResponse(status, json.dumps(body).encode(), {"x-amzn-ErrorType": error.code})


def _invoked(wire: Wire) -> ApiResponse:
    headers = {header: str(wire[member]) for member, header in _INVOKE_HEADERS.items() if member in wire}
    payload: bytes = wire["Payload"].read()
    return ApiResponse(wire["StatusCode"], payload, headers)


def _encode(value: Any) -> float:
    if isinstance(value, datetime):
        return value.timestamp()
    raise TypeError(f"{type(value).__name__} is not a member of the API")

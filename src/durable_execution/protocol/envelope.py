"""The event that the service sends to a durable handler, and the handler's response."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

from durable_execution.protocol.enums import InvocationStatus
from durable_execution.protocol.operation import ErrorObject, Wire

FIRST_UTF8_RUNTIME = 12
"""The first minor version of Python whose managed runtime writes responses as UTF-8 instead of ASCII."""


class InvocationInput:
    """The envelope of one invocation.

    Attributes:
        execution_arn: ARN of the execution.
        checkpoint_token: Token for the first checkpoint of this invocation.
        operations: First page of the execution's operations in wire form. The first is the EXECUTION operation.
        next_marker: Marker of the next page; None if this is the last.
        updated_operation_ids: Operations that timers, callbacks and invoked functions changed since the last invocation.
    """

    __slots__ = ("checkpoint_token", "execution_arn", "next_marker", "operations", "updated_operation_ids")

    def __init__(
        self,
        execution_arn: str,
        checkpoint_token: str,
        operations: list[Wire],
        next_marker: str | None = None,
        updated_operation_ids: Sequence[str] = (),
    ) -> None:
        self.execution_arn = execution_arn
        self.checkpoint_token = checkpoint_token
        self.operations = operations
        self.next_marker = next_marker
        self.updated_operation_ids = updated_operation_ids

    @classmethod
    def from_event(cls, event: Any) -> InvocationInput:
        """Read a Lambda event. The operations are not checked.

        Raises:
            ValueError: The event is not the envelope of a durable invocation.
        """
        try:
            state = event["InitialExecutionState"]
            return cls(
                execution_arn=_text(event["DurableExecutionArn"]),
                checkpoint_token=_text(event["CheckpointToken"]),
                operations=list(state["Operations"]),
                next_marker=state.get("NextMarker") or None,
                updated_operation_ids=[
                    each for each in event.get("UpdatedOperationIds") or () if isinstance(each, str)
                ],
            )
        except (KeyError, TypeError, AttributeError, ValueError):
            raise ValueError("not the envelope of a durable invocation") from None


def succeeded(result: str | None) -> Wire:
    """The response of an execution that succeeded. `result` is serialized."""
    return {"Status": InvocationStatus.SUCCEEDED.value, "Result": result if result is not None else "null"}


def failed(error: ErrorObject) -> Wire:
    """The response of an execution that failed permanently."""
    return {"Status": InvocationStatus.FAILED.value, "Error": error.to_wire()}


def pending() -> Wire:
    """The response of an invocation that suspends: it waits for a timer, a callback or an invoked function."""
    return {"Status": InvocationStatus.PENDING.value}


def response_size(response: Wire) -> int:
    """The bytes that Lambda counts: the response as the runtime interface client writes it.

    The result is JSON inside of JSON, so its quotes and backslashes are escaped again. Runtimes before Python 3.12, and images
    without a managed runtime, also escape every character beyond ASCII.
    """
    _, found, minor = os.environ.get("AWS_EXECUTION_ENV", "").partition("AWS_Lambda_python3.")
    is_utf8 = bool(found) and minor.isdecimal() and int(minor) >= FIRST_UTF8_RUNTIME
    text = json.dumps(response, ensure_ascii=not is_utf8)
    return len(text.encode("utf-8", "surrogatepass"))


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError
    return value

"""One operation of an execution, read from the JSON object the service sent.

A replay of ten thousand operations must not cost more than reading them, so nothing is copied or converted up front:
`Operation` is a view, and each property reads its member on access.

Errors in the protocol.

Convert the protocol's timestamps.

The handler's event carries integers in Unix milliseconds, the HTTP API carries Unix seconds (rest-json), the AWS CLI
prints ISO 8601, and boto3 returns `datetime` objects. Inside this project, every time is an aware `datetime` in UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeAlias

from durable_execution.protocol.enums import TERMINAL_OPERATION_STATUSES, OperationStatus, OperationType
from durable_execution.value_classes import value_class

Wire: TypeAlias = dict[str, Any]
"""A JSON object with the member names of the Lambda API."""
DETAILS_MEMBER = {
    OperationType.EXECUTION: "ExecutionDetails",
    OperationType.CONTEXT: "ContextDetails",
    OperationType.STEP: "StepDetails",
    OperationType.WAIT: "WaitDetails",
    OperationType.CALLBACK: "CallbackDetails",
    OperationType.CHAINED_INVOKE: "ChainedInvokeDetails",
}
"""The member with the details, by type of operation."""


class Operation:
    """A read-only view of an operation in its wire form."""

    __slots__ = ("wire",)

    def __init__(self, wire: Wire) -> None:
        self.wire = wire

    def __repr__(self) -> str:
        return f"Operation({self.type} {self.name or self.id} {self.status})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Operation) and self.wire == other.wire

    __hash__ = None  # type: ignore[assignment]  # a view of a mutable object has no stable hash

    @property
    def id(self) -> str:
        """The operation's id."""
        return self.wire["Id"]  # type: ignore[no-any-return]

    @property
    def parent_id(self) -> str | None:
        """Id of the CONTEXT that contains the operation; None at the root."""
        return self.wire.get("ParentId") or None

    @property
    def name(self) -> str | None:
        """The operation's name, if it has one."""
        return self.wire.get("Name") or None

    @property
    def type(self) -> OperationType:
        """The operation's type."""
        return OperationType(self.wire["Type"])

    @property
    def subtype(self) -> str | None:
        """The operation's subtype: an `OperationSubType` or a user's own."""
        return self.wire.get("SubType") or None

    @property
    def status(self) -> OperationStatus:
        """The operation's status."""
        return OperationStatus(self.wire["Status"])

    @property
    def is_terminal(self) -> bool:
        """Whether the status is terminal: it never changes again."""
        return self.wire["Status"] in TERMINAL_OPERATION_STATUSES

    @property
    def started_at(self) -> datetime | None:
        """The start time."""
        return to_datetime(self.wire.get("StartTimestamp"))

    @property
    def ended_at(self) -> datetime | None:
        """The time it reached its terminal status."""
        return to_datetime(self.wire.get("EndTimestamp"))

    @property
    def details(self) -> Wire:
        """The details object of its type; `{}` if absent."""
        return self.wire.get(DETAILS_MEMBER[self.type]) or {}

    @property
    def result(self) -> str | None:
        """The serialized result. For a polling STEP in PENDING or READY: the state for the next check."""
        return self.details.get("Result")

    @property
    def error(self) -> ErrorObject | None:
        """The failure; for a STEP in PENDING or READY, the failure of its last attempt."""
        return ErrorObject.from_wire(self.details.get("Error"))

    @property
    def attempt(self) -> int | None:
        """STEP: the number of finished attempts while PENDING or READY; after that, the number of the last attempt."""
        attempt = self.details.get("Attempt")
        return int(attempt) if attempt is not None else None

    @property
    def next_attempt_at(self) -> datetime | None:
        """STEP in PENDING: the earliest time of the next attempt."""
        return to_datetime(self.details.get("NextAttemptTimestamp"))

    @property
    def scheduled_end_at(self) -> datetime | None:
        """WAIT: the time it ends."""
        return to_datetime(self.details.get("ScheduledEndTimestamp"))

    @property
    def callback_id(self) -> str | None:
        """CALLBACK: the id an external system uses to complete it."""
        return self.details.get("CallbackId")

    @property
    def has_replay_children(self) -> bool:
        """CONTEXT: whether its result was too large to store, so that a replay runs its body again over its children."""
        return bool(self.details.get("ReplayChildren"))

    @property
    def input_payload(self) -> str | None:
        """EXECUTION: the caller's payload."""
        return self.details.get("InputPayload")


@value_class(frozen=True, slots=True)
class ErrorObject:
    """An error as it is checkpointed, returned and displayed.

    Attributes:
        message: Message of the exception.
        type: Class name, qualified with its module unless it is a builtin.
        data: Serialized details, free for the application.
        stack_trace: Lines of a formatted traceback, innermost last.
    """

    message: str | None = None
    type: str | None = None
    data: str | None = None
    stack_trace: tuple[str, ...] | None = None

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any] | None) -> ErrorObject | None:
        """Read `{ErrorMessage, ErrorType, ErrorData, StackTrace}`. Returns None for None and `{}`."""
        if not wire:
            return None
        trace = wire.get("StackTrace")
        return cls(
            message=wire.get("ErrorMessage"),
            type=wire.get("ErrorType"),
            data=wire.get("ErrorData"),
            stack_trace=tuple(str(line) for line in trace) if isinstance(trace, (list, tuple)) else None,
        )

    def to_wire(self) -> dict[str, Any]:
        """Return the members that are set, under their names in the API."""
        wire: dict[str, Any] = {}
        if self.message is not None:
            wire["ErrorMessage"] = self.message
        if self.type is not None:
            wire["ErrorType"] = self.type
        if self.data is not None:
            wire["ErrorData"] = self.data
        if self.stack_trace is not None:
            wire["StackTrace"] = list(self.stack_trace)
        return wire

    def __str__(self) -> str:
        return f"{self.type or 'Error'}: {self.message or ''}".rstrip(": ")


MILLISECONDS_FROM = 100_000_000_000
"""Numbers from this value on are milliseconds: as seconds it is the year 5138, as milliseconds 1973."""


def to_datetime(value: Any) -> datetime | None:
    """Read a timestamp in any form the protocol uses.

    Args:
        value: Unix milliseconds, Unix seconds, ISO 8601 text, a `datetime`, or None.

    Returns:
        An aware UTC datetime; None for None and empty text.

    Raises:
        ValueError: The value has none of these forms, or is outside the years 1 to 9999.
    """
    if value is None or value == "":
        return None
    try:
        if isinstance(value, datetime):
            return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return datetime.fromtimestamp(value / 1000 if abs(value) >= MILLISECONDS_FROM else value, UTC)
        if isinstance(value, str):
            parsed = datetime.fromisoformat(value)
            return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    except (OverflowError, OSError, ValueError) as error:
        if isinstance(value, str) and not isinstance(error, OverflowError):
            raise
        raise ValueError(f"{value!r:.60} is outside the range of timestamps") from None
    raise ValueError(f"{value!r:.60} is not a timestamp: use Unix seconds or milliseconds, ISO 8601 text or a datetime")


def to_millis(value: datetime) -> int:
    """Convert to Unix milliseconds, the form of the handler's event."""
    return round(value.timestamp() * 1000)

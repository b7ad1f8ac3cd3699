"""Errors in the protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
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

"""Operation ids in call order."""

from __future__ import annotations

from durable_execution.protocol.ids import operation_id


class OperationIdGenerator:
    """Numbers the calls of one context and hashes the numbers into operation ids.

    An id is reserved when an operation is called, in the order of the calls. Scheduling does not affect ids.
    """

    __slots__ = ("position", "prefix")

    def __init__(self, prefix: str | None) -> None:
        self.prefix = prefix
        self.position = 0

    def next_id(self) -> str:
        """Reserve the id of the next call. Afterwards `position` is its number, from 1."""
        self.position += 1
        return operation_id(self.prefix, self.position)

    def peek(self, ahead: int = 1) -> str:
        """The id of the call that is `ahead` calls after the last one. Reserves nothing."""
        return operation_id(self.prefix, self.position + ahead)

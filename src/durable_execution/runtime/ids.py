"""Operation ids in call order."""

from __future__ import annotations

from durable_execution.protocol.ids import operation_id


class OperationIdGenerator:
    """Numbers the calls of one context and hashes them into operation ids.

    Ids are reserved when an operation is called, in the order of the calls; scheduling has no say in them.
    """

    __slots__ = ("position", "prefix")

    def __init__(self, prefix: str | None) -> None:
        self.prefix = prefix
        self.position = 0

    def next_id(self) -> str:
        """Reserve the next call's id. Its number is `position` afterwards, from 1."""
        self.position += 1
        return operation_id(self.prefix, self.position)

    def peek(self, ahead: int = 1) -> str:
        """The id the call `ahead` of the last one would have; reserves nothing."""
        return operation_id(self.prefix, self.position + ahead)

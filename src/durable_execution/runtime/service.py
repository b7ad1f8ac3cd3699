"""What the runtime needs of the durable execution service."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from durable_execution.protocol import Wire


class CheckpointAnswer(NamedTuple):
    """What the service answers to a checkpoint.

    Attributes:
        token: Good for the next checkpoint; None when this invocation may not checkpoint any more.
        operations: Every operation that changed since the last answer, in wire form.
        next_marker: Where the rest of them starts; None when this is all.
    """

    token: str | None
    operations: list[Wire]
    next_marker: str | None = None


class StatePage(NamedTuple):
    """One page of an execution's operations, in wire form."""

    operations: list[Wire]
    next_marker: str | None = None


class ServiceClient(Protocol):
    """The two calls a running invocation makes. Both raise `durable_execution.errors.ServiceError`.

    A client whose service is in this process, so that `checkpoint` never waits for anything, may say so with an attribute
    `answers_immediately = True`: sequential workflows then store without a turn of the event loop.

    A client that can keep something even if this process dies may have a method `note_unsent(token, update)`. It is told of
    every update that nobody waits for, and so is not sent yet, with the token to send it with. Once that token has been used,
    it is told again of those that are still unsent.
    """

    async def checkpoint(self, execution_arn: str, token: str, updates: list[Wire]) -> CheckpointAnswer:
        """Send updates, all or nothing. An empty list only asks for what has changed."""
        ...

    async def get_state(self, execution_arn: str, token: str, marker: str) -> StatePage:
        """Read the page of operations that starts at `marker`."""
        ...

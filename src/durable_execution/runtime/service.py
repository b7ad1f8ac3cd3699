"""The two calls that the runtime makes to the durable execution service."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from durable_execution.protocol import Wire


class CheckpointAnswer(NamedTuple):
    """The answer to a checkpoint.

    Attributes:
        token: Token for the next checkpoint; None when this invocation may not checkpoint again.
        operations: Every operation that changed since the last answer, in wire form.
        next_marker: Marker of the next page of operations; None on the last page.
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

    If the service is in this process, so that `checkpoint` never waits, the client may set `answers_immediately = True`.
    Sequential workflows then store updates without a turn of the event loop.

    A client that can make the call on the calling thread may have a method `checkpoint_now(execution_arn, token, updates)` that
    returns the answer. The runtime calls it, in place of `checkpoint`, while nothing else can run.

    A client may have a method `within(remaining)` that returns a client for one invocation, given a function that returns the
    seconds left of it. That client starts no call that cannot end in time.

    A client that can keep data even if this process dies may have a method `note_unsent(token, update)`. It is called for
    every update that no code waits for, and that is therefore not sent yet, with the token to send it with. After that token
    has been used, the method is called again for the updates that are still unsent.
    """

    async def checkpoint(self, execution_arn: str, token: str, updates: list[Wire]) -> CheckpointAnswer:
        """Send updates, all or nothing. An empty list only asks for changes."""
        ...

    async def get_state(self, execution_arn: str, token: str, marker: str) -> StatePage:
        """Read the page of operations that starts at `marker`."""
        ...

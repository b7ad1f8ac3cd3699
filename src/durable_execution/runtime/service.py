"""The two calls that the runtime makes to the durable execution service, and the service that an engine gives a handler."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from durable_execution.protocol import Wire

if TYPE_CHECKING:
    from durable_execution.clock import Clock
    from durable_execution.observers import Observer


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


class LambdaApi(Protocol):
    """The calls of a boto3 Lambda client that the runtime makes. A `boto3.client("lambda")` fits, with or without stubs."""

    def checkpoint_durable_execution(self, *arguments: Any, **members: Any) -> Any:
        """Store updates."""
        ...

    def get_durable_execution_state(self, *arguments: Any, **members: Any) -> Any:
        """Read a page of operations."""
        ...


class ServiceClient(Protocol):
    """The two calls a running invocation makes. Both raise `durable_execution.errors.ServiceError`.

    If the service is in this process, so that `checkpoint` never waits, the client may set `answers_immediately = True`.
    Sequential workflows then store updates without a turn of the event loop.

    A client that can make the call on the calling thread may have a method `checkpoint_now(execution_arn, token, updates)` that
    returns the answer. The runtime calls it, in place of `checkpoint`, while nothing else can run.

    A client may have a method `within(remaining)` that returns a client for one invocation, given a function that returns the
    seconds left of it. That client starts no call that cannot end in time.

    A client that decides which step bodies run may have a method `stand_in(call)` (see `ExecutionState.stand_in`), and a
    `seed_arn` in place of the execution's own. It may have `before_suspension()` (see `ExecutionState.before_suspension`).

    A client for tests may have `step_stubs`: functions to run in place of step bodies, by the name of the step. It
    may have a `body_order`, which decides when bodies begin and end (see `BodyOrder`).

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


class GivenService:
    """The service that an engine in this process gives to the handlers it calls.

    A decorator around a handler calls it as Lambda does, with an event and a context. The handler then uses this service, so
    that a test never reaches a real endpoint.

    Attributes:
        client: The service.
        observers: Observers of the invocation.
        clock: Clock for the times that observers receive.
    """

    __slots__ = ("client", "clock", "observers")

    def __init__(self, client: ServiceClient, observers: Sequence[Observer], clock: Clock) -> None:
        self.client = client
        self.observers = observers
        self.clock = clock


_given: ContextVar[GivenService | None] = ContextVar("durable_execution_given_service", default=None)


def given_service() -> GivenService | None:
    """The service of the engine that calls this code; None outside an engine."""
    return _given.get()


@contextmanager
def giving(service: GivenService) -> Iterator[None]:
    """Give a service to the handlers that the block calls."""
    token = _given.set(service)
    try:
        yield
    finally:
        _given.reset(token)

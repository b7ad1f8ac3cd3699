"""A service that fails where a test wants it to."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from durable_execution.errors import ServiceError
from durable_execution.protocol import Wire
from durable_execution.runtime.service import CheckpointAnswer, ServiceClient, StatePage

NETWORK = ServiceError("EndpointConnectionError", "Could not connect to the endpoint", status=None)


class When(Enum):
    """Whether the service had done its work when a call failed."""

    BEFORE = "before"
    AFTER = "after"


@dataclass(slots=True)
class Fault:
    """What goes wrong with one checkpoint.

    Attributes:
        at: Which checkpoint of the execution, from 0.
        error: What the call raises; SystemExit is the end of the process.
        when: Before the service has applied the updates, or after.
    """

    at: int
    error: BaseException = field(default_factory=lambda: NETWORK)
    when: When = When.BEFORE


@dataclass(slots=True)
class FaultyService:
    """Counts the checkpoints of all invocations of an execution, and lets some fail.

    Attributes:
        faults: What goes wrong.
        checkpoints: How many checkpoints were tried.
        state_error: What reading a page of the state raises, once.
    """

    faults: list[Fault] = field(default_factory=list)
    checkpoints: int = 0
    state_error: ServiceError | None = None
    without_token: Callable[[int], bool] = lambda _number: False

    def __call__(self, client: ServiceClient) -> ServiceClient:
        """Stand between an invocation and its service."""
        return _Between(self, client)


class _Between:
    def __init__(self, service: FaultyService, client: ServiceClient) -> None:
        self._service = service
        self._client = client

    async def checkpoint(self, execution_arn: str, token: str, updates: list[Wire]) -> CheckpointAnswer:
        number = self._service.checkpoints
        self._service.checkpoints += 1
        fault = next((fault for fault in self._service.faults if fault.at == number), None)
        if fault is not None and fault.when is When.BEFORE:
            raise fault.error
        answer = await self._client.checkpoint(execution_arn, token, updates)
        if fault is not None:
            raise fault.error
        return answer._replace(token=None) if self._service.without_token(number) else answer

    async def get_state(self, execution_arn: str, token: str, marker: str) -> StatePage:
        error, self._service.state_error = self._service.state_error, None
        if error is not None:
            raise error
        return await self._client.get_state(execution_arn, token, marker)

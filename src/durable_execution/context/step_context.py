"""The context that is passed to a step's body."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging

    from durable_execution.runtime.call import Call


class StepContext:
    """Gives a step's body its attempt number, operation id, path, clock and logger.

    Attributes:
        attempt: Number of this attempt, from 1.
    """

    __slots__ = ("_call", "attempt")

    def __init__(self, call: Call, attempt: int) -> None:
        self._call = call
        self.attempt = attempt

    @property
    def operation_id(self) -> str:
        """Id of the step: the same in every attempt and replay, so it serves as an idempotency key."""
        return self._call.id

    @property
    def name(self) -> str | None:
        """Name of the step."""
        return self._call.name

    @property
    def execution_arn(self) -> str:
        """The execution the step belongs to."""
        return self._call.scope.state.execution_arn

    @property
    def path(self) -> str:
        """Readable path of the step, for example `process_order/charge`."""
        return self._call.path

    def now(self) -> datetime:
        """Return the time, aware and in UTC. Outside a step, use `ctx.now()`, which a replay repeats."""
        return self._call.scope.state.clock.now()

    @property
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger whose records carry execution, operation and attempt."""
        from durable_execution.context.logger import operation_logger

        return operation_logger(self._call, self.attempt)

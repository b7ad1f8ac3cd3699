"""Loggers that add execution and operation to each record, and stay silent during replay."""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from durable_execution.runtime.call import Call
    from durable_execution.runtime.scope import ContextScope

LOGGER_NAME = "durable_execution.user"


class DurableLogger(logging.LoggerAdapter[logging.Logger]):
    """A standard logger whose records carry their origin.

    Each record has `executionArn`, `operationId`, `parentId`, `operationName`, `operationPath`, `attempt` and `isReplaying`.

    While its context replays, the logger is silent: earlier invocations already logged those records. To log during replay,
    use `@durable_execution(log_while_replaying=True)`.
    """

    def __init__(self, logger: logging.Logger, fields: dict[str, Any], scope: ContextScope | None) -> None:
        super().__init__(logger, fields)
        self._scope = scope

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802  # the name logging gives it
        """Whether a record of this level is written now."""
        if self._scope is not None and self._scope.here.is_replaying and not self._scope.state.logs_while_replaying:
            return False
        return super().isEnabledFor(level)

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Add the fields to the record. Fields passed with `extra=` take precedence."""
        is_replaying = self._scope is not None and self._scope.here.is_replaying
        kwargs["extra"] = {"isReplaying": is_replaying, **(self.extra or {}), **(kwargs.get("extra") or {})}
        return msg, kwargs


def context_logger(scope: ContextScope) -> DurableLogger:
    """Create the logger of a context."""
    fields: dict[str, Any] = {"executionArn": scope.state.execution_arn}
    if scope.owner is not None:
        fields |= _fields_of(scope.owner)
    return DurableLogger(scope.state.user_logger or logging.getLogger(LOGGER_NAME), fields, scope)


def operation_logger(call: Call, attempt: int) -> DurableLogger:
    """Create the logger of a step's body. It never replays, so it is never silent."""
    state = call.scope.state
    fields = {"executionArn": state.execution_arn, **_fields_of(call), "attempt": attempt}
    return DurableLogger(state.user_logger or logging.getLogger(LOGGER_NAME), fields, None)


def _fields_of(call: Call) -> dict[str, Any]:
    fields: dict[str, Any] = {"operationId": call.id, "operationPath": call.path}
    if call.name is not None:
        fields["operationName"] = call.name
    if call.parent_id is not None:
        fields["parentId"] = call.parent_id
    return fields

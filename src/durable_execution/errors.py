"""Every error this SDK raises.

```
DurableError
├── ExecutionError                 the execution fails, nobody retries
│   ├── NotDurableError            the event is a plain Lambda event
│   ├── PayloadError               the handler's annotation rejects the payload
│   ├── ConfigurationError         an option that can never work (also a ValueError)
│   ├── NestedOperationError       a durable operation called inside a step
│   ├── SerializationError         a value that cannot be stored and restored
│   ├── NondeterminismError        the code left the recorded path
│   └── CheckpointRejectedError    the service refused an update for good
├── InvocationError                this invocation fails, Lambda retries it
│   └── ServiceUnavailableError    the service throttled or broke
└── OperationError                 an operation failed, as recorded
    ├── StepError
    │   └── StepInterruptedError   an at-most-once step whose attempt was cut off
    ├── ChildContextError
    ├── InvokeError
    │   ├── InvokeTimeoutError
    │   └── InvokeStoppedError
    ├── CallbackError
    │   ├── CallbackFailedError
    │   ├── CallbackTimeoutError
    │   │   └── CallbackHeartbeatError
    │   └── CallbackSubmitterError
    ├── WaitForConditionError
    └── BatchError
ServiceError                       what a service client raises; the runtime turns it into one of the above
EngineError                        the local engine cannot do what was asked (store, names, ids)
SuspendExecution                   a BaseException that ends a blocking handler's thread; never catch it
```
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from durable_execution.protocol.error_object import ErrorObject

KMS_ERROR_CODES = frozenset(
    {"KMSAccessDeniedException", "KMSDisabledException", "KMSInvalidStateException", "KMSNotFoundException"}
)
"""The customer's key is unusable: retrying does not help, although the service answers 502."""

STALE_TOKEN_PREFIX = "Invalid checkpoint token"  # noqa: S105  # a message, not a secret


class DurableError(Exception):
    """The root of everything this SDK raises.

    Attributes:
        is_retriable: Whether the invocation that raised it is worth retrying.
    """

    is_retriable = False

    @staticmethod
    def execution(message: str) -> ExecutionError:
        """An error that fails the execution without a retry."""
        return ExecutionError(message)

    @staticmethod
    def invocation(message: str) -> InvocationError:
        """An error that fails this invocation, so that Lambda retries it."""
        return InvocationError(message)


class ExecutionError(DurableError):
    """The execution fails and is not retried. Raise it for what no retry can mend."""


class InvocationError(DurableError):
    """The invocation fails and the service retries it, replaying what is recorded. Raise it for passing trouble."""

    is_retriable = True


class NotDurableError(ExecutionError):
    """The handler was called with something else than a durable invocation."""

    def __init__(self, event: Any) -> None:
        if isinstance(event, Mapping):
            seen = f"an object with the keys {sorted(map(str, event))[:6]}"
        else:
            seen = f"{type(event).__name__} {event!r:.60}"
        super().__init__(
            f"this handler is a durable function, but it was called with {seen} instead of a durable invocation "
            "(DurableExecutionArn, CheckpointToken, InitialExecutionState). The function is not configured as durable: "
            "set DurableConfig (ExecutionTimeout, RetentionPeriodInDays) when you create the function, and invoke a "
            "version, an alias or $LATEST. To run it on this machine, use `durable-debug run` or "
            "durable_execution.local.run()."
        )


class PayloadError(ExecutionError):
    """The payload does not fit the handler's annotation."""


class ConfigurationError(ExecutionError, ValueError):
    """An option that can never work, for example a wait of half a second."""


class NestedOperationError(ExecutionError):
    """A durable operation was called inside a step."""


class SerializationError(ExecutionError):
    """A value cannot be stored, or cannot be restored as what it was.

    Attributes:
        operation: Readable path of the operation the value belongs to.
    """

    def __init__(self, message: str, *, operation: str | None = None) -> None:
        super().__init__(message)
        self.operation = operation


class NondeterminismError(ExecutionError):
    """The code called something else than what is recorded.

    Attributes:
        divergence: The `durable_execution.replay.Divergence`: both sides, path, call site, cause and cure.
    """

    def __init__(self, message: str, *, divergence: Any = None) -> None:
        super().__init__(message)
        self.divergence = divergence


class CheckpointRejectedError(ExecutionError):
    """The service refused an update, and would refuse it again."""


class ServiceUnavailableError(InvocationError):
    """The service throttled, broke, or could not be reached."""


class ServiceError(DurableError):
    """What a service client raises when a call fails.

    Attributes:
        code: The API's error code, for example `TooManyRequestsException`.
        message: The API's message.
        status: HTTP status; None when there was no answer.
    """

    def __init__(self, code: str, message: str, *, status: int | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status

    @property
    def is_stale_token(self) -> bool:
        """Whether another invocation has taken over: this one must stop, and a new one gets a new token."""
        return self.code == "InvalidParameterValueException" and self.message.startswith(STALE_TOKEN_PREFIX)

    @property
    def is_retriable(self) -> bool:  # type: ignore[override]
        """Whether a retried invocation may succeed: 429, 5xx, no answer, or a stale token; never a KMS refusal."""
        if self.code in KMS_ERROR_CODES:
            return False
        return self.status is None or self.status == 429 or self.status >= 500 or self.is_stale_token


class EngineError(DurableError):
    """The local engine cannot do what was asked: a store it cannot read, a function it does not know."""


class OperationError(DurableError):
    """An operation failed; the same error is raised on the first run and on every replay.

    Where the original exception's class can be found, the error raised is also an instance of that class, so that
    `except ValueError` catches a step that raised `ValueError`.

    Attributes:
        message: What the original exception said.
        error_type: Its class name as recorded, for example `ValueError` or `shop.errors.CardDeclined`.
        data: Serialized details, if any were recorded.
        stack_trace: Its traceback, if recorded.
        operation: Readable path of the operation.
        operation_id: Id of the operation.
    """

    def __init__(
        self,
        message: str | None = None,
        error_type: str | None = None,
        data: str | None = None,
        stack_trace: tuple[str, ...] | None = None,
        *,
        operation: str | None = None,
        operation_id: str | None = None,
    ) -> None:
        Exception.__init__(self, message)  # not super(): a class made by `failures` has a stranger there
        self.message = message
        self.error_type = error_type or type_name(type(self))
        self.data = data
        self.stack_trace = stack_trace
        self.operation = operation
        self.operation_id = operation_id

    def __str__(self) -> str:
        return self.message or ""


class StepError(OperationError):
    """A step failed and will not be retried."""


class StepInterruptedError(StepError):
    """An at-most-once step was cut off: nobody knows whether its body took effect."""


class ChildContextError(OperationError):
    """The body of a child context, map item or parallel branch raised."""


class InvokeError(OperationError):
    """An invoked function failed."""


class InvokeTimeoutError(InvokeError):
    """An invoked function ran out of time."""


class InvokeStoppedError(InvokeError):
    """An invoked function's execution was stopped."""


class CallbackError(OperationError):
    """A callback ended without a result."""


class CallbackFailedError(CallbackError):
    """The external system reported a failure."""


class CallbackTimeoutError(CallbackError):
    """Nobody completed the callback in time."""


class CallbackHeartbeatError(CallbackTimeoutError):
    """The external system stopped sending heartbeats."""


class CallbackSubmitterError(CallbackError):
    """The submitter of a wait_for_callback failed, so nobody knows the callback's id."""


class WaitForConditionError(OperationError):
    """A condition was not met in the attempts allowed, or its check raised."""


class BatchError(OperationError):
    """A map or parallel was completed as failed by its own rule, without a failed item."""


class SuspendExecution(BaseException):
    """Unwinds the thread of a blocking handler whose invocation has been suspended.

    Not an error: the execution goes on in a later invocation. If you see it in an `except BaseException`, write
    `except Exception` there, or re-raise it.
    """

    def __init__(self) -> None:
        super().__init__(
            "the execution is suspended and will go on in a later invocation. This is not an error and must not be "
            "caught: write `except Exception` instead of `except BaseException` or a bare `except`, or re-raise it."
        )


def type_name(cls: type[BaseException]) -> str:
    """The name a class has on the wire: bare for builtins, else qualified with its module."""
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def resolve_type(name: str | None) -> type[Exception] | None:
    """The exception class a wire name stands for, if its module is already imported.

    Nothing is imported: a name out of a payload must not make code run.
    """
    if not name:
        return None
    module_name, _, rest = name.rpartition(".")
    module = sys.modules.get(module_name or "builtins")
    found = getattr(module, rest, None) if module else None
    return found if isinstance(found, type) and issubclass(found, Exception) else None


def error_object(error: BaseException, *, stack_trace: tuple[str, ...] | None = None) -> ErrorObject:
    """The wire picture of an exception. An `OperationError` keeps the type, data and trace it was recorded with."""
    if isinstance(error, OperationError):
        return ErrorObject(error.message, error.error_type, error.data, error.stack_trace)
    return ErrorObject(str(error), type_name(type(error)), None, stack_trace)

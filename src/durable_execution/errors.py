"""Every error this SDK raises.

```
DurableError
├── ExecutionError                 the execution fails and is not retried
│   ├── NotDurableError            the event is a plain Lambda event
│   ├── PayloadError               the handler's annotation rejects the payload
│   ├── ConfigurationError         an option is invalid (also a ValueError)
│   ├── NestedOperationError       a durable operation was called inside a step
│   ├── SerializationError         a value cannot be stored or restored
│   ├── NondeterminismError        the code left the recorded path
│   └── CheckpointRejectedError    the service rejected an update permanently
├── InvocationError                this invocation fails, Lambda retries it
│   └── ServiceUnavailableError    the service throttled, failed or was unreachable
└── OperationError                 an operation failed, as recorded
    ├── StepError
    │   └── StepInterruptedError   an at-most-once step was interrupted
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
ServiceError                       a call to the service failed; the runtime converts it to one of the above
EngineError                        the local engine cannot do what you asked (store, names, ids)
└── ForkRefusedError               an execution cannot be forked at that call
SuspendExecution                   a BaseException that unwinds a blocking handler's thread; never catch it
```

Creates the error that a failed operation raises, the same in the first run and on replay.

On replay, the original exception no longer exists, but the name of its class is recorded. If that class is imported, the
error is an instance of it as well, so that `except ValueError` catches a step that raised `ValueError` in every run.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from durable_execution.protocol.operation import ErrorObject

if TYPE_CHECKING:
    from durable_execution.divergence import Divergence

__all__ = [
    "BatchError",
    "CallbackError",
    "CallbackFailedError",
    "CallbackHeartbeatError",
    "CallbackSubmitterError",
    "CallbackTimeoutError",
    "CheckpointRejectedError",
    "ChildContextError",
    "ConfigurationError",
    "DurableError",
    "EngineError",
    "ExecutionError",
    "InvocationError",
    "InvokeError",
    "InvokeStoppedError",
    "InvokeTimeoutError",
    "NestedOperationError",
    "NondeterminismError",
    "NotDurableError",
    "OperationError",
    "PayloadError",
    "SerializationError",
    "ServiceError",
    "ServiceUnavailableError",
    "StepError",
    "StepInterruptedError",
    "SuspendExecution",
    "WaitForConditionError",
]

KMS_ERROR_CODES = frozenset(
    {"KMSAccessDeniedException", "KMSDisabledException", "KMSInvalidStateException", "KMSNotFoundException"}
)
"""The customer's key cannot be used. Retrying does not help, although the service returns 502."""
STALE_TOKEN_PREFIX = "Invalid checkpoint token"  # noqa: S105  # a message, not a secret


class DurableError(Exception):
    """Base class of the errors that this SDK raises.

    Attributes:
        is_retriable: Whether Lambda should retry the invocation that raised it.
    """

    is_retriable = False

    @staticmethod
    def execution(message: str) -> ExecutionError:
        """Return an error that fails the execution without a retry."""
        return ExecutionError(message)

    @staticmethod
    def invocation(message: str) -> InvocationError:
        """Return an error that fails this invocation, so that Lambda retries it."""
        return InvocationError(message)


class ExecutionError(DurableError):
    """The execution fails and is not retried. Raise it for a permanent failure."""


class InvocationError(DurableError):
    """The invocation fails and Lambda retries it, replaying the recorded operations. Raise it for a transient failure."""

    is_retriable = True


class NotDurableError(ExecutionError):
    """The handler was called with something other than a durable invocation."""

    def __init__(self, event: Any) -> None:
        if isinstance(event, Mapping):
            seen = f"an object with the keys {sorted(map(str, event))[:6]}"
        else:
            seen = f"{type(event).__name__} {event!r:.60}"
        super().__init__(
            f"this handler is a durable function, but it was called with {seen} instead of a durable invocation "
            "(DurableExecutionArn, CheckpointToken, InitialExecutionState). The function is not configured as durable: "
            "set DurableConfig (ExecutionTimeout, RetentionPeriodInDays) when you create the function, and invoke a "
            "version, an alias or $LATEST. To run it locally, use `durable-debug run` or durable_execution.local.run()."
        )


class PayloadError(ExecutionError):
    """The payload does not fit the handler's annotation."""


class ConfigurationError(ExecutionError, ValueError):
    """An option is invalid, for example a wait of half a second."""


class NestedOperationError(ExecutionError):
    """A durable operation was called inside a step."""


class SerializationError(ExecutionError):
    """A value cannot be stored, or cannot be restored to an equal value.

    Attributes:
        operation: Readable path of the operation the value belongs to.
    """

    def __init__(self, message: str, *, operation: str | None = None) -> None:
        super().__init__(message)
        self.operation = operation


class NondeterminismError(ExecutionError):
    """The code left the recorded path: its calls differ from the recorded operations.

    Attributes:
        divergence: The `durable_execution.replay.Divergence`: both sides, path, call site, likely cause and fix.
    """

    def __init__(self, message: str, *, divergence: Divergence | None = None) -> None:
        super().__init__(message)
        self.divergence = divergence


class CheckpointRejectedError(ExecutionError):
    """The service rejected an update permanently; a retry would be rejected as well."""


class ServiceUnavailableError(InvocationError):
    """The service throttled the call, failed, or was unreachable."""


class ServiceError(DurableError):
    """A call to the service failed. Service clients raise it.

    Attributes:
        code: The API's error code, for example `TooManyRequestsException`.
        message: The API's message.
        status: HTTP status; None when there was no response.
    """

    def __init__(self, code: str, message: str, *, status: int | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status

    @property
    def is_stale_token(self) -> bool:
        """Whether a newer invocation has taken over. This invocation must stop; the newer one has a new token."""
        return self.code == "InvalidParameterValueException" and self.message.startswith(STALE_TOKEN_PREFIX)

    @property
    def is_retriable(self) -> bool:  # type: ignore[override]
        """Whether a retried invocation may succeed: after 429, 5xx, no response, or a stale token; never after a KMS error."""
        if self.code in KMS_ERROR_CODES:
            return False
        return self.status is None or self.status == 429 or self.status >= 500 or self.is_stale_token


class EngineError(DurableError):
    """The local engine cannot do what you asked, for example read a damaged store or invoke an unknown function."""


class ForkRefusedError(EngineError):
    """An execution cannot be forked at that call. The message says why, and where it can be forked.

    Attributes:
        divergence: Where the code leaves the recording before the call; None if it is refused for another reason.
    """

    def __init__(self, message: str, divergence: Any = None) -> None:
        super().__init__(message)
        self.divergence = divergence


class OperationError(DurableError):
    """An operation failed. The first run and every replay raise the same error.

    If the class of the original exception is imported, the error is also an instance of that class, so that
    `except ValueError` catches a step that raised `ValueError`.

    Attributes:
        message: Message of the original exception.
        error_type: Recorded class name, for example `ValueError` or `shop.errors.CardDeclined`.
        data: Serialized details, if recorded.
        stack_trace: Traceback of the original exception, if recorded.
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
        Exception.__init__(self, message)  # not super(): in a class made by `failures`, that is the original class
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
    """An at-most-once step was interrupted. Its body may or may not have taken effect."""


class ChildContextError(OperationError):
    """The body of a child context, map item or parallel branch raised."""


class InvokeError(OperationError):
    """An invoked function failed."""


class InvokeTimeoutError(InvokeError):
    """An invoked function timed out."""


class InvokeStoppedError(InvokeError):
    """An invoked function's execution was stopped."""


class CallbackError(OperationError):
    """A callback ended without a result."""


class CallbackFailedError(CallbackError):
    """The external system reported a failure."""


class CallbackTimeoutError(CallbackError):
    """The callback was not completed in time."""


class CallbackHeartbeatError(CallbackTimeoutError):
    """The external system stopped sending heartbeats."""


class CallbackSubmitterError(CallbackError):
    """The submitter of a wait_for_callback failed, so the external system may not know the callback's id."""


class WaitForConditionError(OperationError):
    """A condition was not met within the allowed attempts, or its check raised."""


class BatchError(OperationError):
    """A map or parallel was completed as failed by its completion rule, without a failed branch."""


class SuspendExecution(BaseException):
    """Unwinds the thread of a blocking handler whose invocation has been suspended.

    This is not an error: the execution continues in a later invocation. If an `except BaseException` catches it, write
    `except Exception` there, or re-raise it.
    """

    def __init__(self) -> None:
        super().__init__(
            "the execution is suspended and continues in a later invocation. This is not an error and must not be "
            "caught: write `except Exception` instead of `except BaseException` or a bare `except`, or re-raise it."
        )


def type_name(cls: type[BaseException]) -> str:
    """Return the wire name of a class: bare for builtins, else qualified with its module."""
    if cls.__module__ == "builtins":
        return cls.__qualname__
    module = __name__ if globals().get(cls.__name__) is cls else cls.__module__  # recorded executions know this module
    return f"{module}.{cls.__qualname__}"


def resolve_type(name: str | None) -> type[Exception] | None:
    """Return the exception class with a wire name, if its module is already imported.

    Nothing is imported, because a name from a payload must not make code run.
    """
    if not name:
        return None
    module_name, _, rest = name.rpartition(".")
    module = sys.modules.get(module_name or "builtins")
    found = getattr(module, rest, None) if module else None
    return found if isinstance(found, type) and issubclass(found, Exception) else None


def error_object(error: BaseException, *, stack_trace: tuple[str, ...] | None = None) -> ErrorObject:
    """Return the wire form of an exception. An `OperationError` keeps its recorded type, data and traceback."""
    if isinstance(error, OperationError):
        return ErrorObject(error.message, error.error_type, error.data, error.stack_trace)
    return ErrorObject(str(error), type_name(type(error)), None, stack_trace)


E = TypeVar("E", bound=OperationError)


def make_failure(
    base: type[E],
    error: ErrorObject | None,
    *,
    operation: str | None = None,
    operation_id: str | None = None,
) -> E:
    """Return the error for a recorded failure.

    Args:
        base: The error class for this kind of operation.
        error: The recorded error.
        operation: Readable path of the operation.
        operation_id: Id of the operation.
    """
    recorded = error or ErrorObject()
    cls = cast("type[E]", _class_for(base, resolve_type(recorded.type)))
    try:
        raised = cls.__new__(cls, recorded.message)
    except TypeError:  # the original class needs more than a message
        raised = base.__new__(base, recorded.message)
    OperationError.__init__(
        raised,
        recorded.message,
        recorded.type,
        recorded.data,
        recorded.stack_trace,
        operation=operation,
        operation_id=operation_id,
    )
    return raised


def _class_for(base: type[OperationError], original: type[Exception] | None) -> type[OperationError]:
    if original is None or issubclass(base, original):
        return base
    if issubclass(original, base):
        return original
    return _both[base, original]


class _Both(dict[tuple[type[OperationError], type[Exception]], type[OperationError]]):
    """Classes that are a failure of an operation and the user's error, by these two.

    Shared by the whole process: the same two must always give the same class, also for code that compares classes.
    """

    def __missing__(self, pair: tuple[type[OperationError], type[Exception]]) -> type[OperationError]:
        base = pair[0]
        try:
            found = type(base.__name__, pair, {"__module__": base.__module__, "__doc__": base.__doc__})
        except TypeError:  # the memory layouts of the two classes conflict
            found = base
        self[pair] = found
        return found


_both = _Both()


for _shown in (
    CallbackError,
    DurableError,
    ExecutionError,
    InvocationError,
    NondeterminismError,
    OperationError,
    StepError,
):  # a traceback shows them under the name that most users import
    _shown.__module__ = "durable_execution"
del _shown

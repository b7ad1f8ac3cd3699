"""Where functions run: the seam between the engine and user code.

The context object a handler receives from Lambda.
"""

import inspect
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol, runtime_checkable

from durable_execution.clock import Clock
from durable_execution.errors import EngineError, error_object
from durable_execution.observers import Observer
from durable_execution.protocol import ErrorObject, Wire
from durable_execution.runtime.service import GivenService, ServiceClient, giving


@dataclass(frozen=True, slots=True)
class LambdaContext:
    """Lambda's context object for one invocation.

    Attributes:
        aws_request_id: Id of the invocation.
        function_name: Function name.
        function_version: Function version.
        invoked_function_arn: ARN used to invoke the function.
        tenant_id: Tenant id; None without tenant isolation.
        client_context: The caller's decoded client context; None without one.
        deadline: When the invocation times out.
        clock: The clock that measures the remaining time.
        trace_header: Value of `_X_AMZN_TRACE_ID`; None if the execution was started without one.
        memory_limit_in_mb: Memory size of the function.
        identity: Always None here.
    """

    aws_request_id: str
    function_name: str
    function_version: str
    invoked_function_arn: str
    tenant_id: str | None
    client_context: Any
    deadline: datetime
    clock: Clock
    trace_header: str | None = None
    memory_limit_in_mb: int = 128
    identity: Any = None

    @property
    def log_group_name(self) -> str:
        """Name of the log group on Lambda."""
        return f"/aws/lambda/{self.function_name}"

    @property
    def log_stream_name(self) -> str:
        """Name of the log stream of this engine."""
        return log_stream_of(self.function_version)

    def get_remaining_time_in_millis(self) -> int:
        """Time left until the invocation times out, in milliseconds."""
        left = self.deadline - self.clock.now()
        return max(0, int(left.total_seconds() * 1000))


@dataclass(frozen=True, slots=True)
class Invocation:
    """One invocation of a function.

    Attributes:
        event: The envelope of a durable function, or the payload of a plain function.
        context: Lambda's context object.
        client: The service client, for handlers in this process.
        observers: The observers, for handlers in this process.
        clock: The engine's clock.
        execution_arn: The durable execution; None for a plain function.
        number: Number of the invocation within the execution, from 1.
        trace_header: `_X_AMZN_TRACE_ID` of the invocation.
        timeout: How long it may take. A host with the attribute `ends_overdue` ends it then, and says so.
    """

    event: Any
    context: LambdaContext
    client: ServiceClient
    observers: Sequence[Observer]
    clock: Clock
    execution_arn: str | None
    number: int
    trace_header: str | None = None
    timeout: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The function returned.

    Attributes:
        value: The returned value, which can be serialized as JSON.
        log: The last lines that the invocation logged, if the host knows them.
        peak_memory_mb: The most memory that the function's process has used, in MB, if the host knows it.
    """

    value: Any
    log: Sequence[str] = ()
    peak_memory_mb: int | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """The function raised, its process died, or it timed out.

    Attributes:
        error: The error. Its type is `Runtime.ExitError` if the process died, and `Sandbox.Timedout` after a time-out.
        log: The last lines that the invocation logged, if the host knows them.
        peak_memory_mb: The most memory that the function's process has used, in MB, if the host knows it.
    """

    error: ErrorObject
    log: Sequence[str] = ()
    peak_memory_mb: int | None = None


@dataclass(frozen=True, slots=True)
class Missing:
    """The function no longer exists, so a retry cannot succeed.

    Attributes:
        message: Names the missing function.
    """

    message: str


Outcome = Answer | Failure | Missing


class FunctionHost(Protocol):
    """Runs a function."""

    def invoke(self, invocation: Invocation) -> Outcome:
        """Run the function once and wait until it ends.

        The engine calls it on one of its threads. Errors of user code are outcomes; the method does not raise them.
        """
        ...

    def close(self) -> None:
        """Release processes and connections."""
        ...


@runtime_checkable
class DurableTarget(Protocol):
    """A handler decorated with this SDK, as the engine calls it."""

    @property
    def function(self) -> Any:
        """The undecorated handler."""
        ...

    def invoke(
        self,
        event: Any,
        lambda_context: Any,
        *,
        client: ServiceClient,
        observers: Sequence[Observer] = (),
        clock: Clock | None = None,
    ) -> Wire:
        """Run one invocation against a service."""
        ...


class DurableHost:
    """Runs a handler decorated with this SDK in this process, with direct calls to the engine."""

    is_in_process = True

    def __init__(self, handler: DurableTarget) -> None:
        self._handler = handler

    def invoke(self, invocation: Invocation) -> Outcome:
        """Run it once."""

        def call() -> Any:
            return self._handler.invoke(
                invocation.event,
                invocation.context,
                client=invocation.client,
                observers=invocation.observers,
                clock=invocation.clock,
            )

        return guarded(call)

    def close(self) -> None:
        """Do nothing: this host holds no resources."""


class CallableHost:
    """Runs any `(event, lambda_context) -> result` in this process: a plain function, or a handler with decorators."""

    is_in_process = True

    def __init__(self, target: Callable[[Any, Any], Any]) -> None:
        self._target = target

    def invoke(self, invocation: Invocation) -> Outcome:
        """Run it once."""
        with giving(GivenService(invocation.client, invocation.observers, invocation.clock)):
            return guarded(lambda: self._target(invocation.event, invocation.context))

    def close(self) -> None:
        """Do nothing: this host holds no resources."""


def is_in_process(host: FunctionHost) -> bool:
    """Whether a host runs the function in this process, with the client that the engine passes."""
    return bool(getattr(host, "is_in_process", False))


def durable_target(target: Any) -> DurableTarget | None:
    """The handler that a target is, or that its decorators wrap; None if it is not durable.

    Args:
        target: A handler, or a handler with decorators around it that use `functools.wraps`.
    """
    if not callable(target):
        return None
    found = inspect.unwrap(target, stop=lambda each: isinstance(each, DurableTarget))
    return found if isinstance(found, DurableTarget) else None


def host_of(name: str, target: Any) -> tuple[FunctionHost, bool]:
    """The host for a registered target, and whether the target looks durable.

    Raises:
        EngineError: The target is not callable.
    """
    if isinstance(target, DurableTarget):
        return DurableHost(target), True
    if hasattr(target, "invoke") and hasattr(target, "close"):
        return target, True
    if callable(target):
        return CallableHost(target), durable_target(target) is not None
    raise EngineError(
        f"{target!r:.100} cannot be registered as {name!r}: pass a handler decorated with @durable_execution, or any callable "
        "(event, lambda_context) -> result."
    )


def log_stream_of(version: str) -> str:
    """The name of the log stream of a version."""
    return f"local/[{version}]"


def guarded(call: Callable[[], Any]) -> Outcome:
    """Run user code. An exception fails the invocation, not the engine."""
    try:
        return Answer(call())
    except Exception as error:  # noqa: BLE001  # any exception of user code is an outcome
        return Failure(error_object(error, stack_trace=tuple(traceback.format_tb(error.__traceback__))))
    except BaseException as error:  # noqa: BLE001
        # SystemExit and similar exceptions end a Lambda environment; here they end the invocation.
        reason = f"Runtime exited with error: {type(error).__name__}" + (f" {error}" if str(error) else "")
        return Failure(exit_error(reason))


def exit_error(reason: str) -> ErrorObject:
    """The error Lambda reports when a function's process dies."""
    return ErrorObject(reason, "Runtime.ExitError")

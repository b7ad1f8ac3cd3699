"""Where functions run: the seam between the engine and user code."""

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from durable_execution.clock import Clock
from durable_execution.errors import EngineError, error_object
from durable_execution.local.lambda_context import LambdaContext
from durable_execution.observers import Observer
from durable_execution.protocol import ErrorObject, Wire
from durable_execution.runtime.service import ServiceClient


@dataclass(frozen=True, slots=True)
class Invocation:
    """One invocation of a function.

    Attributes:
        event: The envelope of a durable function, or the payload of a plain one.
        context: Lambda's context object for it.
        client: The service, for handlers in this process.
        observers: Who listens, for handlers in this process.
        clock: The engine's clock.
        execution_arn: The durable execution; None for a plain function.
        number: 1 for the first invocation of the execution.
        trace_header: `_X_AMZN_TRACE_ID` of the invocation.
    """

    event: Any
    context: LambdaContext
    client: ServiceClient
    observers: Sequence[Observer]
    clock: Clock
    execution_arn: str | None
    number: int
    trace_header: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The function returned.

    Attributes:
        value: What it returned: anything that can be written as JSON.
    """

    value: Any


@dataclass(frozen=True, slots=True)
class Failure:
    """The function raised, its process died, or it ran out of time.

    Attributes:
        error: Why. `Runtime.ExitError` for a process that died, `Sandbox.Timedout` for one out of time.
    """

    error: ErrorObject


@dataclass(frozen=True, slots=True)
class Missing:
    """There is no such function any more: retrying is useless.

    Attributes:
        message: What was looked for.
    """

    message: str


Outcome = Answer | Failure | Missing


class FunctionHost(Protocol):
    """Runs a function."""

    def invoke(self, invocation: Invocation) -> Outcome:
        """Run it once, and wait for its end. Called on a thread of the engine; never raises for what user code does."""
        ...

    def close(self) -> None:
        """Let go of processes and connections."""
        ...


@runtime_checkable
class DurableTarget(Protocol):
    """A handler made with this SDK, as the engine calls it."""

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
    """Runs a handler made with this SDK in this process, talking to the engine without a detour."""

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
        """Nothing to let go of."""


class CallableHost:
    """Runs any `(event, lambda_context) -> result` in this process."""

    def __init__(self, target: Callable[[Any, Any], Any]) -> None:
        self._target = target

    def invoke(self, invocation: Invocation) -> Outcome:
        """Run it once."""
        return guarded(lambda: self._target(invocation.event, invocation.context))

    def close(self) -> None:
        """Nothing to let go of."""


def host_of(name: str, target: Any) -> tuple[FunctionHost, bool]:
    """The host for what a user registers, and whether it is durable as far as one can tell.

    Raises:
        EngineError: It cannot be called.
    """
    if isinstance(target, DurableTarget):
        return DurableHost(target), True
    if hasattr(target, "invoke") and hasattr(target, "close"):
        return target, True
    if callable(target):
        return CallableHost(target), False
    raise EngineError(
        f"{target!r:.100} cannot be registered as {name!r}: pass a handler made with @durable_execution, or any callable "
        "(event, lambda_context) -> result."
    )


def guarded(call: Callable[[], Any]) -> Outcome:
    """Run user code: what it raises fails the invocation, not the engine."""
    try:
        return Answer(call())
    except Exception as error:  # noqa: BLE001  # whatever user code raises is an outcome
        return Failure(error_object(error, stack_trace=tuple(traceback.format_tb(error.__traceback__))))
    except BaseException as error:  # noqa: BLE001
        # SystemExit and the like end a Lambda environment; here they end the invocation.
        reason = f"Runtime exited with error: {type(error).__name__}" + (f" {error}" if str(error) else "")
        return Failure(exit_error(reason))


def exit_error(reason: str) -> ErrorObject:
    """The error Lambda reports when a function's process dies."""
    return ErrorObject(reason, "Runtime.ExitError")

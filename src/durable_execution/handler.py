"""`@durable_execution`: a Lambda handler out of a workflow function.

The handler reads the service's envelope, runs the function over what is recorded, and answers SUCCEEDED, FAILED or PENDING.
It raises only to have the invocation retried: a user's exception is an answer, a broken service is not.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, overload

from durable_execution.clock import Clock, SystemClock
from durable_execution.errors import ConfigurationError, NotDurableError
from durable_execution.invocation_loop import InvocationLoop
from durable_execution.protocol import InvocationInput, Wire
from durable_execution.runtime.client import Boto3ServiceClient
from durable_execution.runtime.service import ServiceClient
from durable_execution.runtime.state import NondeterminismPolicy
from durable_execution.serdes.annotations import parameters_of

if TYPE_CHECKING:
    import logging

    from mypy_boto3_lambda import LambdaClient

    from durable_execution.observers import Observer

F = TypeVar("F", bound=Callable[..., Any])

Policy = Literal["fail", "retry", "warn"]


class DurableHandler(Generic[F]):
    """A workflow function as a Lambda handler: `handler(event, lambda_context)`.

    Attributes:
        function: The decorated function.
        name: `module:qualname` of the function.
        observers: Observers of every invocation.
        policy: What happens when the code leaves the recorded path.
    """

    def __init__(
        self,
        function: F,
        *,
        client: ServiceClient | LambdaClient | None = None,
        observers: Sequence[Observer] = (),
        on_nondeterminism: Policy = "fail",
        log_while_replaying: bool = False,
        logger: logging.Logger | None = None,
    ) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.name = f"{function.__module__}:{function.__qualname__}"
        self.observers = tuple(observers)
        self.policy = _policy(on_nondeterminism)
        self._client = client
        self._log_while_replaying = log_while_replaying
        self._logger = logger
        self._service: ServiceClient | None = None
        _check_signature(function)

    def __repr__(self) -> str:
        return f"<durable handler {self.name}>"

    def __call__(self, event: Any, lambda_context: Any = None) -> Wire:
        """Run one invocation against the durable execution service.

        Args:
            event: The service's envelope.
            lambda_context: Lambda's context object.

        Returns:
            The answer: `{"Status": "SUCCEEDED", "Result": ...}`, `{"Status": "FAILED", "Error": ...}` or
            `{"Status": "PENDING"}`.

        Raises:
            NotDurableError: The event is not the envelope of a durable invocation.
            InvocationError: Something passing went wrong, and the invocation is to be retried.
        """
        if self._service is None:
            self._service = _service_of(self._client)
        return self.invoke(event, lambda_context, client=self._service)

    def invoke(
        self,
        event: Any,
        lambda_context: Any = None,
        *,
        client: ServiceClient,
        observers: Sequence[Observer] = (),
        clock: Clock | None = None,
    ) -> Wire:
        """Run one invocation against a given service; see `__call__`.

        Args:
            event: The service's envelope.
            lambda_context: Lambda's context object.
            client: The service.
            observers: Observers of this invocation, told before the handler's own.
            clock: The time for observers; the system's by default.
        """
        try:
            envelope = InvocationInput.from_event(event)
        except ValueError:
            raise NotDurableError(event) from None
        loop = InvocationLoop(
            function=self.function,
            name=self.name,
            envelope=envelope,
            lambda_context=lambda_context,
            client=client,
            clock=clock or SystemClock(),
            observers=(*observers, *self.observers, *_configured_observers()),
            policy=self.policy,
            logs_while_replaying=self._log_while_replaying,
            logger=self._logger,
        )
        return loop.run()


@overload
def durable_execution(function: F) -> DurableHandler[F]: ...
@overload
def durable_execution(
    *,
    client: ServiceClient | LambdaClient | None = None,
    observers: Sequence[Observer] = (),
    on_nondeterminism: Policy = "fail",
    log_while_replaying: bool = False,
    logger: logging.Logger | None = None,
) -> Callable[[F], DurableHandler[F]]: ...
def durable_execution(function: Any = None, **options: Any) -> Any:  # noqa: D417  # options are documented by name
    """Make a workflow function a Lambda handler.

    Args:
        function: `async def workflow(payload, ctx: DurableContext)`, or a plain `def` with a `BlockingContext`. The
            payload is fitted to its annotation (a pydantic model, a dataclass, plain JSON).
        client: The service: a boto3 Lambda client or a `ServiceClient`; by default boto3's, from the environment, made
            when it is first needed.
        observers: Told of everything that happens; see `Observer`.
        on_nondeterminism: What to do when the code leaves the recorded path: `fail` the execution, let the invocation be
            retried (`retry`) so that a rollback saves it, or only `warn`.
        log_while_replaying: Whether `ctx.logger` also writes what earlier invocations have written already.
        logger: Where `ctx.logger` writes; by default the logger `durable_execution.user`.

    Raises:
        ConfigurationError: The function cannot be a handler, or an option makes no sense.
    """
    if function is None:
        return lambda decorated: DurableHandler(decorated, **options)
    return DurableHandler(function, **options)


def _policy(name: str) -> NondeterminismPolicy:
    try:
        return NondeterminismPolicy(name)
    except ValueError:
        raise ConfigurationError(f"on_nondeterminism must be 'fail', 'retry' or 'warn', not {name!r}") from None


def _check_signature(function: Callable[..., Any]) -> None:
    parameters = list(parameters_of(function).values())
    positional = [parameter for parameter in parameters if parameter.kind in (0, 1, 2)]
    if len(positional) < 2 and not any(parameter.kind is inspect.Parameter.VAR_POSITIONAL for parameter in positional):
        raise ConfigurationError(
            f"a durable handler takes the payload and the context: `async def {function.__name__}(payload, ctx)`, not "
            f"`{function.__name__}({', '.join(map(str, parameters))})`"
        )


def _service_of(client: Any) -> ServiceClient:
    if client is None or hasattr(client, "checkpoint_durable_execution"):
        return Boto3ServiceClient(client)
    service: ServiceClient = client
    return service


def _configured_observers() -> tuple[Observer, ...]:
    """What is asked for: spans when a tracer provider is configured, places for logs, a replay trace when it is told where."""
    import os
    import sys

    found: tuple[Observer, ...] = ()
    if "opentelemetry" in sys.modules or "durable_execution.telemetry" in sys.modules:  # else nobody has set it up
        from durable_execution.telemetry import observers_from_environment

        found = observers_from_environment()
    if "DURABLE_REPLAY_TRACE" in os.environ:
        from durable_execution.recording import recorder_from_environment

        recorder = recorder_from_environment(os.environ)
        found = (*found, recorder) if recorder is not None else found
    return found

"""`@durable_execution`: turns a workflow function into a Lambda handler.

The handler reads the service's envelope, runs the function against the recorded state, and answers SUCCEEDED, FAILED or
PENDING. It raises only when Lambda should retry the invocation: an exception of your function is an answer, a failure of the
service is not.
"""

from __future__ import annotations

import functools
import gc
import inspect
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, overload

from durable_execution.clock import Clock, SystemClock
from durable_execution.errors import ConfigurationError, NotDurableError
from durable_execution.invocation import InvocationLoop, payload_annotation
from durable_execution.operations.user_function import refuse_generator
from durable_execution.protocol import InvocationInput, Wire
from durable_execution.runtime.service import LambdaApi, ServiceClient, given_service
from durable_execution.runtime.state import NondeterminismPolicy
from durable_execution.serdes.annotations import parameters_of
from durable_execution.serdes.codec import is_plain_annotation

if TYPE_CHECKING:
    import logging

    from durable_execution.observers import Observer

F = TypeVar("F", bound=Callable[..., Any])
Policy = Literal["fail", "retry", "warn"]
LAMBDA_VARIABLE = "AWS_LAMBDA_RUNTIME_API"
"""Set in every Lambda environment."""

MODULES = (
    "durable_execution.batch_result",
    "durable_execution.operations.batch",
    "durable_execution.operations.callback",
    "durable_execution.operations.child",
    "durable_execution.operations.combinators",
    "durable_execution.operations.condition",
    "durable_execution.operations.invoke",
    "durable_execution.operations.logger",
    "durable_execution.operations.replay_safe",
    "durable_execution.operations.wait_for_callback",
    "durable_execution.operations.with_retry",
    "durable_execution.retry",
    "durable_execution.serdes.sizes",
    "encodings.idna",  # the socket module loads it with the first connection
)
"""Modules that the runtime loads on first use."""

OBSERVING_MODULES = ("durable_execution.observers", "durable_execution.runtime.announcer")
TRACING_MODULES = ("durable_execution.trace.sources", "durable_execution.redaction.source_code")
TRACE_VARIABLE = "DURABLE_REPLAY_TRACE"


class DurableHandler(Generic[F]):
    """A workflow function as a Lambda handler: `handler(event, lambda_context)`.

    Attributes:
        function: The decorated function.
        name: `module:qualname` of the function.
        observers: Observers of every invocation.
        policy: What the runtime does when the code leaves the recorded path.
    """

    def __init__(
        self,
        function: F,
        *,
        client: ServiceClient | LambdaApi | None = None,
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
        if LAMBDA_VARIABLE in os.environ:
            prepare(self)

    def __repr__(self) -> str:
        return f"<durable handler {self.name}>"

    def __call__(self, event: Any, lambda_context: Any = None) -> Wire:
        """Run one invocation against the durable execution service.

        Args:
            event: The envelope from the service.
            lambda_context: The context object from Lambda.

        Returns:
            The answer: `{"Status": "SUCCEEDED", "Result": ...}`, `{"Status": "FAILED", "Error": ...}` or
            `{"Status": "PENDING"}`.

        Raises:
            NotDurableError: The event is not the envelope of a durable invocation.
            InvocationError: A transient failure; Lambda should retry the invocation.
        """
        given = given_service()
        if given is not None:
            return self.invoke(event, lambda_context, client=given.client, observers=given.observers, clock=given.clock)
        return self._run(_envelope_of(event), lambda_context, self.service, (), SystemClock())

    @property
    def service(self) -> ServiceClient:
        """The service that `__call__` uses outside an engine."""
        if self._service is None:
            self._service = _service_of(self._client)
        return self._service

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
            event: The envelope from the service.
            lambda_context: The context object from Lambda.
            client: The service.
            observers: Observers of this invocation, notified before the handler's own.
            clock: Clock for the times that observers receive; by default the system clock.
        """
        return self._run(_envelope_of(event), lambda_context, client, observers, clock or SystemClock())

    def _run(
        self,
        envelope: InvocationInput,
        lambda_context: Any,
        client: ServiceClient,
        observers: Sequence[Observer],
        clock: Clock,
    ) -> Wire:
        loop = InvocationLoop(
            function=self.function,
            name=self.name,
            envelope=envelope,
            lambda_context=lambda_context,
            client=client,
            clock=clock,
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
    client: ServiceClient | LambdaApi | None = None,
    observers: Sequence[Observer] = (),
    on_nondeterminism: Policy = "fail",
    log_while_replaying: bool = False,
    logger: logging.Logger | None = None,
) -> Callable[[F], DurableHandler[F]]: ...
def durable_execution(function: Any = None, **options: Any) -> Any:  # noqa: D417  # options are documented by name
    """Turn a workflow function into a Lambda handler.

    Args:
        function: `async def workflow(payload, ctx: DurableContext)`, or a plain `def` with a `BlockingContext`. The
            payload is validated against its annotation (a pydantic model, a dataclass, plain JSON).
        client: A boto3 Lambda client or a `ServiceClient`. By default a boto3 client is created from the environment on
            first use.
        observers: Objects that are notified of everything the execution does; see `Observer`.
        on_nondeterminism: What to do when the code leaves the recorded path: `fail` ends the execution, `retry` lets Lambda
            retry the invocation so that rolling the code back saves the execution, `warn` only logs it.
        log_while_replaying: Whether `ctx.logger` also writes records that earlier invocations have already written.
        logger: Logger that `ctx.logger` writes to; by default `durable_execution.user`.

    Raises:
        ConfigurationError: The function cannot be a handler, or an option has an invalid value.
    """
    if function is None:
        return lambda decorated: DurableHandler(decorated, **options)
    return DurableHandler(function, **options)


def handler_in(target: Any) -> DurableHandler[Any] | None:
    """The durable handler that a target is, or that its decorators wrap; None if there is none.

    Args:
        target: A handler, or a handler with decorators around it that use `functools.wraps`.
    """
    if not callable(target):
        return None
    found = inspect.unwrap(target, stop=lambda each: isinstance(each, DurableHandler))
    return found if isinstance(found, DurableHandler) else None


def _envelope_of(event: Any) -> InvocationInput:
    try:
        return InvocationInput.from_event(event)
    except ValueError:
        raise NotDurableError(event) from None


def _policy(name: str) -> NondeterminismPolicy:
    try:
        return NondeterminismPolicy(name)
    except ValueError:
        raise ConfigurationError(f"on_nondeterminism must be 'fail', 'retry' or 'warn', not {name!r}") from None


def _check_signature(function: Callable[..., Any]) -> None:
    refuse_generator(function, "@durable_execution")
    wrapped = inspect.unwrap(function)
    if wrapped is not function and iscoroutinefunction(wrapped) and not iscoroutinefunction(function):
        raise ConfigurationError(
            f"a decorator below @durable_execution makes a plain function of `async def {function.__name__}`: it would end "
            "before the workflow does. Put @durable_execution directly above `async def`, and the other decorators above it"
        )
    parameters = list(parameters_of(function).values())
    positional = [parameter for parameter in parameters if parameter.kind in (0, 1, 2)]
    if len(positional) < 2 and not any(parameter.kind is inspect.Parameter.VAR_POSITIONAL for parameter in positional):
        raise ConfigurationError(
            f"a durable handler takes the payload and the context: `async def {function.__name__}(payload, ctx)`, not "
            f"`{function.__name__}({', '.join(map(str, parameters))})`"
        )
    if len(positional) > 1 and _is_context(positional[0]) and not _is_context(positional[1]):
        raise ConfigurationError(
            f"a durable handler takes the payload first, then the context: write "
            f"`async def {function.__name__}({positional[1].name}, {positional[0].name})`"
        )


def _is_context(parameter: inspect.Parameter) -> bool:
    """Whether a parameter is meant for the context, by its annotation or, without one, by its usual name."""
    if parameter.annotation is inspect.Parameter.empty:
        return parameter.name == "ctx"
    text = getattr(parameter.annotation, "__name__", None) or str(parameter.annotation)
    return text.strip("'\"").rpartition(".")[2] in ("DurableContext", "BlockingContext")


def _service_of(client: Any) -> ServiceClient:
    if client is not None and hasattr(client, "checkpoint") and not hasattr(client, "checkpoint_durable_execution"):
        service: ServiceClient = client
        return service
    from durable_execution.runtime.client import LambdaService, environment_service

    return environment_service() if client is None else LambdaService(client)


def _configured_observers() -> tuple[Observer, ...]:
    """The observers that the environment asks for: OpenTelemetry spans, correlated logs, and a replay trace."""
    import sys

    found: tuple[Observer, ...] = ()
    if (
        "opentelemetry" in sys.modules or "durable_execution.telemetry" in sys.modules
    ):  # not loaded means not configured
        from durable_execution.telemetry import observers_from_environment

        found = observers_from_environment()
    if "DURABLE_REPLAY_TRACE" in os.environ:
        from durable_execution.trace import environment_recorder

        recorder = environment_recorder()
        found = (*found, recorder) if recorder is not None else found
    return found


def prepare(handler: DurableHandler[Any]) -> None:
    """Load what the first invocation of a handler needs, and resolve the configuration of its service.

    Lambda gives init a full CPU, and an invocation a share that follows the function's memory. Lazy imports serve command lines
    and tests. In a Lambda environment they would move the work to the slow phase. Nothing made here must be unique: a SnapStart
    snapshot is restored into many environments.

    An error is not reported here: the invocation meets it again, and can answer it.
    """
    is_collecting = gc.isenabled()
    gc.disable()  # almost nothing of what is loaded is garbage, and looking for it takes a tenth of the time
    try:
        _load(handler)
    finally:
        if is_collecting:
            if not gc.get_freeze_count():  # else it is the program that keeps its objects out of collections
                gc.freeze()
                gc.unfreeze()  # moves every object to the oldest generation without looking at it
            gc.enable()


def _load(handler: DurableHandler[Any]) -> None:
    for module in (*MODULES, *_observing(handler)):
        import_module(module)
    if not iscoroutinefunction(handler.function):
        import_module("durable_execution.context.blocking_context")
    if TRACE_VARIABLE in os.environ:
        with suppress(Exception):
            _prepare_trace(handler)
    with suppress(Exception):
        getattr(handler.service, "prepare", _nothing)()
    with suppress(Exception):
        _prepare_payload(handler)


def _nothing() -> None:
    """For a service of yours that needs no preparation."""


def _observing(handler: DurableHandler[Any]) -> tuple[str, ...]:
    if TRACE_VARIABLE in os.environ:
        return (*OBSERVING_MODULES, *TRACING_MODULES)
    return OBSERVING_MODULES if handler.observers else ()


def _prepare_trace(handler: DurableHandler[Any]) -> None:
    """Prepare the recorder of replay traces, if the environment asks for one."""
    from durable_execution.trace import environment_recorder

    recorder = environment_recorder()
    if recorder is not None:
        recorder.prepare(handler.function)


def _prepare_payload(handler: DurableHandler[Any]) -> None:
    """Create pydantic's schema for the payload, which takes longer than an invocation."""
    annotation = payload_annotation(handler.function)
    if annotation is not None and not is_plain_annotation(annotation):
        from durable_execution.serdes.typed import pydantic_codec

        pydantic_codec(annotation)

"""One invocation from envelope to answer.

Runs one invocation on the environment's loop, from the handler's first line to the decision how it ends.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractContextManager, nullcontext
from contextvars import Context, copy_context
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from durable_execution.clock import Clock
from durable_execution.context.durable_context import DurableContext
from durable_execution.counts import plural
from durable_execution.errors import (
    CheckpointRejectedError,
    ConfigurationError,
    InvocationError,
    NondeterminismError,
    PayloadError,
    SerializationError,
    ServiceError,
    ServiceUnavailableError,
)
from durable_execution.operations.lifecycle import described
from durable_execution.operations.user_function import cancellation, explained_error
from durable_execution.protocol import ErrorObject, InvocationInput, InvocationStatus, Operation, Wire
from durable_execution.protocol.enums import MAX_RESPONSE_BYTES
from durable_execution.protocol.envelope import failed, pending, response_size, succeeded
from durable_execution.protocol.ids import root_path
from durable_execution.runtime.answers import further_pages, merge, operations_in
from durable_execution.runtime.body_threads import shared_workers
from durable_execution.runtime.guard import check_finished
from durable_execution.runtime.loop import EnvironmentLoop, cancel_all, run_in_environment
from durable_execution.runtime.loop import scope as running_scope
from durable_execution.runtime.scope import ContextScope
from durable_execution.runtime.service import ServiceClient
from durable_execution.runtime.state import Ending, ExecutionState, NondeterminismPolicy, OperationViews, Outcome
from durable_execution.serdes.annotations import annotation_of, parameters_of
from durable_execution.serdes.codec import is_plain_annotation
from durable_execution.serdes.error_texts import UnstorableError

if TYPE_CHECKING:
    from durable_execution.observers import InvocationStarted, Observer
    from durable_execution.runtime.announcer import Announcer

SURELY_SMALL = MAX_RESPONSE_BYTES // 12
"""A character takes at most twelve bytes of the response: a result of this length fits without counting."""

_write = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode

TRACE_HEADER_VARIABLE = "_X_AMZN_TRACE_ID"


class InvocationLoop:
    """Runs the handler's function once against the recorded state, and creates the answer."""

    def __init__(
        self,
        *,
        function: Callable[..., Any],
        name: str,
        envelope: InvocationInput,
        lambda_context: Any,
        client: ServiceClient,
        clock: Clock,
        observers: Sequence[Observer],
        policy: NondeterminismPolicy,
        logs_while_replaying: bool,
        logger: logging.Logger | None,
    ) -> None:
        self._function = function
        self._name = name
        self._envelope = envelope
        self._lambda_context = lambda_context
        self._client = client
        self._clock = clock
        self._announcer = _announcer(observers, clock, envelope.execution_arn)
        self._policy = policy
        self._logs_while_replaying = logs_while_replaying
        self._logger = logger
        self._operations: dict[str, Wire] = {}
        self._started: InvocationStarted | None = None

    def run(self) -> Wire:
        """Run on the environment's loop.

        Raises:
            InvocationError: Lambda should retry the invocation.
        """
        return run_in_environment(self._run_on)

    def _run_on(self, environment: EnvironmentLoop) -> Wire:
        invocation = Invocation(self._make_state)
        try:
            return environment.run(self._answer(invocation), invocation.on_idle)
        except SystemExit as error:
            # The environment ends together with its loop: let observers close and deliver what they still hold.
            self._announce_end(invocation, InvocationStatus.RETRY, described(error), error, None)
            raise

    async def _answer(self, invocation: Invocation) -> Wire:
        failure = await self._read_operations()
        if failure is not None:
            return self._refuse(invocation, failure)
        state, outcome = await invocation.run(self._main)
        try:
            answer, outcome = await self._answer_to(invocation, state, outcome)
        except InvocationError as error:
            self._announce_end(invocation, InvocationStatus.RETRY, described(error), error, None)
            raise
        if self._announcer is not None:
            status = InvocationStatus(answer["Status"])
            error_object = ErrorObject.from_wire(answer.get("Error"))
            self._announce_end(invocation, status, error_object, outcome.error, answer.get("Result"))
        return answer

    async def _read_operations(self) -> BaseException | None:
        """Read the pages that do not fit into the envelope.

        Returns:
            The error if the service cannot be called, or a page cannot be read; no user code has run then.
        """
        envelope, operations = self._envelope, self._operations
        try:
            merge(operations, operations_in(envelope.operations))
            client = self._client = _bound(self._client, self._lambda_context)
            if envelope.next_marker:
                arn, token = envelope.execution_arn, envelope.checkpoint_token
                with _calls_before_tracing():
                    pages = await further_pages(client, arn, token, envelope.next_marker, operations.values())
                merge(operations, pages)
        except (ServiceError, ConfigurationError) as error:
            return _judged(error)
        return None

    def _refuse(self, invocation: Invocation, failure: BaseException) -> Wire:
        if isinstance(failure, InvocationError):
            raise failure
        return failed(described(failure))

    def _make_state(self) -> ExecutionState:
        return ExecutionState(
            execution_arn=self._envelope.execution_arn,
            token=self._envelope.checkpoint_token,
            operations=self._operations,
            client=self._client,
            clock=self._clock,
            announcer=self._announcer,
            policy=self._policy,
            workers=shared_workers(),
            handler=self._name,
            updated_ids=self._envelope.updated_operation_ids,
            logs_while_replaying=self._logs_while_replaying,
            user_logger=self._logger,
        )

    async def _main(self, state: ExecutionState) -> Any:
        payload = self._read_payload()
        self._announce_start(state, payload)
        scope = ContextScope(state, prefix=None, parent_id=None, path=root_path(self._name))
        running_scope.set(scope)
        argument = self._fitted(payload)
        if inspect.iscoroutinefunction(self._function):
            value = await self._function(argument, DurableContext(scope, self._lambda_context))
        else:
            from durable_execution.context.blocking_context import run_blocking

            context = DurableContext(scope, self._lambda_context)
            value = await run_blocking(self._function, context, argument, context_last=True)
        await check_finished(scope)
        text = _write_result(value, self._function)
        if len(text) > SURELY_SMALL:
            from durable_execution.serdes.sizes import report_handler_size

            report_handler_size(text, handler=scope.path, execution_arn=state.execution_arn)
        return text

    def _read_payload(self) -> Any:
        execution = self._execution()
        text = execution.input_payload if execution is not None else None
        if text is None or not text.strip():
            return {}
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise PayloadError(f"the payload of the execution is not JSON: {error}") from None

    def _fitted(self, payload: Any) -> Any:
        annotation = payload_annotation(self._function)
        if annotation is None or is_plain_annotation(annotation):
            return payload
        from durable_execution.serdes.typed import validate_payload

        return validate_payload(annotation, payload)

    async def _answer_to(self, invocation: Invocation, state: ExecutionState, outcome: Outcome) -> tuple[Wire, Outcome]:
        match outcome.ending:
            case Ending.SUSPENDED:
                return pending(), outcome
            case Ending.RETURNED:
                return await self._success(invocation, state, outcome)
            case Ending.RAISED | Ending.FAILED:
                error = outcome.error or RuntimeError("the invocation ended without a reason")
                return self._failure(error), outcome

    async def _success(self, invocation: Invocation, state: ExecutionState, outcome: Outcome) -> tuple[Wire, Outcome]:
        result: str = outcome.value
        answer = succeeded(result)
        size = response_size(answer) if len(result) > SURELY_SMALL else 0
        if size <= MAX_RESPONSE_BYTES:
            return answer, outcome
        update = {
            "Id": f"execution-result-{round(self._clock.now().timestamp() * 1000)}",
            "Type": "EXECUTION",
            "Action": "SUCCEED",
            "Payload": result,
        }
        failure = await invocation.store_result(state, update)
        if failure is None:
            return succeeded(""), outcome
        return await self._answer_to(invocation, state, _too_large(failure, size))

    def _failure(self, error: BaseException) -> Wire:
        """The answer for an error that ended the handler.

        Raises:
            InvocationError: The error is transient; Lambda should retry the invocation.
        """
        judged = _judged(error)
        if isinstance(judged, NondeterminismError) and self._policy is NondeterminismPolicy.RETRY:
            raise InvocationError(str(judged)) from judged
        if isinstance(judged, InvocationError):
            raise judged
        if not isinstance(judged, Exception):
            raise judged
        return failed(described(judged))

    def _execution(self) -> Operation | None:
        first = next(iter(self._operations.values()), None)
        return Operation(first) if first is not None and first["Type"] == "EXECUTION" else None

    def _announce_start(self, state: ExecutionState, payload: Any) -> None:
        if self._announcer is None:
            return
        from durable_execution.observers import InvocationStarted

        execution = self._execution()
        self._started = InvocationStarted(
            execution_arn=self._envelope.execution_arn,
            request_id=getattr(self._lambda_context, "aws_request_id", None),
            is_first=state.recorded_count <= 0,
            at=self._clock.now(),
            execution_started_at=_started_at(execution),
            handler=self._name,
            operations=OperationViews(state.operations),
            updated_operation_ids=self._envelope.updated_operation_ids,
            input=payload,
            trace_header=os.environ.get(TRACE_HEADER_VARIABLE) or getattr(self._lambda_context, "trace_header", None),
            lambda_context=self._lambda_context,
            handler_function=self._function,
        )
        self._announcer.begin(self._started)
        context = copy_context()
        _suppress_calls(context)
        state.batcher.call_in(context)

    def _announce_end(
        self,
        invocation: Invocation,
        status: InvocationStatus,
        error: ErrorObject | None,
        exception: BaseException | None,
        result: str | None,
    ) -> None:
        if self._announcer is None or self._started is None:
            return
        from durable_execution.observers import InvocationEnded

        notification = InvocationEnded(
            self._started, self._clock.now(), status, result, error, exception, OperationViews(self._operations)
        )
        invocation.context.run(self._announcer.end, notification)


def _announcer(observers: Sequence[Observer], clock: Clock, execution_arn: str) -> Announcer | None:
    if not observers:
        return None
    from durable_execution.runtime.announcer import Announcer

    return Announcer(observers, clock=clock, execution_arn=execution_arn)


def _calls_before_tracing() -> AbstractContextManager[None]:
    """Around calls that are made before the invocation's span is open."""
    if "opentelemetry" not in sys.modules:
        return nullcontext()
    from durable_execution.telemetry.environment import reading_calls

    return reading_calls()


def _suppress_calls(context: Context) -> None:
    if "opentelemetry" in sys.modules:
        from durable_execution.telemetry.environment import suppress_calls

        suppress_calls(context)


def _bound(client: ServiceClient, lambda_context: Any) -> ServiceClient:
    """The client for one invocation, with the time that is left of it, if the client can use that."""
    bind = getattr(client, "within", None)
    if bind is None:
        return client
    remaining_millis = getattr(lambda_context, "get_remaining_time_in_millis", None)
    bound: ServiceClient = bind((lambda: remaining_millis() / 1000) if remaining_millis is not None else None)
    return bound


def _too_large(failure: Outcome, size: int) -> Outcome:
    """The outcome for a result that fits neither into the response nor into a checkpoint."""
    error = failure.error
    if not isinstance(error, ServiceError) or error.is_retriable:
        return failure
    explained = CheckpointRejectedError(
        f"the handler's result takes {size:,} bytes in the response, more than the {MAX_RESPONSE_BYTES:,} that Lambda returns, "
        f"and the service refused to store it: {str(error).rstrip('.')}. Return less: store the bulk in a bucket, in a step or with "
        "OffloadedSerDes, and return where it is"
    )
    explained.__cause__ = error
    return failure._replace(error=explained)


def _judged(error: BaseException) -> BaseException:
    """A service error as the error that tells what it means for the execution."""
    if not isinstance(error, ServiceError):
        return error
    if error.is_retriable:
        judged: Exception = ServiceUnavailableError(
            f"the durable execution service is unavailable; Lambda should retry the invocation: {error}"
        )
    else:
        judged = CheckpointRejectedError(
            f"the durable execution service rejected a call, and a retry cannot help: {error}"
        )
    judged.__cause__ = error
    return judged


def _started_at(execution: Operation | None) -> datetime | None:
    return execution.started_at if execution is not None else None


@lru_cache(maxsize=64)
def payload_annotation(function: Callable[..., Any]) -> Any:
    """The resolved annotation of a handler's payload; None when it has none. Every invocation asks.

    Raises:
        PayloadError: The annotation cannot be resolved.
    """
    name = next(iter(parameters_of(function)))
    try:
        return annotation_of(function, name)
    except Exception as error:
        raise PayloadError(
            f"the annotation of {name!r} in {function.__qualname__} cannot be resolved: {error}. Define the type at "
            "module level"
        ) from error


def _write_result(value: Any, function: Callable[..., Any]) -> str:
    """The handler's result as JSON. The SDK never restores it, so any value with a JSON form is accepted."""
    try:
        return _write(value)
    except (TypeError, ValueError, RecursionError):
        pass  # not plain JSON: pydantic supports more types
    from durable_execution.serdes.typed import to_json

    try:
        return to_json(value)
    except UnstorableError as error:
        raise SerializationError(f"the result of {function.__qualname__} cannot be written: {error}") from error
    except SerializationError as error:
        raise SerializationError(
            f"the result of {function.__qualname__} cannot be written: {error}. Return JSON values, a pydantic model "
            "or a dataclass"
        ) from error


logger = logging.getLogger("durable_execution")
UNWINDING_SECONDS = 1.0
"""How long a blocking thread may take to clean up after its invocation has ended."""


class Invocation:
    """One run of a handler.

    Attributes:
        context: The context variables the handler runs with. Observers are notified in it.
    """

    def __init__(self, make_state: Callable[[], ExecutionState]) -> None:
        self.context: Context = copy_context()
        self._make_state = make_state
        self._state: ExecutionState | None = None

    def on_idle(self, timeout: float | None) -> bool:
        """The loop is about to sleep; see `ExecutionState.on_idle`."""
        return self._state is not None and self._state.on_idle(timeout)

    async def run(self, main: Callable[[ExecutionState], Coroutine[Any, Any, Any]]) -> tuple[ExecutionState, Outcome]:
        """Run the handler until it returns, raises, is suspended, or cannot continue.

        Args:
            main: Returns the handler's coroutine for a state.

        Returns:
            The final state, and how the invocation ends.
        """
        state = self._state = self._make_state()
        sender = state.loop.create_task(state.batcher.run(), context=state.batcher.context)
        handler = state.loop.create_task(_conclude(state, main), context=self.context)
        state.tasks.add(handler)
        try:
            outcome = await state.outcome
            outcome = await self._settle(state, outcome)
        finally:
            state.close()
            sender.cancel()
            left = await cancel_all(state.tasks) + await _join(state)
            state.is_over = True
            self._state = None
        if left and outcome.ending is Ending.SUSPENDED:
            logger.warning(
                "%d %s of the handler caught the suspension or is still cleaning up. The invocation answers PENDING anyway. "
                "Write `except Exception`, not `except BaseException` or a bare `except`",
                left,
                plural(left, "task"),
                extra={"executionArn": state.execution_arn},
            )
        return state, outcome

    async def store_result(self, state: ExecutionState, update: dict[str, Any]) -> Outcome | None:
        """Checkpoint the end of the execution, for a result that is too large to return.

        Returns:
            The outcome if the checkpoint failed; None when the result is stored.
        """
        state.outcome = state.loop.create_future()
        sender = state.loop.create_task(state.batcher.run(), context=state.batcher.context)
        stored = state.batcher.store(update)
        try:
            futures: list[asyncio.Future[Any]] = [stored, state.outcome]
            await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sender.cancel()
        return state.outcome.result() if state.outcome.done() else None

    async def _settle(self, state: ExecutionState, outcome: Outcome) -> Outcome:
        """Let the call in flight finish: its answer may say that nothing more can be stored."""
        if state.batcher.is_sending and outcome.ending is not Ending.FAILED:
            await state.batcher.settled()
        if state.batcher.is_revoked and outcome.ending is not Ending.FAILED:
            return Outcome(Ending.SUSPENDED)
        return outcome


async def _join(state: ExecutionState) -> int:
    """Wait for threads that are unwinding. Returns how many have not ended in time."""
    if not state.threads:
        return 0
    _, left = await asyncio.wait(state.threads, timeout=UNWINDING_SECONDS)
    return len(left)


async def _conclude(state: ExecutionState, main: Callable[[ExecutionState], Coroutine[Any, Any, Any]]) -> None:
    try:
        value = await main(state)
    except Exception as error:  # noqa: BLE001  # the handler's error is the execution's
        state.decide(Outcome(Ending.RAISED, error=explained_error(error)))
    except asyncio.CancelledError as error:
        if not state.is_decided:
            state.decide(Outcome(Ending.RAISED, error=cancellation(error)))
        raise
    except BaseException as error:
        # An exit of the process, which the loop handles; or the exception with which a test framework ends a test.
        state.decide(Outcome(Ending.RAISED, error=error))
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise
    else:
        state.decide(Outcome(Ending.RETURNED, value))

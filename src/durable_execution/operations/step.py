"""`ctx.step`: run a function once, checkpoint its result, and return that result on every replay.

Also `@durable_step`, and the context that a step's body receives.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any, Concatenate, Generic, NoReturn, ParamSpec, TypeVar, overload

from durable_execution.config.step_options import StepConfig, StepSemantics
from durable_execution.errors import (
    ConfigurationError,
    ExecutionError,
    InvocationError,
    StepError,
    StepInterruptedError,
)
from durable_execution.operations.bound_context import BoundContext
from durable_execution.operations.lifecycle import (
    announce_attempt,
    announce_attempt_ended,
    announce_completed,
    announce_replayed,
    announce_started,
    decode,
    described,
    encode,
    failure,
    recorded_at_once,
    recorded_state,
    restored,
    round_trip,
    store,
)
from durable_execution.operations.user_function import check_parameters, refuse_generator
from durable_execution.protocol import ErrorObject, Operation, OperationStatus, Wire
from durable_execution.runtime.body_threads import LONG_SECONDS
from durable_execution.runtime.call import Call
from durable_execution.runtime.loop import IN_STEP, turns_of
from durable_execution.runtime.loop import scope as running_scope
from durable_execution.runtime.state import EndedOutsideError
from durable_execution.serdes.codec import codec_for, codec_for_return
from durable_execution.serdes.interface import Codec

if TYPE_CHECKING:
    from durable_execution.retry import RetryDecision, RetryStrategy

logger = logging.getLogger("durable_execution")

P = ParamSpec("P")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
DEFAULT_CONFIG = StepConfig()
INTERRUPTED = ErrorObject(
    "the invocation ended while the step's body was running, and at-most-once semantics do not allow a second run in the "
    "same attempt: check whether the body took effect before you repeat it",
    "durable_execution.errors.StepInterruptedError",
)


class BoundStep(Generic[T_co]):
    """A step's function with its arguments, ready for `ctx.step`.

    Attributes:
        function: The decorated function.
        name: The function's name: the step's default name.
    """

    __slots__ = ("_arguments", "_options", "function", "name")
    is_bound_step = True

    def __init__(self, function: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        self.function = function
        self.name: str = getattr(function, "__name__", type(function).__name__)
        self._arguments = arguments
        self._options = options

    def __call__(self, step: StepContext) -> Awaitable[T_co] | T_co:
        """Run the function with its arguments."""
        return self.function(step, *self._arguments, **self._options)  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return f"BoundStep({self.name})"

    if not TYPE_CHECKING:  # a type checker reports `await charge(order)` by itself

        def __await__(self) -> NoReturn:
            raise ConfigurationError(
                f"{self.name}(...) is a step that has not run: write `await ctx.step({self.name}(...))`"
            )

    def with_function(self, function: Callable[..., Any]) -> BoundStep[Any]:
        """The same arguments for a different function."""
        return BoundStep(function, self._arguments, self._options)

    def mismatch(self) -> str | None:
        """Return why the function does not accept its arguments; None if it does, or if its signature is unknown."""
        try:
            inspect.signature(self.function).bind(None, *self._arguments, **self._options)
        except TypeError as error:
            return str(error)
        except ValueError:
            return None
        return None

    @property
    def is_async(self) -> bool:
        """Whether the function is a coroutine function."""
        return inspect.iscoroutinefunction(self.function)


@overload
def durable_step(
    function: Callable[Concatenate[StepContext, P], Awaitable[T]],
) -> Callable[P, BoundStep[T]]: ...


@overload
def durable_step(function: Callable[Concatenate[StepContext, P], T]) -> Callable[P, BoundStep[T]]: ...


def durable_step(function: Callable[..., Any]) -> Callable[..., BoundStep[Any]]:
    """Declare a function whose calls are steps: `await ctx.step(charge(order))`.

    Args:
        function: Takes a `StepContext`, then the arguments of its calls. Its name is the step's default name, and its
            return annotation is the type that a replay restores.

    Returns:
        A function of those arguments. It runs nothing: it returns a `BoundStep` for `ctx.step`.
    """
    refuse_generator(function, "@durable_step")

    @functools.wraps(function)
    def bind(*arguments: Any, **options: Any) -> BoundStep[Any]:
        return BoundStep(function, arguments, options)

    bind.is_durable_step = True  # type: ignore[attr-defined]  # `ctx.step(charge)` without the call is reported
    return bind


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
        """Id of the step: the same in every attempt and replay. A different execution has the same ids."""
        return self._call.id

    @property
    def idempotency_key(self) -> str:
        """A key for the system you call: 64 characters, the same in every attempt and replay, unique among executions."""
        execution = self._call.scope.state.execution_arn
        return hashlib.blake2b(f"{execution}/{self._call.id}".encode(), digest_size=32).hexdigest()

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
        from durable_execution.operations.logger import operation_logger

        return operation_logger(self._call, self.attempt)


async def run_step(call: Call, function: Callable[[StepContext], Any], config: StepConfig) -> Any:
    """Return a step's recorded result, or run its body and checkpoint the result."""
    call.function = function
    state = call.scope.state
    recorded = recorded_at_once(call) or await recorded_state(call)
    if config.serdes is None and config.result_type is None:
        codec = codec_for_return(function.function if isinstance(function, BoundStep) else function)
    else:
        arn = state.execution_arn
        codec = codec_for(config.serdes, config.result_type, operation_id=call.id, execution_arn=arn)
    while True:
        if recorded is not None:
            status = recorded["Status"]
            if status == "SUCCEEDED":
                if state.announcer is not None:
                    announce_replayed(call, recorded)
                result = recorded["StepDetails"].get("Result")
                if result is None:
                    return None
                return await restored(call, codec, result) if codec.is_blocking else decode(call, codec, result)
            if status == "FAILED":
                announce_replayed(call, recorded)
                raise failure(call, _error_class(recorded), Operation(recorded).error)
            announce_started(call, recorded)
            started_at = Operation(recorded).started_at
        else:
            if type(function) is not BoundStep:
                check_parameters(function, "ctx.step", "step")
            started_at = announce_started(call) if state.announcer is not None else None
        try:
            return await StepRun(call, function, config, codec, recorded, started_at).finish()
        except EndedOutsideError:
            recorded = state.operations[call.id]


run_step.__qualname__ = "ctx.step"  # Python's warning of a forgotten await names it


class StepRun:
    """The attempts of one unfinished step in this invocation."""

    __slots__ = ("_attempt", "_call", "_codec", "_config", "_function", "_recorded", "_started_at")

    def __init__(
        self,
        call: Call,
        function: Callable[[StepContext], Any],
        config: StepConfig,
        codec: Codec,
        recorded: Wire | None,
        started_at: datetime | None,
    ) -> None:
        self._call = call
        self._function = function
        self._config = config
        self._codec = codec
        self._recorded = recorded
        self._attempt = 1 if recorded is None else attempts_made(recorded) + 1
        self._started_at = started_at

    async def finish(self) -> Any:
        """Run attempts until the step succeeds or fails permanently."""
        recorded = self._recorded
        while True:
            if recorded is not None and recorded["Status"] == "PENDING":
                recorded = await self._call.scope.state.until_changed(self._call)
                self._attempt = attempts_made(recorded) + 1
            is_cut_off = recorded is not None and recorded["Status"] == "STARTED"
            if is_cut_off and self._is_at_most_once:
                await self._fail_attempt(failure(self._call, StepInterruptedError, INTERRUPTED), None)
            else:
                if not is_cut_off:
                    await self._start()
                finished, result = await self._try()
                if finished:
                    return result
            recorded = self._call.scope.state.operations[self._call.id]

    @property
    def _is_at_most_once(self) -> bool:
        return self._config.step_semantics is StepSemantics.AT_MOST_ONCE_PER_RETRY

    @property
    def _is_replayed(self) -> bool:
        return self._recorded is not None

    async def _start(self) -> None:
        update = self._call.update("START")
        if self._is_at_most_once:
            await store(self._call, update)
        else:
            self._call.scope.check_open(self._call)
            self._call.scope.state.batcher.add(update)

    async def _try(self) -> tuple[bool, Any]:
        call = self._call
        announcer = call.scope.state.announcer
        began = self._announce_attempt() if announcer is not None else None
        try:
            value = await run_body(call, self._function, StepContext(call, self._attempt))
            if self._codec.is_blocking:
                payload, result = await round_trip(call, self._codec, value)
            else:
                payload = encode(call, self._codec, value)
                result = decode(call, self._codec, payload)
        except Exception as error:  # noqa: BLE001  # an error in the body fails the step's attempt
            await self._fail_attempt(_explained(error, self._function), began)
            return False, None
        except BaseException:
            self._announce_end(began, "INCOMPLETE")
            raise
        if announcer is not None:
            self._announce_end(began, "SUCCEEDED")
        update = call.update("SUCCEED")
        update["Payload"] = payload
        await store(call, update)
        if announcer is not None:
            announcer.completed(
                call,
                OperationStatus.SUCCEEDED,
                started_at=self._started_at,
                is_replayed=self._is_replayed,
                result=payload,
                attempt=self._attempt,
            )
        return True, result

    async def _fail_attempt(self, error: Exception, began: Any) -> None:
        """Store a failed attempt: either schedule a retry, or store and raise the step's failure."""
        call = self._call
        description = described(error)
        if isinstance(error, InvocationError):
            self._announce_end(began, "FAILED", error=description, exception=error)
            await call.scope.state.fail(error)
        from durable_execution.retry import RetryDecision

        try:
            decision = self._decide(error)
        except Exception as broken:  # noqa: BLE001  # a strategy is user code: a bug in it must not leave the step open
            decision, description = RetryDecision.stop(), _undecided(description, broken)
        delay = decision.delay_seconds if decision.should_retry else None
        self._announce_end(began, "FAILED", error=description, exception=error, delay=delay)
        update = call.update("RETRY" if decision.should_retry else "FAIL")
        update["Error"] = description.to_wire()
        if decision.should_retry:
            update["StepOptions"] = {"NextAttemptDelaySeconds": decision.delay_seconds}
            await store(call, update)
            return
        await store(call, update)
        await self._raise_failure(error, description)

    def _announce_attempt(self) -> Any:
        starts_with_call = self._attempt == 1 and self._recorded is None and not self._is_at_most_once
        at = self._started_at if starts_with_call else None
        return announce_attempt(self._call, self._attempt, is_replayed=self._is_replayed, started_at=at)

    def _announce_end(self, began: Any, outcome: str, **details: Any) -> None:
        if began is not None:
            announce_attempt_ended(self._call, self._attempt, began, outcome, is_replayed=self._is_replayed, **details)

    def _decide(self, error: Exception) -> RetryDecision:
        from durable_execution.retry import RetryDecision, checked_decision

        if isinstance(error, ExecutionError):
            return RetryDecision.stop()
        return checked_decision((self._config.retry_strategy or _default_retry())(error, self._attempt), RetryDecision)

    async def _raise_failure(self, error: Exception, description: ErrorObject) -> NoReturn:
        call = self._call
        announce_completed(
            call,
            OperationStatus.FAILED,
            started_at=self._started_at,
            is_replayed=self._is_replayed,
            error=description,
            exception=error,
            attempt=self._attempt,
        )
        base = StepInterruptedError if isinstance(error, StepInterruptedError) else StepError
        raise failure(call, base, description) from None


@functools.cache
def _default_retry() -> RetryStrategy:
    from durable_execution.retry import RetryPresets

    return RetryPresets.default()


def run_body(call: Call, function: Callable[..., Any], *arguments: Any) -> Awaitable[Any]:
    """Run a step's function: a coroutine function on the event loop, any other in a worker thread."""
    state = call.scope.state
    if state.stand_in is not None and (standing := state.stand_in(call)) is not None:
        return standing
    if state.step_stubs is not None and call.name in state.step_stubs:
        function = _stubbed(function, state.step_stubs[call.name])
    if state.body_order is None:
        return _run(call, function, arguments)
    return state.body_order.run(call, lambda: _run(call, function, arguments))


async def _run(call: Call, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    state = call.scope.state
    token = running_scope.set(IN_STEP)
    in_thread = not is_async(function)
    is_alone = in_thread and state.is_alone
    state.busy += 1
    try:
        code = _code_of(function)
        times = state.workers.times
        if times.is_long(code):
            await state.batcher.send_ahead()
        if not in_thread:
            began, turns = time.perf_counter(), turns_of(state.loop)
            try:
                return await function(*arguments)
            finally:
                if code is not None and (took := time.perf_counter() - began) >= LONG_SECONDS:
                    if turns is not None and turns == turns_of(state.loop) and not times.is_long(code):
                        _report_blocking(call, took)
                    times.note(code, took)
        running = state.workers.run(lambda: function(*arguments), code, is_alone=is_alone)
        if times.is_short(code) and not running.done():
            state.batcher.expect(running)
        value = await running
        return await value if inspect.isawaitable(value) else value
    except SystemExit:
        await state.batcher.drain()  # store pending updates, so that the history shows what was running
        raise
    finally:
        state.busy -= 1
        running_scope.reset(token)


def _report_blocking(call: Call, seconds: float) -> None:
    logger.warning(
        "the body of %s blocked the event loop for %.1f seconds: no other branch ran meanwhile, and the start of other steps was "
        "not recorded. Write it as a plain `def`, which runs in a thread, or await calls that do not block",
        call.path,
        seconds,
        extra={"executionArn": call.scope.state.execution_arn, "operationPath": call.path},
    )


def _code_of(function: Any) -> CodeType | None:
    plain = function.function if type(function) is BoundStep else function
    return getattr(plain, "__code__", None)


def _stubbed(function: Any, stub: Callable[..., Any]) -> Callable[..., Any]:
    """The stub that a test runs in place of a step's function, with the same arguments."""
    return function.with_function(stub) if type(function) is BoundStep else stub


def is_async(function: Any) -> bool:
    """Whether the function returns a coroutine."""
    code = getattr(function, "__code__", None)
    if code is not None:
        is_coroutine = bool(code.co_flags & inspect.CO_COROUTINE)
        if type(function) is FunctionType and not function.__dict__:  # nothing can mark it as a coroutine function
            return is_coroutine
        return is_coroutine or inspect.iscoroutinefunction(function)
    if isinstance(function, (BoundStep, BoundContext)):
        return function.is_async
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004


def attempts_made(recorded: Wire) -> int:
    """Return the number of finished attempts."""
    return int((recorded.get("StepDetails") or {}).get("Attempt") or 0)


def _explained(error: Exception, function: Any) -> Exception:
    """Replace a TypeError that the step's arguments caused with one that explains the call; keep any other error."""
    if type(error) is not TypeError or type(function) is not BoundStep:
        return error
    mismatch = function.mismatch()
    if mismatch is None:
        return error
    return ConfigurationError(
        f"ctx.step calls {function.name} with a StepContext, then the arguments of {function.name}(...): {mismatch}. Make "
        "`step` the first parameter of the @durable_step function"
    )


def _undecided(failure: ErrorObject, broken: Exception) -> ErrorObject:
    message = f"{failure.message} (no further attempt: the retry strategy raised {broken!r})"
    return ErrorObject(message, failure.type, failure.data, failure.stack_trace)


def _error_class(recorded: Wire) -> type[StepError]:
    error = (recorded.get("StepDetails") or {}).get("Error") or {}
    is_interrupted = str(error.get("ErrorType", "")).endswith("StepInterruptedError")
    return StepInterruptedError if is_interrupted else StepError

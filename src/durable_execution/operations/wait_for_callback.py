"""`ctx.wait_for_callback`: create a callback, submit its id to an external system, wait for the answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from durable_execution.config import CallbackConfig, StepConfig, WaitForCallbackConfig
from durable_execution.errors import (
    CallbackError,
    CallbackFailedError,
    CallbackHeartbeatError,
    CallbackSubmitterError,
    CallbackTimeoutError,
    ChildContextError,
    StepError,
    make_failure,
)
from durable_execution.operations.callback import create_callback, recorded_options
from durable_execution.operations.child import Keeping, run_context
from durable_execution.operations.step import StepContext, is_async, run_step
from durable_execution.operations.user_function import check_parameters
from durable_execution.protocol import ErrorObject, OperationSubType, OperationType
from durable_execution.runtime.call import Call
from durable_execution.runtime.scope import ContextScope
from durable_execution.serdes.codec import codec_for

if TYPE_CHECKING:
    from durable_execution.serdes.interface import Codec

DEFAULT_CONFIG = WaitForCallbackConfig()
SUBMITTER_FAILED = "durable_execution.errors.CallbackSubmitterError"
BASES_BY_TYPE: dict[str, type[CallbackError]] = {
    SUBMITTER_FAILED: CallbackSubmitterError,
    "Callback.Timeout": CallbackTimeoutError,
    "Callback.Heartbeat": CallbackHeartbeatError,
}
"""Error classes by the error type the service writes. The external system reported every other failure."""

Submitter = Callable[[str, StepContext], Any]


async def run_wait_for_callback(call: Call, submitter: Submitter, config: WaitForCallbackConfig) -> Any:
    """Run the callback and its submitter in a context of their own.

    Raises:
        CallbackSubmitterError: The submitter failed permanently.
        CallbackFailedError: The external system reported a failure.
        CallbackTimeoutError: No answer arrived in time, or (CallbackHeartbeatError) the heartbeats stopped.
    """
    check_parameters(submitter, "ctx.wait_for_callback", "callback_id", "step")

    async def body(scope: ContextScope) -> Any:
        prefix = f"{call.name} " if call.name else ""
        created = scope.reserve(
            OperationType.CALLBACK.value,
            config.sub_type or OperationSubType.CALLBACK.value,
            f"{prefix}create callback id" if call.name else None,
        )
        options = _callback_config(config)
        created.configuration = recorded_options(options)
        callback = await create_callback(created, options)
        submitted = scope.reserve(
            OperationType.STEP.value, OperationSubType.STEP.value, f"{prefix}submitter" if call.name else None
        )
        try:
            submit = _with_callback_id(submitter, callback.callback_id)
            await run_step(submitted, submit, StepConfig(retry_strategy=config.retry_strategy))
        except StepError as error:
            raise _submitter_failed(error) from None
        return await callback.result()

    try:
        return await run_context(call, body, Keeping(_codec(call, config)))
    except ChildContextError as error:
        raise _as_callback_error(error) from None


run_wait_for_callback.__qualname__ = "ctx.wait_for_callback"  # Python's warning of a forgotten await names it


def _with_callback_id(submitter: Submitter, callback_id: str) -> Callable[[StepContext], Any]:
    if not is_async(submitter):
        return lambda step: submitter(callback_id, step)

    async def submit(step: StepContext) -> Any:
        return await submitter(callback_id, step)

    return submit


def _callback_config(config: WaitForCallbackConfig) -> CallbackConfig:
    return CallbackConfig(
        timeout=config.timeout,
        heartbeat_timeout=config.heartbeat_timeout,
        serdes=config.serdes,
        result_type=config.result_type,
        sub_type=config.sub_type,
    )


def _codec(call: Call, config: WaitForCallbackConfig) -> Codec:
    """The codec of the context's result. A custom serializer only reads the callback's text."""
    arn = call.scope.state.execution_arn
    return codec_for(None, config.result_type, operation_id=call.id, execution_arn=arn)


def _submitter_failed(error: StepError) -> CallbackSubmitterError:
    message = f"the submitter failed: {error.message}"
    return CallbackSubmitterError(message, SUBMITTER_FAILED, error.data, error.stack_trace)


def _as_callback_error(error: ChildContextError) -> Exception:
    """Convert the error of the surrounding context to the callback's own error."""
    recorded = ErrorObject(error.message, error.error_type, error.data, error.stack_trace)
    base = BASES_BY_TYPE.get(error.error_type, CallbackFailedError)
    return make_failure(base, recorded, operation=error.operation, operation_id=error.operation_id)

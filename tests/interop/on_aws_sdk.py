"""Runs a handler that was written for this SDK on AWS's: each call on the context becomes the same call of AWS's SDK.

The handlers of `tests/conformance` then show whether the local engine serves AWS's SDK as the service does. Their coroutines never
wait for anything but the context, and AWS's calls return or raise at once, so that one step of a coroutine runs it to its end.
"""

import inspect
import json
import logging
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import aws_durable_execution_sdk_python as aws
from aws_durable_execution_sdk_python import config as theirs
from aws_durable_execution_sdk_python import exceptions, retries, waits
from aws_durable_execution_sdk_python.concurrency.models import BatchItem, BatchResult, CompletionReason
from aws_durable_execution_sdk_python.config import BatchItemStatus
from aws_durable_execution_sdk_python.plugin import DurableInstrumentationPlugin
from aws_durable_execution_sdk_python.serdes import SerDes

import durable_execution as ours
from durable_execution import errors
from tests.conformance.log_capture import USER_LOGGER

ERRORS = (
    (exceptions.StepError, errors.StepError),
    (exceptions.InvokeError, errors.InvokeError),
    (exceptions.ChildContextError, errors.ChildContextError),
    (exceptions.CallbackTimeoutError, errors.CallbackTimeoutError),
    (exceptions.CallbackSubmitterError, errors.CallbackSubmitterError),
    (exceptions.CallbackError, errors.CallbackError),
    (exceptions.WaitForConditionError, errors.WaitForConditionError),
)


def on_aws_sdk(handler: Any, client: Any = None) -> Any:
    """A handler of this SDK as a Lambda handler of AWS's.

    Args:
        handler: What `@durable_execution` made.
        client: What AWS's SDK calls; by default it makes a boto3 client.
    """

    def run(event: Any, context: Any) -> Any:
        context.set_logger(logging.getLogger(USER_LOGGER))
        return _run(handler.function, event, Context(context, handler._log_while_replaying))

    run.__name__ = handler.function.__name__
    options: dict[str, Any] = {} if client is None else {"boto3_client": client}
    if handler.observers:
        options["plugins"] = [_PluginFactory(observer) for observer in handler.observers]
    return aws.durable_execution(run, **options)


class Context:
    """The context of this SDK, as far as the handlers use it, on one of AWS's."""

    def __init__(self, context: Any, logs_while_replaying: bool) -> None:
        self._context = context
        self._logs_while_replaying = logs_while_replaying

    @property
    def logger(self) -> Any:
        found = self._context.logger
        return found.get_logger() if self._logs_while_replaying else found

    async def step(self, function: Any, name: str | None = None, *, config: Any = None) -> Any:
        options = config and theirs.StepConfig(
            retry_strategy=_retrying(config.retry_strategy),
            step_semantics=theirs.StepSemantics[config.step_semantics.name],
            serdes=_serdes(config),
        )
        arn = self._context.execution_context.durable_execution_arn

        def body(step: Any) -> Any:
            operation_id = step.logger._default_extra.get("operationId")
            own = SimpleNamespace(
                attempt=step.attempt, logger=step.logger, execution_arn=arn, operation_id=operation_id
            )
            return _run(function, own)

        return _called(self._context.step, body, name=name, config=options)

    async def wait(self, duration: timedelta, name: str | None = None) -> None:
        self._context.wait(_duration(duration), name=name)

    async def create_callback(self, name: str | None = None, *, config: Any = None) -> Any:
        callback = _called(
            self._context.create_callback, name=name, config=_callback_options(config, theirs.CallbackConfig)
        )

        async def result() -> Any:
            return _called(callback.result)

        return SimpleNamespace(callback_id=callback.callback_id, result=result)

    async def wait_for_callback(self, submit: Any, name: str | None = None, *, config: Any = None) -> Any:
        retry = {} if config is None else {"retry_strategy": _retrying(config.retry_strategy)}
        options = _callback_options(config, theirs.WaitForCallbackConfig, **retry)

        def submitter(callback_id: str, context: Any) -> Any:
            return _run(submit, callback_id, context)

        return _called(self._context.wait_for_callback, submitter, name=name, config=options)

    async def invoke(self, function: str, payload: Any = None, name: str | None = None, *, config: Any = None) -> Any:
        options = config and theirs.InvokeConfig(
            serdes_payload=_serdes(config, "payload_serdes"),
            serdes_result=_serdes(config, "result_serdes"),
            tenant_id=config.tenant_id,
        )
        return _called(self._context.invoke, function, payload, name=name, config=options)

    async def run_in_child_context(self, function: Any, name: str | None = None, *, config: Any = None) -> Any:
        options = config and theirs.ChildConfig(serdes=_serdes(config))
        return _called(self._context.run_in_child_context, self._in_child(function), name=name, config=options)

    async def map(self, items: Any, function: Any, name: str | None = None, *, config: Any = None) -> Any:
        options = config and theirs.MapConfig(item_namer=config.item_namer, **_batch_options(config))

        def each(child: Any, item: Any, index: int, _items: Any) -> Any:
            return _run(function, self._child(child), item, index)

        return Batch(_called(self._context.map, items, each, name=name, config=options))

    async def parallel(self, branches: Any, name: str | None = None, *, config: Any = None) -> Any:
        options = config and theirs.ParallelConfig(**_batch_options(config))
        functions = [
            theirs.ParallelBranch(self._in_child(branch.function), branch.name)
            if isinstance(branch, ours.ParallelBranch)
            else self._in_child(branch)
            for branch in branches
        ]
        return Batch(_called(self._context.parallel, functions, name=name, config=options))

    async def wait_for_condition(self, check: Any, name: str | None = None, *, config: Any) -> Any:
        def decide(state: Any, attempt: int) -> Any:
            decision = config.wait_strategy(state, attempt)
            if not decision.should_continue:
                return waits.WaitForConditionDecision.stop_polling()
            return waits.WaitForConditionDecision.continue_waiting(_duration(decision.delay))

        options = waits.WaitForConditionConfig(
            wait_strategy=decide, initial_state=config.initial_state, serdes=_serdes(config)
        )
        return _called(
            self._context.wait_for_condition,
            lambda state, context: _run(check, state, context),
            name=name,
            config=options,
        )

    def _child(self, child: Any) -> "Context":
        return Context(child, self._logs_while_replaying)

    def _in_child(self, function: Any) -> Callable[[Any], Any]:
        return lambda child: _run(function, self._child(child))


class Batch:
    """A batch result of AWS's, whose enumerations are text as this SDK's are."""

    def __init__(self, result: Any) -> None:
        self._result = result
        self.completion_reason = result.completion_reason.value
        self.status = result.status.value

    def get_errors(self) -> list[Any]:
        return list(self._result.get_errors())

    def throw_if_error(self) -> None:
        _called(self._result.throw_if_error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._result, name)


class _Serializer(SerDes[Any]):
    def __init__(self, serializer: Any) -> None:
        self._serializer = serializer

    def serialize(self, value: Any, serdes_context: Any) -> str:
        text: str = self._serializer.serialize(value, serdes_context)
        return text

    def deserialize(self, data: str, serdes_context: Any) -> Any:
        found = self._serializer.deserialize(data, serdes_context)
        if not isinstance(found, ours.BatchResult):
            return found
        items = [BatchItem(item.index, BatchItemStatus(item.status.value), item.result) for item in found.all]
        return BatchResult(items, CompletionReason(found.completion_reason.value))


class _Json(SerDes[Any]):
    def serialize(self, value: Any, serdes_context: Any) -> str:
        return json.dumps(value)

    def deserialize(self, data: str, serdes_context: Any) -> Any:
        return json.loads(data)


def _run(function: Any, *arguments: Any) -> Any:
    """Run code of a handler to its end; an error of an operation that it lets through is AWS's again."""
    try:
        found = function(*arguments)
        if not inspect.iscoroutine(found):
            return found
        try:
            found.send(None)
        except StopIteration as stop:
            return stop.value
        raise AssertionError(f"{function} waits for something other than its context")
    except errors.OperationError as error:
        if isinstance(error.__cause__, exceptions.DurableOperationError):
            raise error.__cause__ from error.__cause__.__cause__
        raise


def _called(function: Any, *arguments: Any, **options: Any) -> Any:
    """Call AWS's SDK; an error of an operation becomes this SDK's."""
    try:
        return function(*arguments, **options)
    except exceptions.DurableOperationError as error:
        own = next((own for kind, own in ERRORS if isinstance(error, kind)), None)
        if own is None:
            raise
        raise own(error.message, error.error_type, error.data) from error


def _duration(duration: timedelta | None) -> Any:
    return theirs.Duration() if duration is None else theirs.Duration.from_seconds(int(duration.total_seconds()))


def _serdes(config: Any, option: str = "serdes") -> Any:
    serializer = getattr(config, option, None)
    if serializer is not None:
        return _Serializer(serializer)
    return _Json() if getattr(config, "result_type", None) is not None else None


def _retrying(strategy: Any) -> Any:
    def decide(error: Exception, attempt: int) -> Any:
        decision = strategy(error, attempt)
        if not decision.should_retry:
            return retries.RetryDecision.no_retry()
        return retries.RetryDecision.retry(_duration(decision.delay))

    return None if strategy is None else decide


def _callback_options(config: Any, kind: Any, **options: Any) -> Any:
    return config and kind(
        timeout=_duration(config.timeout),
        heartbeat_timeout=_duration(config.heartbeat_timeout),
        serdes=_serdes(config),
        **options,
    )


def _batch_options(config: Any) -> dict[str, Any]:
    completion = config.completion_config
    return {
        "max_concurrency": config.max_concurrency,
        "completion_config": theirs.CompletionConfig(
            min_successful=completion.min_successful,
            tolerated_failure_count=completion.tolerated_failure_count,
            tolerated_failure_percentage=completion.tolerated_failure_percentage,
        ),
        "serdes": _serdes(config),
        # AWS's SDK would use the serializer of the whole for each item too
        "item_serdes": _serdes(config, "item_serdes") or (_Json() if config.serdes is not None else None),
        "nesting_type": theirs.NestingType[config.nesting_type.name],
    }


class _PluginFactory:
    def __init__(self, observer: Any) -> None:
        self._observer = observer

    def create_plugin(self, _info: Any) -> "_Plugin":
        return _Plugin(self._observer)


class _Plugin(DurableInstrumentationPlugin):
    """Passes AWS's notifications to an observer of this SDK, under this SDK's names."""

    def __init__(self, observer: Any) -> None:
        self._observer = observer

    def on_invocation_start(self, info: Any) -> None:
        self._observer.on_invocation_started(_invocation(info))

    def on_invocation_end(self, info: Any) -> None:
        started = _invocation(info)
        self._observer.on_invocation_ended(
            SimpleNamespace(
                status=info.status.value,
                result=info.execution_result,
                error=info.error,
                started=started,
                operations=started.operations,
            )
        )

    def on_operation_start(self, info: Any) -> None:
        self._observer.on_operation_started(_operation(info, at=info.start_time))

    def on_operation_end(self, info: Any) -> None:
        self._observer.on_operation_completed(_operation(info, at=info.end_time))

    def on_operation_change(self, info: Any) -> None:
        updated = {key: _operation(one) for key, one in info.updated_operations.items()}
        known = {key: _operation(one) for key, one in info.operations.items()}
        self._observer.on_operations_changed(SimpleNamespace(updated=updated, operations=known))

    def on_user_function_start(self, info: Any) -> None:
        if info.operation_type.value == "CONTEXT":
            self._observer.on_context_entered(_operation(info, is_replaying_children=info.is_replay_children))
        else:
            self._observer.on_attempt_started(_operation(info, at=info.start_time))

    def on_user_function_end(self, info: Any) -> None:
        is_context = info.operation_type.value == "CONTEXT"
        ended = self._observer.on_context_left if is_context else self._observer.on_attempt_ended
        ended(_operation(info, at=info.end_time, outcome=info.outcome.value))


def _invocation(info: Any) -> SimpleNamespace:
    return SimpleNamespace(
        execution_arn=info.execution_arn,
        is_first=info.is_first_invocation,
        request_id=info.request_id,
        operations={key: _operation(one) for key, one in info.operations.items()},
        execution_started_at=info.execution_start_time,
        updated_operation_ids=list(getattr(info, "updated_operations", {})),
    )


def _operation(info: Any, **more: Any) -> SimpleNamespace:
    subtype = getattr(info.sub_type, "value", info.sub_type)
    identity = {
        "id": info.operation_id,
        "name": info.name,
        "type": info.operation_type.value,
        "subtype": subtype,
        "parent_id": info.parent_id,
    }
    return SimpleNamespace(
        **identity,
        call=SimpleNamespace(**identity),
        status=info.status.value,
        started_at=info.start_time,
        ended_at=info.end_time,
        result=info.result,
        error=info.error,
        attempt=info.attempt,
        is_replayed=info.is_replayed,
        **more,
    )

"""Records an execution again: runs today's handler on the local engine with the recorded external answers."""

import json
from collections.abc import Callable
from typing import Any

from durable_execution.comparison.runtime_check import target_of
from durable_execution.errors import DurableError
from durable_execution.history.recorded import RecordedExecution, RecordedOperation
from durable_execution.local import LocalEngine
from durable_execution.paging import pages
from durable_execution.protocol import OperationStatus, OperationType, Wire

DEFAULT_FUNCTION = "function"


class RerecordingError(DurableError):
    """An execution cannot be recorded again."""


def record_again(handler: Any, execution: RecordedExecution) -> list[Wire]:
    """Run a new execution with the recorded input and return its history. Step bodies run.

    Callbacks and invoked functions give their recorded answers, in order; waits are skipped.

    Args:
        handler: A handler made with `@durable_execution`.
        execution: The recording.

    Raises:
        RerecordingError: The execution waits for an answer that was not recorded.
    """
    function = execution.function_name or DEFAULT_FUNCTION
    with LocalEngine(None, time="skip", trace_sink=False) as engine:
        for name, answers in _invoked(execution).items():
            if name != function:
                engine.register(name, _answering(name, answers))
        engine.register(function, handler)
        payload = json.loads(execution.input) if execution.input else {}
        arn = engine.start(function, payload)
        engine.run_until_idle(skips="work")
        for callback in _callbacks(execution):
            if engine.result(arn) is not None:
                break
            _answer(engine, arn, callback)
            engine.run_until_idle(skips="work")
        return _history(engine, arn)


def _callbacks(execution: RecordedExecution) -> list[RecordedOperation]:
    ended = [
        one
        for one in execution.operations
        if one.type is OperationType.CALLBACK and one.status.is_terminal and one.ended_at
    ]
    return sorted(ended, key=lambda one: one.events[-1] if one.events else 0)


def _answer(engine: LocalEngine, arn: str, callback: RecordedOperation) -> None:
    callback_id = engine.wait_for_callback_id(arn, callback.name)
    if callback.status is OperationStatus.SUCCEEDED:
        result = callback.result or ""
        engine.client.send_durable_execution_callback_success(CallbackId=callback_id, Result=result.encode())
        return
    error = callback.error.to_wire() if callback.error else {"ErrorType": "Error"}
    engine.client.send_durable_execution_callback_failure(CallbackId=callback_id, Error=error)


def _invoked(execution: RecordedExecution) -> dict[str, list[RecordedOperation]]:
    found: dict[str, list[RecordedOperation]] = {}
    for operation in execution.operations:
        name = operation.details.get("function_name")
        if operation.type is OperationType.CHAINED_INVOKE and name:
            found.setdefault(target_of(str(name)), []).append(operation)
    return found


def _answering(name: str, answers: list[RecordedOperation]) -> Callable[[Any, Any], Any]:
    remaining = iter(answers)

    def answer(_event: Any, _context: Any) -> Any:
        recorded = next(remaining, None)
        if recorded is None:
            raise RerecordingError(
                f"{name} is invoked more often than recorded: the recording has no answer for this invocation"
            )
        if recorded.status is not OperationStatus.SUCCEEDED:
            raise RerecordingError(
                recorded.error.message if recorded.error else "the recorded invocation failed without an error message"
            )
        return json.loads(recorded.result) if recorded.result else None

    return answer


def _history(engine: LocalEngine, arn: str) -> list[Wire]:
    options = {"DurableExecutionArn": arn, "IncludeExecutionData": True, "MaxItems": 1000}
    return [event for page in pages(engine.client.get_durable_execution_history, "Events", **options) for event in page]

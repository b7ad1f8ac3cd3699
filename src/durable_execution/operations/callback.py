"""`ctx.create_callback`: give an external system an id, and wait for its answer."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from durable_execution.config import CallbackConfig
from durable_execution.errors import (
    CallbackError,
    CallbackFailedError,
    CallbackHeartbeatError,
    CallbackTimeoutError,
    ConfigurationError,
    ExecutionError,
    SerializationError,
)
from durable_execution.operations.lifecycle import (
    announce_replayed,
    announce_settled,
    announce_started,
    decode,
    failure,
    recorded_state,
    store,
)
from durable_execution.protocol import ErrorObject, Operation, OperationStatus, Wire
from durable_execution.runtime.call import Call
from durable_execution.runtime.guard import check_configuration
from durable_execution.serdes.codec import PLAIN_TYPES, codec_for
from durable_execution.serdes.error_texts import stored
from durable_execution.serdes.interface import Codec

T = TypeVar("T")
DEFAULT_CONFIG = CallbackConfig()
TEXT = Codec(str, str)
HEARTBEAT_LAPSED = "Callback.Heartbeat"


class Callback(Generic[T]):
    """A created callback.

    Attributes:
        callback_id: The id the external system passes to the Lambda API (`SendDurableExecutionCallbackSuccess`,
            `...Failure`, `...Heartbeat`) or to `durable-debug callback` to complete the callback.
    """

    __slots__ = ("_call", "_codec", "_is_reported", "callback_id")

    def __init__(self, call: Call, callback_id: str, codec: Codec, *, is_reported: bool) -> None:
        self.callback_id = callback_id
        self._call = call
        self._codec = codec
        self._is_reported = is_reported

    def __repr__(self) -> str:
        return f"Callback({self._call.path!r}, callback_id={self.callback_id!r})"

    if not TYPE_CHECKING:  # a type checker reports `await callback` by itself

        def __await__(self) -> NoReturn:
            raise ConfigurationError("a callback is not its answer: write `await callback.result()`")

    async def result(self) -> T:
        """Wait for the answer. The execution is suspended until it arrives.

        Returns:
            The text the external system sent, or the value that the configured type or serializer reads from it. None
            if it sent no result.

        Raises:
            CallbackFailedError: The external system reported a failure.
            CallbackTimeoutError: No answer arrived in time.
            CallbackHeartbeatError: The heartbeats stopped.
        """
        state = self._call.scope.state
        if state.is_decided:
            await state.park()
        recorded = state.operations[self._call.id]
        if recorded["Status"] == "STARTED":
            recorded = await state.until_changed(self._call)
        if not self._is_reported:
            self._is_reported = True
            announce_settled(self._call, recorded, is_replayed=state.recorded_count > 0)
        answer: T = self._answer(recorded)
        return answer

    def _answer(self, recorded: Wire) -> Any:
        view = Operation(recorded)
        if view.status is OperationStatus.SUCCEEDED:
            return decode(self._call, self._codec, view.result) if view.result is not None else None
        raise failure(self._call, failure_class(view), view.error or ErrorObject("the callback was cancelled"))


def failure_class(callback: Operation) -> type[CallbackError]:
    """Return the class of the error that a failed callback raises."""
    if callback.status is OperationStatus.TIMED_OUT:
        is_heartbeat = callback.error is not None and callback.error.type == HEARTBEAT_LAPSED
        return CallbackHeartbeatError if is_heartbeat else CallbackTimeoutError
    return CallbackFailedError if callback.status is OperationStatus.FAILED else CallbackError


async def create_callback(call: Call, config: CallbackConfig) -> Callback[Any]:
    """Create the callback, or find the recorded one. If it failed, `result()` raises the failure; this never does."""
    state = call.scope.state
    recorded = await recorded_state(call)
    is_reported = False
    if recorded is None:
        announce_started(call)
        update = call.update("START")
        update["CallbackOptions"] = _options(config)
        await store(call, update)
        recorded = state.operations.get(call.id)
    else:
        if state.announcer is not None:
            check_configuration(call, recorded)
        if recorded["Status"] == "STARTED":
            announce_started(call, recorded)
        else:
            is_reported = True
            announce_replayed(call, recorded)
    callback_id = Operation(recorded).callback_id if recorded is not None else None
    if not callback_id:
        raise ExecutionError(f"the service returned no callback id for {call.path}")
    return Callback(call, callback_id, _codec(call, config), is_reported=is_reported)


create_callback.__qualname__ = "ctx.create_callback"  # Python's warning of a forgotten await names it


def recorded_options(config: CallbackConfig) -> dict[str, int]:
    """Return the options that are compared with the recording."""
    options: dict[str, int] = {}
    if config.timeout is not None:
        options["timeout_seconds"] = round(config.timeout.total_seconds())
    if config.heartbeat_timeout is not None:
        options["heartbeat_timeout_seconds"] = round(config.heartbeat_timeout.total_seconds())
    return options


def _codec(call: Call, config: CallbackConfig) -> Codec:
    if config.serdes is None and config.result_type is None:
        return TEXT
    if config.serdes is None and config.result_type in PLAIN_TYPES:
        return Codec(json.dumps, functools.partial(_read_plain, config.result_type))
    arn = call.scope.state.execution_arn
    return codec_for(config.serdes, config.result_type, operation_id=call.id, execution_arn=arn)


def _read_plain(kind: Any, text: str) -> Any:
    """Read the JSON an external system sent as a plain type. A text may also come without quotes.

    Raises:
        SerializationError: It is a value of a different type.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = text
    if kind is str and not isinstance(value, str):
        value = text
    expected = {float: (int, float), type(None): (type(None),)}.get(kind, kind)  # pyright: ignore[reportCallIssue, reportArgumentType]
    if kind in (Any, object) or (isinstance(value, expected) and (kind is bool or not isinstance(value, bool))):
        return value
    raise SerializationError(
        f"the answer of the external system, {stored(text)}, is not a {kind.__name__}. Have it send JSON of that type, or "
        "set CallbackConfig(result_type=...) to what it sends"
    )


def _options(config: CallbackConfig) -> dict[str, int]:
    options: dict[str, int] = {}
    if config.timeout is not None:
        options["TimeoutSeconds"] = round(config.timeout.total_seconds())
    if config.heartbeat_timeout is not None:
        options["HeartbeatTimeoutSeconds"] = round(config.heartbeat_timeout.total_seconds())
    return options

"""The parts every operation shares: read the record, notify observers, store, fail.

Without an observer, no notification is created. An exception is stored with the frames of user code, within the size that the
service accepts.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable
from threading import get_ident
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from durable_execution.errors import OperationError, SerializationError, error_object, make_failure
from durable_execution.protocol import ErrorObject, Wire
from durable_execution.protocol.enums import LOOK_FROM_CHARACTERS, MAX_ERROR_BYTES
from durable_execution.runtime.call import Call
from durable_execution.runtime.guard import check_recorded, check_unrecorded, is_recorded_as
from durable_execution.serdes.error_texts import UnstorableError, advice
from durable_execution.serdes.interface import Codec

if TYPE_CHECKING:
    from durable_execution.runtime.announcer import Announcer

P = ParamSpec("P")
R = TypeVar("R")
MAX_FRAMES = 20
MAX_LINE_LENGTH = 400
SDK_PACKAGE = "/durable_execution/"
WORST_CHARACTER = 12
"""Most bytes one character takes in JSON: a character outside the basic plane is escaped as two surrogates."""

MAX_MESSAGE_LENGTH = 8_000
"""Longest exception message to store, in characters; an error object may take 32,768 bytes in all."""

T = TypeVar("T")


def stack_trace_of(error: BaseException) -> tuple[str, ...] | None:
    """Return the frames of an exception, innermost last, without the SDK's own; None if it was never raised."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not _is_sdk(frame.filename)] or list(frames)
    lines = [_line(frame) for frame in own[-MAX_FRAMES:]]
    return tuple(lines) or None


def _is_sdk(filename: str) -> bool:
    return SDK_PACKAGE in filename.replace("\\", "/") and "/tests/" not in filename


def _line(frame: traceback.FrameSummary) -> str:
    source = f": {frame.line}" if frame.line else ""
    return f"{frame.filename}:{frame.lineno} in {frame.name}{source}"[:MAX_LINE_LENGTH]


def may_be_large(error: ErrorObject) -> bool:
    """Whether the error may be too large, estimated from its number of characters."""
    characters = len(error.message or "") + len(error.type or "") + len(error.data or "")
    return (characters + sum(map(len, error.stack_trace or ()))) * WORST_CHARACTER > MAX_ERROR_BYTES // 2


def fitted(error: ErrorObject) -> ErrorObject:
    """Shorten an error until it fits: remove outer frames first, then the data, then the end of the message."""
    message, data, trace = error.message, error.data, error.stack_trace
    while _size(found := ErrorObject(message, error.type, data, trace)) > MAX_ERROR_BYTES:
        if trace:
            trace = trace[(len(trace) + 1) // 2 :] or None
        elif data is not None:
            data = None
        elif message:
            message = message[: len(message) // 2].rstrip("…") + "…"
        else:
            break  # only the type name is left
    return found


def _size(error: ErrorObject) -> int:
    return len(json.dumps(error.to_wire()))


def recorded_at_once(call: Call) -> Wire | None:
    """Return the record of this call if the two are the same and the invocation goes on; otherwise ask `recorded_state`."""
    scope = call.scope
    state = scope.state
    recorded = state.operations.get(call.id)
    if (
        recorded is None
        or state.is_over
        or state.thread != get_ident()
        or state.outcome.done()
        or not is_recorded_as(call, recorded)
    ):
        return None
    scope.home.found += 1
    return recorded


async def recorded_state(call: Call) -> Wire | None:
    """Return the record of this call after comparing the two; None if the call is new."""
    state = call.scope.state
    if state.is_over or state.thread != get_ident():
        state.check_usable(call.path)
    if state.outcome.done():
        await state.park()
    recorded = state.operations.get(call.id)
    if recorded is not None:
        call.scope.home.found += 1
        await check_recorded(call, recorded)
    elif call.scope.may_miss_calls:
        await check_unrecorded(call)
    return recorded


async def store(call: Call, update: Wire) -> None:
    """Checkpoint an update and wait until it is stored."""
    state = call.scope.state
    if state.outcome.done():
        await state.park()
    call.scope.check_open(call)
    if state.can_store_at_once:
        await state.batcher.store_at_once(update)
    else:
        await state.batcher.store(update)
    if state.outcome.done():  # an answer without a token: the update is stored, but nothing may run after it
        await state.park()


def announce_replayed(call: Call, recorded: Wire) -> None:
    """Tell observers that a call was answered from the record. Every invocation replays all earlier calls: keep it cheap."""
    announcer = call.scope.state.announcer
    if announcer is not None:
        announcer.replayed(call, recorded)


def _announced(
    notify: Callable[[Announcer], Callable[Concatenate[Call, P], R]],
) -> Callable[Concatenate[Call, P], R | None]:
    """A function that notifies observers of a call. Without an observer it creates no notification and returns None."""

    def announce(call: Call, /, *arguments: P.args, **named: P.kwargs) -> R | None:
        announcer = call.scope.state.announcer
        return notify(announcer)(call, *arguments, **named) if announcer is not None else None

    return announce


announce_started = _announced(lambda announcer: announcer.started)
announce_settled = _announced(lambda announcer: announcer.settled)
announce_completed = _announced(lambda announcer: announcer.completed)
announce_attempt = _announced(lambda announcer: announcer.attempt_started)
announce_attempt_ended = _announced(lambda announcer: announcer.attempt_ended)
announce_entered = _announced(lambda announcer: announcer.entered)
announce_left = _announced(lambda announcer: announcer.left)


def failure(call: Call, base: type[OperationError], error: ErrorObject | None) -> OperationError:
    """Create the error that a failed operation raises; see `make_failure`."""
    return make_failure(base, error, operation=call.path, operation_id=call.id)


def described(error: BaseException) -> ErrorObject:
    """Describe an exception for a checkpoint, with its traceback, within the size limits."""
    data = getattr(error, "error_data", None)
    plain = error_object(error, stack_trace=stack_trace_of(error))
    message = (plain.message or "") + advice(error) or plain.message
    if message is not None and len(message) > MAX_MESSAGE_LENGTH:
        message = message[:MAX_MESSAGE_LENGTH] + "…"
    data = plain.data or (data if isinstance(data, str) else None)
    found = ErrorObject(message, plain.type, data, plain.stack_trace)
    return fitted(found) if may_be_large(found) else found


def encode(call: Call, codec: Codec, value: Any) -> str:
    """Write a value of this operation as text.

    Raises:
        SerializationError: The value cannot be written. The message names the operation and the fix.
    """
    try:
        text = codec.encode(value)
    except UnstorableError as error:
        raise SerializationError(f"the result of {call.path} cannot be stored: {error}", operation=call.path) from error
    except SerializationError as error:
        raise SerializationError(
            f"the result of {call.path} cannot be stored: {error}. Annotate the function's return type (a pydantic "
            "model, a dataclass, an enum …), return plain JSON values, or configure a serdes",
            operation=call.path,
        ) from error
    if len(text) > LOOK_FROM_CHARACTERS:
        _report_size(call, text)
    return text


async def round_trip(call: Call, codec: Codec, value: Any) -> tuple[str, Any]:
    """Write a value as text and read it back, off the event loop: for serializers that block."""

    def both() -> tuple[str, Any]:
        text = encode(call, codec, value)
        return text, decode(call, codec, text)

    return await _off_the_loop(call, both)


async def restored(call: Call, codec: Codec, text: str) -> Any:
    """Call `decode`, off the event loop if the serializer blocks."""
    if not codec.is_blocking:
        return decode(call, codec, text)
    return await _off_the_loop(call, lambda: decode(call, codec, text))


async def _off_the_loop(call: Call, work: Callable[[], T]) -> T:
    state = call.scope.state
    state.busy += 1
    try:
        return await state.workers.run(work)
    finally:
        state.busy -= 1


def _report_size(call: Call, text: str) -> None:
    from durable_execution.serdes.sizes import report_operation_size

    state = call.scope.state
    recorded = state.operations.get(call.id)
    is_stored = recorded is not None and recorded["Status"] == "SUCCEEDED"
    if not is_stored and not call.is_virtual:
        report_operation_size(
            text, operation=call.path, execution_arn=state.execution_arn, is_context=call.type == "CONTEXT"
        )


def decode(call: Call, codec: Codec, text: str) -> Any:
    """Read a value from the stored text of this operation.

    Raises:
        SerializationError: The text cannot be read. The message names the operation and the fix.
    """
    try:
        return codec.decode(text)
    except Exception as error:
        on_unread = call.scope.state.on_unread
        if on_unread is not None:
            on_unread(call, error)
        if not isinstance(error, SerializationError):
            raise
        raise SerializationError(
            f"the stored result of {call.path} cannot be restored: {error}. If you changed the type since, make it "
            "accept the stored form as well",
            operation=call.path,
        ) from error

"""The parts every operation shares: read the record, notify observers, store, fail.

Without an observer, no notification is created. An exception is stored with the frames of user code, within the size that the
service accepts.
"""

from __future__ import annotations

import json
import traceback
from datetime import datetime

from durable_execution.errors import OperationError, error_object, make_failure
from durable_execution.protocol import ErrorObject, OperationStatus, Wire
from durable_execution.protocol.enums import MAX_ERROR_BYTES
from durable_execution.runtime.call import Call
from durable_execution.runtime.guard import check_recorded

MAX_FRAMES = 20
MAX_LINE_LENGTH = 400
SDK_PACKAGE = "/durable_execution/"
WORST_CHARACTER = 12
"""Most bytes one character takes in JSON: a character outside the basic plane is escaped as two surrogates."""

MAX_MESSAGE_LENGTH = 8_000
"""Longest exception message to store, in characters; an error object may take 32,768 bytes in all."""


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


async def recorded_state(call: Call) -> Wire | None:
    """Return the record of this call after comparing the two; None if the call is new."""
    state = call.scope.state
    if state.outcome.done():
        await state.park()
    recorded = state.operations.get(call.id)
    if recorded is not None:
        await check_recorded(call, recorded)
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


def announce_started(call: Call, recorded: Wire | None = None) -> None:
    """Notify observers that the operation is in progress: new, or as recorded."""
    announcer = call.scope.state.announcer
    if announcer is not None:
        announcer.started(call, recorded)


def announce_replayed(call: Call, recorded: Wire) -> None:
    """Notify observers that the call returned its recorded result."""
    announcer = call.scope.state.announcer
    if announcer is not None:
        announcer.replayed(call, recorded)


def announce_settled(call: Call, recorded: Wire, *, is_replayed: bool) -> None:
    """Notify observers that the operation ended outside this process: a timer, a callback or an invoked function."""
    announcer = call.scope.state.announcer
    if announcer is not None:
        announcer.settled(call, recorded, is_replayed=is_replayed)


def announce_completed(
    call: Call,
    status: OperationStatus,
    *,
    started_at: datetime | None,
    is_replayed: bool,
    result: str | None = None,
    error: ErrorObject | None = None,
    exception: BaseException | None = None,
    attempt: int | None = None,
) -> None:
    """Notify observers that the operation ended in this process."""
    announcer = call.scope.state.announcer
    if announcer is not None:
        announcer.completed(
            call,
            status,
            started_at=started_at,
            is_replayed=is_replayed,
            result=result,
            error=error,
            exception=exception,
            attempt=attempt,
        )


def announce_attempt(call: Call, attempt: int, *, is_replayed: bool) -> datetime | None:
    """Notify observers that a body starts. Returns the time for `announce_attempt_ended`; None without an observer."""
    announcer = call.scope.state.announcer
    return announcer.attempt_started(call, attempt, is_replayed=is_replayed) if announcer is not None else None


def announce_attempt_ended(
    call: Call,
    attempt: int,
    started_at: datetime | None,
    outcome: str,
    *,
    is_replayed: bool,
    error: ErrorObject | None = None,
    exception: BaseException | None = None,
    delay: int | None = None,
) -> None:
    """Notify observers that a body ended."""
    announcer = call.scope.state.announcer
    if announcer is not None and started_at is not None:
        announcer.attempt_ended(
            call,
            attempt,
            started_at,
            outcome,
            is_replayed=is_replayed,
            error=error,
            exception=exception,
            delay=delay,
        )


def announce_entered(call: Call, *, is_replaying_children: bool) -> datetime | None:
    """Notify observers that a context's body starts. Returns the time for `announce_left`; None without an observer."""
    announcer = call.scope.state.announcer
    return announcer.entered(call, is_replaying_children=is_replaying_children) if announcer is not None else None


def announce_left(
    call: Call,
    entered_at: datetime | None,
    outcome: str,
    *,
    is_replaying_children: bool,
    error: ErrorObject | None = None,
    exception: BaseException | None = None,
) -> None:
    """Notify observers that a context's body ended."""
    announcer = call.scope.state.announcer
    if announcer is not None and entered_at is not None:
        announcer.left(
            call, entered_at, outcome, is_replaying_children=is_replaying_children, error=error, exception=exception
        )


def failure(call: Call, base: type[OperationError], error: ErrorObject | None) -> OperationError:
    """Create the error that a failed operation raises; see `make_failure`."""
    return make_failure(base, error, operation=call.path, operation_id=call.id)


def described(error: BaseException) -> ErrorObject:
    """Describe an exception for a checkpoint, with its traceback, within the size limits."""
    data = getattr(error, "error_data", None)
    plain = error_object(error, stack_trace=stack_trace_of(error))
    message = plain.message
    if message is not None and len(message) > MAX_MESSAGE_LENGTH:
        message = message[:MAX_MESSAGE_LENGTH] + "…"
    data = plain.data or (data if isinstance(data, str) else None)
    found = ErrorObject(message, plain.type, data, plain.stack_trace)
    return fitted(found) if may_be_large(found) else found

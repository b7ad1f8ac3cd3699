"""Values of operations as they are stored, and stored texts as the values they stand for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from durable_execution.errors import SerializationError
from durable_execution.protocol.limits import LOOK_FROM_CHARACTERS
from durable_execution.runtime.call import Call
from durable_execution.serdes.codec import Codec

T = TypeVar("T")


def encode(call: Call, codec: Codec, value: Any) -> str:
    """The text of a value of this operation.

    Raises:
        SerializationError: It has none; the message names the operation and the cure.
    """
    try:
        text = codec.encode(value)
    except SerializationError as error:
        raise SerializationError(
            f"the result of {call.path} cannot be stored: {error}. Annotate what the function returns (a pydantic "
            "model, a dataclass, an enum …), return plain JSON values, or configure a serdes",
            operation=call.path,
        ) from error
    if len(text) > LOOK_FROM_CHARACTERS:
        _report_size(call, text)
    return text


async def round_trip(call: Call, codec: Codec, value: Any) -> tuple[str, Any]:
    """The text of a value, and the value it stands for, for a serializer that waits for something: off the event loop."""

    def both() -> tuple[str, Any]:
        text = encode(call, codec, value)
        return text, decode(call, codec, text)

    return await _off_the_loop(call, both)


async def restored(call: Call, codec: Codec, text: str) -> Any:
    """`decode`, off the event loop where the serializer waits for something."""
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
    """The value of a stored text of this operation.

    Raises:
        SerializationError: It cannot be read; the message names the operation and the cure.
    """
    try:
        return codec.decode(text)
    except SerializationError as error:
        raise SerializationError(
            f"the stored result of {call.path} cannot be restored: {error}. If the type has changed since it was "
            "stored, keep it able to read the old form",
            operation=call.path,
        ) from error

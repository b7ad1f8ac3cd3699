"""Convert the values of operations to stored text, and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from durable_execution.errors import SerializationError
from durable_execution.protocol.enums import LOOK_FROM_CHARACTERS
from durable_execution.runtime.call import Call
from durable_execution.serdes.interface import Codec

T = TypeVar("T")


def encode(call: Call, codec: Codec, value: Any) -> str:
    """Write a value of this operation as text.

    Raises:
        SerializationError: The value cannot be written. The message names the operation and the fix.
    """
    try:
        text = codec.encode(value)
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
    except SerializationError as error:
        raise SerializationError(
            f"the stored result of {call.path} cannot be restored: {error}. If you changed the type since, make it "
            "accept the stored form as well",
            operation=call.path,
        ) from error

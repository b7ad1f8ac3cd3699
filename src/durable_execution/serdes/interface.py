"""The serializer interface, and the two simplest serializers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeVar

T = TypeVar("T")


class SerDesContext(NamedTuple):
    """The operation and execution that a value belongs to.

    Attributes:
        operation_id: Id of the operation; the execution's ARN for the payload and the result of the handler.
        execution_arn: ARN of the execution.
    """

    operation_id: str = ""
    execution_arn: str = ""


class Codec:
    """A pair of functions, value to text and text to value, and whether they block, for example on a network."""

    __slots__ = ("decode", "encode", "is_blocking")

    def __init__(
        self, encode: Callable[[Any], str], decode: Callable[[str], Any], *, is_blocking: bool = False
    ) -> None:
        self.encode = encode
        self.decode = decode
        self.is_blocking = is_blocking


class SerDes(Protocol[T]):
    """Turns values into text and back. The workflow receives `deserialize(serialize(value))`, also on the first run.

    If your serializer blocks (on a network or a disk), set an attribute `is_blocking = True`. Steps, child contexts and
    branches then call it in a worker thread, so that other branches continue.

    Raise `durable_execution.errors.SerializationError` for a permanent error, and
    `durable_execution.errors.InvocationError` for a transient one, such as a bucket that does not respond.
    """

    def serialize(self, value: T, context: SerDesContext) -> str:
        """The text to store."""
        ...

    def deserialize(self, data: str, context: SerDesContext) -> T:
        """The value of a stored text."""
        ...


class JsonSerDes:
    """Plain JSON, written by `json.dumps` and read by `json.loads`. Tuples become lists."""

    def serialize(self, value: Any, context: SerDesContext = SerDesContext()) -> str:  # noqa: B008  # immutable
        """JSON text."""
        return json.dumps(value, allow_nan=False)

    def deserialize(self, data: str, context: SerDesContext = SerDesContext()) -> Any:  # noqa: B008
        """The value of a JSON text."""
        return json.loads(data)


class PassThroughSerDes:
    """For values that are already text."""

    def serialize(self, value: str, context: SerDesContext = SerDesContext()) -> str:  # noqa: B008
        """The text, unchanged."""
        return value

    def deserialize(self, data: str, context: SerDesContext = SerDesContext()) -> str:  # noqa: B008
        """The text, unchanged."""
        return data
